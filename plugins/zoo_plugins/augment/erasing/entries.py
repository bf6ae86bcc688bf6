"""Parts that are taken away."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "random_erasing",
        builder="zoo_plugins.augment.erasing.random_erasing:random_erasing",
        summary="A rectangle of random area and shape erased in some of the samples.",
        source="Zhong et al. 2020, https://arxiv.org/abs/1708.04896",
    ),
    Augmentation(
        "cutout",
        builder="zoo_plugins.augment.erasing.cutout:cutout",
        summary="Squares of one size erased at random places.",
        source="DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552",
    ),
    Augmentation(
        "tube_masking",
        builder="zoo_plugins.augment.erasing.tube_masking:tube_masking",
        summary="A fixed part of the patches erased, the same in every frame.",
        source="VideoMAE, Tong et al. 2022, https://arxiv.org/abs/2203.12602",
    ),
)
