"""What a recipe names is built to fit together: clip and classes of the weights, what builders ask for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.artefact import save_model
from zoo.build import build
from zoo.recipe import load_recipe
from zoo.recipe.schema import Component, LossSlot
from zoo.runner import pipeline
from zoo.runner.pipeline import assemble, build_losses, build_observers
from zoo_registry import ClipSpec, Loss, Observer, Provided
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ArtefactError, ParameterError
from zoo_registry.plugin_record import PluginRecord

try:
    importlib.metadata.distribution("zoo-acme")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("needs pip install tests/fixtures/zoo_acme, as make test does it", allow_module_level=True)

CLIP = ClipSpec(frames=4, stride=3, size=48, mean=(0.1, 0.2, 0.3))


def saved(folder: Path, classes: int) -> str:
    """The URI of a model that was trained on other clips than its architecture's own."""
    listed = catalog().resolve("model", "basic/cnn3d")
    module = build(listed, {}, {"num_classes": classes, "labels": (), "clip": CLIP})
    save_model(folder, module, model=listed.name, params={}, clip=CLIP, labels=[f"c{at}" for at in range(classes)])
    return f"file:{folder}"


def recipe(weights: str | None, **slots: Any) -> dict[str, Any]:
    tones = {"name": "acme/tones", "params": {"films": 6}}
    return {
        "zoo": 1,
        "model": {"name": "basic/cnn3d", "weights": weights},
        "task": "classification",
        "loss": "cross_entropy",
        "data": {"train": tones, "val": tones, "workers": 0},
        "optim": {"name": "adam", "params": {"lr": 0.01}},
        "run": {"epochs": 1, "batch": 2, "device": "cpu"},
    } | slots


def test_the_clip_of_the_weights_is_that_of_the_run(tmp_path: Path) -> None:
    built = assemble(load_recipe(recipe(saved(tmp_path / "model", 3))))
    assert built.clip == CLIP
    assert built.provided["clip"] == CLIP


def test_the_recipes_clip_goes_over_that_of_the_weights(tmp_path: Path) -> None:
    built = assemble(load_recipe(recipe(saved(tmp_path / "model", 3)), ["data.clip.frames=2"]))
    assert built.clip == ClipSpec(frames=2, stride=3, size=48, mean=(0.1, 0.2, 0.3))


def test_without_weights_the_clip_is_the_models_own() -> None:
    assert assemble(load_recipe(recipe(None))).clip == catalog().resolve("model", "basic/cnn3d").model.clip


@pytest.mark.parametrize("unused", ["train", None])
def test_a_random_classifier_is_not_measured(unused: str | None, tmp_path: Path) -> None:
    slots = recipe(saved(tmp_path / "model", 7))
    del slots["optim"]
    slots["data"].pop(unused, None)
    classes = len(assemble(load_recipe(recipe(None))).labels)
    with pytest.raises(ArtefactError, match=f"the weights are for 7 classes, the data has {classes}:") as caught:
        assemble(load_recipe(slots))
    assert "train it (optim and data.train)" in str(caught.value)


def test_a_random_classifier_that_is_trained_is_only_reported(tmp_path: Path) -> None:
    assert len(assemble(load_recipe(recipe(saved(tmp_path / "model", 7)))).skipped) == 2


def test_parameters_and_objectives_that_are_not_there_are_said_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        """zoo: 1
model: basic/cnn3d
task: classification
loss: cross_entropy
data: {train: {name: acme/tones, params: {films: 6}}, workers: 0}
optim:
  name: adam
  groups: [{match: "heads.*", params: {lr: 1}}, {match: "features.*", params: {}}]
  per_objective: {critic: sgd}
"""
    )
    with pytest.raises(ParameterError) as caught:
        assemble(load_recipe(path))
    outer = dict.fromkeys(
        name.split(".")[0] for name, _ in assemble(load_recipe(recipe(None))).network.named_parameters()
    )
    assert [str(problem).split(": ", 1)[0].rpartition("/")[2] for problem in caught.value.problems] == [
        "recipe.yaml:9:27",
        "recipe.yaml:8:20",
    ]
    assert caught.value.problems[1].hint == f"there is {', '.join(f'{name}.*' for name in outer)}"


def uniform_loss(*, num_classes: Provided[int]) -> Callable[[Tensor, Any], Tensor]:
    """The cross entropy of knowing nothing."""
    return lambda prediction, target: torch.tensor(float(num_classes)).log()


class Named:
    """An observer that knows the labels."""

    def __init__(self, labels: tuple[str, ...], seed: int) -> None:
        self.labels, self.seed = labels, seed


def named(*, labels: Provided[tuple[str, ...]], seed: Provided[int]) -> Named:
    """Asks for what the run knows."""
    return Named(labels, seed)


@pytest.fixture
def own_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of this file's loss and observer."""
    plugin = PluginRecord("mine", "mine", "", "", "loaded")
    entries = {
        "loss": Listed(Loss("uniform", f"{__name__}:uniform_loss"), "mine", plugin),
        "observer": Listed(Observer("named", f"{__name__}:named"), "mine", plugin),
    }

    class Entries:
        def resolve(self, kind: str, name: str) -> Listed:
            return entries[kind]

    monkeypatch.setattr(pipeline, "catalog", Entries)


@pytest.mark.usefixtures("own_entries")
def test_losses_and_observers_get_what_they_ask_for() -> None:
    provided = {"num_classes": 8, "labels": ("left", "right"), "seed": 5, "audio": None}
    losses = build_losses({"loss": [LossSlot(name="mine/uniform", weight=2.0)]}, provided)
    assert losses["loss"](torch.zeros(1, 8), None) == pytest.approx(2 * 2.0794415)  # 2 ln 8
    (observer,) = build_observers([Component(name="mine/named")], provided)
    assert isinstance(observer, Named)
    assert (observer.labels, observer.seed) == (("left", "right"), 5)


def test_a_clip_that_the_network_cannot_take_is_shown_in_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "zoo: 1\nmodel: video/slowfast_r50\ntask: classification\nloss: cross_entropy\n"
        "data:\n  train: {name: acme/tones, params: {films: 6}}\n  clip: {frames: 7}\noptim: adam\n"
    )
    with pytest.raises(ParameterError, match=r"a.yaml:7:9: slowfast_r50 needs a multiple of 4 frames, the clip has 7 "):
        assemble(load_recipe(str(path)))
