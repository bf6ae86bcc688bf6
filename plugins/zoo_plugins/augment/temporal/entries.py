"""When things happen in the clip: speed, order, frames that are missing or come twice."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "speed_jitter",
        builder="zoo_plugins.augment.temporal.speed_jitter:speed_jitter",
        summary="A part of the clip shown in as many frames as the whole: slower motion.",
    ),
    Augmentation(
        "reverse",
        builder="zoo_plugins.augment.temporal.reverse:reverse",
        summary="Some of the samples played backwards.",
    ),
    Augmentation(
        "frame_drop",
        builder="zoo_plugins.augment.temporal.frame_drop:frame_drop",
        summary="Single frames lost; the one before is shown instead.",
    ),
    Augmentation(
        "frame_repeat",
        builder="zoo_plugins.augment.temporal.frame_repeat:frame_repeat",
        summary="Single frames shown twice; what follows comes later.",
    ),
    Augmentation(
        "temporal_crop",
        builder="zoo_plugins.augment.temporal.temporal_crop:temporal_crop",
        summary="A piece of the clip, repeated to the old length.",
    ),
    Augmentation(
        "segment_shuffle",
        builder="zoo_plugins.augment.temporal.segment_shuffle:segment_shuffle",
        summary="Segments of the clip in a random order.",
        source="Misra et al. 2016, https://arxiv.org/abs/1603.08561",
    ),
)
