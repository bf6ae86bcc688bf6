"""Learning rates by layer, and weights that do not decay: as timm divides the same networks, and as resume needs it."""

from __future__ import annotations

import copy
import os
import signal
from typing import Any

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from tests.zoo.runner.in_memory import recipe, same_weights, train
from tests.zoo.runner.staged import Staged, Wrapping
from zoo.optim.objective_optimizer import ObjectiveOptimizer, optim_of
from zoo.optim.parameter_groups import layer_scales, parameter_groups
from zoo.recipe.schema import OptimSlot
from zoo.runner.folder import RunFolder
from zoo.runner.freeze import freeze
from zoo_registry.errors import Interrupted, ParameterError
from zoo_registry.protocols import Objective, Stage

GROUPED = {
    "name": "adamw",
    "params": {"lr": 0.01, "weight_decay": 0.1},
    "schedule": "cosine",
    "layer_decay": 0.5,
    "decay_norms_and_biases": False,
}


def with_stages(network: nn.Module, stages: list[Stage]) -> nn.Module:
    """A network of another library that says its stages; what else a `StagedNetwork` has is not asked for here."""
    network.stages = lambda: stages
    network.forward_pyramid = network.forward_features
    return network


def vit() -> nn.Module:
    """timm joins what comes before the head to the last block."""
    network = timm.create_model("vit_tiny_patch16_224", depth=3)
    return with_stages(
        network,
        [
            Stage("stem", (("cls_token", "pos_embed", "patch_embed"),)),
            Stage("block1", (("blocks.0",),)),
            Stage("block2", (("blocks.1",),)),
            Stage("block3", (("blocks.2", "norm"),)),
            Stage("head", (("head",),)),
        ],
    )


def resnet() -> nn.Module:
    """A layer is a block, of which every stage has two."""
    body = [Stage(f"stage{at}", ((f"layer{at}.0",), (f"layer{at}.1",))) for at in (1, 2, 3, 4)]
    network = timm.create_model("resnet18")
    return with_stages(network, [Stage("stem", (("conv1", "bn1"),)), *body, Stage("head", (("fc",),))])


def ours(network: nn.Module, **options: Any) -> dict[str, tuple[float, bool]]:
    """Scale, and whether it decays, by the name of the parameter."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network.parameters(), network, network, **options)
    return {names[id(parameter)]: (group.scale, group.decays) for group in groups for parameter in group.parameters}


def timms(network: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[float, bool]]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group.get("lr_scale", 1.0), group["weight_decay"] > 0)
        for group in groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("network", [vit(), resnet()], ids=["vit", "resnet"])
def test_groups_are_those_of_timm(network):
    spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups = param_groups_layer_decay(network, weight_decay=0.1, no_weight_decay_list=spared, layer_decay=0.75)
    assert ours(network, layer_decay=0.75, decay_norms_and_biases=False) == timms(network, groups)


@pytest.mark.parametrize("network", [vit(), timm.create_model("test_resnet")], ids=["staged", "plain"])
def test_what_does_not_decay_is_what_timm_says(network):
    spared = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups = param_groups_weight_decay(network, 0.1, no_weight_decay_list=spared)
    assert ours(network, decay_norms_and_biases=False) == timms(network, groups)


def test_the_head_is_one_layer_at_the_full_rate_and_the_rest_follows_by_its_distance():
    """BEiT's rule by hand: 0.5 to the number of layers after it; stage1 has two."""
    network = Staged()
    scales = layer_scales(network, 0.5)
    assert {name: scales[id(parameter)] for name, parameter in network.named_parameters() if "norm" not in name} == {
        "scale": 0.0625,
        "stem.weight": 0.0625,
        **{f"blocks.0.convolution.{kind}": 0.125 for kind in ("weight", "bias")},
        **{f"blocks.1.convolution.{kind}": 0.25 for kind in ("weight", "bias")},
        **{f"blocks.2.convolution.{kind}": 0.5 for kind in ("weight", "bias")},
        **{f"head.{kind}": 1.0 for kind in ("weight", "bias")},
    }


def test_norms_and_biases_of_any_shape_do_not_decay():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm([4, 8])
            self.bias = nn.Parameter(torch.zeros(1, 4, 1))
            self.temperature = nn.Parameter(torch.zeros(()))
            self.table = nn.Parameter(torch.zeros(4, 8))
            self.position = nn.Parameter(torch.zeros(1, 4, 8))

        def no_weight_decay(self):
            return {"position"}

    decaying = {name for name, (_, decays) in ours(Odd(), decay_norms_and_biases=False).items() if decays}
    assert decaying == {"table"}


def test_without_either_all_parameters_are_one_group():
    network = Staged()
    (group,) = parameter_groups(network.parameters(), network, network)
    assert (group.scale, group.decays, len(group.parameters)) == (1.0, True, 1 + 3 + 3 * 4 + 2)


# -------------------------------------------------------------------------------- in training


def optimizer_of(task: Wrapping, slot: dict[str, Any]) -> ObjectiveOptimizer:
    (objective,) = task.objectives()
    return ObjectiveOptimizer(objective, OptimSlot.model_validate(slot), task.state, 10, task.network)


def test_one_step_is_that_of_torch_with_the_same_groups_by_hand():
    slot = {**GROUPED, "name": "sgd", "schedule": None}
    task, twin = Wrapping(), Wrapping()
    grouped = [
        {"params": [parameter], "lr": 0.01 * scale, "weight_decay": 0.1 if decays else 0.0}
        for name, parameter in twin.state.named_parameters()
        for scale, decays in [by_hand(name)]
    ]
    by_torch = torch.optim.SGD(grouped)
    ours = optimizer_of(task, slot)
    for at, (one, other) in enumerate(zip(task.state.parameters(), twin.state.parameters(), strict=True)):
        one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(at))
        other.grad = one.grad.clone()
    ours.step(0)
    by_torch.step()
    assert same_weights(task, twin)


def by_hand(name: str) -> tuple[float, bool]:
    """Scale and decay in the wrapped network; the task's own head has the full rate."""
    layers = {"stem": 0.0625, "scale": 0.0625, "blocks.0": 0.125, "blocks.1": 0.25, "blocks.2": 0.5, "head": 1.0}
    inner = name.removeprefix("wrapped.0.")
    scale = 1.0 if name.startswith("own") else next(layers[key] for key in layers if inner.startswith(key))
    return scale, not ("norm" in name or name.endswith("bias"))


def test_the_schedule_scales_every_rate_and_the_reported_one_is_the_base_rate(tmp_path):
    task = Wrapping()
    train(tmp_path, task, recipe(GROUPED, epochs=2, log_every=1), network=task.network)
    rates = [row["lr"] for row in RunFolder(tmp_path).history() if row["split"] == "train"]
    model = nn.Linear(1, 1)
    reference = torch.optim.SGD(model.parameters(), lr=0.01)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=6)
    for rate in rates:
        assert rate == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        cosine.step()

    half = optimizer_of(Wrapping(), {**GROUPED, "schedule": {"name": "cosine"}})
    half.steps = 5  # of 10
    half.step(0)
    assert half.rate == pytest.approx(0.005)
    assert sorted({group["lr"] for group in half._groups}) == pytest.approx(
        [0.005 * 0.5**after for after in (4, 3, 2, 1, 0)]
    )


def test_resume_gives_the_same_weights(tmp_path):
    class Stopped(Wrapping):
        def after_step(self, step):
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    schema = recipe(GROUPED)
    undisturbed, resumed = Wrapping(), Wrapping()
    train(tmp_path / "undisturbed", undisturbed, schema, network=undisturbed.network)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Stopped(), schema)
    train(tmp_path / "run", resumed, schema, network=resumed.network, resume=True)
    assert same_weights(undisturbed, resumed)


def test_state_is_known_by_name_whatever_the_groups_are():
    """What one division saved goes into the parameters of the same names under another."""
    task = Wrapping()
    saved = optimizer_of(task, {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}})
    for at, parameter in enumerate(task.state.parameters()):
        parameter.grad = torch.full_like(parameter, float(at))
    saved.step(0)
    again = optimizer_of(task, {**GROUPED, "name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}})
    again.load(*copy.deepcopy(saved.state()))
    momenta = {name: float(value.mean()) for name, value in again.state()[0].items()}
    expected = {f"{name}/momentum_buffer": float(at) for at, (name, _) in enumerate(task.state.named_parameters())}
    assert momenta == expected


def test_frozen_parameters_are_in_no_group():
    task = Wrapping()
    freeze(task.network, "stage1")
    assert {group["lr"] for group in optimizer_of(task, GROUPED)._groups} == {0.005, 0.01}


def test_an_objective_may_change_both():
    slot = OptimSlot.model_validate(
        {**GROUPED, "per_objective": {"critic": {"layer_decay": 1.0, "decay_norms_and_biases": True}, "maker": {}}}
    )
    critic, maker = optim_of(slot, "critic"), optim_of(slot, "maker")
    assert (critic.layer_decay, critic.decay_norms_and_biases) == (1.0, True)
    assert (maker.layer_decay, maker.decay_norms_and_biases) == (0.5, False)


def test_an_optimiser_without_weight_decay_is_given_none():
    groups = optimizer_of(Wrapping(), {**GROUPED, "name": "rprop", "params": {}})._groups
    assert all("weight_decay" not in group for group in groups)


def test_what_torch_refuses_is_still_said():
    with pytest.raises(ParameterError, match="Nesterov momentum requires a momentum"):
        optimizer_of(Wrapping(), {**GROUPED, "name": "sgd", "params": {"nesterov": True}})


def test_a_second_network_of_the_task_has_the_full_rate():
    class WithTeacherOfItsOwn(Wrapping):
        def __init__(self):
            super().__init__()
            self.state["critic"] = Staged()

    task = WithTeacherOfItsOwn()
    objective = Objective("critic", list(task.state["critic"].parameters()), task.loss)
    made = ObjectiveOptimizer(objective, OptimSlot.model_validate(GROUPED), task.state, 10, task.network)
    assert {(group["lr"], group["weight_decay"]) for group in made._groups} == {
        (0.01, 0.1), (0.01, 0.0),
    }  # fmt: skip
