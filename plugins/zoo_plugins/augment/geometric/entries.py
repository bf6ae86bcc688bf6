"""Where things are in the picture: crops, flips, scaling, turning."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "random_resized_crop",
        builder="zoo_plugins.augment.geometric.random_resized_crop:random_resized_crop",
        summary="A window of random area and shape, resized to the clip's size.",
        source="Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 6",
    ),
    Augmentation(
        "random_crop",
        builder="zoo_plugins.augment.geometric.random_crop:random_crop",
        summary="A window of the clip's size at a random place.",
    ),
    Augmentation(
        "horizontal_flip",
        builder="zoo_plugins.augment.geometric.horizontal_flip:horizontal_flip",
        summary="Left and right swapped in some of the samples.",
    ),
)
