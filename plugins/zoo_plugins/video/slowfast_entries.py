"""SlowFast networks: their clips are the fast pathway's frames."""

from dataclasses import replace
from typing import Any

from zoo_plugins.video.pytorchvideo_weights import charades, kinetics400, something_something_v2
from zoo_registry import ClipSpec, Model

_LAYOUTS = "zoo_plugins.video.layouts"

_32X2 = ClipSpec(frames=32, stride=2, fps=30, size=256, resize=256)
_32_SEGMENTS = ClipSpec(frames=32, size=256, resize=256, sampling="segments")


def _model(name: str, **fields: Any) -> Model:
    return Model(
        name,
        builder="zoo_plugins.video.slowfast:slowfast",
        fixed={"architecture": name},
        source="https://arxiv.org/abs/1812.03982",
        licence="apache-2.0",
        layouts={
            "pytorchvideo": f"{_LAYOUTS}.pytorchvideo:pytorchvideo",
            "pytorchvideo_bgr": f"{_LAYOUTS}.pytorchvideo:pytorchvideo_bgr",
            "pyslowfast": f"{_LAYOUTS}.pyslowfast:pyslowfast",
            "mmaction2": f"{_LAYOUTS}.mmaction2:mmaction2_slowfast",
        },
        **fields,
    )


ENTRIES: tuple[Model, ...] = (
    _model(
        "slowfast_4x16_r50",
        summary="ResNet-50 over 4 frames beside a thin one over 32.",
        clip=_32X2,
        parameters=34_480_216,
        gmacs=36.102,
        weights=(kinetics400("SLOWFAST_4x16_R50", 75.34, 91.89),),
    ),
    _model(
        "slowfast_r50",
        summary="ResNet-50 over 8 frames beside a thin one over 32.",
        aliases=("slowfast_8x8_r50",),
        clip=_32X2,
        parameters=34_566_488,
        gmacs=65.712,
        weights=(
            kinetics400("SLOWFAST_8x8_R50", 76.94, 92.69),
            something_something_v2("SLOWFAST_8x8_R50", 61.68, 86.92, clip=_32_SEGMENTS),
            charades("SLOWFAST_8x8_R50", 37.24),
        ),
    ),
    _model(
        "slowfast_r101",
        summary="ResNet-101 over 8 frames beside a thin one over 32.",
        aliases=("slowfast_8x8_r101",),
        clip=_32X2,
        parameters=62_826_968,
        gmacs=125.908,
        weights=(kinetics400("SLOWFAST_8x8_R101", 77.90, 93.27),),
    ),
    _model(
        "slowfast_16x8_r101_50_50",
        summary="ResNet-101 over 16 frames beside a thin one over 64; fewer blocks of the third stage see time.",
        clip=replace(_32X2, frames=64),
        parameters=53_774_808,
        gmacs=213.024,
        weights=(kinetics400("SLOWFAST_16x8_R101_50_50", 78.70, 93.61),),
    ),
)
