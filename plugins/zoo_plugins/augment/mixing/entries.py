"""Two samples made one."""

from zoo_registry import Augmentation

ENTRIES: tuple[Augmentation, ...] = (
    Augmentation(
        "mixup",
        builder="zoo_plugins.augment.mixing.mixup:mixup",
        summary="Samples laid over each other, with labels of both.",
        source="Zhang et al. 2018, https://arxiv.org/abs/1710.09412",
    ),
    Augmentation(
        "cutmix",
        builder="zoo_plugins.augment.mixing.cutmix:cutmix",
        summary="A rectangle of another sample in every frame, with labels of both.",
        source="Yun et al. 2019, https://arxiv.org/abs/1905.04899",
    ),
    Augmentation(
        "mixup_cutmix",
        builder="zoo_plugins.augment.mixing.mixup_cutmix:mixup_cutmix",
        summary="Each batch mixed by mixup or by cutmix, as timm switches between them.",
        source="Touvron et al. 2021, DeiT, https://arxiv.org/abs/2012.12877, table 9",
    ),
    Augmentation(
        "video_mix",
        builder="zoo_plugins.augment.mixing.video_mix:video_mix",
        summary="A part in space, time or both of another clip, with labels of both.",
        source="VideoMix, Yun et al. 2020, https://arxiv.org/abs/2012.03457",
    ),
    Augmentation(
        "frame_mix",
        builder="zoo_plugins.augment.mixing.frame_mix:frame_mix",
        summary="Single frames of another clip, with labels of both.",
    ),
)
