"""Boxes, masks and target clips go where the pixels go; nothing else about a batch changes."""

from __future__ import annotations

import pickle

import pytest
import torch

from tests.plugins.augment.moving_pictures import batch_of, painted, random_clips, seeded, white_box
from zoo_plugins.augment.geometric.affine import affine
from zoo_plugins.augment.geometric.horizontal_flip import horizontal_flip
from zoo_plugins.augment.geometric.multi_scale_crop import multi_scale_crop
from zoo_plugins.augment.geometric.perspective import perspective
from zoo_plugins.augment.geometric.random_crop import random_crop
from zoo_plugins.augment.geometric.random_resized_crop import random_resized_crop
from zoo_plugins.augment.geometric.rotate import rotate
from zoo_plugins.augment.geometric.shear import shear
from zoo_plugins.augment.geometric.short_side_scale import short_side_scale
from zoo_plugins.augment.geometric.stage import move_boxes, windows
from zoo_plugins.augment.geometric.translate import translate
from zoo_plugins.augment.geometric.vertical_flip import vertical_flip
from zoo_plugins.augment.geometric.zoom import zoom
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

SPEC = ClipSpec(frames=4, size=(24, 32))

WHOLE_PIXELS = {
    "random_crop": random_crop(clip=SPEC),
    "random_crop, padded": random_crop(clip=SPEC, padding=4),
    "horizontal_flip": horizontal_flip(),
    "vertical_flip": vertical_flip(),
    "translate": translate(translate=(0.2, 0.2)),
    "flip and crop": horizontal_flip().fused(random_crop(clip=SPEC)),
}
BETWEEN_PIXELS = {
    "random_resized_crop": random_resized_crop(clip=SPEC, scale=(0.6, 1.0)),
    "multi_scale_crop": multi_scale_crop(clip=SPEC),
    "short_side_scale": short_side_scale(clip=SPEC, min_size=34, max_size=40),
    "rotate": rotate(degrees=40.0),
    "shear": shear(shear=(-20.0, 20.0, -20.0, 20.0)),
    "zoom": zoom(scale=(0.7, 1.3)),
    "affine": affine(degrees=30.0, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=10.0),
    "perspective": perspective(p=0.7),
    "crop, flip and turn": random_resized_crop(clip=SPEC, scale=(0.6, 1.0)).fused(horizontal_flip()).fused(
        rotate(degrees=20.0)
    ),
}  # fmt: skip
EVERY = {**WHOLE_PIXELS, **BETWEEN_PIXELS}
each = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)

SQUARES = [(20, 12, 36, 26), (24, 14, 34, 28), (22, 10, 38, 30), (16, 16, 40, 24)]


@pytest.mark.parametrize("augment", WHOLE_PIXELS.values(), ids=WHOLE_PIXELS)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_frame_pixels_that_moved_as_they_are(augment, seed):
    clips, boxes = painted(SQUARES)
    moved = augment(batch_of(clips, boxes_n4=boxes), seeded(seed))
    for clip, box in zip(moved.inputs["clip_bcthw"], moved.targets["boxes_n4"], strict=True):
        assert torch.equal(box[0], white_box(clip))


@pytest.mark.parametrize("augment", BETWEEN_PIXELS.values(), ids=BETWEEN_PIXELS)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_frame_pixels_that_were_turned_or_scaled(augment, seed):
    """Masks tell exactly which pixels are inside: a pixel counts when its middle does.

    A corner that is turned to a point reaches out by up to a pixel of which no middle is inside; in a merged turn the
    box is around the box of the resized window, and thus wider by what the clipped part of a corner would show.
    """
    clips, boxes = painted(SQUARES)
    moved = augment(batch_of(clips, boxes_n4=boxes, mask_bthw=(clips[:, 0] > 0).to(torch.uint8)), seeded(seed))
    for mask, box in zip(moved.targets["mask_bthw"], moved.targets["boxes_n4"], strict=True):
        found = white_box(mask[None] * 255)
        assert (box[0] - found).abs().max() <= 1.5


@each
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64], ids=str)
def test_masks_move_with_the_pixels_and_keep_their_classes(augment, kind):
    """A white rectangle is class 3: afterwards, 3 is where pixels are bright."""
    clips, _ = painted(SQUARES)
    masks = (clips[:, 0] // 255 * 3).to(kind)
    moved = augment(batch_of(clips, mask_bthw=masks), seeded(1))
    after, bright = moved.targets["mask_bthw"], moved.inputs["clip_bcthw"][:, 0] > 127
    assert after.dtype == kind
    assert after.shape == bright.shape
    assert set(after.unique().tolist()) == {0, 3}
    # On an edge, half of a mixed pixel is bright where its middle may just be outside.
    assert ((after == 3) != bright).double().mean() < 0.012


@each
def test_target_clips_move_along_at_their_own_scale(augment):
    """The target is the input enlarged twice by repeating pixels; afterwards it still shows the same picture."""
    clips, _ = painted(SQUARES)
    target = clips.repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved = augment(batch_of(clips, clip_bcthw=target), seeded(2))
    height, width = moved.inputs["clip_bcthw"].shape[-2:]
    assert moved.targets["clip_bcthw"].shape[-2:] == (2 * height, 2 * width)
    for small, large in zip(moved.inputs["clip_bcthw"], moved.targets["clip_bcthw"], strict=True):
        assert (white_box(large) / 2 - white_box(small)).abs().max() <= 1


@pytest.mark.parametrize(
    "name", ["random_crop", "random_crop, padded", "horizontal_flip", "vertical_flip", "flip and crop"]
)
def test_target_clips_of_whole_pixels_are_exact(name):
    clips = random_clips()
    target = clips.repeat_interleave(2, -1).repeat_interleave(2, -2)
    moved = EVERY[name](batch_of(clips, clip_bcthw=target), seeded())
    enlarged = moved.inputs["clip_bcthw"].repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.equal(moved.targets["clip_bcthw"], enlarged)


def test_pixels_from_outside_are_of_the_class_for_them():
    masks = torch.ones(8, 2, 40, 56, dtype=torch.uint8)
    clips = torch.full((8, 3, 2, 40, 56), 255, dtype=torch.uint8)
    batch = batch_of(clips, mask_bthw=masks)
    moved = rotate(degrees=45.0, interpolation="nearest", mask_fill=255)(batch, seeded())
    assert set(moved.targets["mask_bthw"].unique().tolist()) == {1, 255}
    assert torch.equal(moved.targets["mask_bthw"] == 255, moved.inputs["clip_bcthw"][:, 0] == 0)


@each
def test_every_frame_of_a_clip_is_moved_alike(augment):
    still = random_clips(8)[:, :, :1].expand(-1, -1, 4, -1, -1)
    clips = augment(batch_of(still), seeded()).inputs["clip_bcthw"]
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))


@each
def test_samples_are_moved_differently(augment):
    alike = random_clips(1).expand(16, -1, -1, -1, -1)
    clips = augment(batch_of(alike), seeded()).inputs["clip_bcthw"]
    assert len({clip.numpy().tobytes() for clip in clips}) > 1


@each
def test_bytes_stay_bytes_and_floats_stay_floats(augment):
    clips = random_clips()
    from_bytes = augment(batch_of(clips), seeded()).inputs["clip_bcthw"]
    from_floats = augment(batch_of(clips.float() / 255), seeded()).inputs["clip_bcthw"]
    assert from_bytes.dtype == torch.uint8
    assert from_floats.dtype == torch.float32
    # Rounding to whole grey levels, twice where a crop that shrinks is resized before it is turned.
    assert (from_bytes.float() / 255 - from_floats).abs().max() <= 1.6 / 255


@each
def test_the_batch_that_went_in_is_unchanged(augment):
    clips, boxes = painted([(4, 6, 20, 20), (10, 10, 50, 30)])
    batch = batch_of(clips, boxes_n4=boxes, label_b=torch.tensor([1, 0]))
    before = batch_of(clips.clone(), boxes_n4=[box.clone() for box in boxes], label_b=torch.tensor([1, 0]))
    after = augment(batch, seeded())
    assert torch.equal(batch.inputs["clip_bcthw"], before.inputs["clip_bcthw"])
    assert all(torch.equal(*pair) for pair in zip(batch.targets["boxes_n4"], before.targets["boxes_n4"], strict=True))
    assert torch.equal(after.targets["label_b"], before.targets["label_b"])
    assert torch.equal(after.index, batch.index)


@each
def test_nothing_is_read_back_from_the_device(augment):
    """Tensors of the meta device have no values: reading one is an error, as it is a wait on a GPU."""
    clips, boxes = painted([(4, 6, 20, 20), (10, 10, 50, 30)])
    batch = batch_of(clips, boxes_n4=boxes, clip_bcthw=clips, mask_bthw=clips[:, 0])
    here, there = augment(batch, seeded()), augment(batch.to("meta"), seeded())
    assert there.inputs["clip_bcthw"].device.type == "meta"
    assert there.inputs["clip_bcthw"].shape == here.inputs["clip_bcthw"].shape
    assert there.targets["mask_bthw"].shape == here.targets["mask_bthw"].shape
    assert [boxes.shape for boxes in there.targets["boxes_n4"]] == [boxes.shape for boxes in here.targets["boxes_n4"]]


@each
def test_can_be_sent_to_a_worker(augment):
    sent = pickle.loads(pickle.dumps(augment))
    here, there = (each(batch_of(random_clips()), seeded()).inputs["clip_bcthw"] for each in (augment, sent))
    assert torch.equal(here, there)


def test_a_box_outside_the_window_has_no_area():
    stage = windows([(10, 10, 10, 10)], (10, 10))
    assert move_boxes([stage], 0, torch.tensor([[0.0, 0.0, 5.0, 30.0]])).tolist() == [[0.0, 0.0, 0.0, 10.0]]


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (5, 4), (9, 7), (4, 51)])
@each
def test_target_clips_of_half_the_size_follow_on_tiny_pictures_or_are_refused(augment, size):
    """Half of an odd side is rounded down, so rows and columns have scales of their own."""
    height, width = size
    clips = random_clips(3, 2 * height + 1, 2 * width + 1)
    target = clips[..., : 2 * height : 2, : 2 * width : 2]
    try:
        moved = augment(batch_of(clips, clip_bcthw=target), seeded(3))
    except ParameterError as error:
        assert "cannot cut" in str(error)  # the window is larger than the picture  # noqa: PT017
        return
    there = moved.inputs["clip_bcthw"].shape[-2:]
    scale = (height / (2 * height + 1), width / (2 * width + 1))
    expected = tuple(round(side * by) for side, by in zip(there, scale, strict=True))
    assert moved.targets["clip_bcthw"].shape == (*clips.shape[:3], *expected)


def test_flips_of_half_size_targets_are_exact_where_sides_are_odd():
    clips = random_clips(8, 51, 5)
    target = clips[..., :50:2, :4:2]
    moved = horizontal_flip(p=1.0)(batch_of(clips, clip_bcthw=target), seeded())
    assert torch.equal(moved.targets["clip_bcthw"], target.flip(-1))


def test_a_crop_that_leaves_no_pixel_of_the_target_says_so():
    clips = random_clips(2, 8, 8)
    crop = random_crop(clip=ClipSpec(frames=4, size=1))
    with pytest.raises(ParameterError, match=r"clips of 1x1 .* no pixel of their targets.*\n.*data\.clip\.size"):
        crop(batch_of(clips, clip_bcthw=clips[..., ::4, ::4]), seeded())
