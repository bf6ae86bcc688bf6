"""What recipes' colour changes draw: for which samples, from which range, and alike fused or not."""

from __future__ import annotations

import pickle

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from zoo_plugins.augment.photometric.autocontrast import random_autocontrast
from zoo_plugins.augment.photometric.brightness import random_brightness
from zoo_plugins.augment.photometric.color_jitter import color_jitter
from zoo_plugins.augment.photometric.contrast import random_contrast
from zoo_plugins.augment.photometric.equalize import random_equalize
from zoo_plugins.augment.photometric.gamma import random_gamma
from zoo_plugins.augment.photometric.gaussian_blur import random_gaussian_blur
from zoo_plugins.augment.photometric.gaussian_noise import random_gaussian_noise
from zoo_plugins.augment.photometric.grayscale import random_grayscale
from zoo_plugins.augment.photometric.hue import random_hue
from zoo_plugins.augment.photometric.invert import random_invert
from zoo_plugins.augment.photometric.posterize import random_posterize
from zoo_plugins.augment.photometric.saturation import random_saturation
from zoo_plugins.augment.photometric.sharpness import random_sharpness
from zoo_plugins.augment.photometric.solarize import random_solarize
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch, FusibleAugment


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    count = len(clips)
    return Batch({"clip_bcthw": clips}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def random_clips(count: int = 3) -> Tensor:
    return torch.randint(0, 256, (count, 3, 4, 40, 56), dtype=torch.uint8, generator=seeded(1))


def augmented(augment, clips: Tensor, seed: int = 0) -> Tensor:
    return augment(batch_of(clips), seeded(seed)).inputs["clip_bcthw"]


EVERY = {
    "brightness": random_brightness,
    "contrast": random_contrast,
    "saturation": random_saturation,
    "hue": random_hue,
    "grayscale": random_grayscale,
    "gamma": random_gamma,
    "posterize": random_posterize,
    "solarize": random_solarize,
    "equalize": random_equalize,
    "autocontrast": random_autocontrast,
    "invert": random_invert,
    "sharpness": random_sharpness,
    "gaussian_blur": random_gaussian_blur,
    "gaussian_noise": random_gaussian_noise,
}
each_change = pytest.mark.parametrize("build", EVERY.values(), ids=EVERY)


@each_change
def test_samples_are_changed_with_the_probability_asked_for(build):
    # Squares on grey that every change alters: no full range of values, no grey alone, edges, bright and dark.
    clips = torch.full((2000, 3, 1, 20, 24), 90, dtype=torch.uint8)
    clips[:, 0, :, :9] = 203
    clips[:, 1, :, :, :7] = 31
    changed = (augmented(build(p=0.3), clips) != clips).flatten(1).any(1)
    assert abs(int(changed.sum()) - 600) < 4 * (2000 * 0.3 * 0.7) ** 0.5
    assert torch.equal(augmented(build(p=0.0), clips), clips)


@each_change
def test_targets_stay_as_they_are(build):
    clips = random_clips() // 2 + 20
    after = build(p=1.0)(batch_of(clips, clip_bcthw=clips), seeded())
    assert torch.equal(after.targets["clip_bcthw"], clips)
    assert not torch.equal(after.inputs["clip_bcthw"], clips)


@pytest.mark.parametrize("build", [build for build in EVERY.values() if build is not random_gaussian_noise])
def test_every_frame_is_changed_alike(build):
    still = random_clips(8)[:, :, :1].expand(-1, -1, 4, -1, -1)
    clips = augmented(build(p=0.5), still)
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))


@each_change
def test_floats_change_as_bytes_do(build):
    clips = random_clips()
    from_bytes = augmented(build(p=1.0), clips).float() / 255
    from_floats = augmented(build(p=1.0), clips.float() / 255)
    assert (from_bytes - from_floats).abs().max() <= 16 / 255 if build is random_posterize else 1.01 / 255


@each_change
def test_can_be_sent_to_a_worker(build):
    clips = random_clips()
    sent = pickle.loads(pickle.dumps(build(p=0.5)))
    assert torch.equal(augmented(sent, clips), augmented(build(p=0.5), clips))


def drawn(augment, value: float) -> list[float]:
    """What 4,000 samples of one value became."""
    grey = torch.full((4000, 3, 1, 1, 1), value, dtype=torch.float64)
    return augmented(augment, grey)[:, 0, 0, 0, 0].tolist()


def test_factors_are_uniform():
    for strength, low, high in ((0.4, 0.6, 1.4), ((0.2, 0.5), 0.2, 0.5), (1.5, 0.0, 2.5)):
        factors = [value / 0.25 for value in drawn(random_brightness(brightness=strength), 0.25)]
        assert kstest(factors, "uniform", (low, high - low)).pvalue > 1e-4
    gammas = torch.tensor(drawn(random_gamma(gamma=(0.5, 2.0)), 0.5), dtype=torch.float64).log2().neg()
    assert kstest(gammas.tolist(), "uniform", (0.5, 1.5)).pvalue > 1e-4


def test_turns_of_the_hue_are_uniform():
    """Red becomes yellow within a sixth of the circle: the green that it gets is six times the turn."""
    red = torch.zeros(4000, 3, 1, 1, 1, dtype=torch.float64)
    red[:, 0] = 1
    turned = augmented(random_hue(hue=0.1), red)[:, :, 0, 0, 0]
    turns = (turned[:, 1] - turned[:, 2]) / 6
    assert kstest(turns.tolist(), "uniform", (-0.1, 0.2)).pvalue > 1e-4


def test_noise_has_the_deviation_asked_for():
    grey = torch.full((4, 3, 4, 64, 64), 0.5)
    noise = augmented(random_gaussian_noise(sigma=(0.05, 0.05), p=1.0), grey) - 0.5
    assert kstest(noise.flatten()[::7].tolist(), "norm", (0, 0.05)).pvalue > 1e-4
    assert abs(torch.corrcoef(torch.stack([noise[0].flatten(), noise[1].flatten()]))[0, 1]) < 0.02
    assert not torch.equal(noise[0, :, 0], noise[0, :, 1])
    as_bytes = augmented(
        random_gaussian_noise(sigma=(0.05, 0.05), p=1.0), torch.full_like(grey, 128, dtype=torch.uint8)
    )
    spread = as_bytes.double().std()  # rounding to whole levels adds a twelfth to the variance
    assert abs(float(spread) - ((0.05 * 255) ** 2 + 1 / 12) ** 0.5) < 0.1


def test_a_whole_jitter_equals_torchvisions_steps_where_nothing_is_cut_off():
    """The draws are a uniform number a sample for p, brightness, contrast, saturation and hue, in this order."""
    clips = random_clips(1).double() / 255 * 0.3 + 0.35
    _, brightness, contrast, saturation, hue = (
        float(torch.rand(1, generator=g)) for g in [seeded(5)] for _ in range(5)
    )
    expected = reference.adjust_brightness(clips[0].transpose(0, 1), 0.7 + 0.6 * brightness)
    expected = reference.adjust_contrast(expected, 0.7 + 0.6 * contrast)
    expected = reference.adjust_saturation(expected, 0.7 + 0.6 * saturation)
    expected = reference.adjust_hue(expected.float(), -0.1 + 0.2 * hue).transpose(0, 1)
    jitter = color_jitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    assert (augmented(jitter, clips, seed=5)[0] - expected).abs().max() < 1e-5


def test_neighbours_become_one_with_the_same_draws():
    one_by_one = [random_brightness(p=0.5), random_saturation(), color_jitter(contrast=0.3, hue=0.1), random_invert()]
    clips = random_clips(5).double() / 255 * 0.3 + 0.35  # nothing is cut off on the way
    apart, both = batch_of(clips), one_by_one[0]
    generator = seeded(3)
    for augment in one_by_one:
        apart = augment(apart, generator)
    for augment in one_by_one[1:]:
        assert isinstance(both, FusibleAugment)
        both = both.fused(augment)
    fused = seeded(3)
    assert (both(batch_of(clips), fused).inputs["clip_bcthw"] - apart.inputs["clip_bcthw"]).abs().max() < 1e-6
    assert torch.equal(fused.get_state(), generator.get_state())


def test_colours_do_not_swallow_what_is_no_colour():
    assert random_brightness().fused(random_gaussian_blur()) is None


def test_switching_a_factor_off_leaves_the_other_draws_alone():
    clips = random_clips().float() / 255
    only = augmented(color_jitter(saturation=0.5), clips)
    assert torch.equal(only, augmented(color_jitter(brightness=(1, 1), saturation=0.5), clips))
    assert not torch.equal(only, clips)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: random_brightness(brightness=(1.2, 0.8)), r"brightness goes from 1\.2 down to 0\.8\n.*\[0\.8, 1\.2\]"),
        (lambda: random_contrast(contrast=-0.1), r"contrast is -0\.1\n.*at least 0"),
        (lambda: random_saturation(saturation=(-1.0, 1.0)), r"saturation goes from -1 to 1\n.*0 or more"),
        (lambda: color_jitter(hue=0.6), r"hue goes from -0\.6 to 0\.6\n.*-0\.5 or more and 0\.5 or less"),
        (lambda: random_gamma(gamma=(2.0, 1.0)), r"gamma goes from 2 down to 1\n.*\[1, 2\]"),
        (lambda: random_gaussian_blur(kernel_size=4), r"kernel_size is 4, .*even.*\n.*kernel_size: 5"),
        (lambda: random_gaussian_noise(sigma=(0.2, 0.1)), r"sigma goes from 0\.2 down to 0\.1\n.*\[0\.1, 0\.2\]"),
    ],
)
def test_wrong_parameters_say_what_to_write(build, message):
    with pytest.raises(ParameterError, match=message):
        build()
