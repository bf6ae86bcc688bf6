"""The built-in compression strategies, on networks small enough to check by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from zoo_plugins.compress import half_precision, prune, quantize
from zoo_plugins.compress.folding import find_pairs, fold
from zoo_plugins.video.convolution import convolution
from zoo_registry.errors import ArtefactError, ParameterError


@dataclass
class Calibration:
    """A compression context over given batches."""

    batches: list[tuple[Tensor, ...]]

    @property
    def example(self) -> tuple[Tensor, ...]:
        return self.batches[0]

    def calibration(self, batches: int) -> Iterator[tuple[Tensor, ...]]:
        return iter(self.batches[:batches])


def architecture() -> nn.Sequential:
    """Two convolutions with batch norms, and a linear layer."""
    return nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU(inplace=True),
        nn.Conv3d(8, 16, 3, stride=2), nn.BatchNorm3d(16), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


def video_network() -> nn.Sequential:
    """The architecture with weights, and batch norms that have seen data."""
    torch.manual_seed(0)
    network = architecture()
    network.train()(clips(seed=1))
    return network.eval()


def clips(seed: int) -> Tensor:
    return torch.randn(4, 3, 4, 12, 12, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network() -> nn.Sequential:
    return video_network()


@pytest.fixture
def context() -> Calibration:
    return Calibration([(clips(seed),) for seed in (2, 3)])


def reloaded(model: nn.Module, record: dict, restore) -> nn.Module:
    """What a stranger gets who has the record, the weights and the architecture."""
    with torch.device("meta"):
        empty = architecture()
    restored = restore(empty, json.loads(json.dumps(record))).eval()
    restored.load_state_dict(model.state_dict(), strict=True, assign=True)
    return restored


class TestPruning:
    def test_takes_the_smallest_weights_of_all_layers_together(self):
        network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
        with torch.no_grad():
            network[0].weight.copy_(torch.tensor([[4.0, -3.0], [5.0, 6.0]]))
            network[1].weight.copy_(torch.tensor([[0.5, -1.0]]))

        pruned, record = prune.prune_magnitude(network, None, amount=0.5)

        assert pruned[0].weight.tolist() == [[4.0, 0.0], [5.0, 6.0]]
        assert pruned[1].weight.tolist() == [[0.0, 0.0]]
        assert record["sparsity"] == {"0": 0.25, "1": 1.0}

    def test_takes_the_same_part_of_each_layer_when_asked(self):
        network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))

        _, record = prune.prune_magnitude(network, None, amount=0.5, scope="layer")

        assert record["sparsity"] == {"0": 0.5, "1": 0.5}

    def test_leaves_norms_biases_and_names_alone(self, network, context):
        before = copy.deepcopy(network.state_dict())

        prune.prune_magnitude(network, context, amount=0.9)

        after = network.state_dict()
        assert after.keys() == before.keys()
        untouched = [key for key in before if not (key.endswith("weight") and before[key].dim() > 1)]
        assert all(torch.equal(after[key], before[key]) for key in untouched)

    def test_keeps_shared_weights_shared(self):
        network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        network[1].weight = network[0].weight

        prune.prune_magnitude(network, None, amount=0.4)

        assert network[1].weight is network[0].weight

    def test_reloads_exactly(self, network, context):
        pruned, record = prune.prune_magnitude(network, context, amount=0.5)

        again = reloaded(pruned, record, prune.restore)

        assert torch.equal(again(clips(9)), pruned(clips(9)))

    def test_of_a_model_without_layers_is_an_error(self):
        with pytest.raises(ParameterError, match="no convolution or linear layer"):
            prune.prune_magnitude(nn.ReLU(), None, amount=0.5)


class TestBfloat16:
    def test_halves_the_weights_and_keeps_their_names(self, network, context):
        before = network.state_dict()
        keys, size = list(before), sum(t.nbytes for t in before.values() if t.is_floating_point())

        cast, record = half_precision.cast(network, context, dtype="bfloat16")

        after = cast.state_dict()
        assert list(after) == keys
        assert 2 * sum(t.nbytes for t in after.values() if t.is_floating_point()) == size
        assert record == {"dtype": "bfloat16", "float32": []}

    def test_takes_and_gives_float32(self, network, context):
        expected = network(clips(9))

        cast, _ = half_precision.cast(network, context, dtype="bfloat16")
        found = cast(clips(9))

        assert found.dtype is torch.float32
        # 8 bits of precision: a relative error of 2**-8 per rounding, and some roundings.
        torch.testing.assert_close(found, expected, rtol=0, atol=8 * 2**-8 * expected.abs().max().item())

    def test_survives_copying_and_reloading(self, network, context):
        cast, record = half_precision.cast(network, context, dtype="bfloat16")
        expected = cast(clips(9))

        assert torch.equal(copy.deepcopy(cast)(clips(9)), expected)
        assert torch.equal(reloaded(cast, record, half_precision.restore)(clips(9)), expected)

    def test_casts_mappings_and_keyword_inputs_and_leaves_integers(self):
        class Lookup(nn.Module):
            def forward(self, scores, *, index=torch.tensor([0])):
                return {"picked": scores[index], "index": index, "dtype": scores.dtype}

        cast, _ = half_precision.cast(Lookup(), Calibration([(torch.ones(3),)]), dtype="bfloat16")
        output = cast(scores=torch.ones(3), index=torch.tensor([2]))

        assert output["dtype"] is torch.bfloat16
        assert output["picked"].dtype is torch.float32
        assert output["index"].dtype is torch.int64


class OnlyFloat32(nn.Module):
    """A layer without a kernel for 16 bits, as torch words it; with a weight of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1 / 3))

    def forward(self, values):
        if values.dtype is not torch.float32 or self.weight.dtype is not torch.float32:
            raise NotImplementedError("\"pool\" not implemented for 'BFloat16'")
        return values * self.weight


class TestLayersWithoutKernel:
    def network(self):
        return nn.Sequential(nn.Linear(4, 4), nn.Sequential(OnlyFloat32(), nn.ReLU()), OnlyFloat32(), nn.Linear(4, 2))

    def test_stay_in_float32(self):
        torch.manual_seed(0)
        network, inputs = self.network(), torch.randn(3, 4)
        expected = network(inputs)
        cast, record = half_precision.cast(network, Calibration([(inputs,)]), dtype="bfloat16")
        assert record == {"dtype": "bfloat16", "float32": ["1.0", "2"]}
        assert (cast[0].weight.dtype, cast[2].weight.dtype) == (torch.bfloat16, torch.float32)
        found = cast(inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=8 * 2**-8 * expected.abs().max().item())
        with torch.device("meta"):
            empty = self.network()
        rebuilt = half_precision.restore(empty, record)
        rebuilt.load_state_dict(cast.state_dict(), strict=True, assign=True)
        assert torch.equal(rebuilt(inputs), found)

    def test_cannot_be_the_model_itself(self):
        with pytest.raises(ParameterError, match="float32 only"):
            half_precision.cast(OnlyFloat32(), Calibration([(torch.ones(3),)]), dtype="float16")

    def test_a_record_names_only_layers_that_are_there(self):
        with pytest.raises(ArtefactError, match="'nothing'"):
            half_precision.restore(self.network(), {"dtype": "bfloat16", "float32": ["nothing"]})


class TestFloat16:
    def test_rounds_finer_than_bfloat16(self, network, context):
        expected = network(clips(9))

        cast, record = half_precision.cast(network, context, dtype="float16")
        found = cast(clips(9))

        assert record == {"dtype": "float16", "float32": []}
        # 11 bits of precision.
        torch.testing.assert_close(found, expected, rtol=0, atol=8 * 2**-11 * expected.abs().max().item())
        assert torch.equal(reloaded(cast, record, half_precision.restore)(clips(9)), found)

    def test_refuses_weights_that_it_cannot_hold(self, network, context):
        with torch.no_grad():
            network[8].bias[0] = 70000.0
        with pytest.raises(ParameterError, match=r"65504, and these go beyond: 8\.bias"):
            half_precision.cast(network, context, dtype="float16")


class TestFolding:
    def test_changes_no_output(self, network):
        expected = network(clips(9))

        pairs = find_pairs(network, (clips(2)[:1],))
        folded = fold(network, pairs)

        assert pairs == [("0", "1"), ("3", "4")]
        assert not any(isinstance(module, nn.BatchNorm3d) for module in folded.modules())
        torch.testing.assert_close(folded(clips(9)), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("reads", ["also_added", "also_returned", "changed_before", "called_twice"])
    def test_leaves_a_convolution_that_something_else_reads(self, reads):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

            def forward(self, x):
                y = self.convolution(x)
                if reads == "changed_before":
                    y = y.relu_()
                if reads == "called_twice":
                    y = self.convolution(self.norm(y))
                z = self.norm(y)
                return {"also_added": z + y, "also_returned": (z, y)}.get(reads, z) if reads.startswith("also") else z

        assert find_pairs(Network().eval(), (torch.randn(1, 3, 4, 4),)) == []

    def test_leaves_no_hooks_behind(self, network):
        find_pairs(network, (clips(2)[:1],))

        assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("restore", "record", "complaint"),
    [
        (prune.restore, [], "must hold"),
        (prune.restore, {"amount": 0.5, "scope": "global"}, "must hold"),
        (prune.restore, {"amount": "0.5", "scope": "global", "sparsity": {}}, "'amount'.* is a str"),
        (prune.restore, {"amount": 0.5, "scope": "global", "sparsity": {"99": 0.5}}, "'99', which the model lacks"),
        (prune.restore, {"amount": 0.5, "scope": "global", "sparsity": {"forward": 0.5}}, "the model lacks"),
        (prune.restore, {"amount": 0.5, "scope": "global", "sparsity": {"1": 0.5}}, "which is a BatchNorm3d"),
        (prune.restore, {"amount": 0.5, "scope": "global", "sparsity": {"0": 7}}, "not within 0..1"),
        (half_precision.restore, {"dtype": "float64", "float32": []}, "names the type 'float64'"),
        (half_precision.restore, {"dtype": True, "float32": []}, "is a bool"),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_refused(restore, record, complaint):
    with torch.device("meta"):
        network = architecture()
    with pytest.raises(ArtefactError, match=complaint):
        restore(network, record)


class TestLayersThatSayWhatTheyComputeLike:
    """The video networks' own convolution takes other kernels on a processor; it is a convolution all the same."""

    def network(self):
        layers = [convolution(3, 8, (3, 3, 3)), nn.BatchNorm3d(8), nn.ReLU(), convolution(8, 8, (1, 3, 3), groups=8)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 5))

    def test_are_folded(self):
        torch.manual_seed(0)
        network = self.network()
        network.train()(clips(1))
        expected = network.eval()(clips(9))
        assert find_pairs(network, (clips(9),)) == [("0", "1")]
        torch.testing.assert_close(fold(network, [("0", "1")])(clips(9)), expected, rtol=1e-4, atol=1e-5)

    def test_are_quantised(self, context):
        pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")
        torch.manual_seed(0)
        _, record = quantize.quantize_int8(self.network().eval(), context)
        assert list(record["layers"]) == ["0", "3", "6"]
