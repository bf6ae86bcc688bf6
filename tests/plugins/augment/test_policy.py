"""Policies against torchvision's: the same operations, the same strengths, the same pixels; draws as declared."""

from __future__ import annotations

import math
import pickle
from collections import Counter

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from tests.plugins.augment.moving_pictures import batch_of, painted, random_clips, seeded, smooth_clips, white_box
from zoo_plugins.augment.geometric.stage import Border
from zoo_plugins.augment.policy.aug_mix import aug_mix
from zoo_plugins.augment.policy.operations import COLOURS, MOVEMENTS, Choice, apply_to_batch, apply_to_clips
from zoo_plugins.augment.policy.rand_augment import rand_augment
from zoo_plugins.augment.policy.space import (
    AUG_MIX,
    AUG_MIX_WITHOUT_COLOURS,
    RAND_AUGMENT,
    TRIVIAL_AUGMENT,
    choose,
)
from zoo_plugins.augment.policy.trivial_augment import trivial_augment
from zoo_registry.errors import ParameterError

# Our names are those of torchvision in small letters.
THEIRS = {
    "identity": "Identity", "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
    "translate_y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "color": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "autocontrast": "AutoContrast", "equalize": "Equalize",
}  # fmt: skip
SPACES = {
    "rand": (RAND_AUGMENT, v2.RandAugment._AUGMENTATION_SPACE),
    "trivial": (TRIVIAL_AUGMENT, v2.TrivialAugmentWide._AUGMENTATION_SPACE),
    "mix": (AUG_MIX, v2.AugMix._AUGMENTATION_SPACE),
    "mix without colours": (AUG_MIX_WITHOUT_COLOURS, v2.AugMix._PARTIAL_AUGMENTATION_SPACE),
}
POLICIES = {"rand_augment": rand_augment(), "trivial_augment": trivial_augment(), "aug_mix": aug_mix()}
each_policy = pytest.mark.parametrize("augment", POLICIES.values(), ids=POLICIES)


@pytest.mark.parametrize(("ours", "theirs"), SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("levels", [10, 31])
def test_operations_and_strengths_are_torchvisions(ours, theirs, levels):
    assert {THEIRS[name] for name in ours} == set(theirs)
    for name, strength in ours.items():
        line, has_sign = theirs[THEIRS[name]]
        assert strength.has_sign == has_sign
        expected = line(levels, 224, 320)
        if expected is not None:
            found = [strength.at(level, levels, 224, 320) for level in range(levels)]
            assert found == pytest.approx(expected.tolist())


@pytest.mark.parametrize("operation", [*MOVEMENTS, *COLOURS, "identity"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize(("ours", "theirs"), [SPACES["rand"], SPACES["trivial"]], ids=["rand", "trivial"])
def test_an_operation_changes_what_torchvisions_does(operation, mode, ours, theirs):
    clip = smooth_clips(1, height=60, width=90)
    for level, sign in ((9, 1), (21, -1)):
        strength = ours[operation].at(level, 31, 60, 90) * (sign if ours[operation].has_sign else 1)
        changed = apply_to_clips(clip, [Choice(operation, strength)], mode, Border())[0]
        expected = v2.RandAugment()._apply_image_or_video_transform(
            clip[0].transpose(0, 1), THEIRS[operation], strength, InterpolationMode(mode), fill={torch.Tensor: None}
        )
        difference = (changed.int() - expected.transpose(0, 1).int()).abs()
        # Of two equally near pixels another order of float32 sums may take the other.
        assert (difference > 2).double().mean() <= (0.001 if mode == "nearest" and operation in MOVEMENTS else 0)


def test_samples_of_one_batch_get_their_own_operations():
    clips = smooth_clips(4)
    choices = [Choice("rotate", 10.0), Choice("identity"), Choice("color", 0.5), Choice("color", -0.5)]
    together = apply_to_clips(clips, choices, "nearest", Border())
    for row, choice in enumerate(choices):
        assert torch.equal(together[row : row + 1], apply_to_clips(clips[row : row + 1], [choice], "nearest", Border()))
    assert torch.equal(together[1], clips[1])


def rounds(augment, count: int) -> list[list[Choice]]:
    drawn = augment.draw(count, (224, 320), seeded())
    return drawn if isinstance(drawn[0], list) else [drawn]


@pytest.mark.parametrize(
    ("augment", "space"), [(rand_augment(num_ops=3), RAND_AUGMENT), (trivial_augment(), TRIVIAL_AUGMENT)]
)
def test_operations_are_drawn_equally_often_and_signs_half_the_time(augment, space):
    count = 7000
    for choices in rounds(augment, count):
        expected, spread = count / 14, math.sqrt(count * (1 / 14) * (13 / 14))
        counts = Counter(choice.operation for choice in choices)
        assert set(counts) == set(space)
        assert all(abs(number - expected) < 4 * spread for number in counts.values())
        turned = [choice.strength for choice in choices if choice.operation == "rotate" and choice.strength != 0]
        assert abs(sum(strength > 0 for strength in turned) - len(turned) / 2) < 4 * math.sqrt(len(turned)) / 2


def test_rand_augment_has_one_strength_and_trivial_augment_all():
    (choices,) = rounds(rand_augment(num_ops=1, magnitude=9), 3000)
    assert {abs(choice.strength) for choice in choices if choice.operation == "rotate"} == {9.0}  # 30 * 9 / 30
    (choices,) = rounds(trivial_augment(), 9000)
    turned = {abs(round(choice.strength, 4)) for choice in choices if choice.operation == "rotate"}
    assert turned == {4.5 * level for level in range(31)}  # 135 / 30


def test_weights_of_a_mixture_sum_to_one_and_follow_their_distributions():
    """Beta(a, a) for the clip that came in: mean 1/2, variance 1 / (4 (2a + 1)); the chains share the rest alike."""
    weights = aug_mix(alpha=2.0, mixture_width=3).draw_weights(6000, seeded())
    assert torch.allclose(weights.sum(1), torch.ones(6000, dtype=torch.float64))
    variance = 1 / (4 * 5)
    assert abs(float(weights[:, 0].mean()) - 0.5) < 4 * math.sqrt(variance / 6000)
    assert abs(float(weights[:, 0].var()) - variance) < 0.1 * variance
    assert (weights[:, 1:].mean(0) - 1 / 6).abs().max() < 0.01


def test_chains_are_one_to_three_deep():
    chain = aug_mix().draw_chain(3000, (224, 320), seeded())
    depths = Counter(sum(place[row].operation != "identity" for place in chain) for row in range(3000))
    assert set(depths) == {1, 2, 3}
    assert all(abs(number - 1000) < 4 * math.sqrt(3000 * 2 / 9) for number in depths.values())
    assert len(aug_mix(chain_depth=5).draw_chain(1, (8, 8), seeded())) == 5


def test_a_mixture_is_the_weighted_sum_of_its_chains():
    """Built by hand from the same draws: the chains applied one by one, summed with the weights."""
    clips = smooth_clips(2)
    augment = aug_mix(mixture_width=2, all_ops=False)
    here = seeded(3)
    weights = augment.draw_weights(2, here)
    chains = [augment.draw_chain(2, (40, 56), here) for _ in range(2)]
    for row in range(2):
        expected = clips[row].double() * weights[row, 0]
        for number, chain in enumerate(chains):
            changed = clips[row : row + 1]
            for place in chain:
                changed = apply_to_clips(changed, [place[row]], "bilinear", Border())
            expected += changed[0].double() * weights[row, 1 + number]
        mixed = augment(batch_of(clips), seeded(3)).inputs["clip_bcthw"][row]
        assert (mixed.double() - expected).abs().max() <= 0.51  # rounded to whole grey levels


def test_boxes_and_masks_follow_movements_and_not_colours():
    clips, boxes = painted([(20, 12, 36, 26)] * 3)
    choices = [Choice("translate_x", 7.0), Choice("rotate", 25.0), Choice("solarize", 0.0)]
    batch = batch_of(clips, boxes_n4=boxes, mask_bthw=clips[:, 0] // 255, clip_bcthw=clips)
    moved = apply_to_batch(batch, choices, "nearest", Border())
    assert moved.targets["boxes_n4"][0].tolist() == [[27, 12, 43, 26]]
    assert (moved.targets["boxes_n4"][1][0] - white_box(moved.inputs["clip_bcthw"][1])).abs().max() <= 1.5
    assert torch.equal(moved.targets["mask_bthw"][1], moved.inputs["clip_bcthw"][1, 0] // 255)
    assert torch.equal(moved.targets["clip_bcthw"][2], clips[2])
    assert torch.equal(moved.inputs["clip_bcthw"][2], 255 - clips[2])


@each_policy
def test_the_same_seed_gives_the_same_clips_and_another_gives_others(augment):
    once, again, other = (augment(batch_of(random_clips()), seeded(seed)).inputs["clip_bcthw"] for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@each_policy
def test_every_frame_of_a_clip_is_changed_alike(augment):
    still = random_clips(8)[:, :, :1].expand(-1, -1, 4, -1, -1)
    clips = augment(batch_of(still), seeded()).inputs["clip_bcthw"]
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))


@each_policy
def test_can_be_sent_to_a_worker(augment):
    sent = pickle.loads(pickle.dumps(augment))
    here, there = (each(batch_of(random_clips()), seeded()).inputs["clip_bcthw"] for each in (augment, sent))
    assert torch.equal(here, there)


def test_a_draw_of_all_of_the_space_ends_with_its_last_operation():
    assert choose(RAND_AUGMENT, (1 - 2**-53, 0, False), 31, (8, 8)).operation == "equalize"


def test_a_magnitude_that_is_no_bin_is_an_error():
    with pytest.raises(ParameterError, match=r"magnitude is 31 of 31 bins, which are 0 to 30\n.*magnitude: 30 or less"):
        rand_augment(magnitude=31)
