"""Drawn parameters follow their declared distributions, and torchvision's own where it draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from tests.plugins.augment.moving_pictures import batch_of, random_clips, seeded
from zoo_plugins.augment.geometric.affine import Affine, affine
from zoo_plugins.augment.geometric.horizontal_flip import horizontal_flip
from zoo_plugins.augment.geometric.multi_scale_crop import multi_scale_crop
from zoo_plugins.augment.geometric.perspective import perspective
from zoo_plugins.augment.geometric.random_crop import random_crop
from zoo_plugins.augment.geometric.random_resized_crop import draw_windows, random_resized_crop
from zoo_plugins.augment.geometric.rotate import rotate
from zoo_plugins.augment.geometric.shear import shear
from zoo_plugins.augment.geometric.short_side_scale import short_side_scale
from zoo_plugins.augment.geometric.stage import Border, Stage
from zoo_plugins.augment.geometric.vertical_flip import vertical_flip
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

MANY = 4000
SPEC = ClipSpec(frames=4, size=(24, 32))


def furthest_apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Kolmogorov and Smirnov's distance of two samples: the greatest difference of their shares below any value."""
    one, other = (torch.tensor(values, dtype=torch.float64).sort().values for values in (ours, theirs))
    at = torch.cat([one, other])
    shares = [torch.searchsorted(values, at, right=True) / len(values) for values in (one, other)]
    return float((shares[0] - shares[1]).abs().max())


# Two samples of one distribution are further apart once in a thousand times (1.95 * sqrt(2 / n)).
CHANCE = 1.95 * math.sqrt(2 / MANY)


def drawn(augment, size: tuple[int, int] = (128, 171)) -> Stage:
    (draw,) = augment.draws
    return draw(MANY, size, seeded())


def test_windows_follow_torchvisions_distribution():
    scale, ratio, picture = (0.2, 0.9), (0.6, 1.7), torch.zeros(3, 128, 171)
    torch.manual_seed(0)
    made = [v2.RandomResizedCrop(8, scale, ratio).make_params([picture]) for _ in range(MANY)]
    theirs = [(one["top"], one["left"], one["height"], one["width"]) for one in made]
    ours = draw_windows(MANY, (128, 171), scale, ratio, seeded())
    for measure in (
        lambda top, left, height, width: height * width,
        lambda top, left, height, width: width / height,
        lambda top, left, height, width: top + height / 2,
        lambda top, left, height, width: left + width / 2,
    ):
        assert furthest_apart([measure(*one) for one in ours], [measure(*one) for one in theirs]) < CHANCE


def test_a_window_that_cannot_fit_becomes_the_middle():
    """A strip of 10x100 has no window of full area with width / height <= 2: its middle 10x20 is taken."""
    assert set(draw_windows(5, (10, 100), (1.0, 1.0), (0.5, 2.0), seeded())) == {(0, 40, 10, 20)}


def test_affine_parameters_follow_torchvisions_distribution():
    """Read off the matrices: the angle of the turned x axis, its length, the move of the middle, the sheared angle."""
    torch.manual_seed(0)
    theirs = v2.RandomAffine(25, translate=(0.1, 0.2), scale=(0.8, 1.3))
    made = [theirs.make_params([torch.zeros(3, 128, 171)]) for _ in range(MANY)]
    stage = drawn(affine(degrees=25.0, translate=(0.1, 0.2), scale=(0.8, 1.3)))
    to_output = torch.linalg.inv(stage.to_input_b33)
    middle = to_output @ torch.tensor([171 / 2, 128 / 2, 1.0], dtype=torch.float64)
    x_axis = to_output[:, :2, 0]
    angle = torch.atan2(x_axis[:, 1], x_axis[:, 0]).rad2deg()
    assert furthest_apart(angle.tolist(), [one["angle"] for one in made]) < CHANCE
    assert furthest_apart(x_axis.norm(dim=1).tolist(), [one["scale"] for one in made]) < CHANCE
    for axis, half in enumerate((171 / 2, 128 / 2)):
        moves = (middle[:, axis] - half).round(decimals=6)
        assert torch.equal(moves, moves.round())  # whole pixels
        assert furthest_apart(moves.tolist(), [one["translate"][axis] for one in made]) < CHANCE


def test_one_parameter_leaves_the_draws_of_the_others_alone():
    some = Affine(Border(), degrees=(-20, 20))(9, (40, 56), seeded()).to_input_b33
    more = Affine(Border(), degrees=(-20, 20), translate=(0.2, 0.2))(9, (40, 56), seeded()).to_input_b33
    assert torch.allclose(some[:, :2, :2], more[:, :2, :2], atol=1e-12)


def uniform(values: Tensor, low: float, high: float) -> bool:
    """Whether values could be uniform in [low, high], by Kolmogorov and Smirnov's distance to it."""
    share = ((values.sort().values - low) / (high - low)).clamp(0, 1)
    expected = torch.arange(1, len(values) + 1, dtype=torch.float64) / len(values)
    return float((share - expected).abs().max()) < 1.95 / math.sqrt(len(values))


def test_rotate_turns_uniformly_within_its_range():
    to_output = torch.linalg.inv(drawn(rotate(degrees=(-10.0, 40.0))).to_input_b33)
    counter_clockwise = -torch.atan2(to_output[:, 1, 0], to_output[:, 0, 0]).rad2deg()
    assert uniform(counter_clockwise, -10, 40)


def test_shear_slides_uniformly_within_its_ranges():
    to_output = torch.linalg.inv(drawn(shear(shear=(-20.0, 10.0, 0.0, 5.0))).to_input_b33)
    # x' = x - tan(a) y along rows first, then y' = y - tan(b) x'.
    assert uniform(torch.atan(-to_output[:, 0, 1]).rad2deg(), -20, 10)
    assert uniform(torch.atan(-to_output[:, 1, 0]).rad2deg(), 0, 5)


def test_corners_of_a_perspective_follow_torchvisions_distribution():
    torch.manual_seed(0)
    theirs = v2.RandomPerspective(distortion_scale=0.4, p=1.0)
    theirs = torch.tensor([theirs.make_params([torch.zeros(3, 128, 171)])["coefficients"] for _ in range(MANY)])
    ours = drawn(perspective(distortion_scale=0.4, p=1.0)).to_input_b33.flatten(1)
    for number in range(8):
        assert furthest_apart(ours[:, number].tolist(), theirs[:, number].tolist()) < CHANCE


@pytest.mark.parametrize("augment", [horizontal_flip(p=0.3), vertical_flip(p=0.3), perspective(p=0.3)], ids=str)
def test_movements_happen_as_often_as_asked(augment):
    still = (drawn(augment).to_input_b33 == torch.eye(3, dtype=torch.float64)).all(-1).all(-1)
    assert abs(int((~still).sum()) - 0.3 * MANY) < 3.5 * (MANY * 0.3 * 0.7) ** 0.5


def test_random_crop_reaches_every_place_equally_often():
    places = torch.arange(6).view(1, 1, 1, 1, 6).expand(3000, 3, 1, 4, 6).to(torch.uint8)
    crops = random_crop(clip=ClipSpec(frames=1, size=4))(batch_of(places), seeded()).inputs["clip_bcthw"]
    counts = crops[:, 0, 0, 0, 0].bincount(minlength=3)
    assert counts.shape == (3,)
    assert (counts - 1000).abs().max() < 3 * (3000 * (1 / 3) * (2 / 3)) ** 0.5  # three standard deviations


def test_multi_scale_windows_have_the_sizes_and_places_of_the_paper():
    """340x256 as in section 3.2: sides of 256, 224, 192, 168 with neighbours only, at 13 places."""
    inside = drawn(multi_scale_crop(clip=ClipSpec(frames=1, size=224)), (256, 340)).inside_b4
    sides = {(int(y2 - y1), int(x2 - x1)) for x1, y1, x2, y2 in inside.tolist()}
    allowed = (256, 224, 192, 168)
    assert sides == {(a, b) for i, a in enumerate(allowed) for j, b in enumerate(allowed) if abs(i - j) <= 1}
    squares = {(int(x1), int(y1)) for x1, y1, x2, y2 in inside.tolist() if x2 - x1 == y2 - y1 == 224}
    assert len(squares) == 13
    assert {(0, 0), (116, 0), (0, 32), (116, 32), (58, 16)} <= squares  # corners and the middle


def test_short_sides_are_uniform_and_windows_lie_inside():
    inside = drawn(short_side_scale(clip=ClipSpec(frames=1, size=224)), (256, 340)).inside_b4
    short_side = 224 * 256 / (inside[:, 3] - inside[:, 1])
    assert 255.4 < short_side.min() < 257  # a window's side is whole pixels
    assert 319 < short_side.max() < 321
    assert abs(float(short_side.mean()) - 288) < 3 * 64 / math.sqrt(12 * MANY) + 0.4
    assert torch.equal(inside[:, 3] - inside[:, 1], inside[:, 2] - inside[:, 0])
    assert (inside[:, :2] >= 0).all()
    assert (inside[:, 2:] <= torch.tensor([340, 256])).all()


def test_short_side_scale_refuses_sizes_below_the_clips():
    with pytest.raises(ParameterError, match=r"min_size is 200: no window of 224x224.*\n.*min_size: 224 or more"):
        short_side_scale(clip=ClipSpec(frames=1, size=224), min_size=200)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: random_resized_crop(clip=SPEC, scale=(0.9, 0.2)), r"scale goes from 0\.9 down to 0\.2\n.*\[0\.2,"),
        (lambda: affine(degrees=0.0, scale=(2.0, 1.0)), r"scale goes from 2 down to 1\n.*\[1, 2\]"),
        (lambda: rotate(degrees=-5.0), r"degrees is -5\.0; one number is a range of both signs\n.*degrees: 5\.0"),
        (lambda: shear(shear=(5.0, 1.0)), r"shear goes from 5 down to 1"),
    ],
    ids=["crop", "affine", "rotate", "shear"],
)  # fmt: skip
def test_ranges_in_the_wrong_order_are_errors(build, words):
    with pytest.raises(ParameterError, match=words):
        build()


def test_the_same_seed_gives_the_same_clips_and_another_gives_others():
    augment = affine(degrees=20.0, translate=(0.1, 0.1))
    once, again, other = (augment(batch_of(random_clips()), seeded(seed)).inputs["clip_bcthw"] for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
