"""Pixels prepared inside a file are those that the decoder prepares."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.data.clips.clip import read_clip
from zoo.data.clips.placement import evaluation_placement
from zoo.export.preparing import Preparation, Preparing, resampling
from zoo.export.raw_clips import whole_frames
from zoo_registry import ClipSpec
from zoo_registry.errors import ExportError
from zoo_registry.protocols import Sample


def resized(image: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    rows = resampling(torch.arange(image.shape[-2]), torch.tensor(height), torch.tensor(0), height, interpolation)
    columns = resampling(torch.arange(image.shape[-1]), torch.tensor(width), torch.tensor(0), width, interpolation)
    return rows @ image @ columns.T


@pytest.mark.parametrize("size", [(20, 31), (37, 53), (64, 100), (13, 200)])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resizing_is_torchs_antialiased_interpolation(size: tuple[int, int], mode: str) -> None:
    image = torch.rand(1, 1, 37, 53, generator=torch.Generator().manual_seed(0))

    expected = functional.interpolate(image, size=size, mode=mode, antialias=True, align_corners=False)

    torch.testing.assert_close(resized(image, *size, mode), expected, rtol=0, atol=2e-6)


def test_nearest_is_torchs_nearest_exact() -> None:
    image = torch.rand(1, 1, 37, 53, generator=torch.Generator().manual_seed(0))

    expected = functional.interpolate(image, size=(20, 31), mode="nearest-exact")

    assert torch.equal(resized(image, 20, 31, "nearest"), expected)


def test_area_is_the_mean_where_pixels_divide_evenly() -> None:
    image = torch.rand(1, 1, 36, 60, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(resized(image, 12, 20, "area"), functional.avg_pool2d(image, 3), rtol=0, atol=1e-6)


SPECS = [
    ClipSpec(frames=1, size=112, resize=128),
    ClipSpec(frames=1, size=(112, 160)),
    ClipSpec(frames=1, size=112, resize=(128, 171)),
    ClipSpec(frames=1, size=97),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("size", [(240, 320), (320, 240), (113, 113), (720, 1280), (144, 177), (479, 853)])
def test_the_window_is_where_evaluation_places_it(spec: ClipSpec, size: tuple[int, int]) -> None:
    """A picture whose grey levels are its own coordinates says where each pixel of the window came from."""
    height, width = size
    placement = evaluation_placement(spec, height, width)
    ramp = torch.arange(width).float().expand(height, width)[None, None, None]
    preparation = Preparation(spec)

    columns = preparation._weights(ramp)[1]

    found = columns @ torch.arange(width).float()
    step = width / placement.scaled[1]
    expected = (torch.arange(placement.window[1]) + placement.corner[1] + 0.5) * step - 0.5
    # At the edge the filter is cut off; elsewhere its centre of mass lies within a part of a pixel of its middle. One
    # pixel of the window is `step` of these.
    torch.testing.assert_close(found[3:-3], expected[3:-3], rtol=0, atol=0.2 * max(step, 1))


def test_real_films_come_out_as_the_decoder_prepares_them(shared: Path) -> None:
    spec = ClipSpec(frames=4, stride=2, size=112, resize=128, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    for name in ("basketball.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4"):
        film = str(shared / "clips" / name)
        preparation = Preparation(spec)

        found = preparation(whole_frames(Sample(film), spec)[None])

        ordinary = read_clip(film, spec)[None].float()
        apart = ((found - preparation.shift) / preparation.scale - ordinary).abs()
        neighbours = ordinary.diff(dim=-1).abs().mean()
        # swscale makes RGB of half-sized colours after scaling, this before.
        assert apart.mean() < min(1.6, neighbours), name


def test_colours_become_grey_for_a_model_of_one_channel() -> None:
    spec = ClipSpec(frames=1, size=2, mean=(0.5,), std=(0.5,))
    red = torch.zeros(1, 3, 1, 4, 4, dtype=torch.uint8)
    red[:, 0] = 255

    grey = Preparing(nn.Identity(), spec)(red)

    assert grey.shape == (1, 1, 1, 2, 2)
    torch.testing.assert_close(grey, torch.full_like(grey, (0.299 - 0.5) / 0.5))  # ITU-R BT.601


def test_a_spec_that_crops_more_than_it_has_is_refused() -> None:
    with pytest.raises(ExportError, match=r"resizes to 100 pixels and then crops 112x112"):
        Preparing(nn.Identity(), ClipSpec(frames=1, size=112, resize=100))
