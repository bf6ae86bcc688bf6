"""Boxes and pixels take the same way from the displayed frame into the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.data.clips.clip import read_views
from zoo.data.clips.placement import canvas_placement, evaluation_placement
from zoo.data.clips.views import View
from zoo.data.decode.film import open_film
from zoo_registry import ClipSpec


@pytest.mark.parametrize(
    ("height", "width", "resize", "scaled", "corner"),
    [
        (240, 320, 128, (128, 170), (8, 29)),  # 128 * 320 / 240 = 170.7, torchvision truncates
        (320, 240, 128, (170, 128), (29, 8)),
        (240, 320, (128, 171), (128, 171), (8, 30)),  # torchvision's video presets: 128 x 171, crop 112
        (112, 224, None, (112, 224), (0, 56)),
    ],
)
def test_evaluation_resizes_and_crops_like_torchvision(height, width, resize, scaled, corner) -> None:
    placement = evaluation_placement(ClipSpec(frames=1, size=112, resize=resize), height, width)
    assert (placement.scaled, placement.corner, placement.window) == (scaled, corner, (112, 112))


def test_the_canvas_is_covered_and_no_larger_than_needed() -> None:
    clip = ClipSpec(frames=1, size=112, resize=128)
    for height, width in [(240, 320), (320, 240), (100, 1000), (37, 41)]:
        placement = canvas_placement(clip, height, width, (1.0, 1.0))
        assert placement.window == (128, 128)
        assert min(placement.scaled) == 128
        assert placement.corner == (placement.scaled[0] - 128, placement.scaled[1] - 128)


@pytest.mark.parametrize(("height", "width"), [(240, 320), (320, 240), (100, 1000)])
def test_an_exact_resize_is_as_exact_in_training_as_in_evaluation(height: int, width: int) -> None:
    clip = ClipSpec(frames=1, size=112, resize=(128, 171))
    training, evaluation = canvas_placement(clip, height, width, (0.3, 0.9)), evaluation_placement(clip, height, width)
    assert training.scaled == evaluation.scaled == (128, 171)
    assert (training.window, training.corner) == ((128, 171), (0, 0))


@pytest.mark.parametrize("canvas", [True, False])
@pytest.mark.parametrize("crop", [(0.0, 0.0), (0.5, 0.7), (1.0, 1.0)])
def test_a_box_lies_around_the_pixels_it_was_drawn_around(tmp_path: Path, canvas: bool, crop) -> None:
    from PIL import Image

    picture = np.zeros((120, 200, 3), np.uint8)
    picture[40:80, 80:130] = 255
    Image.fromarray(picture).save(tmp_path / "box.png")
    relative = torch.tensor([[80 / 200, 40 / 120, 130 / 200, 80 / 120]])
    spec = ClipSpec(frames=1, size=80, resize=96)
    with open_film(tmp_path / "box.png") as film:
        (clip,) = read_views(film, spec, [View(crop=crop)], start=None, end=None, canvas=canvas)
    rows, columns = (clip.pixels_cthw[0, 0] > 127).nonzero(as_tuple=True)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    (box,) = clip.placement.boxes(relative)
    assert box.tolist() == pytest.approx([float(edge) for edge in found], abs=1.01)
