"""Parts of clips erased."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from zoo_plugins.augment.erasing.cutout import cutout, square
from zoo_plugins.augment.erasing.filling import filling
from zoo_plugins.augment.erasing.random_erasing import draw_boxes, erase, random_erasing
from zoo_plugins.augment.erasing.tube_masking import draw_patches, tube_masking
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

SPEC = ClipSpec(frames=4, size=(24, 32), mean=(0.5, 0.25, 0.75), std=(0.1, 0.2, 0.3))
MEAN_BYTES = [128, 64, 191]  # of the mean, to the nearest
EVERY: dict[str, Augment] = {
    "random_erasing": random_erasing(clip=SPEC, p=0.7),
    "random_erasing_noise": random_erasing(clip=SPEC, p=0.7, value="random"),
    "random_erasing_per_frame": random_erasing(clip=SPEC, p=0.7, value="mean", per_frame=True),
    "cutout": cutout(clip=SPEC, holes=2, p=0.7),
    "tube_masking": tube_masking(clip=SPEC, patch=8, p=0.7, value=(255, 0, 127)),
    "tube_masking_noise": tube_masking(clip=SPEC, patch=8, p=0.7, value="random"),
}
each_augmentation = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    return Batch({"clip_bcthw": clips}, targets, torch.arange(len(clips)), torch.zeros(len(clips), dtype=torch.int64))


def grey(count: int, value: int = 200, frames: int = 3, height: int = 24, width: int = 32) -> Tensor:
    return torch.full((count, 3, frames, height, width), value, dtype=torch.uint8)


def erased_from(augment: Augment, count: int = 64, seed: int = 0, **size: int) -> Tensor:
    """(B, T, H, W) bool: which pixels of grey clips are no longer grey."""
    clips = grey(count, **size)
    return (augment(batch_of(clips), seeded(seed)).inputs["clip_bcthw"] != clips).all(dim=1)


@each_augmentation
def test_targets_stay_and_the_input_is_left_alone(augment):
    clips = torch.randint(0, 256, (4, 3, 3, 24, 32), dtype=torch.uint8, generator=seeded(1))
    batch = batch_of(clips, clip_bcthw=clips, mask_bthw=clips[:, 0], boxes_n4=[torch.ones(1, 4)] * 4)
    before = clips.clone()
    erased = augment(batch, seeded(1))
    assert torch.equal(clips, before)
    assert not torch.equal(erased.inputs["clip_bcthw"], before)
    assert all(erased.targets[key] is batch.targets[key] for key in batch.targets)


@each_augmentation
def test_samples_are_erased_differently_and_by_the_seed(augment):
    once, again, other = (augment(batch_of(grey(16)), seeded(seed)).inputs["clip_bcthw"] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len({clip.numpy().tobytes() for clip in once}) > 1


@each_augmentation
def test_bytes_and_floats_are_erased_alike(augment):
    clips = torch.randint(0, 256, (8, 3, 3, 24, 32), dtype=torch.uint8, generator=seeded(1))
    from_bytes = augment(batch_of(clips), seeded(4)).inputs["clip_bcthw"]
    from_floats = augment(batch_of(clips.float() / 255), seeded(4)).inputs["clip_bcthw"]
    assert (from_bytes.dtype, from_floats.dtype) == (torch.uint8, torch.float32)
    assert (from_bytes.float() / 255 - from_floats).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("value", [0, 102, (255, 0, 51), "mean"])
def test_an_erased_rectangle_equals_torchvisions(value):
    clips = torch.randint(0, 256, (2, 3, 4, 24, 32), dtype=torch.uint8, generator=seeded(1))
    colour = {"mean": MEAN_BYTES}.get(value, value if isinstance(value, tuple) else (value,) * 3)
    pixels = torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1)
    erased = erase(clips, [[(3, 5, 10, 7)], []], filling(value, SPEC), seeded())
    expected = reference.erase(clips[0].transpose(0, 1), i=3, j=5, h=10, w=7, v=pixels).transpose(0, 1)
    assert torch.equal(erased[0], expected)
    assert torch.equal(erased[1], clips[1])


def test_noise_becomes_standard_noise_where_the_model_normalises():
    """torchvision writes N(0, 1) into normalised pictures; ours, normalised, is that but for what was cut off."""
    spec = ClipSpec(frames=1, size=64, mean=(0.5, 0.45, 0.55), std=(0.1, 0.1, 0.1))  # nothing beyond four deviations
    clips = torch.zeros(1, 3, 5, 400, 400)
    erased = erase(clips, [[(0, 0, 400, 400)]], filling("random", spec), seeded())
    assert torch.equal(erased, erased[:, :, :1].expand_as(erased))
    normalised = (erased[0, :, 0] - torch.tensor(spec.mean).view(3, 1, 1)) / torch.tensor(spec.std).view(3, 1, 1)
    assert (normalised.mean((1, 2)).abs() < 4 / 400).all()
    assert ((normalised.std((1, 2)) - 1).abs() < 0.01).all()


def test_rectangles_follow_torchvisions_distribution():
    """Areas, shapes and places of 4,000 rectangles have the quartiles of torchvision's own draws."""
    scale, ratio, picture = (0.05, 0.4), (0.4, 2.5), torch.zeros(3, 112, 150)
    torch.manual_seed(0)
    theirs = [v2.RandomErasing(1.0, scale, ratio).make_params([picture]) for _ in range(4000)]
    ours = [box for box in draw_boxes(4000, (112, 150), scale, ratio, seeded()) if box]
    assert len(ours) > 3990

    def quartiles(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))

    # 0.03: three standard errors of a quartile of 4,000 uniform draws over a range of about one.
    for measure in (
        lambda top, left, height, width: height * width / (112 * 150),
        lambda top, left, height, width: math.log(height / width),
        lambda top, left, height, width: top / (113 - height),
        lambda top, left, height, width: left / (151 - width),
    ):
        expected = quartiles([measure(each["i"], each["j"], each["h"], each["w"]) for each in theirs])
        assert (expected - quartiles([measure(*box) for box in ours])).abs().max() < 0.03 * 1.8


def test_a_rectangle_that_cannot_fit_erases_nothing():
    assert draw_boxes(3, (10, 100), (1.0, 1.0), (1.0, 1.0), seeded()) == [None, None, None]
    assert not erased_from(random_erasing(clip=SPEC, p=1.0, scale=(1.0, 1.0)), 8).any()


def test_erasing_happens_as_often_as_asked():
    hit = erased_from(random_erasing(clip=SPEC, p=0.3, ratio=(0.8, 1.25)), 2000).flatten(1).any(1)
    assert abs(int(hit.sum()) - 600) < 3 * (2000 * 0.3 * 0.7) ** 0.5


def test_one_rectangle_for_all_frames_or_one_for_each():
    same = erased_from(random_erasing(clip=SPEC, p=1.0))
    assert torch.equal(same, same[:, :1].expand_as(same))
    own = erased_from(random_erasing(clip=SPEC, p=1.0, per_frame=True))
    assert own.flatten(2).any(2).all()
    assert not torch.equal(own[:, 0], own[:, 1])


def test_a_hole_is_a_square_of_the_declared_side_cut_off_at_the_border():
    """Side 12 of a short side of 24, centres uniform over 24x32: whole in 13 of 24 and 21 of 32 places."""
    masks = erased_from(cutout(clip=SPEC, size=0.5), 3000)[:, 0]
    rows, columns = masks.any(2).sum(1), masks.any(1).sum(1)
    assert torch.equal(masks.flatten(1).sum(1), rows * columns)
    assert (int(rows.min()), int(rows.max()), int(columns.max())) == (6, 12, 12)
    for whole, share in ((rows == 12, 13 / 24), (columns == 12, 21 / 32)):
        assert abs(float(whole.double().mean()) - share) < 3 * (share * (1 - share) / 3000) ** 0.5


def test_holes_are_counted():
    """Holes of one pixel: as many as asked, unless two fall on one place."""
    counts = erased_from(cutout(clip=SPEC, size=0.01, holes=3), 200)[:, 0].flatten(1).sum(1)
    assert int(counts.max()) == 3
    assert (counts == 3).double().mean() > 0.95


def test_a_square_at_the_corner():
    assert square(0, 31, 6, 24, 32) == (0, 28, 3, 4)


@pytest.mark.parametrize(("ratio", "masked"), [(0.0, 0), (0.5, 6), (0.75, 9), (0.9, 11), (1.0, 12)])
def test_the_ratio_of_tubes_is_exact(ratio, masked):
    """24x32 pixels are 3x4 patches of 8."""
    mask = erased_from(tube_masking(clip=SPEC, patch=8, ratio=ratio), 50)
    assert torch.equal(mask, mask[:, :1].expand_as(mask))
    patches = mask[:, 0].unflatten(2, (4, 8)).unflatten(1, (3, 8)).transpose(2, 3).flatten(3)
    assert torch.equal(patches.any(3), patches.all(3))
    assert (patches.all(3).flatten(1).sum(1) == masked).all()


def test_every_patch_is_masked_equally_often():
    counts = draw_patches(4000, 3, 4, 0.25, seeded()).sum(0)
    assert (counts - 1000).abs().max() < 4 * (4000 * 0.25 * 0.75) ** 0.5


def test_the_mean_is_what_preprocessing_turns_into_nothing():
    clips = tube_masking(clip=SPEC, patch=8, ratio=1.0, value="mean")(batch_of(grey(1)), seeded()).inputs["clip_bcthw"]
    assert clips[0, :, 0, 0, 0].tolist() == MEAN_BYTES


def test_patches_must_divide_the_picture():
    with pytest.raises(ParameterError, match=r"cannot cut frames of 24x32 into patches of 16x16\n.*crop to the"):
        tube_masking(clip=SPEC, patch=16)(batch_of(grey(1)), seeded())


def test_a_mean_needs_a_clip_spec():
    with pytest.raises(ParameterError, match=r"value: mean needs a model that takes clips\n.*a number from 0 to 255"):
        random_erasing(clip=None, value="mean")


def test_pairs_in_the_wrong_order_are_said():
    with pytest.raises(ParameterError, match=r"ratio goes from 2 down to 1\n.*write ratio: \[1, 2\]"):
        random_erasing(clip=SPEC, ratio=(2.0, 1.0))
