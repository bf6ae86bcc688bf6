"""N:M pruning, against patterns worked out by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.plugins.compress.catalogue_networks import network_and_clip, reloaded
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.prune_n_m import prune_n_m, restore
from zoo_plugins.compress.sparse_linear import SparseLinear
from zoo_registry.errors import ArtefactError, ParameterError


def linear(rows: list[list[float]]) -> nn.Linear:
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows)
    return layer


class TestPattern:
    def test_keeps_the_two_largest_of_every_four(self):
        layer = linear([[1.0, -4.0, 2.0, 3.0, 0.0, 0.5, -0.1, 0.2], [5.0, 5.0, 6.0, 7.0, 1.0, 2.0, 3.0, 4.0]])

        pruned, record = prune_n_m(layer, None)

        assert pruned.weight.tolist() == [[0, -4, 0, 3, 0, 0.5, 0, pytest.approx(0.2)], [0, 0, 6, 7, 0, 0, 3, 4]]
        assert record == {"n": 2, "m": 4, "layers": [""], "kept": {}, "sparse_kernels": False}

    def test_other_patterns(self):
        assert prune_n_m(linear([[1.0, -4.0, 2.0, 3.0]]), None, n=1, m=2)[0].weight.tolist() == [[0, -4, 0, 3]]

    def test_runs_along_the_input_channels_of_a_convolution(self):
        network = nn.Conv3d(8, 3, (1, 2, 2))

        prune_n_m(network, None)

        runs = network.weight.movedim(1, -1).unflatten(-1, (2, 4)).count_nonzero(-1)  # at each place of the kernel
        assert runs.eq(2).all()

    def test_leaves_layers_that_runs_do_not_fit_and_says_why(self):
        network = nn.Sequential(
            nn.Conv3d(3, 8, 1), nn.Conv3d(8, 8, 1), nn.Conv3d(8, 8, 1, groups=8), nn.Conv3d(8, 4, 1)
        )

        _, record = prune_n_m(network, None, skip=["3"])

        assert record["layers"] == ["1"]
        assert "its 3 input channels (of a group) are no multiple of 4" in record["kept"]["0"]
        assert record["kept"]["3"] == "`skip` keeps it"

    def test_holds_zeros_while_training(self):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
        before = copy.deepcopy(network)
        context = RandomContext((torch.randn(3, 8),), copy.deepcopy(network))

        prune_n_m(network, context, epochs=2, lr=0.1)

        expected = copy.deepcopy(before)
        prune_n_m(expected, None)
        for found, wanted in ((network[0], expected[0]), (network[2], expected[2])):
            assert torch.equal(found.weight == 0, wanted.weight == 0)
            assert not torch.equal(found.weight, wanted.weight)

    def test_of_a_network_reloads_exactly(self):
        network, clip = network_and_clip("video/x3d_s")
        built = copy.deepcopy(network)

        pruned, record = prune_n_m(network, None)

        assert len(record["layers"]) > 60
        assert torch.equal(reloaded(built, pruned, record, restore)(clip), pruned(clip))


class TestBadInput:
    @pytest.mark.parametrize(("n", "m"), [(4, 4), (5, 4)])
    def test_n_not_below_m(self, n, m):
        with pytest.raises(ParameterError, match=f"n={n} is not below m={m}"):
            prune_n_m(nn.Linear(8, 8), None, n=n, m=m)

    def test_nothing_to_prune(self):
        with pytest.raises(ParameterError, match="no layer to prune: : its 3 input channels"):
            prune_n_m(nn.Linear(3, 8), None)

    def test_sparse_kernels_for_another_pattern(self):
        with pytest.raises(ParameterError, match="sparse kernels for 2:4 only, not for 1:4"):
            prune_n_m(nn.Linear(8, 8), None, n=1, sparse_kernels=True)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"n": 4}, "pattern 4:4"),
            ({"n": 0}, "pattern 0:4"),
            ({"n": 1, "sparse_kernels": True}, "pattern 1:4"),
            ({"layers": ["1"]}, "which is a ReLU"),
            ({"layers": ["9"]}, "which the model lacks"),
            ({"layers": [["0"]]}, "which the model lacks"),
            ({"layers": ["2"]}, "no multiple of 4"),
            ({"more": 1}, "must hold"),
        ],
    )
    def test_a_record_that_does_not_fit(self, change, complaint):
        network = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
        record = {"n": 2, "m": 4, "layers": ["0"], "kept": {}, "sparse_kernels": False}
        with pytest.raises(ArtefactError, match=complaint):
            restore(network, record | change)


class TestSparseKernels:
    def test_change_nothing_where_there_are_none(self):
        torch.manual_seed(0)
        network, x = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32)).eval(), torch.randn(8, 64)
        built = copy.deepcopy(network)
        dense, _ = prune_n_m(copy.deepcopy(network), None)

        pruned, record = prune_n_m(network, None, sparse_kernels=True)

        assert type(pruned[0]) is SparseLinear
        assert pruned.state_dict().keys() == dense.state_dict().keys()
        assert torch.equal(pruned(x), dense(x))
        assert torch.equal(reloaded(built, pruned, record, restore)(x), dense(x))

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="2:4 kernels want a GPU")
    def test_compute_the_same_on_a_gpu(self):
        torch.manual_seed(0)
        layer, x = nn.Linear(512, 512).cuda().half().eval(), torch.randn(128, 512).cuda().half()
        dense, _ = prune_n_m(copy.deepcopy(layer), None)

        sparse, _ = prune_n_m(layer, None, sparse_kernels=True)

        with torch.no_grad():
            torch.testing.assert_close(sparse(x), dense(x), rtol=1e-2, atol=1e-2)
            assert sparse.__dict__["_packed"] is not None
            sparse.weight.mul_(2)
            torch.testing.assert_close(sparse(x) - sparse.bias, 2 * (dense(x) - dense.bias), rtol=2e-2, atol=2e-2)
