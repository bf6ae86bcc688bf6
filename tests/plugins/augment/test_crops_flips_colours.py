"""Augmentations against torchvision's functions with the same parameters, and boxes against the pixels they frame."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from zoo_plugins.augment.geometric.horizontal_flip import horizontal_flip
from zoo_plugins.augment.geometric.random_crop import random_crop
from zoo_plugins.augment.geometric.random_resized_crop import draw_windows, random_resized_crop, resize
from zoo_plugins.augment.geometry import Window
from zoo_plugins.augment.photometric.color_jitter import color_jitter, jitter, turn_hue
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

SPEC = ClipSpec(frames=4, size=(24, 32))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    count = len(clips)
    return Batch({"clip_bcthw": clips}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def random_clips(count: int = 3, height: int = 40, width: int = 56) -> Tensor:
    return torch.randint(0, 256, (count, 3, 4, height, width), dtype=torch.uint8, generator=seeded(1))


def painted(squares: list[tuple[int, int, int, int]], height: int = 40, width: int = 56) -> tuple[Tensor, list[Tensor]]:
    """Black clips with one white rectangle (x1, y1, x2, y2) each, and these as boxes."""
    clips = torch.zeros(len(squares), 3, 2, height, width, dtype=torch.uint8)
    for clip, (x1, y1, x2, y2) in zip(clips, squares, strict=True):
        clip[..., y1:y2, x1:x2] = 255
    return clips, [torch.tensor([square], dtype=torch.float32) for square in squares]


def white_box(clip_cthw: Tensor) -> Tensor:
    """Where the white pixels of a clip are, as x1 y1 x2 y2."""
    rows, columns = torch.where(clip_cthw[0, 0] > 127)
    return torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=torch.float32)


# All built-in augmentations, as used by the checks that hold for each of them.
EVERY = {
    "random_resized_crop": random_resized_crop(clip=SPEC),
    "random_crop": random_crop(clip=SPEC),
    "random_crop_padded": random_crop(clip=SPEC, padding=4),
    "horizontal_flip": horizontal_flip(),
    "color_jitter": color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
}
each_augmentation = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)


@each_augmentation
def test_the_same_seed_gives_the_same_clips(augment):
    batch = batch_of(random_clips())
    once, again, other = (augment(batch, seeded(seed)).inputs["clip_bcthw"] for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@each_augmentation
def test_nothing_is_read_back_from_the_device(augment):
    """Tensors of the meta device have no values: reading one is an error, as it is a wait on a GPU."""
    clips, boxes = painted([(4, 6, 20, 20), (10, 10, 50, 30)])
    batch = batch_of(clips, boxes_n4=boxes, clip_bcthw=clips)
    here, there = augment(batch, seeded()), augment(batch.to("meta"), seeded())
    assert there.inputs["clip_bcthw"].device.type == "meta"
    assert there.inputs["clip_bcthw"].shape == here.inputs["clip_bcthw"].shape
    assert [boxes.shape for boxes in there.targets["boxes_n4"]] == [boxes.shape for boxes in here.targets["boxes_n4"]]


@each_augmentation
def test_every_frame_of_a_clip_is_changed_alike(augment):
    still = random_clips(8)[:, :, :1].expand(-1, -1, 4, -1, -1)
    clips = augment(batch_of(still), seeded()).inputs["clip_bcthw"]
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))


@each_augmentation
def test_samples_are_changed_differently(augment):
    alike = random_clips(1).expand(16, -1, -1, -1, -1)
    clips = augment(batch_of(alike), seeded()).inputs["clip_bcthw"]
    assert len({clip.numpy().tobytes() for clip in clips}) > 1


@each_augmentation
def test_bytes_stay_bytes_and_floats_stay_floats(augment):
    clips = random_clips()
    from_bytes = augment(batch_of(clips), seeded()).inputs["clip_bcthw"]
    from_floats = augment(batch_of(clips.float() / 255), seeded()).inputs["clip_bcthw"]
    assert from_bytes.dtype == torch.uint8
    assert from_floats.dtype == torch.float32
    assert (from_bytes.float() / 255 - from_floats).abs().max() <= 1 / 255  # rounding to whole grey levels


@each_augmentation
def test_the_batch_that_went_in_is_unchanged(augment):
    clips, boxes = painted([(4, 6, 20, 20), (10, 10, 50, 30)])
    batch = batch_of(clips, boxes_n4=boxes, label_b=torch.tensor([1, 0]))
    before = batch_of(clips.clone(), boxes_n4=[box.clone() for box in boxes], label_b=torch.tensor([1, 0]))
    after = augment(batch, seeded())
    assert torch.equal(batch.inputs["clip_bcthw"], before.inputs["clip_bcthw"])
    assert all(torch.equal(*pair) for pair in zip(batch.targets["boxes_n4"], before.targets["boxes_n4"], strict=True))
    assert torch.equal(after.targets["label_b"], before.targets["label_b"])
    assert torch.equal(after.index, batch.index)


def test_resized_windows_equal_torchvisions():
    clip = random_clips(1)[0]
    window = Window(top=5, left=7, height=21, width=30)
    expected = reference.resized_crop(clip.transpose(0, 1), 5, 7, 21, 30, [24, 32], antialias=True).transpose(0, 1)
    assert torch.equal(resize(window.cut(clip, Fraction(1)), (24, 32)), expected)


def test_drawn_windows_follow_torchvisions_distribution():
    """Areas and shapes of 4,000 windows have the quartiles that torchvision's own draws have."""
    scale, ratio, picture = (0.2, 0.9), (0.6, 1.7), torch.zeros(3, 128, 171)
    torch.manual_seed(0)
    theirs = [v2.RandomResizedCrop(8, scale, ratio).make_params([picture]) for _ in range(4000)]
    ours = draw_windows(4000, (128, 171), scale, ratio, seeded())

    def quartiles(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))

    # 0.03: three standard errors of a quartile of 4,000 uniform draws over a range of about one.
    for measure in (
        lambda top, left, height, width: height * width / (128 * 171),
        lambda top, left, height, width: width / height,
        lambda top, left, height, width: (top + height / 2) / 128,
        lambda top, left, height, width: (left + width / 2) / 171,
    ):
        expected = quartiles([measure(w["top"], w["left"], w["height"], w["width"]) for w in theirs])
        measured = quartiles([measure(w.top, w.left, w.height, w.width) for w in ours])
        assert (expected - measured).abs().max() < 0.03


def test_a_window_that_cannot_fit_becomes_the_middle():
    """A strip of 10x100 has no window of full area with width / height <= 2: its middle 10x20 is taken."""
    windows = draw_windows(5, (10, 100), (1.0, 1.0), (0.5, 2.0), seeded())
    assert set(windows) == {Window(top=0, left=40, height=10, width=20)}


def test_random_crop_reaches_every_place_equally_often():
    places = torch.arange(6).view(1, 1, 1, 1, 6).expand(3000, 3, 1, 4, 6).to(torch.uint8)
    crops = random_crop(clip=ClipSpec(frames=1, size=4))(batch_of(places), seeded()).inputs["clip_bcthw"]
    counts = crops[:, 0, 0, 0, 0].bincount(minlength=3)
    assert counts.shape == (3,)
    assert (counts - 1000).abs().max() < 3 * (3000 * (1 / 3) * (2 / 3)) ** 0.5  # three standard deviations


def test_random_crop_cuts_what_torchvision_cuts():
    clips = random_clips(1, height=24, width=34)  # room to move sideways only: three places
    crop = random_crop(clip=SPEC)(batch_of(clips), seeded()).inputs["clip_bcthw"][0]
    assert any(torch.equal(crop, reference.crop(clips[0], 0, left, 24, 32)) for left in range(3))


def test_padding_of_random_crop_is_black():
    white = torch.full((64, 3, 1, 8, 8), 255, dtype=torch.uint8)
    crops = random_crop(clip=ClipSpec(frames=1, size=8), padding=2)(batch_of(white), seeded()).inputs["clip_bcthw"]
    assert crops.shape == white.shape
    assert set(crops.unique().tolist()) == {0, 255}
    assert int((crops == 255).flatten(1).sum(1).min()) == 3 * 6 * 6  # moved by two in both directions


def test_random_crop_says_when_clips_are_too_small():
    with pytest.raises(ParameterError, match=r"cannot cut 24x32 from clips of 20x40\n.*data\.clip\.resize"):
        random_crop(clip=SPEC)(batch_of(random_clips(height=20, width=40)), seeded())


def test_a_scale_in_the_wrong_order_is_an_error():
    with pytest.raises(ParameterError, match=r"scale goes from 0\.9 down to 0\.2\n.*\[0\.2, 0\.9\]"):
        random_resized_crop(clip=SPEC, scale=(0.9, 0.2))


def test_flips_happen_as_often_as_asked():
    clips = torch.arange(2).view(1, 1, 1, 1, 2).expand(4000, 3, 1, 1, 2).to(torch.uint8)
    flipped = horizontal_flip(p=0.3)(batch_of(clips), seeded()).inputs["clip_bcthw"][:, 0, 0, 0, 0]
    assert abs(int(flipped.sum()) - 1200) < 3 * (4000 * 0.3 * 0.7) ** 0.5


def test_a_flip_equals_torchvisions():
    clips = random_clips()
    assert torch.equal(
        horizontal_flip(p=1.0)(batch_of(clips), seeded()).inputs["clip_bcthw"], reference.horizontal_flip(clips)
    )


@pytest.mark.parametrize(
    ("position", "factor", "adjust"),
    [(0, 0.6, reference.adjust_brightness), (0, 1.7, reference.adjust_brightness), (1, 0.5, reference.adjust_contrast),
     (1, 1.8, reference.adjust_contrast), (2, 0.0, reference.adjust_saturation), (2, 1.9, reference.adjust_saturation)],
)  # fmt: skip
def test_colours_change_as_torchvisions_do(position, factor, adjust):
    clips = random_clips().float() / 255
    factors = [torch.ones(3, 1, 1, 1, 1) for _ in range(3)]
    factors[position] *= factor
    expected = adjust(clips.transpose(1, 2), factor).transpose(1, 2)  # torchvision's channels are the third from last
    assert (jitter(clips, *factors) - expected).abs().max() < 1e-6  # rounding of float32


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hue_turns_as_torchvisions_does(turn):
    clips = random_clips().float() / 255
    clips[:, :, 0] = 0.5  # grey has no hue and must stay
    expected = reference.adjust_hue(clips.transpose(1, 2), turn).transpose(1, 2)
    assert (turn_hue(clips, torch.full((3, 1, 1, 1, 1), turn)) - expected).abs().max() < 1e-5  # float32, through HSV


def test_a_whole_jitter_equals_torchvisions_steps_in_the_documented_order():
    clips = random_clips(1).float() / 255
    augment = color_jitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    brightness, contrast, saturation, hue = torch.rand(4, 1, generator=seeded(5)).flatten().tolist()
    expected = reference.adjust_brightness(clips[0].transpose(0, 1), 0.7 + 0.6 * brightness)
    expected = reference.adjust_contrast(expected, 0.7 + 0.6 * contrast)
    expected = reference.adjust_saturation(expected, 0.7 + 0.6 * saturation)
    expected = reference.adjust_hue(expected, -0.1 + 0.2 * hue).transpose(0, 1)
    jittered = augment(batch_of(clips), seeded(5)).inputs["clip_bcthw"][0]
    assert (jittered - expected).abs().max() < 1e-5  # float32, four steps


def test_jittered_bytes_equal_torchvisions_within_two_grey_levels():
    """torchvision cuts bytes off where ours are rounded, and takes the mean of whole grey levels."""
    clips = random_clips(1)
    contrast = 0.5 + float(torch.rand(4, 1, generator=seeded(5))[1])
    expected = reference.adjust_contrast(clips[0].transpose(0, 1), contrast).transpose(0, 1)
    jittered = color_jitter(contrast=0.5)(batch_of(clips), seeded(5)).inputs["clip_bcthw"][0]
    assert (jittered.int() - expected.int()).abs().max() <= 2


def test_colour_factors_fill_their_range():
    white_and_dark = torch.full((2000, 3, 1, 2, 2), 0.5)
    factors = color_jitter(brightness=0.4)(batch_of(white_and_dark), seeded()).inputs["clip_bcthw"][:, 0, 0, 0, 0] * 2
    assert 0.6 <= factors.min() < 0.61
    assert 1.39 < factors.max() <= 1.4
    assert abs(float(factors.mean()) - 1) < 3 * (0.8**2 / 12 / 2000) ** 0.5


SQUARES = [(20, 12, 36, 26), (24, 14, 34, 28), (22, 10, 38, 30), (16, 16, 40, 24)]


@pytest.mark.parametrize(
    "augment", [random_crop(clip=SPEC), random_crop(clip=SPEC, padding=3), horizontal_flip()], ids=str
)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_frame_the_moved_pixels(augment, seed):
    clips, boxes = painted(SQUARES)
    moved = augment(batch_of(clips, boxes_n4=boxes), seeded(seed))
    for clip, box in zip(moved.inputs["clip_bcthw"], moved.targets["boxes_n4"], strict=True):
        assert torch.equal(box[0], white_box(clip))


@pytest.mark.parametrize("seed", range(4))
def test_boxes_follow_a_resized_crop(seed):
    clips, boxes = painted(SQUARES)
    moved = random_resized_crop(clip=SPEC, scale=(0.6, 1.0))(batch_of(clips, boxes_n4=boxes), seeded(seed))
    for clip, box in zip(moved.inputs["clip_bcthw"], moved.targets["boxes_n4"], strict=True):
        assert (
            box[0] - white_box(clip)
        ).abs().max() <= 0.5 + 1e-3  # an edge inside a pixel paints more or less than half


def test_a_box_outside_the_window_has_no_area():
    boxes = Window(top=10, left=10, height=10, width=10).move_boxes(torch.tensor([[0.0, 0.0, 5.0, 30.0]]), (10, 10))
    assert boxes.tolist() == [[0.0, 0.0, 0.0, 10.0]]


@pytest.mark.parametrize(
    "augment", [random_crop(clip=SPEC), random_crop(clip=SPEC, padding=2), horizontal_flip()], ids=str
)
def test_target_clips_move_along_at_their_own_scale(augment):
    """The target is the input enlarged twice by repeating pixels, and must still be afterwards (super-resolution)."""
    clips = random_clips()
    target = clips.repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved = augment(batch_of(clips, clip_bcthw=target), seeded())
    enlarged = moved.inputs["clip_bcthw"].repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.equal(moved.targets["clip_bcthw"], enlarged)


def test_target_clips_keep_their_colours():
    clips = random_clips()
    moved = color_jitter(brightness=0.5, hue=0.2)(batch_of(clips, clip_bcthw=clips), seeded())
    assert torch.equal(moved.targets["clip_bcthw"], clips)
    assert not torch.equal(moved.inputs["clip_bcthw"], clips)


def test_a_target_clip_of_a_resized_crop_keeps_its_scale():
    clips = random_clips()
    target = clips.repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved = random_resized_crop(clip=SPEC)(batch_of(clips, clip_bcthw=target), seeded())
    assert moved.targets["clip_bcthw"].shape[-2:] == (48, 64)
