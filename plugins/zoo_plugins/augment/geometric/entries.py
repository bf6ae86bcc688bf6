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
        "multi_scale_crop",
        builder="zoo_plugins.augment.geometric.multi_scale_crop:multi_scale_crop",
        summary="A window of one of several sizes at a corner, a side or the middle, resized to the clip's size.",
        source="Wang et al. 2016, Temporal Segment Networks, https://arxiv.org/abs/1608.00859, section 3.2",
    ),
    Augmentation(
        "short_side_scale",
        builder="zoo_plugins.augment.geometric.short_side_scale:short_side_scale",
        summary="The short side brought to a random length, and a window of the clip's size cut.",
        source="Feichtenhofer et al. 2019, SlowFast, https://arxiv.org/abs/1812.03982, section 4",
    ),
    Augmentation(
        "horizontal_flip",
        builder="zoo_plugins.augment.geometric.horizontal_flip:horizontal_flip",
        summary="Left and right swapped in some of the samples.",
    ),
    Augmentation(
        "vertical_flip",
        builder="zoo_plugins.augment.geometric.vertical_flip:vertical_flip",
        summary="Top and bottom swapped in some of the samples.",
    ),
    Augmentation(
        "rotate",
        builder="zoo_plugins.augment.geometric.rotate:rotate",
        summary="Turned around the middle by a random angle.",
    ),
    Augmentation(
        "shear",
        builder="zoo_plugins.augment.geometric.shear:shear",
        summary="Rows and columns slid against each other by random angles.",
    ),
    Augmentation(
        "translate",
        builder="zoo_plugins.augment.geometric.translate:translate",
        summary="Moved by a random number of pixels.",
    ),
    Augmentation(
        "zoom",
        builder="zoo_plugins.augment.geometric.zoom:zoom",
        summary="Scaled around the middle by a random factor.",
    ),
    Augmentation(
        "affine",
        builder="zoo_plugins.augment.geometric.affine:affine",
        summary="Turned, moved, scaled and sheared at once.",
    ),
    Augmentation(
        "perspective",
        builder="zoo_plugins.augment.geometric.perspective:perspective",
        summary="The corners drawn towards the middle, as seen from another place.",
    ),
)
