"""Down-sampling against PIL, motion blur against hand calculation and rotation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import convolve
from scipy.stats import kstest
from torch import Tensor

import zoo
from zoo_plugins.augment.degradation.downsample import downsample, lanczos, random_downsample
from zoo_plugins.augment.degradation.motion_blur import line, motion_blur, random_motion_blur
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError


@pytest.fixture(scope="module")
def film(shared: Path) -> Tensor:
    """Two frames, (3, 2, 90, 126) bytes."""
    return zoo.read_clip(shared / "clips" / "bikes.mp4", ClipSpec(frames=2, stride=8, size=(90, 126)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_pil(film: Tensor, small: tuple[int, int], down: Image.Resampling, up: Image.Resampling) -> Tensor:
    """The same channel by channel in PIL's floats, which are not rounded in between."""
    height, width = film.shape[-2:]

    def there_and_back(plane: Tensor) -> Tensor:
        picture = Image.fromarray(plane.float().numpy()).resize(small[::-1], down).resize((width, height), up)
        return torch.from_numpy(np.array(picture))

    planes = [there_and_back(plane) for plane in film.flatten(0, 1)]
    return torch.stack(planes).view(film.shape).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(
    ("kernel", "filtered"),
    [
        ("nearest", Image.Resampling.NEAREST),
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
@pytest.mark.parametrize(("factor", "small"), [(2.0, (45, 63)), (4.15, (22, 30))])
def test_filters_are_pils(film, kernel, filtered, factor, small):
    """90 / 4.15 = 21.7 and 126 / 4.15 = 30.4."""
    ours = downsample(film, factor, kernel, kernel)
    assert (ours.int() - by_pil(film, small, filtered, filtered).int()).abs().max() <= 1
    floats = downsample(film.float() / 255, factor, kernel, kernel)
    assert (floats * 255 - ours).abs().max() <= 0.51


def test_area_is_the_mean_of_what_a_pixel_covers(film):
    means = film.float().unflatten(-1, (42, 3)).unflatten(-3, (30, 3)).mean((-1, -3))
    expected = means.repeat_interleave(3, -1).repeat_interleave(3, -2).round().to(torch.uint8)
    assert torch.equal(downsample(film, 3.0, "area", "nearest"), expected)


def test_lanczos_is_bounded_by_three_lobes_and_keeps_grey():
    weights = lanczos(40, 10)
    assert torch.allclose(weights.sum(1), torch.ones(10, dtype=torch.float64))
    assert weights[5].nonzero().flatten().tolist() == list(range(10, 34))  # centre 22, 3 lobes of 4 pixels on each side


def test_a_factor_of_one_changes_nothing(film):
    for kernel in ("nearest", "bilinear", "bicubic", "area", "lanczos"):
        assert torch.equal(downsample(film, 1.0, kernel, kernel), film), kernel


def test_factors_are_uniform():
    clips = torch.zeros(3000, 3, 1, 1, 1)
    drawn = random_downsample(factor=(1.5, 4.0)).draw(clips, seeded())
    assert kstest(drawn, "uniform", (1.5, 2.5)).pvalue > 1e-4


def test_a_short_horizontal_motion_is_a_mean_of_neighbours():
    """By hand: a motion of three pixels to the right spreads a point over three pixels, a third each."""
    point = torch.zeros(3, 1, 5, 7, dtype=torch.float64)
    point[:, 0, 2, 3] = 0.9
    expected = torch.zeros_like(point)
    expected[:, 0, 2, 2:5] = 0.3
    assert torch.allclose(motion_blur(point, 3.0, 0.0), expected)
    assert torch.allclose(motion_blur(point, 3.0, 180.0), expected)
    upright = motion_blur(point, 3.0, 90.0)
    assert torch.allclose(upright[0, 0, 1:4, 3], torch.full((3,), 0.3, dtype=torch.float64))


def test_a_diagonal_motion_goes_up_to_the_right():
    """Rows count downwards: 45 degrees anticlockwise is less row for more column.

    By hand: 1 + 2 * sqrt(2) goes from the middle of one diagonal neighbour to the other, in four samples of a quarter
    each. The inner ones lie a third of the way out, and a ninth of each belongs to the neighbour.
    """
    weights = line(1 + 2 * 2**0.5, 45.0)
    assert weights[-1, 1] == pytest.approx(0.25 + 0.25 / 9, abs=1e-6)
    assert weights[1, -1] == pytest.approx(0.25 + 0.25 / 9, abs=1e-6)
    assert (1, 1) not in weights


@pytest.mark.parametrize(("length", "angle"), [(1.0, 10.0), (4.5, 30.0), (9.0, 77.0), (15.0, 160.0), (2.2, 123.0)])
def test_weights_sum_to_one_and_lie_along_the_line(length, angle):
    weights = line(length, angle)
    total = sum(weights.values())
    assert total == pytest.approx(1)
    y = sum(row * weight for (row, _), weight in weights.items())
    x = sum(column * weight for (_, column), weight in weights.items())
    assert (y, x) == pytest.approx((0, 0), abs=1e-9)
    for row, column in weights:
        across = row * np.cos(np.radians(angle)) + column * np.sin(np.radians(angle))
        assert abs(across) < 2**0.5
        assert np.hypot(row, column) < (length - 1) / 2 + 2**0.5


def test_blur_is_scipys_convolution(film):
    weights = line(9.0, 35.0)
    kernel = np.zeros((11, 11))
    for (row, column), weight in weights.items():
        kernel[5 - row, 5 - column] = weight  # a convolution mirrors its kernel
    planes = film.flatten(0, 1).double().numpy()
    expected = torch.from_numpy(np.stack([convolve(plane, kernel, mode="nearest") for plane in planes]))
    assert (motion_blur(film, 9.0, 35.0).double() - expected.view(film.shape)).abs().max() <= 0.501


def test_motions_are_uniform_in_length_and_direction():
    clips = torch.zeros(3000, 3, 1, 1, 1)
    lengths, angles = zip(*random_motion_blur(length=(3.0, 9.0), angle=(0.0, 90.0)).draw(clips, seeded()), strict=True)
    assert kstest(lengths, "uniform", (3, 6)).pvalue > 1e-4
    assert kstest(angles, "uniform", (0, 90)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: random_downsample(factor=(4.0, 2.0)), r"factor goes from 4 down to 2\n.*\[2, 4\]"),
        (lambda: random_motion_blur(length=(9.0, 3.0)), r"length goes from 9 down to 3\n.*\[3, 9\]"),
    ],
)
def test_ranges_in_the_wrong_order_say_what_to_write(build, message):
    with pytest.raises(ParameterError, match=message):
        build()
