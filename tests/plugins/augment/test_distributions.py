"""Draws that no other test here compares with their declared distribution: Kolmogorov-Smirnov, chi-square, binomial."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import binomtest, chisquare, kstest

from tests.plugins.augment.moving_pictures import batch_of, seeded
from zoo_plugins.augment.audio.audio_gain import audio_gain
from zoo_plugins.augment.erasing.cutout import cutout
from zoo_plugins.augment.geometric.multi_scale_crop import multi_scale_crop
from zoo_plugins.augment.geometric.short_side_scale import short_side_scale
from zoo_plugins.augment.photometric.gaussian_noise import random_gaussian_noise
from zoo_plugins.augment.temporal.frame_drop import frame_drop
from zoo_plugins.augment.temporal.frame_repeat import frame_repeat
from zoo_plugins.augment.temporal.segment_shuffle import segment_shuffle
from zoo_plugins.augment.temporal.speed_jitter import speed_jitter
from zoo_registry import ClipSpec
from zoo_registry.protocols import Batch

MANY = 2000


def timed(count: int, frames: int) -> Batch:
    """Clips of one pixel whose float values say which frame it is."""
    values = torch.arange(frames, dtype=torch.float64) / frames
    return batch_of(values.view(1, 1, -1, 1, 1).expand(count, 3, -1, 1, 1))


def shown(batch: Batch, frames: int) -> torch.Tensor:
    """(B, T) which frame stands at each place."""
    return (batch.inputs["clip_bcthw"][:, 0, :, 0, 0] * frames).round().long()


def test_short_sides_are_uniform():
    """Read off windows of a picture so large that whole pixels of a window are fine steps of the length."""
    (draw,) = short_side_scale(clip=ClipSpec(frames=1, size=224)).draws
    inside = draw(MANY, (25600, 34000), seeded()).inside_b4
    short_side = 224 * 25600 / (inside[:, 3] - inside[:, 1])
    assert kstest(short_side.tolist(), "uniform", (256, 64)).pvalue > 1e-4


def test_sizes_and_places_of_multi_scale_windows_are_equally_likely():
    """Of four scales and neighbours only there are ten pairs, each at thirteen places."""
    (draw,) = multi_scale_crop(clip=ClipSpec(frames=1, size=224)).draws
    inside = draw(8000, (1000, 2000), seeded()).inside_b4.long()
    sizes = Counter((int(y2 - y1), int(x2 - x1)) for x1, y1, x2, y2 in inside.tolist())
    assert len(sizes) == 10
    assert chisquare([*sizes.values()]).pvalue > 1e-4
    places = Counter((x1, y1) for x1, y1, x2, y2 in inside.tolist() if y2 - y1 == x2 - x1 == 750)
    assert len(places) == 13
    assert chisquare([*places.values()]).pvalue > 1e-4


def test_centres_of_holes_are_uniform_over_the_pixels():
    batch = batch_of(torch.full((MANY, 3, 1, 31, 47), 255, dtype=torch.uint8))
    erased = cutout(clip=None, size=1 / 31)(batch, seeded()).inputs["clip_bcthw"][:, 0, 0] == 0
    where = erased.nonzero()
    assert len(where) == MANY  # one pixel in each
    rows, columns = where[:, 1].bincount(minlength=31), where[:, 2].bincount(minlength=47)
    assert chisquare(rows.tolist()).pvalue > 1e-4
    assert chisquare(columns.tolist()).pvalue > 1e-4


def test_speeds_are_uniform_and_parts_begin_anywhere():
    frames = 1000
    at = shown(speed_jitter(part=(0.4, 0.9))(timed(MANY, frames), seeded()), frames)
    part = (at[:, -1] - at[:, 0]) / (frames - 1)
    assert kstest(part.tolist(), "uniform", (0.4, 0.5)).pvalue > 1e-4
    assert kstest((at[:, 0] / frames / (1 - part)).tolist(), "uniform", (0, 1)).pvalue > 1e-4


@pytest.mark.parametrize("augment", [frame_drop(p=0.2), frame_repeat(p=0.2)], ids=["frame_drop", "frame_repeat"])
def test_each_frame_is_lost_or_shown_again_as_often_as_asked(augment):
    """A frame that equals the one before it was dropped or repeated; the first never is."""
    at = shown(augment(timed(MANY, 16), seeded()), 16)
    again = int((at[:, 1:] == at[:, :-1]).sum())
    assert binomtest(again, MANY * 15, 0.2).pvalue > 1e-4


def test_segments_stand_in_every_order_equally_often():
    at = shown(segment_shuffle(segments=3)(timed(MANY, 3), seeded()), 3)
    orders = Counter(map(tuple, at.tolist()))
    assert len(orders) == 6
    assert chisquare([*orders.values()]).pvalue > 1e-4


def test_deviations_of_noise_are_uniform():
    clips = torch.full((400, 3, 1, 40, 40), 0.5)
    noisy = random_gaussian_noise(sigma=(0.02, 0.1), p=1.0)(batch_of(clips), seeded()).inputs["clip_bcthw"]
    assert kstest(noisy.flatten(1).std(1).tolist(), "uniform", (0.02, 0.08)).pvalue > 1e-4


def test_gains_are_uniform_in_decibels():
    sound = Batch({"audio_bcn": torch.full((MANY, 1, 4), 0.1)}, {}, torch.arange(MANY), torch.zeros(MANY))
    louder = audio_gain(db=(-9.0, 3.0))(sound, seeded()).inputs["audio_bcn"][:, 0, 0] / 0.1
    assert kstest((20 * louder.log10()).tolist(), "uniform", (-9, 12)).pvalue > 1e-4
