"""Residual networks of one pathway: Slow, C2D, I3D, CSN, R(2+1)D."""

from dataclasses import replace
from typing import Any

from zoo_plugins.video.pytorchvideo_weights import charades, kinetics400, something_something_v2
from zoo_registry import ClipSpec, Model

_BUILDER = "zoo_plugins.video.resnet:resnet"
_LAYOUTS = "zoo_plugins.video.layouts"
_SLOWFAST_2019 = "https://arxiv.org/abs/1812.03982"

_8X8 = ClipSpec(frames=8, stride=8, fps=30, size=256, resize=256)
_4X16 = replace(_8X8, frames=4, stride=16)
_16X4 = replace(_8X8, frames=16, stride=4)
_32X2 = replace(_8X8, frames=32, stride=2)
_8_SEGMENTS = ClipSpec(frames=8, size=256, resize=256, sampling="segments")

_PYTORCHVIDEO = {
    "pytorchvideo": f"{_LAYOUTS}.pytorchvideo:pytorchvideo",
    "pyslowfast": f"{_LAYOUTS}.pyslowfast:pyslowfast",
}


def _model(name: str, **fields: Any) -> Model:
    return Model(name, builder=_BUILDER, fixed={"architecture": name}, licence="apache-2.0", **fields)


ENTRIES: tuple[Model, ...] = (
    _model(
        "slow_r50",
        summary="Slow pathway of SlowFast on its own: a ResNet-50 that looks along time in its last two stages.",
        clip=_8X8,
        parameters=32_454_096,
        gmacs=54.521,
        source=_SLOWFAST_2019,
        layouts={
            **_PYTORCHVIDEO,
            "pytorchvideo_bgr": f"{_LAYOUTS}.pytorchvideo:pytorchvideo_bgr",
            "mmaction2": f"{_LAYOUTS}.mmaction2:mmaction2",
        },
        weights=(
            kinetics400("SLOW_8x8_R50", 74.58, 91.63),
            kinetics400("SLOW_4x16_R50", 72.40, 90.18, tag="k400_4x16", clip=_4X16),
            something_something_v2("SLOW_8x8_R50", 60.04, 85.19, clip=_8_SEGMENTS),
            charades("SLOW_8x8_R50", 34.72),
        ),
    ),
    _model(
        "c2d_r50",
        summary="ResNet-50 frame by frame, with one pooling over time; the baseline of the 3-D networks.",
        clip=_8X8,
        parameters=24_327_632,
        gmacs=25.463,
        source="Wang et al. 2018, https://arxiv.org/abs/1711.07971",
        layouts=_PYTORCHVIDEO,
        weights=(kinetics400("C2D_8x8_R50", 71.46, 89.68),),
    ),
    _model(
        "i3d_r50",
        summary="ResNet-50 with every other block inflated along time.",
        clip=_8X8,
        parameters=28_043_472,
        gmacs=37.106,
        source="Carreira and Zisserman 2017, https://arxiv.org/abs/1705.07750",
        layouts=_PYTORCHVIDEO,
        weights=(kinetics400("I3D_8x8_R50", 73.27, 90.70),),
    ),
    _model(
        "i3d_r50_32x2",
        summary="The same with a stem that makes 8 frames of 32, as mmaction2 has it.",
        clip=_32X2,
        parameters=28_043_472,
        source="Carreira and Zisserman 2017, https://arxiv.org/abs/1705.07750",
        layouts={"mmaction2": f"{_LAYOUTS}.mmaction2:mmaction2"},
    ),
    _model(
        "csn_r101",
        summary="ResNet-101 whose 3x3x3 convolutions see one channel each (interaction-reduced, ir-CSN).",
        clip=_32X2,
        parameters=22_213_776,
        gmacs=73.757,
        source="Tran et al. 2019, https://arxiv.org/abs/1904.02811",
        layouts={**_PYTORCHVIDEO, "mmaction2": f"{_LAYOUTS}.mmaction2:mmaction2_csn"},
        weights=(kinetics400("CSN_32x2_R101", 77.00, 92.90),),
    ),
    _model(
        "r2plus1d_r50",
        summary="ResNet-50 with each 3x3x3 convolution split into time and then space.",
        clip=_16X4,
        parameters=28_107_600,
        gmacs=75.148,
        source="Tran et al. 2018, https://arxiv.org/abs/1711.11248",
        layouts=_PYTORCHVIDEO,
        weights=(kinetics400("R2PLUS1D_16x4_R50", 76.01, 92.23),),
    ),
)
