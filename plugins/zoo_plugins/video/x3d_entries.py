"""X3D networks; their sizes are those of training, the resize that of the authors' evaluation."""

from typing import Any

from zoo_plugins.video.pytorchvideo_weights import kinetics400
from zoo_registry import ClipSpec, Model

_LAYOUTS = "zoo_plugins.video.layouts"


def _model(name: str, **fields: Any) -> Model:
    return Model(
        name,
        builder="zoo_plugins.video.x3d:x3d",
        fixed={"architecture": name},
        source="https://arxiv.org/abs/2004.04730",
        licence="apache-2.0",
        layouts={
            "pytorchvideo": f"{_LAYOUTS}.pytorchvideo:pytorchvideo",
            "pyslowfast": f"{_LAYOUTS}.pyslowfast:pyslowfast",
            "mmaction2": f"{_LAYOUTS}.mmaction2:mmaction2",
        },
        **fields,
    )


ENTRIES: tuple[Model, ...] = (
    _model(
        "x3d_xs",
        summary="Depthwise 3-D network for 4 frames of 160x160.",
        clip=ClipSpec(frames=4, stride=12, fps=30, size=160, resize=182),
        parameters=3_794_274,
        gmacs=0.605,
        weights=(kinetics400("X3D_XS", 69.12, 88.63),),
    ),
    _model(
        "x3d_s",
        summary="Depthwise 3-D network for 13 frames of 160x160.",
        clip=ClipSpec(frames=13, stride=6, fps=30, size=160, resize=182),
        parameters=3_794_274,
        gmacs=1.963,
        weights=(kinetics400("X3D_S", 73.33, 91.27),),
    ),
    _model(
        "x3d_m",
        summary="Depthwise 3-D network for 16 frames of 224x224.",
        clip=ClipSpec(frames=16, stride=5, fps=30, size=224, resize=256),
        parameters=3_794_274,
        gmacs=4.732,
        weights=(kinetics400("X3D_M", 75.94, 92.72),),
    ),
    _model(
        "x3d_l",
        summary="Depthwise 3-D network for 16 frames of 312x312, twice as deep.",
        clip=ClipSpec(frames=16, stride=5, fps=30, size=312, resize=356),
        parameters=6_153_384,
        gmacs=18.368,
        weights=(kinetics400("X3D_L", 77.44, 93.31),),
    ),
)
