"""Networks over an image backbone of timm: TSN, TSM, and what learns over time."""

from typing import Any

from zoo_registry import ClipSpec, Model, Weights

_SEGMENTS = "zoo_plugins.video.segment_networks"
_FRAMES = "zoo_plugins.video.frame_models"
_WANG_2016 = "Wang et al. 2016, https://arxiv.org/abs/1608.00859"
_LIN_2019 = "Lin et al. 2019, https://arxiv.org/abs/1811.08383"

_LAYOUTS = {
    "timm": f"{_SEGMENTS}:of_image_weights",
    "mmaction2": "zoo_plugins.video.layouts.mmaction2_tsn:of_segment_network",
}
_OPENMMLAB = "https://download.openmmlab.com/mmaction/v1.0/recognition"

_CLIP = ClipSpec(
    frames=8, size=224, resize=256, sampling="segments", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)


def _mmaction2(config: str, suffix: str, top1: float, top5: float, protocol: str, **fields: Any) -> Weights:
    """A checkpoint of MMAction2: its name ends with the start of its sha256; top-1 and top-5 in 0..1."""
    method = config.partition("_")[0]
    kinetics = {"tag": "k400", "labels": 400, "label_file": "zoo_plugins:labels/kinetics400.txt"}
    return Weights(
        source=f"{_OPENMMLAB}/{method}/{config}/{config}_{suffix}.pth",
        sha256=suffix.rpartition("-")[2],
        metrics={"accuracy": top1, "top5": top5},
        claimed_by=f"MMAction2, configs/recognition/{method}/README.md: {protocol}",
        licence="apache-2.0",
        convert="mmaction2",
        **{**kinetics, **fields},
    )


def _imagenet(reference: str, labels: int | None = 1000) -> Weights:
    """The image weights of a backbone, as timm has them; without labels where the classifier cannot be kept."""
    return Weights(
        tag=reference.partition(".")[2],
        source=f"hf://timm/{reference}",
        labels=labels,
        licence="apache-2.0",
        convert="timm",
    )


def _segments(name: str, **fields: Any) -> Model:
    return Model(
        name,
        builder=f"{_SEGMENTS}:{name.partition('_')[0]}",
        clip=_CLIP,
        source=_LIN_2019 if name.startswith("tsm") else _WANG_2016,
        licence="apache-2.0",
        layouts=_LAYOUTS,
        **fields,
    )


def _frames(name: str, **fields: Any) -> Model:
    return Model(
        name,
        builder=f"{_FRAMES}:{name}",
        clip=_CLIP,
        weights=(_imagenet("resnet50.a1_in1k", labels=None),),
        licence="apache-2.0",
        layouts={"timm": _LAYOUTS["timm"]},
        **fields,
    )


ENTRIES: tuple[Model, ...] = (
    _segments(
        "tsn",
        summary="Temporal Segment Network over any backbone of timm: one frame of each part of the film, averaged.",
        parameters=24_327_632,
        gmacs=32.698,
    ),
    _segments(
        "tsn_resnet50",
        fixed={"backbone": "resnet50"},
        summary="Temporal Segment Network: a ResNet-50 on one frame of each part of the film, averaged.",
        parameters=24_327_632,
        gmacs=32.698,
        weights=(
            _mmaction2(
                "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb", "20220906-2692d16c", 0.7412, 0.9134,
                "25 frames, 10 crops",
            ),
            _imagenet("resnet50.a1_in1k"),
        ),
    ),
    _segments(
        "tsm",
        summary="Temporal Shift Network over a backbone of timm: channels move along time, at no cost.",
        parameters=24_327_632,
        gmacs=32.698,
    ),
    _segments(
        "tsm_resnet50",
        fixed={"backbone": "resnet50", "shift_div": 8},
        summary="Temporal Shift Network: a ResNet-50 whose blocks see the frames before and after.",
        parameters=24_327_632,
        gmacs=32.698,
        weights=(
            _mmaction2(
                "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-64d69186", 0.7318, 0.9056,
                "8 frames, 10 crops",
            ),
            _mmaction2(
                "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv2-rgb", "20230317-be0fc26e", 0.6272, 0.8770,
                "8 frames, 3 crops", tag="ssv2", labels=174, label_file=None,
            ),
            _imagenet("resnet50.a1_in1k"),
        ),
    ),
    _segments(
        "tsm_mobilenetv2_100",
        fixed={"backbone": "mobilenetv2_100", "shift_div": 8},
        summary="Temporal Shift Network for small devices: a MobileNetV2 that sees the frames before and after.",
        parameters=2_736_272,
        gmacs=2.397,
        weights=(
            _mmaction2(
                "tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb", "20230414-401127fd",
                0.6871, 0.8832, "8 frames, 3 crops",
            ),
            _imagenet("mobilenetv2_100.ra_in1k"),
        ),
    ),
    _frames(
        "frame_attention",
        summary="Any backbone of timm on every frame, pooled over time by attention with a learnt query.",
        parameters=25_814_480,
        gmacs=32.710,
        source="Lee et al. 2019, https://arxiv.org/abs/1810.00825",
    ),
    _frames(
        "frame_transformer",
        summary="Any backbone of timm on every frame, then a transformer with positions and a class token.",
        parameters=37_378_000,
        gmacs=32.819,
        source="Arnab et al. 2021, model 2, https://arxiv.org/abs/2103.15691",
    ),
    _frames(
        "frame_conv_gru",
        summary="A convolutional backbone of timm on every frame, then a recurrent unit over its last maps.",
        parameters=27_675_088,
        gmacs=34.290,
        source="Ballas et al. 2016, https://arxiv.org/abs/1511.06432",
    ),
    _frames(
        "frame_conv1d",
        summary="Any backbone of timm on every frame, then dilated convolutions along time.",
        parameters=27_911_120,
        gmacs=32.731,
        source="Abu Farha and Gall 2019, https://arxiv.org/abs/1903.01945",
    ),
    _frames(
        "frame_multiscale",
        summary="Any backbone of timm on every frame, then convolutions of several time spans side by side.",
        parameters=25_805_982,
        gmacs=32.714,
        source="Hussein et al. 2019, https://arxiv.org/abs/1812.01289",
    ),
)  # fmt: skip
