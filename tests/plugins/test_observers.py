"""The observers of this project: what TensorBoard finds of a run."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, IMAGES, EventAccumulator
from torch import nn

from zoo.testing import ObserverConformance
from zoo_plugins.observers.histograms import histograms
from zoo_plugins.observers.tensorboard_pictures import contact_sheet, tensorboard_pictures
from zoo_registry.protocols import Batch


class TestTensorBoardPictures(ObserverConformance):
    name = "observers/tensorboard_pictures"


class TestHistograms(ObserverConformance):
    name = "observers/histograms"
    params = {"gradients": True, "every": 1}


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={IMAGES: 0, HISTOGRAMS: 0}).Reload()


def batch(clip_bcthw: torch.Tensor) -> Batch:
    index = torch.arange(len(clip_bcthw))
    return Batch({"clip_bcthw": clip_bcthw, "audio_bcn": torch.zeros(len(index), 1, 8)}, {}, index, index)


def test_a_picture_of_every_epoch_shows_the_clips_as_rows_of_frames(tmp_path):
    """Grey of 10 in the first clip, of 20 in the second, and one more with every frame: PNG keeps it all."""
    watching = tensorboard_pictures(clips=2, frames=3)
    watching.run_start(tmp_path, {})
    clip_bcthw = (torch.arange(1, 4).view(3, 1, 1, 1, 1) * 10 + torch.arange(5).view(1, 1, 5, 1, 1)).to(torch.uint8)
    for epoch, step in enumerate([0, 4], start=1):
        watching.batch_ready(step, batch(clip_bcthw.expand(3, 3, 5, 8, 6)))
        watching.epoch_end(epoch, {})
    watching.run_end({})
    events = read(tmp_path / "events" / "pictures")
    assert events.Tags()["images"] == ["augmented/clip_bcthw"]
    assert [event.step for event in events.Images("augmented/clip_bcthw")] == [0, 4]
    picture = np.asarray(Image.open(io.BytesIO(events.Images("augmented/clip_bcthw")[0].encoded_image_string)))
    assert picture.shape == (2 * 8, 3 * 6, 3)
    assert picture[::8, ::6, 0].tolist() == [[10, 12, 14], [20, 22, 24]]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_clips_of_any_number_of_channels_are_shown(channels):
    clip_bcthw = torch.linspace(0, 1, channels).view(1, channels, 1, 1, 1).expand(2, channels, 4, 8, 8)
    sheet_hwc = contact_sheet(clip_bcthw, frames=9, height=8)
    assert sheet_hwc.shape == (16, 32, 3)
    expected = [
        round(255 * value) for value in (clip_bcthw[0, :3, 0, 0, 0] if channels >= 3 else torch.zeros(3)).tolist()
    ]
    assert sheet_hwc[0, 0].tolist() == expected


def test_high_frames_are_made_smaller_and_a_batch_stays_as_it_was():
    clip_bcthw = torch.full((1, 3, 2, 100, 50), 0.5)
    sheet_hwc = contact_sheet(clip_bcthw, frames=2, height=20)
    assert sheet_hwc.shape == (20, 20, 3)
    assert set(sheet_hwc.unique().tolist()) <= {127, 128}
    assert torch.equal(clip_bcthw, torch.full((1, 3, 2, 100, 50), 0.5))


def test_pictures_draw_nothing_from_the_runs_random_numbers(tmp_path):
    watching = tensorboard_pictures()
    watching.run_start(tmp_path, {})
    before = torch.get_rng_state()
    watching.batch_ready(0, batch(torch.rand(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))))
    assert torch.equal(torch.get_rng_state(), before)


def learnt() -> dict[str, nn.Parameter]:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model(torch.ones(1, 4)).sum().backward()
    return dict(model.named_parameters())


def test_histograms_of_what_matches_come_every_so_many_intervals(tmp_path):
    watching = histograms(gradients=True, match="1.*", every=2)
    watching.run_start(tmp_path, {})
    parameters = learnt()
    for step in (10, 20, 30):
        watching.gradients_ready(step, parameters)
    watching.run_end({})
    events = read(tmp_path / "events" / "histograms")
    assert sorted(events.Tags()["histograms"]) == [
        "gradients/1.bias", "gradients/1.weight", "weights/1.bias", "weights/1.weight",
    ]  # fmt: skip
    found = events.Histograms("weights/1.weight")
    assert [event.step for event in found] == [10, 30]
    assert found[0].histogram_value.sum == pytest.approx(float(parameters["1.weight"].detach().sum()), rel=1e-5)


def test_gradients_are_shown_on_request_only(tmp_path):
    watching = histograms(every=1)
    watching.run_start(tmp_path, {})
    watching.gradients_ready(1, learnt())
    watching.run_end({})
    assert not any(tag.startswith("grad") for tag in read(tmp_path / "events" / "histograms").Tags()["histograms"])


def test_a_resumed_run_hides_what_an_earlier_attempt_wrote_later(tmp_path):
    for steps in ([10, 20, 30], [20]):
        watching = histograms(every=1, match="0.bias")
        watching.run_start(tmp_path, {})
        for step in steps:
            watching.gradients_ready(step, learnt())
        watching.run_end({})
    events = read(tmp_path / "events" / "histograms")
    assert [event.step for event in events.Histograms("weights/0.bias")] == [10, 20]
