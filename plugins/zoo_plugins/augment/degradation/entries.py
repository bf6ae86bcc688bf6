"""What cameras, codecs and weather do to a film."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "jpeg",
        builder="zoo_plugins.augment.degradation.jpeg:random_jpeg",
        summary="Frames written as JPEG pictures and read again.",
        source="ITU-T T.81",
    ),
    Augmentation(
        "video_codec",
        builder="zoo_plugins.augment.degradation.video_codec:random_video_codec",
        summary="Clips encoded as films and decoded again.",
    ),
    Augmentation(
        "downsample",
        builder="zoo_plugins.augment.degradation.downsample:random_downsample",
        summary="Clips scaled down and up again, with chosen filters.",
    ),
    Augmentation(
        "motion_blur",
        builder="zoo_plugins.augment.degradation.motion_blur:random_motion_blur",
        summary="Blur along a straight line, as of a camera that moves.",
    ),
    Augmentation(
        "poisson_noise",
        builder="zoo_plugins.augment.degradation.poisson_noise:random_poisson_noise",
        summary="Shot and read noise of a sensor in little light.",
        source="Foi et al. 2008, https://doi.org/10.1109/TIP.2008.2001399",
    ),
    Augmentation(
        "haze",
        builder="zoo_plugins.augment.degradation.haze:random_haze",
        summary="Air that is bright and hides what is behind it.",
        source="Koschmieder 1924; Narasimhan and Nayar 2002, https://doi.org/10.1023/A:1016328200723",
    ),
    Augmentation(
        "rain",
        builder="zoo_plugins.augment.degradation.rain:random_rain",
        summary="Streaks of rain that move on from frame to frame.",
        source="Garg and Nayar 2007, https://doi.org/10.1007/s11263-006-0028-6",
    ),
)
