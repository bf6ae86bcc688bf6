"""What colours look like."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "color_jitter",
        builder="zoo_plugins.augment.photometric.color_jitter:color_jitter",
        summary="Brightness, contrast, saturation and hue changed by random factors.",
    ),
    Augmentation(
        "brightness",
        builder="zoo_plugins.augment.photometric.brightness:random_brightness",
        summary="Brightness scaled by a random factor.",
    ),
    Augmentation(
        "contrast",
        builder="zoo_plugins.augment.photometric.contrast:random_contrast",
        summary="Contrast changed by a random factor.",
    ),
    Augmentation(
        "saturation",
        builder="zoo_plugins.augment.photometric.saturation:random_saturation",
        summary="Saturation changed by a random factor.",
    ),
    Augmentation(
        "hue",
        builder="zoo_plugins.augment.photometric.hue:random_hue",
        summary="The colour circle turned by a random part.",
        source="Smith 1978, Color gamut transform pairs, https://doi.org/10.1145/965139.807361",
    ),
    Augmentation(
        "grayscale",
        builder="zoo_plugins.augment.photometric.grayscale:random_grayscale",
        summary="Some samples in grey.",
    ),
    Augmentation(
        "gamma",
        builder="zoo_plugins.augment.photometric.gamma:random_gamma",
        summary="Gamma correction with a random exponent.",
    ),
    Augmentation(
        "posterize",
        builder="zoo_plugins.augment.photometric.posterize:random_posterize",
        summary="Few grey levels in some samples.",
    ),
    Augmentation(
        "solarize",
        builder="zoo_plugins.augment.photometric.solarize:random_solarize",
        summary="Bright values of some samples inverted.",
    ),
    Augmentation(
        "equalize",
        builder="zoo_plugins.augment.photometric.equalize:random_equalize",
        summary="Flat histograms in some samples.",
    ),
    Augmentation(
        "autocontrast",
        builder="zoo_plugins.augment.photometric.autocontrast:random_autocontrast",
        summary="Channels of some samples stretched from black to white.",
    ),
    Augmentation(
        "invert",
        builder="zoo_plugins.augment.photometric.invert:random_invert",
        summary="The negative of some samples.",
    ),
    Augmentation(
        "sharpness",
        builder="zoo_plugins.augment.photometric.sharpness:random_sharpness",
        summary="Sharpness changed by a random factor.",
    ),
    Augmentation(
        "gaussian_blur",
        builder="zoo_plugins.augment.photometric.gaussian_blur:random_gaussian_blur",
        summary="Gaussian blur of random width.",
    ),
    Augmentation(
        "gaussian_noise",
        builder="zoo_plugins.augment.photometric.gaussian_noise:random_gaussian_noise",
        summary="Normal noise of random strength.",
    ),
)
