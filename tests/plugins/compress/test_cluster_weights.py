"""Weight clustering: shared values by hand, files by their size."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.plugins.compress.catalogue_networks import network_and_clip, reloaded
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.cluster_weights import cluster_weights, nearest_values, restore
from zoo_plugins.compress.prune import prune_magnitude
from zoo_registry.errors import ArtefactError, ParameterError


class TestValues:
    def test_are_the_means_of_what_shares_them(self):
        index, values = nearest_values(torch.tensor([[1.0, 9.0], [2.0, 12.0], [3.0, 9.0]]), 2)

        assert index.tolist() == [[0, 1], [0, 1], [0, 1]]
        assert values.tolist() == [2.0, 10.0]

    def test_are_no_worse_than_steps_of_equal_size(self):
        weight = torch.randn(200, 100, generator=torch.Generator().manual_seed(0))
        index, values = nearest_values(weight, 16)

        steps = torch.linspace(float(weight.min()), float(weight.max()), 16)
        nearest = steps[(weight[..., None] - steps).abs().argmin(-1)]
        assert (values[index] - weight).norm() < 0.9 * (nearest - weight).norm()
        assert torch.equal(index, (weight[..., None] - values).abs().argmin(-1))  # each weight has the nearest

    def test_zero_is_one_of_them_and_its_own(self):
        index, values = nearest_values(torch.tensor([0.0, 0.1, 0.0, 5.0, 4.9]), 3)

        assert values.tolist() == [0.0, pytest.approx(0.1), pytest.approx(4.95)]
        assert index.tolist() == [0, 1, 0, 2, 2]

    @pytest.mark.parametrize("weight", [torch.zeros(4), torch.full((4,), 3.0)])
    def test_of_equal_weights(self, weight):
        index, values = nearest_values(weight, 4)

        assert torch.equal(values[index], weight)


class TestFile:
    @pytest.mark.parametrize(("clusters", "part"), [(16, 1 / 8), (64, 1 / 4), (256, 1 / 4)])
    def test_is_smaller_by_the_bits_of_an_index(self, clusters, part):
        network, _ = network_and_clip("timm/resnet18")
        before = len(save(network.state_dict()))

        clustered, _ = cluster_weights(network, None, clusters=clusters)

        assert part < len(save(clustered.state_dict())) / before < part + 0.02

    @pytest.mark.parametrize("clusters", [5, 16, 17])
    def test_reloads_exactly(self, clusters):
        network, clip = network_and_clip("video/x3d_s")
        built = copy.deepcopy(network)

        clustered, record = cluster_weights(network, None, clusters=clusters)

        assert torch.equal(reloaded(built, clustered, record, restore)(clip), clustered(clip))

    def test_an_index_that_no_value_has_is_harmless(self):
        layer, record = cluster_weights(nn.Linear(32, 32), None, clusters=20)
        damaged = layer.state_dict() | {"parametrizations.weight.0.index": torch.full((1024,), 255, dtype=torch.uint8)}

        again = restore(nn.Linear(32, 32), record)
        again.load_state_dict(damaged)

        assert again.weight.unique().tolist() == [layer.weight.max().item()]


class TestClustered:
    def test_computes_with_shared_values(self):
        torch.manual_seed(0)
        layer, x = nn.Linear(64, 3), torch.randn(2, 64)
        index, values = nearest_values(layer.weight.detach(), 8)
        expected = nn.functional.linear(x, values[index], layer.bias)

        clustered, record = cluster_weights(layer, None, clusters=8)

        torch.testing.assert_close(clustered(x), expected)
        assert record["layers"] == {"": 8}

    def test_looks_weights_up_once_and_sees_every_change(self):
        layer, _ = cluster_weights(nn.Linear(64, 3), None, clusters=8)
        with torch.no_grad():
            first = layer.weight
            assert layer.weight is first
            layer.parametrizations.weight.original.add_(1)
            torch.testing.assert_close(layer.weight, first + 1)
            assert layer.to(torch.float64).weight.dtype is torch.float64
        layer.load_state_dict({key: torch.zeros_like(value) for key, value in layer.state_dict().items()})
        with torch.no_grad():
            assert layer.weight.count_nonzero() == 0

    def test_training_moves_values_by_the_gradients_of_all_that_share_them(self):
        layer, _ = cluster_weights(nn.Linear(64, 3, bias=False), None, clusters=8)
        index, x = layer.parametrizations.weight[0]._indices(), torch.randn(5, 64)

        layer(x).sum().backward()

        each = x.sum(0).expand(3, 64)
        expected = torch.zeros(8).index_add(0, index.flatten(), each.flatten())
        torch.testing.assert_close(layer.parametrizations.weight.original.grad, expected)

    def test_trains_values_only_and_holds_zeros(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
        context = RandomContext((torch.randn(3, 64),), copy.deepcopy(network))
        prune_magnitude(network, context, amount=0.5)
        zeros = [layer.weight == 0 for layer in (network[0], network[2])]

        clustered, _ = cluster_weights(network, context, clusters=16, epochs=2, lr=0.1)

        for layer, zero in zip((clustered[0], clustered[2]), zeros, strict=True):
            assert torch.equal(layer.weight == 0, zero)
            assert layer.weight.unique().numel() <= 16

    def test_survives_copying_and_another_stage(self):
        network, clip = network_and_clip("video/x3d_s")
        clustered, _ = cluster_weights(network, None)
        expected = clustered(clip).detach()

        again = copy.deepcopy(clustered)

        assert torch.equal(again(clip), expected)
        with pytest.raises(ParameterError, match="no convolution or linear layer"):
            prune_magnitude(again, None, amount=0.5)  # what is looked up cannot be set to zero one by one

    def test_exports_to_onnx_as_small_and_with_its_answers(self, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime", reason="the extra videozoo[export] is absent")
        from zoo_plugins.export.onnx_write import write

        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv3d(3, 256, 1), nn.ReLU(), nn.Conv3d(256, 64, 3)).eval()
        clip = torch.randn(2, 3, 4, 6, 6)
        write(network, (clip,), tmp_path / "before.onnx")
        clustered, _ = cluster_weights(network, None, clusters=16)
        with torch.no_grad():
            expected = clustered(clip)

        write(clustered, (clip,), tmp_path / "model.onnx")

        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        (found,) = session.run(None, {session.get_inputs()[0].name: clip.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-5)
        before, after = ((tmp_path / name).stat().st_size for name in ("before.onnx", "model.onnx"))
        assert after < 0.15 * before  # it holds indices and values

    def test_what_stays_says_why(self):
        network = nn.Sequential(nn.Linear(4, 2), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64))
        network[2].weight = network[1].weight

        _, record = cluster_weights(network, None)

        assert record["layers"] == {"3": 64}
        assert record["kept"] == {
            "0": "it has too few weights for 64 clusters",
            "1": "it shares its weight with another layer",
            "2": "it shares its weight with another layer",
        }


class TestBadInput:
    def test_nothing_to_cluster(self):
        with pytest.raises(ParameterError, match="no layer to cluster: : it has too few weights"):
            cluster_weights(nn.Linear(4, 2), None)

    @pytest.mark.parametrize(
        ("layers", "complaint"),
        [
            ([], "'layers'"),
            ({"9": 4}, "which the model lacks"),
            ({"1": 4}, "which is a ReLU"),
            ({"0": 257}, "not within 1..256"),
            ({"0": 0}, "not within 1..256"),
            ({"0": True}, "not within 1..256"),
            ({"0": "4"}, "not within 1..256"),
        ],
    )
    def test_a_record_that_does_not_fit(self, layers, complaint):
        network = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        with pytest.raises(ArtefactError, match=complaint):
            restore(network, {"layers": layers, "kept": {}})

    def test_a_layer_clustered_twice(self):
        clustered, record = cluster_weights(nn.Linear(64, 8), None)
        with pytest.raises(ArtefactError, match="twice"):
            restore(clustered, record)
