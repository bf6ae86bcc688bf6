"""Simulated int8 through pytorch-quantization, on networks small enough to check by hand."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from tests.plugins.compress.contexts import GivenBatches, reloaded
from tests.plugins.compress.video_network import architecture, clips, video_network
from zoo_plugins.compress import half_precision, quantize
from zoo_registry.errors import ArtefactError, ParameterError, RunError

pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")


@pytest.fixture
def network() -> nn.Sequential:
    return video_network()


@pytest.fixture
def context() -> GivenBatches:
    return GivenBatches([(clips(seed),) for seed in (2, 3)])


class TestRounding:
    def test_rounds_weights_per_channel_and_inputs_per_tensor(self):
        layer = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([[1.27, 0.304], [-12.7, 2.14]]))
        context = GivenBatches([(torch.tensor([[2.54, -1.0]]),)])

        quantised, _ = quantize.quantize_int8(layer, context, calibrator="max")

        # Steps: 0.01 and 0.1 for the two rows of the weight, 0.02 for inputs; 0.311 rounds to 16 steps.
        found = quantised(torch.tensor([[0.311, 99.0]]))
        expected = torch.tensor([[1.27 * 0.32 + 0.30 * 2.54, -12.7 * 0.32 + 2.1 * 2.54]])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    def test_rounds_like_the_library(self):
        from pytorch_quantization.nn import TensorQuantizer
        from pytorch_quantization.tensor_quant import QuantDescriptor

        from zoo_plugins.compress.int8 import Int8

        values = torch.randn(8, 3, 4, 5, generator=torch.Generator().manual_seed(0))
        for axis, amax in ((None, torch.tensor(1.5)), (0, values.abs().amax((1, 2, 3), keepdim=True))):
            theirs = TensorQuantizer(QuantDescriptor(num_bits=8, axis=axis, amax=amax.numpy()))
            torch.testing.assert_close(Int8(amax, axis)(values), theirs(values), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("calibrator", ["max", "percentile", "entropy", "mse"])
    def test_stays_close_and_reloads_exactly(self, network, context, calibrator):
        expected = network(clips(9))

        quantised, record = quantize.quantize_int8(network, context, calibrator=calibrator, batches=2)

        found = quantised(clips(9))
        assert (found - expected).norm() < 0.05 * expected.norm()
        assert not torch.equal(found, expected)
        assert torch.equal(reloaded(quantised, record, quantize.restore, architecture)(clips(9)), found)

    def test_records_what_was_folded_and_quantised(self, network, context):
        _, record = quantize.quantize_int8(network, context)

        assert record["folded"] == [["0", "1"], ["3", "4"]]
        assert list(record["layers"]) == ["0", "3", "8"]
        assert record["layers"]["3"] == {
            "type": "Conv3d",
            "bits": 8,
            "signed": False,
            "input": {"axis": None, "range": []},
            "weight": {"axis": 0, "range": [16, 1, 1, 1, 1]},
        }
        assert [record["layers"][name]["signed"] for name in ("0", "8")] == [True, False]  # clips; after a ReLU

    def test_skips_what_it_is_told_to(self, network, context):
        quantised, record = quantize.quantize_int8(network, context, skip=["8", "0*"])

        assert list(record["layers"]) == ["3"]
        assert type(quantised[8]) is nn.Linear
        with pytest.raises(ParameterError, match="no layer to quantise"):
            quantize.quantize_int8(video_network(), context, skip=["*"])

    def test_quantises_subclasses_that_compute_the_same_only(self, context):
        class Named(nn.Conv3d):
            pass

        class Standardised(nn.Conv3d):
            def forward(self, x):
                return self._conv_forward(x, self.weight / self.weight.norm(), self.bias)

        network = nn.Sequential(Named(3, 3, 1), Standardised(3, 3, 1), nn.Conv3d(3, 3, 3, padding="same"))

        _, record = quantize.quantize_int8(network.eval(), context)

        assert list(record["layers"]) == ["0"]

    def test_leaves_a_layer_whose_weight_is_only_borrowed(self):
        class Borrows(nn.Module):
            def __init__(self):
                super().__init__()
                self.lent, self.called = nn.Linear(4, 4), nn.Linear(4, 4)

            def forward(self, x):
                return self.called(nn.functional.linear(x, self.lent.weight))

        _, record = quantize.quantize_int8(Borrows().eval(), GivenBatches([(torch.randn(2, 4),)]))

        assert list(record["layers"]) == ["called"]

    def test_of_pruned_channels_gives_zeros(self, context):
        network = nn.Sequential(nn.Conv3d(3, 2, 1, bias=False)).eval()
        with torch.no_grad():
            network[0].weight[0] = 0

        quantised, _ = quantize.quantize_int8(network, context)

        output = quantised(clips(9))
        assert torch.equal(output[:, 0], torch.zeros_like(output[:, 0]))
        assert output[:, 1].abs().max() > 0.1

    def test_keeps_rare_values_when_nearly_all_are_zero(self):
        sparse = torch.zeros(1, 100_000)
        sparse[0, 7] = 1.0

        quantised, _ = quantize.quantize_int8(nn.Linear(100_000, 1).eval(), GivenBatches([(sparse,)]), percentile=99.0)

        assert quantised._input_quantizer._amax.item() == 1.0

    def test_needs_calibration_data(self, network):
        context = GivenBatches([(clips(2),)])
        context.calibration = lambda batches: iter(())  # type: ignore[method-assign]
        with pytest.raises(RunError, match="no batch to calibrate on"):
            quantize.quantize_int8(network, context)

    def test_refuses_infinite_activations(self, network):
        with pytest.raises(RunError, match="infinite or NaN"):
            quantize.quantize_int8(network, GivenBatches([(clips(2) * float("inf"),)]))

    def test_works_after_and_before_bfloat16(self, network, context):
        expected = network(clips(9))
        cast, _ = half_precision.cast(copy.deepcopy(network), context, dtype="bfloat16")
        first, _ = quantize.quantize_int8(cast, context)
        quantised, _ = quantize.quantize_int8(network, context)
        second, _ = half_precision.cast(quantised, context, dtype="bfloat16")

        for model in (first, second):
            assert (model(clips(9)) - expected).norm() < 0.1 * expected.norm()

    def test_leaves_torch_and_logging_as_they_were(self):
        code = (
            "import logging, torch\n"
            "conv, handlers, level = torch.nn.Conv3d, logging.root.handlers[:], logging.root.level\n"
            "import zoo_plugins.compress.int8\n"
            "assert torch.nn.Conv3d is conv and logging.root.handlers == handlers and logging.root.level == level"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_uses_all_steps_for_what_is_never_negative(self):
        layer = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            layer.weight.fill_(1.0)
        context = GivenBatches([(torch.tensor([[2.55], [0.0]]),)])

        quantised, _ = quantize.quantize_int8(layer, context, calibrator="max")

        # 255 steps of 0.01 up to the range, and nothing below zero.
        found = quantised(torch.tensor([[0.314], [2.6], [-1.0]]))
        torch.testing.assert_close(found, torch.tensor([[0.31], [2.55], [0.0]]), rtol=0, atol=1e-6)

    def test_names_the_shape_of_clips_that_the_model_cannot_take(self, network):
        context = GivenBatches([(clips(2),), (torch.zeros(2, 4, 4, 12, 12),)])
        with pytest.raises(RunError, match=r"cannot take calibration data of shape 2x4x4x12x12"):
            quantize.quantize_int8(network, context)


class TestRange:
    def test_of_least_error_gives_up_a_rare_value_for_the_many(self):
        from zoo_plugins.compress.calibration import least_error

        # By hand, with one step, so that values become 0 or the range r: values 1 (90 times) and 10 (once) cost
        # 90 (1 - r)^2 + (10 - r)^2, least at r = 100/91 = 1.1; the tried ranges are half a percent of 10 apart.
        counts = torch.zeros(101)
        counts[10], counts[100] = 90, 1
        edges = torch.arange(102) / 10 - 0.05

        assert least_error(counts, edges, steps=1).item() == pytest.approx(100 / 91, abs=0.05)

    def test_of_least_error_is_all_of_it_where_values_are_spread_evenly(self):
        from zoo_plugins.compress.calibration import least_error

        assert least_error(torch.ones(2048), torch.linspace(0, 3, 2049), steps=255).item() == pytest.approx(3, rel=0.01)


class TestSensitivity:
    """A chain of two linear layers, one of which meets a value that leaves no steps for the others."""

    def chain(self) -> tuple[nn.Sequential, GivenBatches]:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)).eval()
        with torch.no_grad():
            network[0].weight[0] *= 1e4  # the second layer's first input is huge,
            network[1].weight[:, 0] *= 1e-4  # and hardly matters
        generator = torch.Generator().manual_seed(1)
        return network, GivenBatches([(torch.randn(64, 8, generator=generator),) for _ in range(2)])

    def test_ranks_the_layer_that_loses_most_first(self):
        network, context = self.chain()

        quantised, record = quantize.quantize_int8(network, context, calibrator="max", keep=1)

        assert record["sensitivity"]["ranking"][0][0] == "1"
        assert record["sensitivity"]["kept"] == ["1"]
        assert list(record["layers"]) == ["0", "2"]
        assert type(quantised[1]) is nn.Linear

    def test_keeps_a_part_of_the_layers(self):
        network, context = self.chain()

        _, record = quantize.quantize_int8(network, context, keep=0.34)  # of three: rounded up

        assert len(record["layers"]) == 1

    def test_leaves_layers_in_float_until_the_error_is_within_the_bound(self):
        network, context = self.chain()
        expected = [network(*batch).detach() for batch in context.batches]

        quantised, record = quantize.quantize_int8(network, context, calibrator="max", max_drop=1e-3)

        bound = record["sensitivity"]["bound"]
        assert bound["of"] == "error"
        assert bound["without"] > 1e-3 >= bound["with"]
        lost = sum(
            (quantised(*batch).detach() - before).square().sum()
            for batch, before in zip(context.batches, expected, strict=True)
        )
        assert lost / sum(before.square().sum() for before in expected) == pytest.approx(bound["with"], rel=0.01)

    def test_bounds_the_score_where_there_is_one(self):
        network, context = self.chain()
        expected = network(*context.example).detach()
        context.scored = lambda model: -(model(*context.example) - expected).abs().max().item()

        quantised, record = quantize.quantize_int8(
            network, context, calibrator="max", max_drop=0.1, rank_by="score"
        )  # fmt: skip

        assert record["sensitivity"]["bound"]["of"] == "score"
        assert record["sensitivity"]["ranked_by"] == "score"
        assert -context.score(quantised) == pytest.approx(record["sensitivity"]["bound"]["with"], rel=1e-3)
        assert 0 < -context.score(quantised) <= 0.1

    def test_says_what_can_be_had_when_the_bound_cannot(self):
        network, context = self.chain()
        with pytest.raises(RunError, match=r"max_drop: 1e-12 cannot be met: .*least sensitive"):
            quantize.quantize_int8(network, context, max_drop=1e-12)

    def test_cannot_rank_by_a_score_that_is_not_there(self):
        network, context = self.chain()
        with pytest.raises(RunError, match="no validation data"):
            quantize.quantize_int8(network, context, keep=1, rank_by="score")

    def test_of_a_chain_with_kept_layers_reloads_exactly(self, network, context):
        quantised, record = quantize.quantize_int8(network, context, keep=1)

        again = reloaded(quantised, record, quantize.restore, architecture)

        assert torch.equal(again(clips(9)), quantised(clips(9)))


class TestTraining:
    """Quantisation-aware: what `fine_tune` does to the quantised model."""

    def test_lets_gradients_through(self, network, context):
        quantised, _ = quantize.quantize_int8(network, context)

        quantised(clips(9)).sum().backward()

        assert quantised[0].weight.grad.isfinite().all()
        assert quantised[0].weight.grad.abs().max() > 0

    @pytest.mark.parametrize("ranges", ["fixed", "learnt"])
    def test_makes_up_for_the_rounding_and_reloads_exactly(self, network, context, ranges):
        with torch.no_grad():
            network[8].weight[:, 0] *= 100  # leaves few steps for the other weights of the answer
        expected = network(*context.example).detach()
        quantised, record = quantize.quantize_int8(network, context, calibrator="max", unsigned=False, ranges=ranges)
        lost = (quantised(*context.example) - expected).square().mean().item()

        optimiser = torch.optim.Adam(quantised.parameters(), lr=1e-3)
        for step in range(60):
            optimiser.param_groups[0]["lr"] = 1e-3 * (1 - step / 60)
            optimiser.zero_grad()
            (quantised.train()(*context.example) - expected).square().mean().backward()
            optimiser.step()
        quantised.eval()

        assert (quantised(*context.example) - expected).square().mean().item() < 0.8 * lost
        again = reloaded(quantised, record, quantize.restore, architecture)
        assert torch.equal(again(clips(9)), quantised(clips(9)))

    def test_moves_learnt_ranges_and_no_others(self, network, context):
        for ranges in ("fixed", "learnt"):
            quantised, _ = quantize.quantize_int8(copy.deepcopy(network), context, ranges=ranges)
            before = quantised[0]._input_quantizer._amax.item()
            optimiser = torch.optim.SGD(quantised.parameters(), lr=0.1)
            quantised.train()(*context.example).square().sum().backward()
            optimiser.step()
            assert (quantised[0]._input_quantizer._amax.item() != before) == (ranges == "learnt")

    def test_does_not_clip_a_weight_that_grew(self):
        layer = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            layer.weight.fill_(1.0)
        quantised, _ = quantize.quantize_int8(layer.eval(), GivenBatches([(torch.ones(1, 1),)]), calibrator="max")

        quantised.train()(torch.ones(1, 1))
        with torch.no_grad():
            quantised.weight.fill_(3.0)
        quantised.eval()

        assert quantised(torch.ones(1, 1)).item() == pytest.approx(3.0)

    def test_gives_a_learnt_range_the_gradient_of_lsq(self):
        from zoo_plugins.compress.int8 import _in_learnt_range

        # Esser et al. 2020, equation 3: round(v/s) - v/s inside, the last step beyond; times g = 1/sqrt(127 N),
        # N = 1 value a sample.
        # For the range, 127 steps, the same change in proportion is 127 times as large.
        values = torch.tensor([[1.3], [-500.0]])
        amax = torch.tensor(127.0, requires_grad=True)

        _in_learnt_range(values, amax, -128, 127).sum().backward()

        assert amax.grad.item() == pytest.approx(127 * (1 - 1.3 - 128) / 127**0.5, rel=1e-5)


class TestOnnx:
    def test_holds_quantise_and_dequantise_pairs_and_computes_the_same(self, network, context, tmp_path):
        onnx = pytest.importorskip("onnx", reason="the extra videozoo[export] is absent")
        runtime = pytest.importorskip("onnxruntime", reason="the extra videozoo[export] is absent")
        from zoo_plugins.export.onnx_write import write

        quantised, _ = quantize.quantize_int8(network, context, ranges="learnt")
        path = tmp_path / "int8.onnx"

        write(quantised, context.example, path, opset=17)

        graph = onnx.load(path).graph
        kinds = [node.op_type for node in graph.node]
        assert kinds.count("DequantizeLinear") == 6  # input and weight of three layers
        stored = {value.name: value.data_type for value in graph.initializer}
        weights = [
            stored[node.input[0]]
            for node in graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in stored
        ]
        assert weights == [onnx.TensorProto.INT8] * 3
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: clips(9).numpy()})
        # A value on the edge between two steps may fall to either side.
        torch.testing.assert_close(torch.from_numpy(found), quantised(clips(9)).detach(), rtol=0, atol=0.02)


LAYER = {
    "type": "Linear", "bits": 8, "signed": True,
    "input": {"axis": None, "range": []}, "weight": {"axis": 0, "range": [5, 1]},
}  # fmt: skip


EMPTY = {"folded": [], "layers": {}, "ranges": "fixed", "calibrator": "max", "sensitivity": {}}


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"folded": {}}, "'folded'"),
        ({"ranges": "wide"}, "'wide' ranges"),
        ({"folded": [["0"]]}, "not \\[convolution, batch norm\\]"),
        ({"folded": [["1", "0"]]}, "which is a BatchNorm3d"),
        ({"folded": [["0", "4"]]}, "channels differ"),
        ({"layers": {"2": LAYER}}, "which is a ReLU"),
        ({"layers": {"8": LAYER | {"bits": 4}}}, "otherwise than the model"),
        (
            {"layers": {"8": LAYER | {"weight": {"axis": 0, "range": [10**12, 1]}}}},
            "otherwise than the model",
        ),
        ({"layers": {"8": "Linear"}}, "otherwise than the model"),
    ],
)  # fmt: skip
def test_a_quantisation_record_that_does_not_fit_is_refused(record, complaint):
    with torch.device("meta"):
        network = architecture()
    with pytest.raises(ArtefactError, match=complaint):
        quantize.restore(network, EMPTY | record)


def test_a_histogram_whose_edges_are_one_too_many_gives_the_same_range():
    """The library adds an edge too much where rounding wants it so, after a histogram has grown."""
    from zoo_plugins.compress.calibration import InputWatch

    watch = InputWatch("mse", 99.99)
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    for scale in (1.0, 3.0):
        watch(nn.Identity(), (scale * values,), {})
    expected = watch.range()
    edges = torch.as_tensor(watch.calibrator._calib_bin_edges)
    watch.calibrator._calib_bin_edges = torch.cat([edges, edges[-1:] + 0.1])
    assert watch.range() == expected
