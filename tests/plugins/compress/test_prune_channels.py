"""Structured pruning, on networks small enough to check by hand and on those of the catalogue."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn

from tests.plugins.compress.catalogue_networks import CLIPS, network_and_clip, parameters, reloaded
from zoo.build import build as build_component
from zoo.complexity import complexity
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.half_precision import cast
from zoo_registry.catalog import catalog
from zoo_registry.errors import ArtefactError, ParameterError, RunError

pytest.importorskip("torch_pruning", reason="the extra videozoo[prune] is absent")
from zoo_plugins.compress.prune_channels import prune_channels, restore


def two_layers(first: list[list[float]], second: list[list[float]]) -> nn.Sequential:
    """Linear, ReLU, linear, without biases."""
    network = nn.Sequential(
        nn.Linear(len(first[0]), len(first), bias=False), nn.ReLU(), nn.Linear(len(first), len(second), bias=False)
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor(first))
        network[2].weight.copy_(torch.tensor(second))
    return network.eval()


def context_of(network: nn.Module, *example: torch.Tensor) -> RandomContext:
    return RandomContext(example, copy.deepcopy(network))


def built(name: str) -> nn.Module:
    return network_and_clip(name)[0]


def gmacs(network: nn.Module, clip: torch.Tensor) -> float:
    return complexity(copy.deepcopy(network).to("meta"), (clip.to("meta"),)).gmacs


def attentions_of(network: nn.Module) -> Iterator[tuple[list[nn.Module], nn.Module, int]]:
    """Linear layers that give heads, the one that takes them, and how many heads there are."""
    for name, module in network.named_modules():
        if hasattr(module, "qkv"):
            yield [module.qkv], module.proj if hasattr(module, "proj") else module.project[0], module.num_heads
        elif hasattr(module, "query"):
            outside = network.get_submodule(name.rpartition(".")[0])
            yield [module.query, module.key, module.value], outside.output.dense, module.num_attention_heads


def residual() -> nn.Module:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.inner = nn.Conv3d(3, 16, 1), nn.Conv3d(16, 24, 3, padding=1)
            self.outer, self.head = nn.Conv3d(24, 16, 1), nn.Linear(16, 5)

        def forward(self, clip_bcthw):
            x = self.stem(clip_bcthw).relu()
            x = x + self.outer(self.inner(x).relu())
            return self.head(x.mean((2, 3, 4)))

    torch.manual_seed(0)
    return Residual().eval()


CLIP = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


class TestByHand:
    def test_takes_the_channel_whose_weights_are_shortest_together(self):
        # Lengths with what reads them: sqrt(9 + 1), sqrt(1 + 1), sqrt(0.01 + 100).
        network = two_layers([[3.0, 0.0], [0.0, 1.0], [0.1, 0.0]], [[1.0, 1.0, 10.0]])

        pruned, record = prune_channels(network, context_of(network, torch.randn(1, 2)), ratio=0.34, round_to=1)

        assert pruned[0].weight.tolist() == [[3.0, 0.0], [pytest.approx(0.1), 0.0]]
        assert pruned[2].weight.tolist() == [[1.0, 10.0]]
        assert (pruned[0].out_features, pruned[2].in_features) == (2, 2)
        assert record["shapes"] == {"0.weight": [2, 2], "2.weight": [1, 2]}
        assert record["attributes"] == {"0": {"out_features": 2}, "2": {"in_features": 2}}
        assert record["removed"] == {"0": 1}

    def test_taylor_takes_the_channel_that_the_loss_feels_least(self):
        # Loss: the sum of outputs for x = (1, 1): gradient x weight of a row is reader x row: 3, 6, 1.
        network = two_layers([[3.0, 0.0], [0.0, 1.0], [0.1, 0.0]], [[1.0, 6.0, 10.0]])
        x = torch.ones(1, 2)
        context = context_of(network, x)
        context.losses = lambda model, batches: (model(x).sum() for _ in range(batches))

        pruned, _ = prune_channels(network, context, ratio=0.34, importance="taylor", round_to=1)

        assert pruned[2].weight.tolist() == [[1.0, 6.0]]
        assert all(parameter.grad is None for parameter in pruned.parameters())

    def test_bn_scale_takes_the_channel_with_the_smallest_factor(self):
        network = nn.Sequential(nn.Conv3d(3, 3, 1), nn.BatchNorm3d(3), nn.ReLU(), nn.Conv3d(3, 2, 1)).eval()
        with torch.no_grad():
            network[1].weight.copy_(torch.tensor([0.5, -0.1, 0.3]))
        kept = network[0].weight[[0, 2]].clone()

        pruned, _ = prune_channels(network, context_of(network, CLIP), ratio=0.34, importance="bn_scale", round_to=1)

        assert torch.equal(pruned[0].weight, kept)
        assert torch.equal(pruned[1].weight, torch.tensor([0.5, 0.3]))
        assert (pruned[1].num_features, pruned[1].running_var.shape) == (2, (2,))

    def test_bn_scale_leaves_layers_without_batch_norm(self):
        with pytest.raises(ParameterError, match="no batch norm scales them"):
            prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, importance="bn_scale")

    def test_global_ranking_prunes_layers_unequally_and_leaves_a_tenth(self):
        network = residual()
        with torch.no_grad():
            network.inner.weight[2:] *= 1e-3
            network.inner.bias[2:] *= 1e-3
            network.outer.weight[:, 2:] *= 1e-3

        pruned, record = prune_channels(network, context_of(network, CLIP), ratio=0.5, round_to=1)

        assert record["removed"] == {"inner": 20}  # half of 16 + 24 channels
        assert pruned.inner.out_channels == 4

    def test_layer_scope_takes_the_same_part_everywhere_in_multiples(self):
        pruned, record = prune_channels(residual(), context_of(residual(), CLIP), ratio=0.4, scope="layer", round_to=8)

        assert (pruned.stem.out_channels, pruned.inner.out_channels) == (16, 16)  # 9.6 and 14.4, rounded up to 8s
        assert record["removed"] == {"inner": 8}

    def test_removes_no_output(self):
        pruned, record = prune_channels(residual(), context_of(residual(), CLIP), ratio=0.9)

        assert pruned(CLIP).shape == (2, 5)
        assert {"layers": ["head"], "reason": "they are outputs of the model"} in record["kept"]

    def test_a_depthwise_convolution_follows_the_one_before(self):
        network = nn.Sequential(nn.Conv3d(3, 16, 1), nn.Conv3d(16, 16, 3, groups=16, padding=1), nn.Conv3d(16, 4, 1))

        pruned, _ = prune_channels(network.eval(), context_of(network, CLIP), ratio=0.5)

        assert (pruned[1].in_channels, pruned[1].out_channels, pruned[1].groups) == (8, 8, 8)
        assert pruned[1].weight.shape == (8, 1, 3, 3, 3)

    def test_gradual_pruning_trains_after_each_step_and_ends_at_the_same_size(self):
        trained = []
        context = context_of(residual(), CLIP)
        context.train = lambda model, **options: trained.append((model.inner.out_channels, options))

        pruned, _ = prune_channels(residual(), context, ratio=0.5, scope="layer", round_to=1, steps=3, epochs=2, lr=0.1)

        assert [channels for channels, _ in trained] == [20, 16, 12]
        assert trained[0][1] == {"epochs": 2, "lr": 0.1}
        assert (pruned.stem.out_channels, pruned.inner.out_channels) == (8, 12)

    def test_prunes_a_network_in_bfloat16(self):
        network = cast(residual(), context_of(residual(), CLIP), dtype="bfloat16")[0]

        pruned, record = prune_channels(network, context_of(network, CLIP), ratio=0.5, scope="layer")

        assert record["removed"] == {"stem": 8, "inner": 8}
        assert pruned.stem.weight.dtype is torch.bfloat16
        assert pruned(CLIP).dtype is torch.float32

    def test_keeps_frozen_parameters_frozen(self):
        network = residual().requires_grad_(False)

        pruned, _ = prune_channels(network, context_of(network, CLIP), ratio=0.5, importance="taylor")

        assert not any(parameter.requires_grad for parameter in pruned.parameters())


class TestTargets:
    def test_multiply_adds(self):
        context = context_of(residual(), CLIP)
        before = context.gmacs(residual())

        pruned, record = prune_channels(residual(), context, target={"gmacs": 0.5}, round_to=1)

        assert 0.4 < context.gmacs(pruned) / before <= 0.5
        assert record["left"] == {"gmacs": pytest.approx(context.gmacs(pruned) / before, abs=1e-4)}

    def test_latency(self):
        context = context_of(residual(), CLIP)
        context.latency_ms = lambda model: float(model.stem.out_channels * model.inner.out_channels)

        pruned, _ = prune_channels(residual(), context, target={"latency": 0.3}, round_to=1, scope="layer")

        assert pruned.stem.out_channels * pruned.inner.out_channels <= 0.3 * 16 * 24

    def test_in_steps_comes_down_evenly(self):
        context = context_of(residual(), CLIP)
        before, seen = context.gmacs(residual()), []
        context.train = lambda model, **_: seen.append(context.gmacs(model) / before)

        prune_channels(residual(), context, target={"gmacs": 0.4}, round_to=1, steps=2, epochs=1)

        assert 0.6 < seen[0] <= 0.7
        assert 0.3 < seen[1] <= 0.4

    def test_out_of_reach_says_what_is_in_reach(self):
        with pytest.raises(ParameterError, match=r"gmacs 0\.01: the least it can leave is 0\.\d+") as raised:
            prune_channels(residual(), context_of(residual(), CLIP), target={"gmacs": 0.01})
        assert "ask for gmacs of at least 0." in str(raised.value)


class TestChoice:
    def test_skip_keeps_what_is_tied_and_says_so(self):
        _, record = prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, skip=["outer"])

        assert list(record["removed"]) == ["inner"]
        reason = "they are tied to those of outer, which `skip` keeps"
        assert {"layers": ["stem", "outer"], "reason": reason} in record["kept"]

    def test_only_a_tied_layer_is_an_error_that_names_the_group(self):
        with pytest.raises(ParameterError, match="channels of stem are tied to those of outer"):
            prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, only=["stem"])

    def test_only_tied_layers_together(self):
        _, record = prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, only=["stem", "outer"])

        assert list(record["removed"]) == ["stem"]

    def test_only_what_cannot_be_pruned_says_why(self):
        with pytest.raises(ParameterError, match="channels of head cannot be pruned: they are outputs"):
            prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, only=["head"])

    @pytest.mark.parametrize("choice", ["only", "skip"])
    def test_a_pattern_that_matches_nothing(self, choice):
        with pytest.raises(ParameterError, match=f"'blocks.*' in `{choice}` matches no layer"):
            prune_channels(residual(), context_of(residual(), CLIP), ratio=0.5, **{choice: ["blocks.*"]})

    @pytest.mark.parametrize("strength", [{}, {"ratio": 0.5, "target": {"gmacs": 0.5}}])
    def test_neither_or_both_strengths(self, strength):
        with pytest.raises(ParameterError, match="exactly one of `ratio` and `target`"):
            prune_channels(residual(), context_of(residual(), CLIP), **strength)

    @pytest.mark.parametrize("given", [{"ratio": 0}, {"ratio": 1.0}, {"ratio": -0.5}, {"target": {"gmacs": 1.5}}])
    def test_a_strength_out_of_range_is_refused_before_anything_is_done(self, given):
        with pytest.raises(ParameterError, match="expected a number above 0 and below 1"):
            build_component(catalog().resolve("compression", "compress/prune_channels"), given)

    @pytest.mark.parametrize("target", [{}, {"size": 0.5}, {"gmacs": 0.5, "latency": 0.5}])
    def test_a_target_that_is_none(self, target):
        with pytest.raises(ParameterError, match=r"write \{gmacs: 0.5\}"):
            prune_channels(residual(), context_of(residual(), CLIP), target=target)

    def test_nothing_to_prune_says_why(self):
        with pytest.raises(ParameterError, match="nothing to prune: : they are outputs of the model"):
            prune_channels(nn.Linear(4, 2), context_of(nn.Linear(4, 2), torch.randn(1, 4)), ratio=0.5)

    def test_taylor_needs_training_data(self):
        context = context_of(residual(), CLIP)
        context.losses = lambda model, batches: iter(())
        with pytest.raises(RunError, match="no batch to take gradients from"):
            prune_channels(residual(), context, ratio=0.5, importance="taylor")


class TestWhatIsLeftOut:
    def reason(self, network: nn.Module, example: torch.Tensor, layer: str) -> str:
        _, record = prune_channels(network.eval(), context_of(network, example), ratio=0.5)
        return next(kept["reason"] for kept in record["kept"] if layer in kept["layers"])

    def test_channels_that_a_parameter_used_directly_spans(self):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.position = nn.Linear(4, 16), nn.Parameter(torch.zeros(1, 5, 16))
                self.fc1, self.fc2 = nn.Linear(16, 32), nn.Linear(32, 2)

            def forward(self, x):
                return self.fc2(self.fc1(self.embed(x) + self.position).relu()).mean(1)

        assert "tied to position" in self.reason(Network(), torch.randn(1, 5, 4), "embed")

    def test_channels_that_a_layer_norm_spans(self):
        network = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))

        assert "LayerNorm 1 works across them" in self.reason(network, torch.randn(1, 4), "0")

    def test_convolutions_in_groups(self):
        network = nn.Sequential(
            nn.Conv3d(3, 16, 1), nn.ReLU(), nn.Conv3d(16, 16, 1, groups=4), nn.Conv3d(16, 16, 1), nn.Conv3d(16, 2, 1)
        )

        assert "in 4 groups" in self.reason(network, CLIP, "2")

    def test_a_network_that_computes_something_else_without_some_channels(self):
        class Shifted(nn.Module):  # as temporal shift: which channels move depends on how many there are
            def __init__(self):
                super().__init__()
                self.first, self.second, self.third = nn.Conv3d(3, 16, 1), nn.Conv3d(16, 16, 1), nn.Conv3d(16, 2, 1)

            def forward(self, x):
                x = self.first(x)
                fold = x.shape[1] // 2
                x = torch.cat((x[:, :fold].roll(1, 2), x[:, fold:]), 1)
                return self.third(self.second(x).relu())

        assert "computes something else" in self.reason(Shifted(), CLIP, "first")

    def test_an_attention_of_unknown_form(self):
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.num_heads, self.q, self.kv = 2, nn.Linear(16, 16), nn.Linear(16, 32)
                self.out = nn.Linear(16, 16)

            def forward(self, x):
                q, (k, v) = self.q(x), self.kv(x).chunk(2, -1)
                heads = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in (q, k, v))
                return self.out(nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))

        network = nn.Sequential(nn.Linear(4, 16), Attention(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))

        assert "form that is not known" in self.reason(network, torch.randn(1, 3, 4), "1")


DEAD = {
    "torchvision/r3d_18": ("layer?.?.conv1.1", "layer?.?.conv1.0"),
    "torchvision/r2plus1d_18": ("layer?.?.conv?.0.1", "layer?.?.conv?.0.0"),
    "video/x3d_s": ("stage?.*.norm_[ab]", "stage?.*.conv_[ab]"),
    "video/slowfast_r50": ("stage?.*.norm_[ab]", "stage?.*.conv_[ab]"),
}
"""Batch norms inside of blocks, and the convolutions whose channels they scale."""


class TestNetworks:
    @pytest.mark.parametrize("name", DEAD)
    def test_without_dead_channels_the_answers_stay(self, name):
        network, clip = network_and_clip(name)
        norms, convolutions = DEAD[name]
        for norm_name, norm in network.named_modules():
            if isinstance(norm, nn.BatchNorm3d):
                nn.init.uniform_(norm.weight, 0.5, 1.5)  # some networks start with zeros
                dead = torch.arange(norm.num_features) % 3 == 1
                if fnmatchcase(norm_name, norms):
                    with torch.no_grad():
                        norm.weight.masked_fill_(dead, 0)
                        norm.bias.masked_fill_(dead, 0)
        expected, size = network(clip).detach(), parameters(network)
        only = [layer for layer, _ in network.named_modules() if fnmatchcase(layer, convolutions)]
        excite = [layer for layer, _ in network.named_modules() if layer.endswith("excite.expand")]

        pruned, record = prune_channels(
            network, context_of(network, clip), ratio=0.33, importance="bn_scale", scope="layer", round_to=1,
            only=only + excite,
        )  # fmt: skip

        assert len(record["removed"]) >= 8
        assert parameters(pruned) < 0.85 * size
        assert (pruned(clip) - expected).norm() <= 1e-5 * expected.norm()

    @pytest.mark.parametrize("name", ["torchvision/mvit_v2_s", "transformers/videomae_s", "timm/vit_tiny_patch16_224"])
    def test_without_dead_heads_the_answers_stay(self, name):
        network, clip = network_and_clip(name)
        for inputs, output, count in attentions_of(network):
            with torch.no_grad():
                for layer in inputs:  # one for queries, keys and values, or three
                    for tensor in (layer.weight, layer.bias):
                        if tensor is not None:
                            tensor.view(3 // len(inputs), count, -1)[:, 1::2] = 0
                output.weight.view(len(output.weight), count, -1)[:, 1::2] = 0
        expected = network(clip).detach()

        pruned, record = prune_channels(network, context_of(network, clip), ratio=0.5, scope="layer", parts=["heads"])

        assert sum(record["removed"].values()) == sum(count // 2 for _, _, count in attentions_of(built(name)))
        assert (pruned(clip) - expected).norm() <= 1e-5 * expected.norm()

    @pytest.mark.parametrize("name", [name for name in CLIPS if name != "video/tsm_mobilenetv2_100"])
    def test_is_smaller_and_reloads_exactly(self, name):
        network, clip = network_and_clip(name)

        pruned, record = prune_channels(network, context_of(network, clip), ratio=0.4, scope="layer")

        assert parameters(pruned) < 0.75 * parameters(built(name))
        assert gmacs(pruned, clip) < 0.75 * gmacs(built(name), clip)
        assert torch.equal(reloaded(built(name), pruned, record, restore)(clip), pruned(clip))

    def test_temporal_shift_keeps_what_is_shifted(self):
        network, clip = network_and_clip("video/tsm_mobilenetv2_100")

        pruned, record = prune_channels(network, context_of(network, clip), ratio=0.3)

        reasons = {layer: group["reason"] for group in record["kept"] for layer in group["layers"]}
        assert "computes something else" in reasons["backbone.blocks.5.0.conv_pwl"]
        assert "backbone.blocks.5.1.conv_pw.net" in record["removed"]  # behind the shift
        assert pruned(clip).shape == (1, 7)


def pruned_record() -> dict:
    network = residual()
    return prune_channels(network, context_of(network, CLIP), ratio=0.5, scope="layer")[1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shapes": {"stem.weight": [99, 3, 1, 1, 1]}}, "does not fit into"),
        ({"shapes": {"stem.weight": [0, 3, 1, 1, 1]}}, "does not fit into"),
        ({"shapes": {"stem.weight": [8, 3]}}, "not 5 whole numbers"),
        ({"shapes": {"stem.weight": [True, 3, 1, 1, 1]}}, "not 5 whole numbers"),
        ({"shapes": {"stem.weight": "8"}}, "not 5 whole numbers"),
        ({"shapes": {"stem.forward": [8]}}, "which the model lacks"),
        ({"shapes": {"nowhere.weight": [8]}}, "'nowhere', which the model lacks"),
        ({"shapes": {"stem.weight": [8, 3, 1, 1, 1]}}, "states sizes of 'stem' that its tensors have not"),
        ({"attributes": {"nowhere": {}}}, "'nowhere', which the model lacks"),
        ({"attributes": {"stem": []}}, "not a mapping"),
        ({"attributes": {"stem": {"forward": 1}}}, "holds no size of that name"),
        ({"attributes": {"stem": {"__class__": 1}}}, "holds no size of that name"),
        ({"attributes": {"stem": {"out_channels": 10**9}}}, "not within 1..16"),
        ({"attributes": {"stem": {"out_channels": "8"}}}, "not within 1..16"),
        ({"shapes": []}, "'shapes'"),
        ({"more": 1}, "must hold"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(change, complaint):
    with torch.device("meta"):
        network = residual()
    empty = {"shapes": {}, "attributes": {}, "removed": {}, "kept": [], "left": {}}
    with pytest.raises(ArtefactError, match=complaint):
        restore(network, empty | change)


def test_heads_that_do_not_fill_their_layers_are_refused():
    network, _ = network_and_clip("timm/vit_tiny_patch16_224")
    name = "backbone.blocks.0.attn"
    record = {
        "shapes": {f"{name}.qkv.weight": [384, 192], f"{name}.qkv.bias": [384]},
        "attributes": {f"{name}.qkv": {"out_features": 384}},
        "removed": {}, "kept": [], "left": {},
    }  # fmt: skip
    with pytest.raises(ArtefactError, match="heads that do not fill"):
        restore(network.to("meta"), record)
