from __future__ import annotations

import copy
import inspect
from pkgutil import resolve_name

import pytest
import torch
from torch import nn

from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from zoo.recipe.optim import NOT_NEGATIVE
from zoo.recipe.schema import OptimSlot
from zoo.recipe.slots import OPTIMIZERS
from zoo.runner.optim import ObjectiveOptimizer, check_optim, optim_of
from zoo_registry.errors import Location, ParameterError
from zoo_registry.protocols import Objective


def problems(**slot):
    return check_optim(OptimSlot.model_validate(slot))


def stepper(name, model):
    objective = Objective("main", list(model.parameters()), lambda batch, shared: {})
    return ObjectiveOptimizer(objective, OptimSlot(name=name), model, 10)


def one_step(model, optimizer, seed):
    optimizer.zero_grad()
    model(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
    optimizer.step(0)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimiser_goes_on_from_its_saved_state(name):
    model = nn.Linear(3, 2)
    optimizer = stepper(name, model)
    for seed in range(3):
        one_step(model, optimizer, seed)
    again = nn.Linear(3, 2)
    again.load_state_dict(model.state_dict())
    resumed = stepper(name, again)
    resumed.load(*copy.deepcopy(optimizer.state()))  # what comes from a disk shares no memory
    for seed in (3, 4):
        one_step(model, optimizer, seed)
        one_step(again, resumed, seed)
    assert torch.equal(model.weight, again.weight)
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
        ({"name": "lion"}, "no optimiser is called 'lion'", "there is adadelta, adafactor"),
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


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
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
    assert problems(name=name) == []
    assert problems(name=name, params={"lr": 0.001, "weight_decay": 0} if name != "rprop" else {"lr": 0.001}) == []


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


def test_a_frozen_parameter_stays_as_it_is(tmp_path):
    task, before = BrightOrDark(), BrightOrDark()
    task.state[0].requires_grad_(False)
    train(tmp_path, task, recipe({"name": "adamw", "params": {"weight_decay": 0.5}}))
    assert torch.equal(task.state[0].weight, before.state[0].weight)
    assert not same_weights(task, before)
