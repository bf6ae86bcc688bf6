"""Noise against its formula, haze by hand, rain against the way that drops move."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import kstest, poisson
from torch import Tensor

from zoo_plugins.augment.degradation.haze import haze, random_haze
from zoo_plugins.augment.degradation.poisson_noise import Exposure, poisson_noise, random_poisson_noise
from zoo_plugins.augment.degradation.rain import Drops, rain, random_rain, streaks
from zoo_plugins.augment.photometric.noise import PixelNoise
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

BUILDERS = [random_poisson_noise, random_haze, random_rain]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    count = len(clips)
    return Batch({"clip_bcthw": clips}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def exposure(photons: float, read: float) -> Exposure:
    return Exposure(photons, read, PixelNoise(seeded(), torch.device("cpu")))


@pytest.mark.parametrize(("grey", "photons", "read"), [(0.2, 200.0, 0.0), (0.5, 1000.0, 0.03), (0.5, 50.0, 0.02)])
def test_noise_has_the_mean_and_variance_of_its_formula(grey, photons, read):
    noisy = poisson_noise(torch.full((3, 8, 96, 96), grey, dtype=torch.float64), exposure(photons, read))
    variance = grey / photons + read**2
    count = noisy.numel()
    assert abs(float(noisy.mean()) - grey) < 4 * (variance / count) ** 0.5
    # The variance of a sample variance is about 2 v^2 / n for what is nearly normal.
    assert abs(float(noisy.var()) / variance - 1) < 5 * (2 / count) ** 0.5


def test_counts_of_photons_follow_poissons_distribution():
    noisy = poisson_noise(torch.full((3, 4, 64, 64), 0.1, dtype=torch.float64), exposure(50.0, 0.0))
    counts = (noisy * 50).round().long().flatten().bincount(minlength=20)[:20]
    expected = poisson.pmf(range(20), 5.0) * noisy.numel()
    assert abs(counts.numpy() - expected).max() < 5 * expected.max() ** 0.5


def test_bytes_get_the_same_noise_as_floats():
    clip = torch.full((3, 2, 32, 32), 128, dtype=torch.uint8)
    from_bytes = poisson_noise(clip, exposure(100.0, 0.01))
    from_floats = poisson_noise(clip.float() / 255, exposure(100.0, 0.01))
    assert from_bytes.dtype == torch.uint8
    assert (from_bytes.float() / 255 - from_floats).abs().max() < 0.6 / 255


def test_noise_is_new_in_every_frame_and_the_same_for_a_seed():
    clips = torch.full((2, 3, 4, 16, 16), 0.5)
    augment = random_poisson_noise()
    once, again, other = (augment(batch_of(clips), seeded(seed)).inputs["clip_bcthw"] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once[0, :, 0], once[0, :, 1])


def test_haze_by_hand():
    """Depth 1, 0.75, 0.5 from top to bottom; I = J t + A (1 - t) with t = exp(-2 * depth)."""
    clip = torch.full((3, 1, 3, 2), 0.2, dtype=torch.float64)
    hazy = haze(clip, density=2.0, light=0.9, slope=0.5)
    for row, depth in enumerate((1.0, 0.75, 0.5)):
        through = math.exp(-2 * depth)
        assert hazy[:, :, row].flatten().tolist() == pytest.approx([0.2 * through + 0.9 * (1 - through)] * 6, abs=1e-6)
    as_bytes = haze(torch.full((3, 1, 3, 2), 51, dtype=torch.uint8), density=2.0, light=0.9, slope=0.5)
    assert as_bytes[0, 0, :, 0].tolist() == [205, 190, 164]  # 255 * (0.9 - 0.7 t): t = 0.1353, 0.2231, 0.3679


def test_no_haze_and_full_haze():
    clip = torch.randint(0, 256, (3, 2, 8, 8), dtype=torch.uint8, generator=seeded())
    assert torch.equal(haze(clip, density=0.0, light=0.8, slope=0.3), clip)
    assert haze(clip, density=50.0, light=0.8, slope=0.0).unique().tolist() == [204]  # 0.8 * 255


def drop(near: float = 1.0, speed: float = 3.0, angle: float = 0.0, length: float = 1.0, opacity: float = 0.5) -> Drops:
    return Drops(torch.tensor([[2.0, 5.0]]), torch.tensor([near]), speed, angle, length, opacity)


def test_a_drop_falls_by_its_speed_and_comes_in_again_at_the_top():
    layer = streaks(drop(), frames=5, height=10, width=8)
    places = [tuple(frame.nonzero()[0].tolist()) for frame in layer]
    assert places == [(2, 5), (5, 5), (8, 5), (1, 5), (4, 5)]
    assert layer.unique().tolist() == [0.0, 0.5]


def test_a_far_drop_is_slower_and_fainter():
    layer = streaks(drop(near=0.5, speed=4.0), frames=2, height=10, width=8)
    assert layer[0, 2, 5] == 0.25
    assert layer[1, 4, 5] == 0.25


def test_a_streak_reaches_back_along_the_fall():
    layer = streaks(drop(length=3.0), frames=1, height=10, width=8)[0]
    assert layer[:, 5].nonzero().flatten().tolist() == [0, 1, 2]
    slanting = streaks(drop(angle=90.0, length=3.0), frames=1, height=10, width=8)[0]
    assert (slanting > 0.01).nonzero().tolist() == [[2, 3], [2, 4], [2, 5]]


def test_rain_moves_on_as_a_whole_from_frame_to_frame():
    """Drops of one distance that fall by whole pixels: every frame is the one before, moved."""
    drops = Drops(torch.rand(30, 2, generator=seeded()) * 32, torch.ones(30), 5.0, 0.0, 7.0, 0.3)
    layer = streaks(drops, frames=6, height=32, width=32)
    for frame, following in pairwise(layer):
        assert torch.allclose(frame.roll(5, 0), following, atol=1e-4)


def test_painted_places_are_as_bright_as_the_formula_says():
    """0.5 of the background 100 and 0.5 of the light 0.9 * 255 = 229.5 is 164.75; everything else stays."""
    clip = torch.full((3, 1, 10, 8), 100, dtype=torch.uint8)
    wet = rain(clip, drop())
    assert wet[:, 0, 2, 5].tolist() == [165, 165, 165]
    assert int((wet != 100).sum()) == 3


def test_as_many_drops_as_asked_for():
    clips = torch.zeros(200, 3, 1, 100, 150)
    counts = [len(drops.start_n2) for drops in random_rain(drops=(20.0, 60.0)).draw(clips, seeded())]
    assert kstest([count / 1.5 for count in counts], "uniform", (20, 40)).pvalue > 1e-4


def test_parameters_are_uniform_in_their_ranges():
    clips = torch.zeros(3000, 3, 1, 2, 2)
    densities, lights = zip(*random_haze(density=(0.5, 1.0), light=(0.6, 0.8)).draw(clips, seeded()), strict=True)
    assert kstest(densities, "uniform", (0.5, 0.5)).pvalue > 1e-4
    assert kstest(lights, "uniform", (0.6, 0.2)).pvalue > 1e-4
    exposures = random_poisson_noise(photons=(10.0, 1000.0), read=(0.01, 0.02)).draw(clips, seeded())
    assert kstest([math.log10(each.photons) for each in exposures], "uniform", (1, 2)).pvalue > 1e-4
    assert kstest([each.read for each in exposures], "uniform", (0.01, 0.01)).pvalue > 1e-4


@pytest.mark.parametrize("build", BUILDERS)
def test_targets_stay_clean_and_others_are_left_out(build):
    clips = torch.randint(0, 256, (40, 3, 2, 24, 24), dtype=torch.uint8, generator=seeded())
    after = build(p=0.5)(batch_of(clips, clip_bcthw=clips), seeded())
    assert torch.equal(after.targets["clip_bcthw"], clips)
    changed = int((after.inputs["clip_bcthw"] != clips).flatten(1).any(1).sum())
    assert abs(changed - 20) < 4 * 10**0.5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: random_haze(light=(0.9, 0.5)), r"light goes from 0\.9 down to 0\.5\n.*\[0\.5, 0\.9\]"),
        (lambda: random_rain(speed=(9.0, 3.0)), r"speed goes from 9 down to 3\n.*\[3, 9\]"),
        (lambda: random_poisson_noise(photons=(99.0, 9.0)), r"photons goes from 99 down to 9\n.*\[9, 99\]"),
    ],
)
def test_ranges_in_the_wrong_order_say_what_to_write(build, message):
    with pytest.raises(ParameterError, match=message):
        build()
