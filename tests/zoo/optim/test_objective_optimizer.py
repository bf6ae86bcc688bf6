from __future__ import annotations

import copy
import inspect
import json
import subprocess
import sys
from pkgutil import resolve_name

import pytest
import timm.optim
import torch
from torch import nn

from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from tests.zoo.runner.staged import Wrapping
from zoo.optim.objective_optimizer import ObjectiveOptimizer, check_optim, objective_optimizers, optim_of
from zoo.recipe.optim import NOT_NEGATIVE, optimizer_parameters
from zoo.recipe.optimizers import TORCH, timm_names
from zoo.recipe.schema import OptimSlot
from zoo.recipe.slots import OPTIMIZERS
from zoo.runner.folder import RunFolder
from zoo.runner.freeze import freeze
from zoo_registry.errors import Location, ParameterError
from zoo_registry.protocols import Objective


def problems(**slot):
    return check_optim(OptimSlot.model_validate(slot))


def stepper(name, model, **params):
    objective = Objective("main", list(model.parameters()), lambda batch, shared: {})
    return ObjectiveOptimizer(objective, OptimSlot(name=name, params=params), model, 10)


def needed(name):
    return {"lr": 0.01} if any(each.name == "lr" and each.required for each in optimizer_parameters(name)) else {}


def clip_network():
    """Something of every shape: a convolution over clips, a norm, matrices inside and at the end."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.Flatten(), nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))


def one_step(model, optimizer, seed):
    optimizer.zero_grad()
    clip_bcthw = torch.randn(4, 3, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
    inputs = clip_bcthw if isinstance(model, nn.Sequential) else clip_bcthw.flatten(1)
    model(inputs).square().sum().backward()
    optimizer.step(0)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimiser_goes_on_from_its_saved_state(name):
    model = clip_network()
    optimizer = stepper(name, model, lr=0.01)
    for seed in range(3):
        one_step(model, optimizer, seed)
    again = clip_network()
    again.load_state_dict(model.state_dict())
    resumed = stepper(name, again, lr=0.01)
    tensors, record = optimizer.state()
    resumed.load(copy.deepcopy(tensors), json.loads(json.dumps(record)))  # as they come from a disk
    for seed in (3, 4):
        one_step(model, optimizer, seed)
        one_step(again, resumed, seed)
    assert all(map(torch.equal, model.parameters(), again.parameters()))
    assert resumed.steps == 5


def test_optimiser_state_is_known_by_the_name_of_its_parameter():
    model = nn.Linear(3, 2)
    optimizer = stepper("adam", model)
    one_step(model, optimizer, 0)
    tensors, record = optimizer.state()
    assert {"weight/exp_avg", "weight/exp_avg_sq", "bias/step"} <= tensors.keys()
    assert record["steps"] == 1


@pytest.mark.parametrize(
    ("slot", "message", "hint"),
    [
        ({"name": "adamm"}, "no optimiser is called 'adamm'", "did you mean 'adam'"),
        ({"name": "lyon"}, "no optimiser is called 'lyon'", "did you mean 'lion'"),
        ({"name": "qqqqqq"}, "no optimiser is called 'qqqqqq'", "there is adadelta, adafactor"),
        (
            {"name": "lamb", "params": {"bettas": 1}},
            "optimiser 'lamb' has no parameter 'bettas'",
            "did you mean 'betas'?",
        ),
        ({"name": "sgdp"}, "optimiser 'sgdp' needs a value for 'lr'", None),
        (
            {"name": "muon", "params": {"ns_steps": 0}},
            "optim.params.ns_steps: expected a whole number from 1 to 99, found 0",
            None,
        ),
        (
            {"name": "sgd", "groups": [{"match": "*", "params": {"momentun": 0.9}}]},
            "optimiser 'sgd' has no parameter 'momentun'",
            "did you mean 'momentum'?",
        ),
        (
            {"name": "adamw", "groups": [{"match": "*", "params": {"fused": True}}]},
            "optimiser 'adamw' has no parameter 'fused'",
            None,
        ),
        (
            {"name": "sgd", "params": {"momentun": 0.9}},
            "optimiser 'sgd' has no parameter 'momentun'",
            "did you mean 'momentum'?",
        ),
        (
            {"name": "sgd", "params": {"lr": "fast"}},
            "optim.params.lr: expected a number of at least 0, found 'fast'",
            None,
        ),
        ({"name": "sgd", "params": {"nesterov": 1}}, "optim.params.nesterov: expected true or false, found 1", None),
        (
            {"name": "adam", "params": {"betas": [0.9]}},
            "optim.params.betas: expected a list of 2, each a number, found [0.9]",
            None,
        ),
        ({"name": "sgd", "params": {"lr": -1}}, "optim.params.lr: expected a number of at least 0, found -1", None),
        ({"name": "sgd", "schedule": "cosin"}, "no schedule is called 'cosin'", "did you mean 'cosine'?"),
        ({"name": "sgd", "schedule": "step"}, "schedule 'step' needs a value for 'step_size'", None),
        (
            {"name": "sgd", "schedule": {"name": "cosine", "params": {"final": 2}}},
            "optim.schedule.params.final: expected a number from 0 to 1, found 2",
            None,
        ),
        (
            {"name": "sgd", "per_objective": {"critic": {"name": "adamm"}}},
            "no optimiser is called 'adamm'",
            "did you mean 'adam'",
        ),
        ({"name": "sgd", "params": {"capturable": True}}, "optimiser 'sgd' has no parameter 'capturable'", None),
        (
            {"name": "sgd", "per_objective": {"critic": {"schedule": {"name": "cosine", "params": {"finl": 0}}}}},
            "schedule 'cosine' has no parameter 'finl'",
            "did you mean 'final'?",
        ),
    ],
)
def test_what_is_wrong_is_said(slot, message, hint):
    (problem,) = problems(**slot)
    assert problem.message == message
    assert hint is None or problem.hint.startswith(hint)


def test_all_problems_are_found_at_once():
    found = problems(name="sgd", params={"lr": "a", "b": 1}, schedule={"name": "step", "params": {"gama": 2}})
    assert len(found) == 4


def test_problems_have_the_place_of_the_value():
    origins = {("optim", "params", "lr"): Location("r.yaml", 3, 5)}
    (problem,) = check_optim(OptimSlot(name="sgd", params={"lr": "a"}), origins=origins)
    assert str(problem).startswith("r.yaml:3:5: ")


@pytest.mark.parametrize("name", sorted(TORCH))
@pytest.mark.parametrize("parameter", NOT_NEGATIVE)
def test_numbers_that_may_not_be_negative_are_those_that_torch_refuses(name, parameter):
    optimizer = resolve_name(OPTIMIZERS[name])
    number = inspect.signature(optimizer).parameters.get(parameter)
    if number is None or isinstance(number.default, tuple):
        return
    with pytest.raises(ValueError, match=r"[Ii]nvalid|should be"):
        optimizer([torch.zeros(1, requires_grad=True)], **{parameter: -1.0})


def test_what_only_torch_knows_is_said_when_the_optimiser_is_made():
    weight = nn.Linear(1, 1)
    objective = Objective("main", list(weight.parameters()), lambda batch, shared: {})
    with pytest.raises(ParameterError, match="optimiser 'sgd': Nesterov momentum requires a momentum"):
        ObjectiveOptimizer(objective, OptimSlot(name="sgd", params={"nesterov": True}), weight, 10)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimiser_may_be_named_alone_and_with_a_rate(name):
    assert problems(name=name, params=needed(name)) == []
    assert problems(name=name, params={"lr": 0.001, "weight_decay": 0} if name != "rprop" else {"lr": 0.001}) == []


@pytest.mark.parametrize("name", timm_names())
def test_timms_optimisers_step_as_timm_makes_them(name):
    ours, theirs = clip_network(), clip_network()
    made = stepper(name, ours, lr=0.01, weight_decay=0.1)
    reference = timm.optim.create_optimizer_v2(list(theirs.parameters()), name, lr=0.01, weight_decay=0.1)
    for seed in range(3):
        one_step(ours, made, seed)
        reference.zero_grad()
        clip_bcthw = torch.randn(4, 3, 1, 1, 1, generator=torch.Generator().manual_seed(seed))
        theirs(clip_bcthw).square().sum().backward()
        reference.step()
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


@pytest.mark.parametrize("name", timm_names())
def test_every_parameter_that_is_shown_for_timms_optimisers_reaches_them(name):
    """timm leaves out some silently when its registry says that the optimiser has none."""
    shown = {each.name for each in optimizer_parameters(name)}
    written = {"eps": 1e-7, "betas": (0.8, 0.9, 0.95) if "adan" in name else (0.8, 0.9)}
    weight = torch.zeros(2, 2, requires_grad=True)
    chosen = {key: value for key, value in written.items() if key in shown}
    made = timm.optim.create_optimizer_v2([weight], name, lr=0.01, **chosen)
    assert {key: made.param_groups[0][key] for key in chosen if key in made.defaults} == {
        key: value for key, value in chosen.items() if key in made.defaults
    }


def test_a_name_of_torch_is_checked_without_timm_and_one_of_timm_from_the_cache():
    problems(name="lamb")
    code = (
        "import sys; from zoo.optim.objective_optimizer import check_optim; from zoo.recipe.schema import OptimSlot\n"
        "print(check_optim(OptimSlot(name='lamb')), check_optim(OptimSlot(name='lamm'))[0].hint)\n"
        "print('timm' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] did you mean 'lamb' or 'lambc' or 'lambw'?\nFalse False\n"


def test_muon_takes_the_matrices_between_the_first_layer_and_the_head_and_adamw_the_rest():
    """As its author trains: convolutions, embeddings, norms, biases and the output by AdamW, at the same rate."""

    class Encoder(nn.Sequential):
        def no_weight_decay(self):
            return {"3.table"}

    network = Encoder(
        nn.Conv3d(3, 4, 1), nn.Flatten(), nn.Linear(4, 4), nn.ParameterDict({"table": torch.zeros(2, 2)}),
        nn.Embedding(3, 4), nn.LayerNorm(4), nn.Linear(4, 2),
    )  # fmt: skip
    made = stepper("muon", network, lr=0.01)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    by_class = {
        type(each): [names[id(parameter)] for group in each.param_groups for parameter in group["params"]]
        for each in made._optimizers
    }
    assert by_class[torch.optim.Muon] == ["2.weight"]
    assert len(by_class[torch.optim.AdamW]) == 9
    assert {group["lr"] for group in made._groups} == {0.01}


def test_a_step_of_muon_is_torchs():
    network, twin = clip_network(), clip_network()
    made = stepper("muon", network, lr=0.01, weight_decay=0.1)
    matrix = twin[2].weight
    rest = [parameter for parameter in twin.parameters() if parameter is not matrix]
    by_hand = [
        torch.optim.Muon([matrix], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=0.01, weight_decay=0.1, betas=(0.9, 0.95)),
    ]
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(one.numel()))
        other.grad = one.grad.clone()
    made.step(0)
    for each in by_hand:
        each.step()
    assert all(map(torch.equal, network.parameters(), twin.parameters()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("name", "fused"), [("adamw", True), ("sgd", True), ("muon", True), ("rmsprop", None)])
def test_on_a_gpu_the_fused_kernel_is_chosen_where_there_is_one(name, fused):
    network = clip_network().cuda()
    assert stepper(name, network)._optimizers[-1].defaults.get("fused") is fused


def test_changes_of_an_objective_are_merged_over_the_same_optimiser_only():
    slot = OptimSlot.model_validate(
        {
            "name": "adam",
            "params": {"lr": 1e-3, "eps": 1e-6},
            "schedule": "cosine",
            "per_objective": {
                "critic": {"params": {"lr": 1e-4}},
                "maker": {"name": "sgd", "params": {"momentum": 0.9}},
            },
        }
    )
    assert optim_of(slot, "critic").params == {"lr": 1e-4, "eps": 1e-6}
    assert optim_of(slot, "maker").params == {"momentum": 0.9}
    assert optim_of(slot, "maker").schedule.name == "cosine"
    assert optim_of(slot, "other") is slot


def test_a_run_changes_the_rate_per_epoch_where_the_recipe_says_so(tmp_path):
    slot = {"name": "sgd", "params": {"lr": 1.0}, "schedule": {"name": "cosine", "params": {"per": "epoch"}}}
    train(tmp_path, BrightOrDark(), recipe(slot, epochs=4, log_every=1))
    rates = [row["lr"] for row in RunFolder(tmp_path).history() if row["split"] == "train"]
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=4)
    expected = []
    for _ in range(4):
        expected += [reference.param_groups[0]["lr"]] * 3  # 12 samples in batches of 4
        reference.step()
        cosine.step()
    assert rates == pytest.approx(expected)


# -------------------------------------------------------------------------------- groups by pattern


def grouped(task, groups, **slot):
    slot = {"name": "sgd", "params": {"lr": 0.1, "weight_decay": 0.01}, "groups": groups, **slot}
    (made,) = objective_optimizers(task, task.objectives(), OptimSlot.model_validate(slot), 10, task.network)
    return {
        made._names[id(parameter)].removeprefix("wrapped.0."): (group["lr"], group["weight_decay"], group["momentum"])
        for group in made._groups
        for parameter in group["params"]
    }


def test_the_first_pattern_that_matches_wins_and_the_rest_stays_as_it_is():
    found = grouped(
        Wrapping(),
        [
            {"match": "head.bias", "params": {"lr": 1.0}},
            {"match": "head.*", "params": {"lr": 0.5, "momentum": 0.9}},
            {"match": "*.norm.*", "params": {"weight_decay": 0.0}},
        ],
    )
    assert found["head.bias"] == (1.0, 0.01, 0)
    assert found["head.weight"] == (0.5, 0.01, 0.9)
    assert found["blocks.1.norm.weight"] == (0.1, 0.0, 0)
    assert found["stem.weight"] == (0.1, 0.01, 0)


def test_patterns_also_match_what_the_task_adds_to_the_model():
    assert grouped(Wrapping(), [{"match": "own.*", "params": {"lr": 7.0}}])["own.weight"][0] == 7.0


def test_a_groups_rate_is_scaled_by_layer_and_by_the_schedule():
    task = Wrapping()
    slot = {
        "name": "sgd", "params": {"lr": 0.1}, "layer_decay": 0.5, "schedule": "cosine",
        "groups": [{"match": "stem.*", "params": {"lr": 0.8}}],
    }  # fmt: skip
    (made,) = objective_optimizers(task, task.objectives(), OptimSlot.model_validate(slot), 10, task.network)
    made.steps = 5  # half the cosine
    made.step(0)
    assert 0.8 * 0.0625 * 0.5 in [pytest.approx(group["lr"]) for group in made._groups]
    assert made.rate == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("groups", "message", "hint"),
    [
        (
            [{"match": "hed.*", "params": {}}],
            "optim.groups.0.match: 'hed.*' matches no parameter that learns",
            "did you mean 'head.*'",
        ),
        (
            [{"match": "head.*", "params": {}}, {"match": "head.weight", "params": {}}],
            "optim.groups.1.match: 'head.weight' matches only what an earlier pattern has taken",
            "write it before it",
        ),
    ],
)
def test_a_pattern_that_nothing_is_left_for_is_an_error(groups, message, hint):
    with pytest.raises(ParameterError) as caught:
        grouped(Wrapping(), groups)
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.hint.startswith(hint)


def test_a_pattern_for_frozen_parameters_only_is_an_error():
    task = Wrapping()
    freeze(task.network, "stem")
    with pytest.raises(ParameterError, match=r"'stem\.\*' matches no parameter that learns"):
        grouped(task, [{"match": "stem.*", "params": {"lr": 1.0}}])


def test_an_objective_may_have_other_groups():
    slot = OptimSlot.model_validate(
        {
            "name": "sgd",
            "groups": [{"match": "*", "params": {}}],
            "per_objective": {"critic": {"groups": []}, "maker": {}},
        }
    )
    assert optim_of(slot, "critic").groups == []
    assert optim_of(slot, "maker").groups == slot.groups


def test_a_frozen_parameter_stays_as_it_is(tmp_path):
    task, before = BrightOrDark(), BrightOrDark()
    task.state[0].requires_grad_(False)
    train(tmp_path, task, recipe({"name": "adamw", "params": {"weight_decay": 0.5}}))
    assert torch.equal(task.state[0].weight, before.state[0].weight)
    assert not same_weights(task, before)
