"""Moved pixels against torchvision's functions with the same parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from tests.plugins.augment.moving_pictures import batch_of, random_clips, seeded, smooth_clips
from zoo_plugins.augment.geometric.affine import affine, affine_matrices
from zoo_plugins.augment.geometric.horizontal_flip import horizontal_flip
from zoo_plugins.augment.geometric.perspective import homographies, perspective
from zoo_plugins.augment.geometric.random_crop import random_crop
from zoo_plugins.augment.geometric.random_resized_crop import random_resized_crop
from zoo_plugins.augment.geometric.resampling import resample, resize
from zoo_plugins.augment.geometric.rotate import rotate
from zoo_plugins.augment.geometric.shear import shear
from zoo_plugins.augment.geometric.stage import Border, Stage, shifts, whole, windows
from zoo_plugins.augment.geometric.translate import translate
from zoo_plugins.augment.geometric.vertical_flip import vertical_flip
from zoo_plugins.augment.geometric.zoom import zoom
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

SPEC = ClipSpec(frames=4, size=(24, 32))
SIZE = (40, 56)


def by_torchvision(function, clip_cthw: Tensor, *arguments: object, **named: object) -> Tensor:
    """torchvision's channels are the third from last."""
    return function(clip_cthw.transpose(0, 1), *arguments, **named).transpose(0, 1)


def affine_stage(angle, shift, scale, shear, border: Border = Border(), size: tuple[int, int] = SIZE) -> Stage:
    values = [torch.tensor([value], dtype=torch.float64) for value in (angle, *shift, scale, *shear)]
    matrices = torch.linalg.inv(affine_matrices(*values, (size[1] / 2, size[0] / 2)))
    return Stage(matrices, whole(1, size), size, border)


MOVEMENTS = [
    (17.0, (3, -4), 0.8, (10.0, 0.0)),
    (-100.0, (-5, 8), 1.3, (-5.0, 7.0)),
    (0.0, (7, 2), 1.0, (0.0, 0.0)),
    (46.0, (0, 0), 1.0, (0.0, 0.0)),
]


@pytest.mark.parametrize("movement", MOVEMENTS, ids=str)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32], ids=str)
def test_affine_movements_equal_torchvisions(movement, mode, kind):
    clip = random_clips(1) if kind == torch.uint8 else random_clips(1).float() / 255
    angle, shift, scale, shear = movement
    expected = by_torchvision(
        reference.affine, clip[0], angle, list(shift), scale, list(shear), interpolation=InterpolationMode(mode)
    )
    difference = (resample(clip, [affine_stage(*movement)], mode)[0].double() - expected.double()).abs()
    # Another order of float32 sums may take the other of two equally near pixels.
    assert (difference > (2 if kind == torch.uint8 else 1e-4)).double().mean() <= (0.002 if mode == "nearest" else 0)


@pytest.mark.parametrize("angle", [-33.0, 12.5, 90.0])
def test_rotate_turns_as_torchvisions_rotate(angle):
    clip = random_clips(1)
    turned = rotate(degrees=(angle, angle))(batch_of(clip), seeded()).inputs["clip_bcthw"][0]
    expected = by_torchvision(reference.rotate, clip[0], angle, interpolation=InterpolationMode.BILINEAR)
    assert (turned.int() - expected.int()).abs().max() <= 2


def test_fill_is_seen_outside():
    clip = random_clips(1)
    filled = resample(clip, [affine_stage(*MOVEMENTS[0], Border(fill=(10.0, 200.0, 30.0)))], "nearest")[0]
    expected = by_torchvision(
        reference.affine, clip[0], 17.0, [3, -4], 0.8, [10.0, 0.0], fill=[10.0, 200.0, 30.0],
        interpolation=InterpolationMode.NEAREST,
    )  # fmt: skip
    assert torch.equal(filled, expected)


@pytest.mark.parametrize("shift", [(9, -7), (-13, 21), (56, 0), (-400, 3), (2, 900)], ids=str)
@pytest.mark.parametrize("fill", [0.0, (10.0, 200.0, 30.0)], ids=str)
def test_moves_by_whole_pixels_equal_torchvisions_also_out_of_the_picture(shift, fill):
    clip = random_clips(1)
    moved = resample(clip, [affine_stage(0.0, shift, 1.0, (0, 0), Border(fill=fill))], "bilinear")[0]
    expected = by_torchvision(
        reference.affine, clip[0], 0.0, list(shift), 1.0, [0.0, 0.0], interpolation=InterpolationMode.NEAREST,
        fill=list(fill) if isinstance(fill, tuple) else fill,
    )  # fmt: skip
    assert torch.equal(moved, expected)


def test_bilinear_edges_blend_with_the_fill_once():
    """A white picture on white stays white everywhere, and half a pixel of black on white is a half."""
    white = torch.full((1, 3, 1, 8, 8), 255, dtype=torch.uint8)
    turned = resample(white, [affine_stage(20.0, (0, 0), 1.0, (0, 0), Border(fill=255.0), (8, 8))], "bilinear")
    assert turned.eq(255).all()
    matrices = torch.eye(3, dtype=torch.float64).repeat(1, 1, 1)
    matrices[0, 0, 2] = 0.5
    shifted = resample(
        torch.zeros_like(white), [Stage(matrices, whole(1, (8, 8)), (8, 8), Border(fill=200.0))], "bilinear"
    )
    assert shifted[0, 0, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 100]


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_padding_modes_show_what_torchvisions_pad_shows(mode):
    clip = random_clips(1, height=9, width=12)
    matrices = torch.eye(3, dtype=torch.float64).repeat(1, 1, 1)
    matrices[0, 0, 2], matrices[0, 1, 2] = -5, -4
    stage = Stage(matrices, whole(1, (9, 12)), (17, 22), Border(mode))
    expected = by_torchvision(reference.pad, clip[0], [5, 4], padding_mode=mode)
    assert torch.equal(resample(clip, [stage], "nearest")[0], expected)


@pytest.mark.parametrize("seed", range(3))
def test_perspectives_equal_torchvisions(seed):
    clip = random_clips(1)
    ends = torch.tensor([[0, 0], [55, 0], [55, 39], [0, 39]]) + torch.randint(-9, 10, (4, 2), generator=seeded(seed))
    starts = [[0, 0], [55, 0], [55, 39], [0, 39]]
    expected = by_torchvision(
        reference.perspective, clip[0], starts, ends.tolist(), interpolation=InterpolationMode.BILINEAR
    )
    matrices = homographies(ends[None].double(), torch.tensor([starts]).double())
    moved = resample(clip, [Stage(matrices, whole(1, SIZE), SIZE)], "bilinear")[0]
    assert (moved.int() - expected.int()).abs().max() <= 2


def test_resized_windows_equal_torchvisions():
    clip = random_clips(1)
    expected = by_torchvision(reference.resized_crop, clip[0], 5, 7, 21, 30, [24, 32], antialias=True)
    assert torch.equal(resize(clip[0, ..., 5:26, 7:37], (24, 32)), expected)
    assert torch.equal(resample(clip, [windows([(5, 7, 21, 30)], (24, 32))], "bilinear")[0], expected)


def test_masks_of_resized_windows_equal_torchvisions_exact_nearest():
    mask = torch.randint(0, 5, (1, 1, 2, 40, 56), generator=seeded())
    expected = reference.resized_crop(mask[0], 5, 7, 21, 30, [24, 32], interpolation=InterpolationMode.NEAREST_EXACT)
    resized = resample(mask, [windows([(5, 7, 21, 30)], (24, 32))], "nearest", is_class=True)
    assert resized.dtype == torch.int64
    assert torch.equal(resized[0], expected)


def test_flips_equal_torchvisions():
    clips = random_clips()
    mirrored = horizontal_flip(p=1.0)(batch_of(clips), seeded()).inputs["clip_bcthw"]
    upside_down = vertical_flip(p=1.0)(batch_of(clips), seeded()).inputs["clip_bcthw"]
    assert torch.equal(mirrored, reference.horizontal_flip(clips))
    assert torch.equal(upside_down, reference.vertical_flip(clips))


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


# ------------------------------------------------------------------------------------------------ several at once

FUSED = {
    "crop, flip": [random_resized_crop(clip=SPEC), horizontal_flip()],
    "flip, crop": [vertical_flip(), random_resized_crop(clip=SPEC)],
    "crop, flip, turn, move": [
        random_resized_crop(clip=SPEC, scale=(0.3, 1.0)), horizontal_flip(), rotate(degrees=30.0),
        translate(translate=(0.2, 0.2)),
    ],
    "turn, crop": [rotate(degrees=20.0, padding_mode="reflect"), random_resized_crop(clip=SPEC)],
    "two fills": [rotate(degrees=20.0, fill=255.0), zoom(scale=(0.7, 0.9), fill=(9.0, 99.0, 199.0))],
    "all of them": [
        affine(degrees=10.0, translate=(0.1, 0.1), scale=(0.9, 1.2), shear=5.0),
        perspective(distortion_scale=0.2, p=1.0), shear(shear=(0.0, 10.0, -5.0, 5.0), padding_mode="edge"),
        random_crop(clip=SPEC),
    ],
}  # fmt: skip


def fused(steps):
    merged = steps[0]
    for step in steps[1:]:
        merged = merged.fused(step)
    return merged


@pytest.mark.parametrize("steps", FUSED.values(), ids=FUSED)
@pytest.mark.parametrize("seed", range(3))
def test_merged_movements_draw_and_show_what_the_single_ones_do(steps, seed):
    """Smooth pictures: each interpolation that falls away blurs them by a few grey levels at most."""
    apart, together = seeded(seed), seeded(seed)
    batch = batch_of(smooth_clips())
    expected = batch
    for step in steps:
        expected = step(expected, apart)
    once = fused(steps)(batch, together).inputs["clip_bcthw"].int()
    assert torch.equal(apart.get_state(), together.get_state())
    difference = (once - expected.inputs["clip_bcthw"].int()).abs()
    # Where a border meets the picture an interpolation less is a sharper edge: a few pixels along it differ by more.
    assert difference.double().mean() <= 2
    assert (difference > 8).double().mean() <= 0.07


def test_merged_movements_without_borders_differ_by_interpolation_only():
    steps = [
        random_resized_crop(clip=ClipSpec(frames=4, size=(40, 56)), scale=(0.5, 0.9)),
        horizontal_flip(),
        zoom(scale=(1.1, 1.4)),
    ]
    apart, together = seeded(), seeded()
    batch = batch_of(smooth_clips())
    expected = batch
    for step in steps:
        expected = step(expected, apart)
    difference = fused(steps)(batch, together).inputs["clip_bcthw"].int() - expected.inputs["clip_bcthw"].int()
    assert difference.abs().max() <= 6
    assert difference.double().abs().mean() <= 0.5


def test_mirrors_and_whole_pixels_merge_exactly():
    steps = [horizontal_flip(), random_crop(clip=SPEC, padding=6), vertical_flip(), translate(translate=(0.3, 0.3))]
    for seed in range(5):
        apart, together = seeded(seed), seeded(seed)
        expected = batch_of(random_clips())
        for step in steps:
            expected = step(expected, apart)
        merged = fused(steps)(batch_of(random_clips()), together)
        assert torch.equal(merged.inputs["clip_bcthw"], expected.inputs["clip_bcthw"])


def test_a_crop_that_shrinks_stays_antialiased_when_it_is_merged():
    """Stripes of one pixel, shrunk to a third, are grey; looked up without antialiasing they are black or white."""
    stripes = (torch.arange(96) % 2 * 255).to(torch.uint8).expand(1, 3, 2, 96, 96).contiguous()
    small = ClipSpec(frames=2, size=32)
    merged = fused([random_resized_crop(clip=small, scale=(1.0, 1.0), ratio=(1.0, 1.0)), rotate(degrees=(5.0, 5.0))])
    middle = merged(batch_of(stripes), seeded()).inputs["clip_bcthw"][..., 8:24, 8:24].double()
    assert (middle - 127.5).abs().max() < 30


@pytest.mark.parametrize(("one", "other"), [("nearest", "bilinear"), ("bilinear", "nearest")])
def test_movements_of_other_interpolations_stay_apart(one, other):
    assert rotate(degrees=5.0, interpolation=one).fused(rotate(degrees=5.0, interpolation=other)) is None
    assert rotate(degrees=5.0, interpolation=one).fused(horizontal_flip()) is not None


def test_what_is_no_movement_stays_apart():
    assert horizontal_flip().fused(lambda batch, generator: batch) is None


@pytest.mark.parametrize("outer", ["reflect", "symmetric", "edge"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_fill_that_an_outer_border_mirrors_into_the_picture_stays(outer, mode):
    """Moved almost out to the left and back: what is seen at the right is the mirror image of the inner fill."""
    clips = random_clips().clamp(50)
    size = (clips.shape[-2], clips.shape[-1])
    moves = [
        Stage(shifts(by, by * 0), whole(len(clips), size), size, Border(padding_mode))
        for by, padding_mode in (
            (torch.full((len(clips),), -50.0, dtype=torch.float64), "constant"),
            (torch.full((len(clips),), 50.0, dtype=torch.float64), outer),
        )
    ]
    one_by_one = resample(resample(clips, moves[:1], mode), moves[1:], mode)
    assert (one_by_one == 0).double().mean() > 0.3 or outer == "edge"
    assert torch.equal(resample(clips, moves, mode), one_by_one)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "augment",
    [rotate(degrees=(17.0, 17.0)), random_resized_crop(clip=SPEC), zoom(scale=(0.7, 0.7))],
    ids=["rotate", "random_resized_crop", "zoom"],
)
def test_half_floats_move_as_floats_do(augment, dtype):
    """The same values as float32, computed by float32: only the last rounding is the type's own (1/512 at white)."""
    half = (random_clips().float() / 255).to(dtype)
    moved = augment(batch_of(half), seeded()).inputs["clip_bcthw"]
    expected = augment(batch_of(half.float()), seeded()).inputs["clip_bcthw"]
    assert moved.dtype == dtype
    assert (moved.float() - expected).abs().max() <= 1 / 512
