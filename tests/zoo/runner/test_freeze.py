"""The first stages of a model stay as they are, whatever is done with the rest."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from tests.zoo.runner.in_memory import recipe, same_weights, train
from tests.zoo.runner.staged import Staged, Wrapping
from zoo.build import build
from zoo.network_stages import stages_of
from zoo.runner.checkpoint import Checkpoints
from zoo.runner.freeze import Frozen, freeze
from zoo_registry.catalog import catalog
from zoo_registry.errors import Interrupted, PluginError, RecipeError
from zoo_registry.protocols import Stage

FROZEN = ("scale", "stem.", "stem_norm.", "blocks.0.", "blocks.1.")


def frozen_task() -> tuple[Wrapping, Frozen]:
    task = Wrapping()
    return task, freeze(task.network, "stage1")


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path):
    """Two epochs with a validation after each, so that modes are switched to and fro."""
    task, frozen = frozen_task()
    train(tmp_path, task, recipe(epochs=2), network=task.network, frozen=frozen)
    before, after = Wrapping().network.state_dict(), task.network.state_dict()
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved == {name for name in after if not name.startswith(FROZEN)}
    assert not torch.equal(Wrapping().own.weight, task.own.weight)


def test_nothing_is_dropped_in_what_is_frozen():
    task, frozen = frozen_task()
    task.state.train()
    frozen.hold()
    assert not any(part.training for block in task.network.blocks[:2] for part in block.modules())
    assert all(part.training for part in task.network.blocks[2].modules())


def test_a_task_that_switches_modes_itself_moves_no_statistics(tmp_path):
    class Switching(Wrapping):
        def after_step(self, step):
            self.state.eval()
            self.state.train()

    task = Switching()
    frozen = freeze(task.network, "stage1")
    train(tmp_path, task, recipe(epochs=1), network=task.network, frozen=frozen)
    assert torch.equal(task.network.blocks[0].norm.running_mean, torch.zeros(4))
    assert not torch.equal(task.network.blocks[2].norm.running_mean, torch.zeros(4))


def test_the_optimiser_knows_nothing_of_what_is_frozen(tmp_path):
    task, frozen = frozen_task()
    train(tmp_path, task, recipe(epochs=1), network=task.network, frozen=frozen)
    newest = Checkpoints(tmp_path / "checkpoints", 2, print).newest()
    of_network = "optim/main/wrapped.0."
    learning = {name.removeprefix(of_network) for name in newest.tensors if name.startswith(of_network)}
    assert "blocks.2.convolution.weight/exp_avg" in learning
    assert not [name for name in learning if name.startswith(FROZEN)]


@pytest.mark.parametrize("after", [1, 4])
def test_resume_gives_the_same_weights(tmp_path, after):
    class Stopped(Wrapping):
        def after_step(self, step):
            if step == after:
                os.kill(os.getpid(), signal.SIGINT)

    undisturbed, frozen = frozen_task()
    train(tmp_path / "undisturbed", undisturbed, recipe(epochs=3), network=undisturbed.network, frozen=frozen)
    stopped = Stopped()
    frozen = freeze(stopped.network, "stage1")
    with pytest.raises(Interrupted):
        train(tmp_path / "run", stopped, recipe(epochs=3), network=stopped.network, frozen=frozen)
    resumed, frozen = frozen_task()
    train(tmp_path / "run", resumed, recipe(epochs=3), network=resumed.network, frozen=frozen, resume=True)
    assert same_weights(undisturbed, resumed)


def test_a_network_without_stages_has_its_children_for_stages():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(3))
            self.first = nn.Conv3d(3, 4, 1)
            self.act = nn.ReLU()
            self.norm = nn.BatchNorm3d(4, affine=False)
            self.last = nn.Linear(4, 2)

    network = Plain()
    assert stages_of(network) == (
        Stage("first", (("token", "first"),)), Stage("norm", (("norm",),)), Stage("last", (("last",),)),
    )  # fmt: skip
    freeze(network, "norm")
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert learning == ["last.weight", "last.bias"]
    assert not network.norm.training


@pytest.mark.parametrize("network", [Staged(), nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2)])
def test_a_model_that_is_frozen_as_a_whole_is_refused(network):
    last = stages_of(network)[-1].name
    with pytest.raises(RecipeError, match=f"freezing the model until {last!r} leaves it nothing to learn"):
        freeze(network, last)


def test_a_stage_that_names_nothing_is_its_authors_fault():
    class Wrong(Staged):
        def stages(self):
            return [Stage("stem", (("stemm",),)), *super().stages()[1:]]

    with pytest.raises(PluginError, match="a stage of Wrong names 'stemm', which it does not have"):
        freeze(Wrong(), "stage1")


# -------------------------------------------------------------------------------- in a recipe

RECIPE = """\
zoo: 1
task: classification
model: {name: cnn3d, freeze: {until: STAGE}}
data: {train: {name: motions, params: {count: 12}}, val: {name: motions, params: {count: 6}}, workers: 0,
       clip: {frames: 4, size: 16}}
loss: cross_entropy
optim: adamw
run: {epochs: 2, batch: 4, seed: 3}
"""


def written(folder: Path, stage: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.replace("STAGE", stage))
    return path


@pytest.fixture
def stages() -> list[str]:
    network = build(catalog().resolve("model", "cnn3d"), {}, {"num_classes": 6})
    return [stage.name for stage in stages_of(network)]


def test_an_unknown_stage_is_said_with_its_place_and_the_nearest_before_the_first_step(tmp_path, stages):
    path = written(tmp_path, f"{stages[0]}s")
    with pytest.raises(RecipeError) as caught:
        zoo.run(path, out=tmp_path / "run", quiet=True)
    (problem,) = caught.value.problems
    assert str(problem.where) == f"{path}:3:38"
    assert problem.message == f"the model has no stage '{stages[0]}s'"
    assert f"did you mean '{stages[0]}'" in problem.hint
    assert not (tmp_path / "run").exists()


def test_a_stage_like_no_other_is_answered_with_all_of_them(tmp_path, stages):
    with pytest.raises(RecipeError, match=f"its stages are {', '.join(stages)}"):
        zoo.run(written(tmp_path, "xyzzy"), out=tmp_path / "run", quiet=True)


def test_a_run_freezes_what_its_recipe_says(tmp_path, stages):
    zoo.run(written(tmp_path, "nothing"), f"model.freeze.until={stages[0]}", out=tmp_path / "run", quiet=True)
    torch.manual_seed(3)
    fresh = build(catalog().resolve("model", "cnn3d"), {}, {"num_classes": 6}).state_dict()
    learnt = zoo.load(tmp_path / "run").network.state_dict()
    same = [name for name in fresh if torch.equal(fresh[name], learnt[name])]
    assert same
    assert len(same) < len(fresh)
    assert same == list(fresh)[: len(same)]
