"""Telling how fast a clip is played: which frames are shown, that motion can be told, and bad input."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.plugins.tasks.training import recipe_of, train
from zoo_plugins.basic.cnn2d import CNN2D
from zoo_plugins.basic.cnn3d import CNN3D
from zoo_plugins.tasks.speed_prediction import speed_prediction
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError, RecipeError
from zoo_registry.protocols import Batch


def task_of(frames: int = 16, **options: Any):
    torch.manual_seed(0)
    options = {"model": CNN3D(3), "inputs": ("clip_bcthw",), "clip": ClipSpec(frames=frames, size=16)} | options
    return speed_prediction(**options)


def counting(count: int, frames: int = 16) -> Batch:
    """Films whose frame t shows t."""
    clip_bcthw = torch.arange(float(frames)).view(1, 1, -1, 1, 1).expand(count, 3, -1, 16, 16)
    return Batch({"clip_bcthw": clip_bcthw}, {}, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def test_each_speed_shows_every_so_many_frames():
    task, clip_bcthw = task_of(), counting(3).inputs["clip_bcthw"]
    shown = task.played(clip_bcthw, torch.tensor([1, 2, 4]), torch.tensor([5, 0, 3]))
    assert shown.shape == (3, 3, 4, 16, 16)
    assert shown[:, 0, :, 0, 0].tolist() == [[5, 6, 7, 8], [0, 2, 4, 6], [3, 7, 11, 15]]


@pytest.mark.parametrize("speeds", [[1, 2, 4], [1, 2, 4, 8], [1, 3]])
def test_in_training_every_speed_and_every_place_is_drawn_and_none_is_outside(speeds, monkeypatch):
    task, drawn = task_of(speeds=speeds), set()
    played = task.played

    def watched(clip_bcthw, speed_b, start_b):
        shown = played(clip_bcthw, speed_b, start_b)
        drawn.update(zip(speed_b.tolist(), start_b.tolist(), strict=True))
        return shown

    monkeypatch.setattr(task, "played", watched)
    (objective,) = task.objectives()
    torch.manual_seed(0)
    for _ in range(12):
        objective.loss(counting(32), {})
    length = 16 // max(speeds)
    assert drawn == {(speed, start) for speed in speeds for start in range(16 - speed * (length - 1))}


def test_a_classifier_that_knows_is_right_and_one_that_guesses_the_first_is_right_once():
    task, batch = task_of(), counting(2)
    task.state.eval()
    outputs = task.predict(task.result(), batch)
    assert outputs["logits_bss"].shape == (2, 3, 3)
    for logits_ss, expected in ((torch.eye(3), 1.0), (torch.tensor([[1.0, 0, 0]] * 3), 1 / 3)):
        metrics = task.metrics()
        metrics.update(task.merge([outputs | {"logits_bss": logits_ss.expand(2, 3, 3)}] * 2), batch)
        assert metrics.compute()["accuracy"] == pytest.approx(expected)


def test_speeds_that_are_taken_for_each_other_are_counted():
    task, batch = task_of(), counting(2)
    logits_bss = torch.stack([torch.eye(3), torch.tensor([[1.0, 0, 0]] * 3)])
    (matrix,) = task.figures({"logits_bss": logits_bss}, batch)
    assert matrix.rows == ("x1", "x2", "x4")
    assert matrix.values.tolist() == [[2, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_speed_can_be_told_from_motion_alone(tmp_path):
    recipe = recipe_of("speed_prediction", "basic/cnn3d", clip={"frames": 8, "size": 32}, epochs=6, lr=3e-3)
    losses = [row["loss"] for row in train(recipe, tmp_path / "run").rows("train")]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": 7}, "a clip of 7 frames leaves 1 at speed 4, and motion needs two\n.*4 times as many"),
        ({"speeds": [2, 2]}, "has one twice"),
        ({"inputs": ("clip_bcthw", "audio_bcn")}, "the model takes clip_bcthw, audio_bcn"),
    ],
)
def test_what_cannot_be_played_is_refused(options, said):
    with pytest.raises(ParameterError, match=said):
        task_of(**options)


def test_a_model_of_clips_of_one_length_is_refused_before_the_first_step():
    with pytest.raises(RecipeError, match="clips of 4 frames of 16x16, which it does not take"):
        task_of(model=CNN2D(3, (16, 16)))
