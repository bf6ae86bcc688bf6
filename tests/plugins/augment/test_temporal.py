"""Frames of a clip in another order."""

from __future__ import annotations

import doctest

import pytest
import torch
from torch import Tensor

from zoo_plugins.augment.temporal import (
    frame_order,
)
from zoo_plugins.augment.temporal import (
    segment_shuffle as segment_shuffle_module,
)
from zoo_plugins.augment.temporal import (
    speed_jitter as speed_module,
)
from zoo_plugins.augment.temporal.frame_drop import frame_drop
from zoo_plugins.augment.temporal.frame_repeat import frame_repeat
from zoo_plugins.augment.temporal.reverse import reverse
from zoo_plugins.augment.temporal.segment_shuffle import segment_shuffle
from zoo_plugins.augment.temporal.speed_jitter import speed_jitter
from zoo_plugins.augment.temporal.temporal_crop import temporal_crop
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

FRAMES = 16
EVERY: dict[str, Augment] = {
    "speed_jitter": speed_jitter(part=(0.3, 0.8)),
    "reverse": reverse(),
    "frame_drop": frame_drop(p=0.3),
    "frame_repeat": frame_repeat(p=0.3),
    "temporal_crop": temporal_crop(frames=5),
    "temporal_crop_short": temporal_crop(frames=5, loop=False),
    "segment_shuffle": segment_shuffle(),
}
each_augmentation = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 4, frames: int = FRAMES, **targets: object) -> Batch:
    """Clips in which every pixel says the number of its frame."""
    clip = torch.arange(frames, dtype=torch.uint8).view(1, 1, -1, 1, 1).expand(count, 3, frames, 4, 6).contiguous()
    return Batch({"clip_bcthw": clip}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def shown(batch: Batch) -> Tensor:
    """(B, T) int64: which frame is seen at each place."""
    clip = batch.inputs["clip_bcthw"]
    assert torch.equal(clip, clip[:, :1, :, :1, :1].expand_as(clip)), "a frame is made of several"
    return clip[:, 0, :, 0, 0].long()


@each_augmentation
def test_frames_are_moved_and_their_pixels_left_alone(augment):
    clip = torch.randint(0, 256, (3, 3, FRAMES, 5, 7), dtype=torch.uint8, generator=seeded(1))
    batch = numbered(3)
    order = shown(augment(batch, seeded(2)))
    batch.inputs["clip_bcthw"] = clip
    moved = augment(batch, seeded(2)).inputs["clip_bcthw"]
    for sample, frames in enumerate(order.tolist()):
        for place, frame in enumerate(frames):
            assert torch.equal(moved[sample, :, place], clip[sample, :, frame])


@each_augmentation
def test_what_is_known_of_each_frame_moves_along(augment):
    batch = numbered()
    own = batch.inputs["clip_bcthw"]
    large = own.repeat_interleave(2, -1).repeat_interleave(2, -2).float() / 255
    batch.targets |= {
        "clip_bcthw": large,
        "mask_bthw": own[:, 0],
        "label_bt": own[:, 0, :, 0, 0].long(),
        "caption": ["a", "b", "c", "d"],
        "label_b": torch.arange(4),
        "boxes_n4": [torch.ones(1, 4)] * 4,
    }
    moved = augment(batch, seeded(3))
    order = shown(moved)
    assert torch.equal((moved.targets["clip_bcthw"][:, 0, :, 0, 0] * 255).round().long(), order)
    assert torch.equal(moved.targets["mask_bthw"][:, :, 0, 0].long(), order)
    assert torch.equal(moved.targets["label_bt"], order)
    assert all(moved.targets[key] is batch.targets[key] for key in ("caption", "label_b", "boxes_n4"))


@each_augmentation
def test_samples_are_moved_differently_and_by_the_seed(augment):
    once, again, other = (shown(augment(numbered(16), seeded(seed))) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len(set(map(tuple, once.tolist()))) > 1


@each_augmentation
def test_clips_that_do_not_lie_in_one_piece_are_moved_too(augment):
    batch = numbered()
    turned = batch.inputs["clip_bcthw"].transpose(1, 2).contiguous().transpose(1, 2)
    expected = shown(augment(batch, seeded(5)))
    batch.inputs["clip_bcthw"] = turned
    assert torch.equal(shown(augment(batch, seeded(5))), expected)


@pytest.mark.parametrize("augment", [each for name, each in EVERY.items() if name != "temporal_crop_short"])
def test_the_length_stays(augment):
    assert shown(augment(numbered(), seeded())).shape == (4, FRAMES)


def test_reverse_plays_backwards_as_often_as_asked():
    order = shown(reverse(p=0.3)(numbered(2000), seeded()))
    forwards = torch.arange(FRAMES)
    backwards = (order == forwards.flip(0)).all(1)
    assert (backwards | (order == forwards).all(1)).all()
    assert abs(int(backwards.sum()) - 600) < 3 * (2000 * 0.3 * 0.7) ** 0.5


def test_a_fixed_speed_resamples_by_the_nearest_frame():
    """Half of 8 frames from the drawn start on, in 8 places: place t lies at start + (t + 0.5) / 2."""
    order = shown(speed_jitter(part=(0.5, 0.5))(numbered(200, 8), seeded()))
    starts = [float(draw) * 4 for draw in _place_draws(200)]
    assert order.tolist() == [[int(start + (t + 0.5) / 2) for t in range(8)] for start in starts]


def _place_draws(count: int) -> Tensor:
    generator = seeded()
    torch.rand(count, 1, generator=generator)
    return torch.rand(2, count, 1, generator=generator, dtype=torch.float64)[1]


def test_speed_jitter_shows_parts_of_the_declared_lengths():
    """The last frame less the first, over the length: uniform in 0.25..0.75 but for one frame of rounding."""
    order = shown(speed_jitter(part=(0.25, 0.75))(numbered(3000, 200), seeded()))
    assert (order.diff(dim=1) >= 0).all()
    parts = (order[:, -1] - order[:, 0]).double() / 200
    assert 0.24 <= parts.min() < 0.26
    assert 0.74 < parts.max() <= 0.75
    assert abs(float(parts.mean()) - 0.5) < 3 * 0.5 / (12 * 3000) ** 0.5 + 1 / 200
    starts = order[:, 0] / (200 * (1 - parts))
    assert abs(float(starts.mean()) - 0.5) < 3 / (12 * 3000) ** 0.5 + 1 / 100


def test_the_whole_clip_is_left_alone():
    assert torch.equal(shown(speed_jitter(part=(1.0, 1.0))(numbered(), seeded())), shown(numbered()))
    assert torch.equal(shown(speed_jitter(part=(0.1, 0.1), p=0.0)(numbered(), seeded())), shown(numbered()))


def test_a_dropped_frame_shows_the_one_before():
    order = shown(frame_drop(p=0.4)(numbered(500), seeded()))
    there = order == torch.arange(FRAMES)
    assert there[:, 0].all()
    dropped = ~there[:, 1:]
    assert torch.equal(order[:, 1:][dropped], order[:, :-1][dropped])
    assert abs(float(dropped.double().mean()) - 0.4) < 3 * (0.4 * 0.6 / dropped.numel()) ** 0.5


def test_a_repeated_frame_delays_all_that_follow():
    order = shown(frame_repeat(p=0.4)(numbered(500), seeded()))
    steps = order.diff(dim=1)
    assert (order[:, 0] == 0).all()
    assert set(steps.unique().tolist()) == {0, 1}
    assert abs(float((steps == 0).double().mean()) - 0.4) < 3 * (0.4 * 0.6 / steps.numel()) ** 0.5


def test_all_frames_dropped_or_repeated_is_a_still():
    for augment in (frame_drop(p=1.0), frame_repeat(p=1.0)):
        assert not shown(augment(numbered(), seeded())).any()


def test_a_crop_is_consecutive_and_starts_anywhere():
    order = shown(temporal_crop(frames=10, loop=False)(numbered(2100), seeded()))
    assert order.shape == (2100, 10)
    assert (order.diff(dim=1) == 1).all()
    counts = order[:, 0].bincount(minlength=7)
    assert counts.shape == (7,)
    assert (counts - 300).abs().max() < 4 * (2100 * (1 / 7) * (6 / 7)) ** 0.5


def test_a_looped_crop_starts_again():
    order = shown(temporal_crop(frames=5)(numbered(), seeded()))
    assert torch.equal(order, torch.stack([row[0] + torch.arange(FRAMES) % 5 for row in order]))


@pytest.mark.parametrize(("frames", "lengths"), [(8, [2, 2, 2, 2]), (10, [2, 3, 2, 3]), (4, [1, 1, 1, 1])])
def test_segments_are_shuffled_whole(frames, lengths):
    starts = [sum(lengths[:each]) for each in range(4)]
    whole = [tuple(range(start, start + length)) for start, length in zip(starts, lengths, strict=True)]
    seen = set()
    for row in shown(segment_shuffle(segments=4)(numbered(300, frames), seeded())).tolist():
        assert sorted(row) == list(range(frames))
        order = sorted(range(4), key=lambda each: row.index(starts[each]))
        assert row == [frame for each in order for frame in whole[each]]
        seen.add(tuple(order))
    assert len(seen) == 24


def test_too_few_frames_are_said():
    with pytest.raises(
        ParameterError, match=r"cannot cut 17 frames from clips of 16\n.*data\.clip\.frames to at least 17"
    ):
        temporal_crop(frames=17)(numbered(), seeded())
    with pytest.raises(ParameterError, match=r"clips of 16 frames into 17 segments\n.*at most 16"):
        segment_shuffle(segments=17)(numbered(), seeded())
    with pytest.raises(ParameterError, match=r"part goes from 0\.9 down to 0\.2\n.*\[0\.2, 0\.9\]"):
        speed_jitter(part=(0.9, 0.2))


def test_a_target_of_another_length_is_said():
    batch = numbered(2, clip_bcthw=torch.zeros(2, 3, 2 * FRAMES, 4, 6))
    with pytest.raises(ParameterError, match="the target clip_bcthw has 32 frames and the clip 16"):
        reverse()(batch, seeded())


@pytest.mark.parametrize("module", [frame_order, speed_module, segment_shuffle_module])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
