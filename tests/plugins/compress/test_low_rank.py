"""Low-rank factorisation: of layers that have a low rank, and of those of the catalogue."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.plugins.compress.catalogue_networks import network_and_clip, parameters, reloaded
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.cluster_weights import cluster_weights
from zoo_plugins.compress.cluster_weights import restore as restore_clusters
from zoo_plugins.compress.factors import Ranks, factorised
from zoo_plugins.compress.low_rank import low_rank, restore
from zoo_registry.errors import ArtefactError, ParameterError


def context_of(network: nn.Module, *example: torch.Tensor) -> RandomContext:
    return RandomContext(example, copy.deepcopy(network))


def of_rank(layer: nn.Module, *ranks: int) -> nn.Module:
    """A layer whose weight is a product of thin ones: of rank r along its outputs, or r1 inputs by r2 outputs."""
    torch.manual_seed(0)
    out, inside, *kernel = layer.weight.shape
    with torch.no_grad():
        if len(ranks) == 1:
            weight = torch.randn(out, ranks[0]) @ torch.randn(ranks[0], inside * torch.Size(kernel).numel())
        else:
            core = torch.randn(ranks[1], ranks[0], *kernel)
            core = torch.einsum("oi...,ic->oc...", core, torch.randn(ranks[0], inside))
            weight = torch.einsum("ko,oc...->kc...", torch.randn(out, ranks[1]), core)
        layer.weight.copy_(weight.reshape(layer.weight.shape))
    return layer.eval()


CLIP = torch.randn(2, 16, 4, 8, 8, generator=torch.Generator().manual_seed(3))


class TestFactors:
    @pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"bias": False}])
    def test_of_a_convolution_of_their_rank_are_exact(self, options):
        layer = of_rank(nn.Conv3d(16, 24, (1, 3, 3), **options), 4)

        thin = factorised(layer, Ranks("svd", (4,)))

        assert [tuple(part.weight.shape) for part in thin] == [(4, 16, 1, 3, 3), (24, 4, 1, 1, 1)]
        torch.testing.assert_close(thin(CLIP), layer(CLIP), rtol=1e-4, atol=1e-3)

    @pytest.mark.parametrize("options", [{}, {"padding": 1}, {"dilation": 2}, {"bias": False}])
    def test_tucker_of_a_convolution_of_their_ranks_are_exact(self, options):
        layer = of_rank(nn.Conv3d(16, 24, (1, 3, 3), **options), 3, 5)

        thin = factorised(layer, Ranks("tucker", (3, 5)))

        assert [tuple(part.weight.shape) for part in thin] == [(3, 16, 1, 1, 1), (5, 3, 1, 3, 3), (24, 5, 1, 1, 1)]
        torch.testing.assert_close(thin(CLIP), layer(CLIP), rtol=1e-4, atol=1e-3)

    def test_are_the_nearest_of_their_rank(self):
        layer = nn.Linear(20, 12, bias=False)

        first, second = factorised(layer, Ranks("svd", (5,)))

        lost = (second.weight @ first.weight - layer.weight).norm()
        assert lost.item() == pytest.approx(torch.linalg.svdvals(layer.weight)[5:].norm().item(), rel=1e-4)

    def test_alternating_loses_no_more_than_truncating_once(self):
        torch.manual_seed(0)
        layer = nn.Conv2d(12, 10, 3, bias=False)
        weight = layer.weight.detach()
        left = torch.linalg.svd(weight.flatten(1)).U[:, :4]
        right = torch.linalg.svd(weight.transpose(0, 1).flatten(1)).U[:, :5]
        once = torch.einsum("kcxy,kp,lp,cq,dq->ldxy", weight, left, left, right, right)

        a, core, b = (part.weight for part in factorised(layer, Ranks("tucker", (5, 4))))
        found = torch.einsum("pqxy,qc,kp->kcxy", core, a[:, :, 0, 0], b[:, :, 0, 0])

        assert (found - weight).norm() <= (once - weight).norm() * 1.0001


class TestStrength:
    def test_energy_finds_the_rank(self):
        network = nn.Sequential(of_rank(nn.Linear(32, 32), 3), nn.ReLU(), nn.Linear(32, 2)).eval()
        x = torch.randn(4, 32)
        expected = network(x)

        thin, record = low_rank(network, context_of(network, x), energy=0.9999, round_to=1)

        assert record["layers"] == {"0": {"form": "svd", "ranks": [3]}}
        assert record["kept"] == {"2": "it would not get smaller"}
        torch.testing.assert_close(thin(x), expected, rtol=1e-2, atol=1e-2)

    def test_energy_is_what_is_kept_at_least(self):
        torch.manual_seed(0)
        layer = nn.Conv3d(16, 16, 3)

        thin, _ = low_rank(copy.deepcopy(layer), context_of(layer, CLIP), energy=0.4, round_to=1)

        unit = torch.eye(16).reshape(16, 16, 1, 1, 1)
        bare = [nn.functional.conv3d(torch.nn.functional.pad(unit, [2] * 6), thin[0].weight)]
        for part in thin[1:]:
            bare.append(nn.functional.conv3d(bare[-1], part.weight, padding=0))
        found = bare[-1].transpose(0, 1).flip(2, 3, 4)
        assert (found - layer.weight).norm() ** 2 <= 0.6 * layer.weight.norm() ** 2

    def test_ratio_is_what_is_left_of_the_weights(self):
        layer = nn.Linear(256, 256, bias=False)

        thin, record = low_rank(layer, context_of(layer, torch.randn(1, 256)), ratio=0.5)

        assert record["layers"][""]["ranks"] == [64]  # 0.5 x 256 x 256 / (256 + 256)
        assert parameters(thin) == 0.5 * 256 * 256

    def test_ratio_takes_the_form_that_loses_less(self):
        layer = of_rank(nn.Conv3d(64, 64, 3, bias=False), 16, 16)
        x = torch.randn(1, 64, 3, 3, 3)

        thin, record = low_rank(copy.deepcopy(layer), context_of(layer, x), ratio=0.1)

        assert record["layers"][""]["form"] == "tucker"
        assert (thin(x) - layer(x)).norm() < 0.01 * layer(x).norm()

    def test_target(self):
        network, clip = network_and_clip("torchvision/r3d_18")
        context = context_of(network, clip)
        before, size = context.gmacs(network), parameters(network)

        thin, record = low_rank(network, context, target={"gmacs": 0.5})

        assert 0.4 < context.gmacs(thin) / before <= 0.5
        assert parameters(thin) < 0.7 * size
        assert record["left"] == {"gmacs": pytest.approx(context.gmacs(thin) / before, abs=1e-4)}

    def test_trains_afterwards(self):
        network = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
        context = context_of(network, torch.randn(4, 32))
        trained = []
        context.train = lambda model, **options: trained.append((type(model[0]), options))

        low_rank(network, context, ratio=0.5, epochs=3, lr=0.01)

        assert trained == [(nn.Sequential, {"epochs": 3, "lr": 0.01})]


def test_thin_layers_have_nothing_in_common():
    network = nn.Sequential(nn.Conv3d(16, 32, 3), nn.ReLU(), nn.Conv3d(32, 2, 1)).eval()
    built, context = copy.deepcopy(network), context_of(network, CLIP)

    thin, record = low_rank(network, context, ratio=0.5)
    clustered, shared = cluster_weights(thin, context, clusters=4)

    def both(model, _):
        return restore_clusters(restore(model, record), shared)

    again = reloaded(built, clustered, {}, both)
    assert torch.equal(again(CLIP[..., :4]), clustered(CLIP[..., :4]))


class TestWhatStays:
    def test_says_why(self):
        class Standardised(nn.Conv3d):
            def forward(self, x):
                return self._conv_forward(x, self.weight / self.weight.norm(), self.bias)

        class Borrowed(nn.Module):
            def __init__(self):
                super().__init__()
                self.lent = nn.Linear(16, 16)

            def forward(self, x):
                return nn.functional.linear(x.movedim(1, -1), self.lent.weight).movedim(-1, 1)

        network = nn.Sequential(
            nn.Conv3d(16, 16, 3, groups=16), Standardised(16, 16, 1), Borrowed(), nn.Conv3d(16, 16, 1),
            nn.Conv3d(16, 16, 1),
        ).eval()  # fmt: skip

        _, record = low_rank(network, context_of(network, CLIP), ratio=0.25, round_to=1, skip=["4"])

        assert list(record["layers"]) == ["3"]
        assert record["kept"] == {
            "0": "it is a convolution in groups",
            "1": "a Standardised computes more than its weight says",
            "2.lent": "the network reads its weight, or fails without it",
            "4": "`skip` keeps it",
        }


@pytest.mark.parametrize("name", ["video/x3d_s", "timm/resnet18", "transformers/videomae_s"])
def test_of_a_network_reloads_exactly(name):
    network, clip = network_and_clip(name)
    built = copy.deepcopy(network)

    thin, record = low_rank(network, context_of(network, clip), ratio=0.4)

    assert parameters(thin) < 0.55 * parameters(built)
    assert torch.equal(reloaded(built, thin, record, restore)(clip), thin(clip))


class TestBadInput:
    @pytest.mark.parametrize("strength", [{}, {"ratio": 0.5, "energy": 0.5}, {"energy": 0.5, "target": {"gmacs": 0.5}}])
    def test_not_one_strength(self, strength):
        with pytest.raises(ParameterError, match="exactly one of `ratio`, `energy` and `target`"):
            low_rank(nn.Linear(8, 8), context_of(nn.Linear(8, 8), torch.randn(1, 8)), **strength)

    def test_target_out_of_reach(self):
        network = nn.Conv3d(16, 16, 3)
        with pytest.raises(ParameterError, match=r"gmacs 0\.001: the least it can leave is 0\."):
            low_rank(network, context_of(network, CLIP), target={"gmacs": 0.001})

    def test_nothing_gets_smaller(self):
        with pytest.raises(ParameterError, match="makes no layer smaller: : it would not get smaller"):
            low_rank(nn.Linear(4, 4), context_of(nn.Linear(4, 4), torch.randn(1, 4)), ratio=0.9)

    @pytest.mark.parametrize(
        ("layers", "complaint"),
        [
            ([], "'layers'"),
            ({"9": {"form": "svd", "ranks": [1]}}, "which the model lacks"),
            ({"1": {"form": "svd", "ranks": [1]}}, "which is a ReLU"),
            ({"0": {"form": "svd"}}, "must hold"),
            ({"0": {"form": "cp", "ranks": [1]}}, "a form or ranks that there are not"),
            ({"0": {"form": "svd", "ranks": [1, 2]}}, "a form or ranks that there are not"),
            ({"0": {"form": "svd", "ranks": [True]}}, "a form or ranks that there are not"),
            ({"0": {"form": "svd", "ranks": [-1]}}, "a form or ranks that there are not"),
            ({"0": {"form": "svd", "ranks": [10**12]}}, "not make it smaller"),
            ({"0": {"form": "tucker", "ranks": [1, 1]}}, "not make it smaller"),
            ({"2": {"form": "svd", "ranks": [1]}}, "not make it smaller"),
        ],
    )
    def test_a_record_that_does_not_fit(self, layers, complaint):
        network = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=2))
        with pytest.raises(ArtefactError, match=complaint):
            restore(network, {"layers": layers, "kept": {}, "left": {}})
