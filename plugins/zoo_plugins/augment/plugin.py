"""Changes of training clips, on the batch's device; drawn once a sample, the same for every frame."""

from zoo_registry import Augmentation, hookimpl


@hookimpl
def zoo_augmentations() -> list[Augmentation]:
    """Two crops, a flip, and changes of colour."""
    return [
        Augmentation(
            "random_resized_crop",
            builder="zoo_plugins.augment.random_resized_crop:random_resized_crop",
            summary="A window of random area and shape, resized to the clip's size.",
            source="Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 6",
        ),
        Augmentation(
            "random_crop",
            builder="zoo_plugins.augment.random_crop:random_crop",
            summary="A window of the clip's size at a random place.",
        ),
        Augmentation(
            "horizontal_flip",
            builder="zoo_plugins.augment.horizontal_flip:horizontal_flip",
            summary="Left and right swapped in some of the samples.",
        ),
        Augmentation(
            "color_jitter",
            builder="zoo_plugins.augment.color_jitter:color_jitter",
            summary="Brightness, contrast, saturation and hue changed by random factors.",
        ),
    ]
