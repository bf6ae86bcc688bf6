"""What colours look like."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "color_jitter",
        builder="zoo_plugins.augment.photometric.color_jitter:color_jitter",
        summary="Brightness, contrast, saturation and hue changed by random factors.",
    ),
)
