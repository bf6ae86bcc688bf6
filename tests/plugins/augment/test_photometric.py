"""Colour functions against torchvision's with the same parameters, on frames of real films."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

import zoo
from zoo_plugins.augment.photometric.autocontrast import autocontrast
from zoo_plugins.augment.photometric.brightness import brightness
from zoo_plugins.augment.photometric.colours import change_colours
from zoo_plugins.augment.photometric.contrast import contrast
from zoo_plugins.augment.photometric.equalize import equalize
from zoo_plugins.augment.photometric.gamma import gamma
from zoo_plugins.augment.photometric.gaussian_blur import gaussian_blur
from zoo_plugins.augment.photometric.grayscale import grayscale
from zoo_plugins.augment.photometric.hue import hue
from zoo_plugins.augment.photometric.invert import invert
from zoo_plugins.augment.photometric.passes import _FLOATS_AT_ONCE
from zoo_plugins.augment.photometric.posterize import posterize
from zoo_plugins.augment.photometric.saturation import saturation
from zoo_plugins.augment.photometric.sharpness import sharpness
from zoo_plugins.augment.photometric.solarize import solarize
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

FILMS = ("basketball.mp4", "bikes.mp4", "ta_chi.mp4")


@pytest.fixture(scope="module")
def clips(shared: Path) -> Tensor:
    """Four frames each of three films, (3, 3, 4, 120, 160) bytes."""
    spec = ClipSpec(frames=4, stride=8, size=(120, 160))
    return torch.stack([zoo.read_clip(shared / "clips" / name, spec) for name in FILMS])


def theirs(function, clips: Tensor, *parameters: object) -> Tensor:
    """A torchvision function on every clip (channels are the third from last there), with its own parameters."""
    given = zip(*parameters, strict=True) if parameters else [()] * len(clips)
    frames = [clip.transpose(0, 1) for clip in clips]
    return torch.stack([function(each, *own).transpose(0, 1) for each, own in zip(frames, given, strict=True)])


def levels_apart(one: Tensor, other: Tensor) -> int:
    """The greatest difference, in grey levels of bytes."""
    return int((one.int() - other.int()).abs().max())


FACTORS = [(0.0, 0.4, 1.0), (1.3, 1.8, 0.75)]


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize(
    ("ours", "function", "allowed"),
    [
        (brightness, reference.adjust_brightness, 1),  # torchvision cuts off where ours rounds
        (contrast, reference.adjust_contrast, 2),  # and makes bytes of greys before their mean
        (saturation, reference.adjust_saturation, 2),
        (sharpness, reference.adjust_sharpness, 1),
    ],
)
def test_bytes_change_as_torchvisions(clips, ours, function, allowed, factors):
    changed = ours(clips, torch.tensor(factors))
    assert changed.dtype == torch.uint8
    assert levels_apart(changed, theirs(function, clips, factors)) <= allowed


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize(
    ("ours", "function"),
    [
        (brightness, reference.adjust_brightness),
        (contrast, reference.adjust_contrast),
        (saturation, reference.adjust_saturation),
        (sharpness, reference.adjust_sharpness),
    ],
)
def test_floats_change_as_torchvisions(clips, ours, function, factors):
    unit = clips.float() / 255
    changed = ours(unit, torch.tensor(factors))
    assert changed.dtype == torch.float32
    assert (changed - theirs(function, unit, factors)).abs().max() < 1e-5  # float32


@pytest.mark.parametrize("turns", [(-0.5, -0.2, 0.0), (0.03, 0.31, 0.5)])
def test_hue_turns_as_torchvisions(clips, turns):
    expected = theirs(reference.adjust_hue, clips, turns)
    assert levels_apart(hue(clips, torch.tensor(turns)), expected) <= 1
    unit = clips.float() / 255
    unit[:, :, 0] = 0.5  # grey has no hue and must stay
    turned = hue(unit, torch.tensor(turns))
    assert (turned - theirs(reference.adjust_hue, unit, turns)).abs().max() < 2e-5  # float32, through HSV
    assert torch.equal(turned[:, :, 0], unit[:, :, 0])


def test_grey_is_torchvisions(clips):
    expected = theirs(lambda frames: reference.rgb_to_grayscale(frames, num_output_channels=3), clips)
    assert levels_apart(grayscale(clips), expected) <= 1  # cut off there, rounded here
    unit = clips.float() / 255
    expected = theirs(lambda frames: reference.rgb_to_grayscale(frames, num_output_channels=3), unit)
    assert (grayscale(unit) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("gammas", [(0.5, 1.0, 2.2)])
def test_gamma_is_torchvisions(clips, gammas):
    assert levels_apart(gamma(clips, torch.tensor(gammas)), theirs(reference.adjust_gamma, clips, gammas)) <= 1
    unit = clips.float() / 255
    assert (gamma(unit, torch.tensor(gammas)) - theirs(reference.adjust_gamma, unit, gammas)).abs().max() < 1e-6


@pytest.mark.parametrize("as_floats", [False, True])
@pytest.mark.parametrize("bits", [(0, 1, 3), (4, 7, 8)])
def test_posterizing_is_torchvisions(clips, bits, as_floats):
    given = clips.float() / 255 if as_floats else clips
    assert torch.equal(posterize(given, torch.tensor(bits)), theirs(reference.posterize, given, bits))


@pytest.mark.parametrize("as_floats", [False, True])
@pytest.mark.parametrize("thresholds", [(0.0, 100.0, 255.0)])
def test_solarizing_is_torchvisions(clips, thresholds, as_floats):
    given = clips.float() / 255 if as_floats else clips
    thresholds = [threshold / 255 for threshold in thresholds] if as_floats else thresholds
    expected = theirs(reference.solarize, given, thresholds)
    assert torch.equal(solarize(given, torch.tensor(thresholds)), expected)


def test_inverting_is_torchvisions(clips):
    assert torch.equal(invert(clips), theirs(reference.invert, clips))
    unit = clips.float() / 255
    assert torch.equal(invert(unit), theirs(reference.invert, unit))
    assert torch.equal(change_colours(clips, [("invert", torch.tensor([1.0, 0.0, 1.0]))])[1], clips[1])
    assert torch.equal(change_colours(clips, [("invert", torch.tensor([1.0, 0.0, 1.0]))])[2], invert(clips)[2])


def with_one_value(clips: Tensor) -> Tensor:
    """The same with a channel that has one value only, and a frame of two values."""
    clips = clips.clone()
    clips[0, 1, 0] = 77
    clips[1, :, 2] = (clips[1, :, 2] > 100) * 50
    return clips


def test_autocontrast_is_torchvisions(clips):
    dull = with_one_value(clips // 2 + 20)
    assert levels_apart(autocontrast(dull), theirs(reference.autocontrast, dull)) <= 1  # cut off there, rounded here
    unit = dull.float() / 255
    assert (autocontrast(unit) - theirs(reference.autocontrast, unit)).abs().max() < 1e-5


def test_equalizing_is_torchvisions_bit_by_bit(clips):
    clips = with_one_value(clips)
    assert torch.equal(equalize(clips), theirs(reference.equalize, clips))
    unit = clips.float() / 255
    assert (equalize(unit) - theirs(reference.equalize, unit)).abs().max() < 1e-6


@pytest.mark.parametrize("kernel_size", [1, 3, 9])
def test_blur_is_torchvisions(clips, kernel_size):
    sigmas = (0.3, 1.0, 2.5)

    def blurred(frames: Tensor, sigma: float) -> Tensor:
        return reference.gaussian_blur(frames, [kernel_size] * 2, [sigma] * 2)

    assert levels_apart(gaussian_blur(clips, torch.tensor(sigmas), kernel_size), theirs(blurred, clips, sigmas)) <= 1
    unit = clips.float() / 255
    ours = gaussian_blur(unit, torch.tensor(sigmas), kernel_size)
    assert (ours - theirs(blurred, unit, sigmas)).abs().max() < 1e-5


def test_a_blur_wider_than_the_picture_says_so():
    with pytest.raises(ParameterError, match=r"a kernel of 21 pixels does not fit clips of 10x30\n.*at most 19"):
        gaussian_blur(torch.zeros(1, 3, 1, 10, 30), torch.ones(1), 21)


def test_colour_changes_in_one_pass_equal_one_after_the_other_where_nothing_is_cut_off(clips):
    """A mild picture of middle greys stays within black and white at every step."""
    mild = (clips.double() / 255) * 0.3 + 0.35
    factors = {
        "brightness": torch.tensor([0.8, 1.1, 1.2]),
        "invert": torch.tensor([1.0, 0.0, 1.0]),
        "contrast": torch.tensor([0.7, 1.3, 1.0]),
        "saturation": torch.tensor([0.0, 1.4, 0.6]),
    }
    one_pass = change_colours(mild, [*factors.items(), ("contrast", factors["contrast"])])
    expected = mild
    for name, function in (
        ("brightness", reference.adjust_brightness),
        ("invert", lambda frames, chosen: reference.invert(frames) if chosen else frames),
        ("contrast", reference.adjust_contrast),
        ("saturation", reference.adjust_saturation),
        ("contrast", reference.adjust_contrast),
    ):
        expected = theirs(function, expected, factors[name].tolist())
    assert (one_pass - expected).abs().max() < 1e-6


def test_bytes_in_one_pass_are_rounded_once(clips):
    """Half the brightness and twice it again is what it was; a byte in between would have lost its lowest bit."""
    half, twice = torch.full((3,), 0.5), torch.full((3,), 2.0)
    assert torch.equal(change_colours(clips, [("brightness", half), ("brightness", twice)]), clips)


def test_highlights_come_back_in_one_pass_and_not_one_after_the_other():
    """What is documented, by hand: 200 * 1.5 = 300 of white 255, then 300 * 0.8 = 240 against 255 * 0.8 = 204."""
    white = torch.full((1, 3, 1, 2, 2), 200, dtype=torch.uint8)
    up, down = torch.tensor([1.5]), torch.tensor([0.8])
    assert change_colours(white, [("brightness", up), ("brightness", down)]).unique().tolist() == [240]
    assert brightness(brightness(white, up), down).unique().tolist() == [204]


def test_long_clips_go_through_in_pieces(clips):
    """More values than go through at once, in a number of frames that the pieces do not divide."""
    long = clips.repeat(1, 1, 6, 1, 1)[:, :, :23]
    assert long[0].numel() > 2 * _FLOATS_AT_ONCE
    factors = (0.4, 1.3, 1.8)
    assert levels_apart(contrast(long, torch.tensor(factors)), theirs(reference.adjust_contrast, long, factors)) <= 2


def test_views_with_strides_are_read_as_they_are(clips):
    """Clips that are windows or flips of others lie scattered in memory."""
    window = clips.transpose(-1, -2)[..., 10:50, 5:80]
    assert not window.is_contiguous()
    thresholds = torch.tensor([50, 100, 150])
    assert torch.equal(solarize(window, thresholds), solarize(window.contiguous(), thresholds))
    assert torch.equal(equalize(window), equalize(window.contiguous()))
    assert torch.equal(hue(window, torch.full((3,), 0.2)), hue(window.contiguous(), torch.full((3,), 0.2)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_stay_what_they_are(clips, dtype):
    unit = (clips / 255).to(dtype)
    changed = contrast(unit, torch.tensor([0.5, 1.5, 1.0]))
    assert changed.dtype == dtype
    expected = theirs(reference.adjust_contrast, unit.double(), (0.5, 1.5, 1.0))
    assert (changed.double() - expected).abs().max() <= torch.finfo(dtype).eps


def test_no_frames_are_no_error():
    assert brightness(torch.zeros(2, 3, 0, 8, 8, dtype=torch.uint8), torch.ones(2)).shape == (2, 3, 0, 8, 8)
