"""Changes of sound."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "audio_noise",
        builder="zoo_plugins.augment.audio.audio_noise:audio_noise",
        summary="White noise at a random signal-to-noise ratio.",
    ),
    Augmentation(
        "audio_gain",
        builder="zoo_plugins.augment.audio.audio_gain:audio_gain",
        summary="The sound louder or quieter.",
    ),
    Augmentation(
        "audio_shift",
        builder="zoo_plugins.augment.audio.audio_shift:audio_shift",
        summary="The sound earlier or later than the pictures.",
    ),
    Augmentation(
        "spec_augment",
        builder="zoo_plugins.augment.audio.spec_augment:spec_augment",
        summary="Stripes of frequencies and of times silenced in the sound.",
        source="SpecAugment, Park et al. 2019, https://arxiv.org/abs/1904.08779",
    ),
)
