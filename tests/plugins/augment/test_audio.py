"""Changes of sound."""

from __future__ import annotations

import doctest

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from zoo_plugins.augment.audio import audio_shift as audio_shift_module
from zoo_plugins.augment.audio import stripes
from zoo_plugins.augment.audio.audio_gain import audio_gain
from zoo_plugins.augment.audio.audio_noise import audio_noise
from zoo_plugins.augment.audio.audio_shift import audio_shift
from zoo_plugins.augment.audio.spec_augment import spec_augment
from zoo_plugins.augment.audio.stft import spectrogram, waveform
from zoo_plugins.augment.audio.stripes import draw_stripes, kept
from zoo_registry import AudioSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

SPEC = AudioSpec(rate=1000, samples=4000)
EVERY: dict[str, Augment] = {
    "audio_noise": audio_noise(p=0.8),
    "audio_gain": audio_gain(p=0.8),
    "audio_shift": audio_shift(p=0.8),
    "audio_shift_circular": audio_shift(seconds=0.5, audio=SPEC, fill="circular"),
    "spec_augment": spec_augment(window=256),
}
each_augmentation = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(audio: Tensor, **inputs: Tensor) -> Batch:
    index = torch.arange(len(audio))
    return Batch({"audio_bcn": audio, **inputs}, {"label_b": index}, index, torch.zeros_like(index))


def hum(count: int = 4, samples: int = 4000, level: float = 0.1) -> Tensor:
    """Quiet noise, in which every frequency is there."""
    return (torch.randn(count, 2, samples, generator=seeded(1)) * level).clamp(-1, 1)


def changed(augment: Augment, audio: Tensor, seed: int = 0) -> Tensor:
    return augment(batch_of(audio), seeded(seed)).inputs["audio_bcn"]


@each_augmentation
def test_sound_stays_in_its_range_and_shape(augment):
    loud = changed(augment, hum(level=0.7))
    assert loud.shape == (4, 2, 4000)
    assert loud.dtype == torch.float32
    assert loud.abs().max() <= 1


@each_augmentation
def test_the_seed_decides_and_samples_differ(augment):
    alike = hum(1).expand(16, -1, -1)
    once, again, other = (changed(augment, alike, seed) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len({sound.numpy().tobytes() for sound in once}) > 1


@each_augmentation
def test_the_batch_that_went_in_and_all_else_stay(augment):
    audio, clips = hum(), torch.zeros(4, 3, 2, 4, 4, dtype=torch.uint8)
    batch, before = batch_of(audio, clip_bcthw=clips), audio.clone()
    after = augment(batch, seeded())
    assert torch.equal(audio, before)
    assert after.inputs["clip_bcthw"] is clips
    assert after.targets == batch.targets


@each_augmentation
def test_nothing_is_read_back_from_the_device(augment):
    """Tensors of the meta device have no values: reading one is an error, as it is a wait on a GPU."""
    there = augment(batch_of(hum()).to("meta"), seeded()).inputs["audio_bcn"]
    assert there.device.type == "meta"
    assert there.shape == (4, 2, 4000)


@pytest.mark.parametrize("augment", ["audio_noise", "audio_gain", "audio_shift", "spec_augment"])
def test_a_batch_without_sound_is_said(augment):
    index = torch.arange(1)
    batch = Batch({"clip_bcthw": torch.zeros(1, 3, 2, 4, 4)}, {}, index, index)
    expected = rf"{augment} changes sound, and the batch has none: this model takes clip_bcthw\n.*leave {augment} out"
    with pytest.raises(ParameterError, match=expected):
        EVERY[augment](batch, seeded())


def test_noise_has_the_declared_ratio():
    """Power of sound over power of what was added, in decibels: uniform in 5..15."""
    audio = hum(400, 2000, level=0.02)
    added = changed(audio_noise(snr_db=(5.0, 15.0)), audio) - audio
    ratio_db = 10 * (audio.square().mean((1, 2)) / added.square().mean((1, 2))).log10()
    noise_of_the_estimate = 0.5  # 4,000 values: 10 log10(1 +- 3 * sqrt(2 / 4000))
    assert 5 - noise_of_the_estimate < ratio_db.min() < 5.5
    assert 14.5 < ratio_db.max() < 15 + noise_of_the_estimate
    assert abs(float(ratio_db.mean()) - 10) < 3 * 10 / (12 * 400) ** 0.5
    assert abs(float(added.mean())) < 1e-3


def test_noise_comes_as_often_as_asked_and_leaves_silence_silent():
    audio = hum(1000, 20)
    noisy = (changed(audio_noise(p=0.3), audio) != audio).flatten(1).any(1)
    assert abs(int(noisy.sum()) - 300) < 3 * (1000 * 0.3 * 0.7) ** 0.5
    assert not changed(audio_noise(), torch.zeros(2, 1, 50)).any()


def test_gain_has_the_declared_decibels():
    audio = hum(1000, 20, level=0.02)
    gain_db = 20 * (changed(audio_gain(db=(-12.0, 6.0)), audio)[:, 0, 0] / audio[:, 0, 0]).log10()
    assert -12.001 < gain_db.min() < -11.8
    assert 5.8 < gain_db.max() < 6.001
    assert abs(float(gain_db.mean()) + 3) < 3 * 18 / (12 * 1000) ** 0.5


def test_too_loud_is_cut_off():
    assert changed(audio_gain(db=(20.0, 20.0)), torch.tensor([[[0.05, 0.5, -0.5]]])).tolist() == [
        [[pytest.approx(0.5), 1.0, -1.0]]
    ]


@pytest.mark.parametrize(
    ("options", "limit"),
    [({"part": 0.25}, 25), ({"seconds": 0.01, "audio": SPEC}, 10), ({}, 10), ({"seconds": 9.0, "audio": SPEC}, 100)],
)
def test_shifts_are_uniform_up_to_the_limit_in_both_directions(options, limit):
    """Sound that counts its samples tells how far it went."""
    audio = (torch.arange(1, 101) / 200).expand(4000, 1, 100)
    moved = changed(audio_shift(fill="circular", **options), audio)
    shifts = (1 - (moved[:, 0, 0] * 200).round().long()) % 100
    shifts = torch.where(shifts > 50, shifts - 100, shifts) if limit < 50 else shifts
    if limit < 50:
        assert (int(shifts.min()), int(shifts.max())) == (-limit, limit)
        counts = (shifts + limit).bincount()
        expected = 4000 / (2 * limit + 1)
        assert (counts - expected).abs().max() < 5 * expected**0.5
    else:
        assert len(shifts.unique()) == 100


@pytest.mark.parametrize("fill", ["silence", "circular"])
def test_sound_moves_as_numpy_rolls_it(fill):
    import numpy as np

    audio = torch.rand(64, 2, 30, generator=seeded(1)) * 0.5 + 0.1
    moved = changed(audio_shift(part=0.5, fill=fill), audio).numpy()
    found = set()
    for sound, original in zip(moved, audio.numpy(), strict=True):
        for by in range(-15, 16):
            expected = np.roll(original, by, axis=-1)
            if fill == "silence" and by:
                expected[:, slice(None, by) if by > 0 else slice(by, None)] = 0
            if np.array_equal(sound, expected):
                found.add(by)
                break
        else:
            raise AssertionError("this is no shifted sound")
    assert min(found) < 0 < max(found)


def test_limits_of_a_shift_are_checked():
    with pytest.raises(ParameterError, match=r"has a part and seconds\n.*one of the two"):
        audio_shift(part=0.1, seconds=1.0, audio=SPEC)
    with pytest.raises(ParameterError, match=r"how many samples a second has\n.*write part"):
        audio_shift(seconds=1.0)


@pytest.mark.parametrize(("window", "samples"), [(512, 16000), (64, 1001), (256, 256)])
def test_the_way_to_the_spectrogram_and_back_is_torchs(window, samples):
    audio = hum(2, samples)
    spectrum = spectrogram(audio, window)
    hann = torch.hann_window(window)
    expected = torch.stft(
        audio.flatten(0, 1), window, window // 4, window=hann, return_complex=True, pad_mode="constant"
    )
    assert torch.equal(spectrum.flatten(0, 1), expected)
    assert (waveform(spectrum, window, samples) - audio).abs().max() < 1e-5
    spectrum[:, :, 3:9] = 0
    expected = torch.istft(spectrum.flatten(0, 1), window, window // 4, window=hann, length=samples)
    assert (waveform(spectrum, window, samples).flatten(0, 1) - expected).abs().max() < 1e-5


def test_stripes_have_the_widths_and_places_of_the_paper():
    """One stripe: width uniform in 0..F, its first bin uniform in what room is left (SpecAugment, section 2)."""
    stays = kept(draw_stripes(6000, 1, 0.25, seeded()), 400)
    widths = (~stays).sum(1)
    assert int(widths.min()) == 0
    assert int(widths.max()) == 100
    assert abs(float(widths.double().mean()) - 50) < 3 * 100 / (12 * 6000) ** 0.5
    masked = ~stays[widths > 0]
    first, last = masked.int().argmax(1), 399 - masked.flip(1).int().argmax(1)
    assert torch.equal(last - first + 1, masked.sum(1))
    place = first / (400 - masked.sum(1))
    assert abs(float(place.mean()) - 0.5) < 3 / (12 * len(place)) ** 0.5
    assert (place.min(), place.max()) < (0.01, 1.0)
    assert int(last.max()) == 399


def test_several_stripes_may_overlap():
    counts = (~kept(draw_stripes(500, 3, 0.2, seeded()), 100)).sum(1)
    assert 20 < int(counts.max()) <= 60


def test_no_stripes_leave_the_sound():
    audio = hum()
    assert (changed(spec_augment(frequency_masks=0, time_masks=0, window=256), audio) - audio).abs().max() < 1e-6


def test_stripes_of_frequencies_are_silent_in_the_sound():
    """Counted in the spectrogram of what comes out, away from its ends; a Hann window smears by one bin."""
    audio, window = hum(16, 4096), 128
    augmented = changed(spec_augment(time_masks=0, frequency_masks=1, frequency_part=0.5, window=window), audio, 3)
    masked_bf = ~kept(draw_stripes(16, 1, 0.5, seeded(3)), window // 2 + 1)
    before, after = (spectrogram(each, window)[..., 4:-4].abs().mean((1, 3)) for each in (audio, augmented))
    silent_bf = after < before / 2
    assert (masked_bf.sum(1) > 2).sum() > 12
    assert ((silent_bf.sum(1) - masked_bf.sum(1)).abs() <= 2).all()
    near_bf = max_pool1d(masked_bf[:, None].float(), 5, stride=1, padding=2)[:, 0] > 0
    inside_bf = ~(max_pool1d((~masked_bf)[:, None].float(), 5, stride=1, padding=2)[:, 0] > 0)
    assert (after / before)[inside_bf].max() < 0.05
    assert ((after / before)[~near_bf] - 1).abs().max() < 0.05


def test_stripes_of_times_are_silent_in_the_sound():
    """Every sample under no window that stays is exactly silent; those under none that is masked are as they were."""
    audio, window, hop = hum(16, 4096), 128, 32
    augmented = changed(spec_augment(frequency_masks=0, time_masks=1, time_part=0.5, window=window), audio, 3)
    draw_from = seeded(3)
    draw_stripes(16, 0, 0.25, draw_from)
    stays_bt = kept(draw_stripes(16, 1, 0.5, draw_from), 4096 // hop + 1)
    assert (~stays_bt).any(1).sum() > 12
    for sound, original, stays in zip(augmented, audio, stays_bt.tolist(), strict=True):
        under = {True: torch.zeros(4096, dtype=torch.bool), False: torch.zeros(4096, dtype=torch.bool)}
        for time, stay in enumerate(stays):
            under[stay][max(0, time * hop - window // 2) : time * hop + window // 2] = True
        if (~under[True]).any():
            assert sound[:, ~under[True]].abs().max() < 1e-6
        assert (sound - original)[:, ~under[False]].abs().max() < 1e-5


def test_a_spectrogram_in_the_batch_gets_the_same_stripes():
    """In parts of its own size, filled with its mean."""
    given = torch.rand(8, 1, 65, 50, generator=seeded(1)) + 1
    batch = batch_of(hum(8), spectrogram_bcft=given)
    augment = spec_augment(window=128)
    both = augment(batch, seeded(5))
    masked = both.inputs["spectrogram_bcft"] != given
    mean = given.mean((1, 2, 3), keepdim=True).expand_as(given)
    assert torch.equal(both.inputs["spectrogram_bcft"][masked], mean[masked])
    assert 0 < float(masked.double().mean()) < 0.6
    assert torch.equal(both.inputs["audio_bcn"], changed(augment, batch.inputs["audio_bcn"], 5))
    generator = seeded(5)
    frequencies, times = draw_stripes(8, 2, 0.25, generator), draw_stripes(8, 2, 0.1, generator)
    expected = kept(frequencies, 65)[:, :, None] & kept(times, 50)[:, None, :]
    assert torch.equal(~masked.squeeze(1), expected)
    alone = Batch({"spectrogram_bcft": given}, {}, batch.index, batch.view)
    assert torch.equal(augment(alone, seeded(5)).inputs["spectrogram_bcft"], both.inputs["spectrogram_bcft"])


def test_windows_are_checked():
    with pytest.raises(ParameterError, match=r"window is 510\n.*multiple of 4, such as 508"):
        spec_augment(window=510)
    with pytest.raises(ParameterError, match=r"a window of 512 samples at 401 samples of sound\n.*at most 400"):
        changed(spec_augment(), hum(1, 401))


def test_pairs_in_the_wrong_order_are_said():
    with pytest.raises(ParameterError, match=r"snr_db goes from 9 down to 3\n.*\[3, 9\]"):
        audio_noise(snr_db=(9.0, 3.0))
    with pytest.raises(ParameterError, match=r"db goes from 1 down to -3"):
        audio_gain(db=(1.0, -3.0))


@pytest.mark.parametrize("module", [audio_shift_module, stripes])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
