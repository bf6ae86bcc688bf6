"""Layers that are computed again in the backward pass take less memory and change nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

import zoo
from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from tests.zoo.runner.staged import Staged, Wrapping
from zoo.build import build
from zoo.runner.freeze import freeze
from zoo.runner.gradient_checkpointing import enable_gradient_checkpointing, statistics_kept
from zoo_registry.catalog import catalog
from zoo_registry.errors import Location, RecipeError

PLACE = Location("recipe.yaml", 7, 9)


def kept(compute: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What was computed, and the bytes of the tensors that its backward pass waits for, each once."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        return compute(), sum(sizes.values())


def loss_and_gradients(network: nn.Module, clip: Tensor) -> tuple[Tensor, list[Tensor], int]:
    torch.manual_seed(5)
    loss, size = kept(lambda: network.train()(clip).square().mean())
    with torch.random.fork_rng():
        return loss.detach(), list(torch.autograd.grad(loss, list(network.parameters()))), size


@pytest.mark.parametrize(
    ("network", "shape"),
    [(Staged(), (2, 3, 4, 16, 16)), (timm.create_model("test_vit", drop_path_rate=0.3), (2, 3, 160, 160))],
    ids=["staged", "timm"],
)
def test_loss_and_gradients_are_the_same_and_less_is_kept(network, shape):
    clip = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    loss, gradients, size = loss_and_gradients(network, clip)
    enable_gradient_checkpointing(network)
    again, gradients_again, smaller = loss_and_gradients(network, clip)
    assert torch.equal(loss, again)
    assert all(map(torch.equal, gradients, gradients_again))
    assert smaller < 0.7 * size


@pytest.mark.parametrize("until", [None, "stage1"])
def test_training_with_and_without_ends_in_the_same_state(tmp_path, until):
    """Running statistics included: what is computed again must not count twice. Dropout draws the same again."""
    plain, frugal = Wrapping(), Wrapping()
    enable_gradient_checkpointing(frugal.network)
    for task, checkpointing in ((plain, False), (frugal, True)):
        frozen = {} if until is None else {"frozen": freeze(task.network, until)}
        schema = recipe(epochs=2, gradient_checkpointing=checkpointing)
        train(tmp_path / str(checkpointing), task, schema, network=task.network, **frozen)
    assert same_weights(plain, frugal)


def test_a_network_that_keeps_its_own_statistics_trains_to_the_same_state(tmp_path):
    """Both the network and the loop see to it that no batch counts twice; the two must get on."""
    plain, frugal = BrightOrDark(), BrightOrDark()
    for task, checkpointing in ((plain, False), (frugal, True)):
        torch.manual_seed(0)
        task.state = build(catalog().resolve("model", "basic/cnn3d"), {}, {"num_classes": 2, "clip": None})
        if checkpointing:
            enable_gradient_checkpointing(task.state)
        schema = recipe(gradient_checkpointing=checkpointing, micro_batch=2)
        train(tmp_path / str(checkpointing), task, schema)
    assert same_weights(plain, frugal)


def test_a_repeated_forward_pass_is_not_remembered():
    norms = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, momentum=None), nn.InstanceNorm1d(2))
    norms(torch.randn(3, 2, 4))
    before = {name: value.clone() for name, value in norms.state_dict().items()}
    with statistics_kept(norms):
        norms(torch.randn(3, 2, 4) + 7)
    assert all(torch.equal(value, before[name]) for name, value in norms.state_dict().items())
    norms(torch.randn(3, 2, 4))
    assert norms[0].num_batches_tracked == 2
    assert norms[1].momentum is None


def test_a_model_without_it_is_refused_in_words():
    with pytest.raises(RecipeError, match=r"^recipe.yaml:7:9: the model has no gradient checkpointing") as caught:
        enable_gradient_checkpointing(nn.Linear(2, 2), where=PLACE)
    assert "run.accumulate" in str(caught.value)


def test_a_model_that_refuses_is_quoted():
    network = timm.create_model("test_efficientnet")
    network.set_grad_checkpointing = timm.create_model("dla34").set_grad_checkpointing  # asserts that it is off
    with pytest.raises(RecipeError, match="the model refuses gradient checkpointing: gradient checkpointing not supp"):
        enable_gradient_checkpointing(network, where=PLACE)


def test_a_recipe_that_wants_it_from_a_model_without_is_refused_before_the_first_step(tmp_path: Path):
    motions = {"name": "motions", "params": {"count": 6}}
    wanted = {
        "zoo": 1, "task": "classification", "model": "acme/tiny3d", "data": {"train": motions, "workers": 0},
        "loss": "cross_entropy", "optim": "sgd", "run": {"gradient_checkpointing": True},
    }  # fmt: skip
    pytest.importorskip("zoo_acme", reason="needs pip install tests/fixtures/zoo_acme, as make test does it")
    with pytest.raises(RecipeError, match="the model has no gradient checkpointing"):
        zoo.run(wanted, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
