"""Several changes drawn by chance."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "rand_augment",
        builder="zoo_plugins.augment.policy.rand_augment:rand_augment",
        summary="A few of 14 operations chosen by chance, all of one strength.",
        source="Cubuk et al. 2019, https://arxiv.org/abs/1909.13719",
    ),
    Augmentation(
        "trivial_augment",
        builder="zoo_plugins.augment.policy.trivial_augment:trivial_augment",
        summary="One of 14 operations chosen by chance, of any strength.",
        source="Müller and Hutter 2021, https://arxiv.org/abs/2103.10158",
    ),
    Augmentation(
        "aug_mix",
        builder="zoo_plugins.augment.policy.aug_mix:aug_mix",
        summary="Copies changed by chains of operations, mixed with the clip that came in.",
        source="Hendrycks et al. 2019, https://arxiv.org/abs/1912.02781",
    ),
)
