"""Builders of torchvision's video classifiers. Module and state-dict names are torchvision's own.

All take normalised clips (B, 3, T, H, W) and return logits (B, K).
"""

from __future__ import annotations

from typing import Annotated, Literal

from torch.nn import Module
from torchvision.models import get_model

from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError

Probability = Annotated[float, Range(ge=0, lt=1)]


def resnet3d(*, architecture: Literal["r3d_18", "mc3_18", "r2plus1d_18"], num_classes: Provided[int]) -> Module:
    """An 18-layer video ResNet (Tran et al. 2018); takes clips of any length and size.

    Args:
        architecture: how its convolutions treat time: r3d_18, mc3_18 or r2plus1d_18.
        num_classes: K.
    """
    return _torchvision(architecture, num_classes=num_classes)


def s3d(*, num_classes: Provided[int], clip: Provided[ClipSpec | None] = None, dropout: Probability = 0.2) -> Module:
    """Separable 3-D Inception (Xie et al. 2018, S3D).

    Args:
        num_classes: K.
        clip: the clip spec in force; its last pooling needs at least 14 frames of 224x224.
        dropout: probability before the last layer.

    Raises:
        ParameterError: the clip is too short or too small.
    """
    if clip is not None and (clip.frames < 14 or min(clip.height_width) < 224):
        raise ParameterError(
            f"s3d needs at least 14 frames of 224x224, the clip has {_shape(clip)}",
            hint="leave out data.clip, or take torchvision/r3d_18, which takes any clip",
        )
    return _torchvision("s3d", num_classes=num_classes, dropout=dropout)


def mvit(
    *,
    architecture: Literal["mvit_v1_b", "mvit_v2_s"],
    num_classes: Provided[int],
    clip: Provided[ClipSpec | None] = None,
    dropout: Probability = 0.5,
    stochastic_depth: Probability = 0.2,
) -> Module:
    """A multiscale vision transformer (Fan et al. 2021, Li et al. 2022).

    Args:
        architecture: mvit_v1_b or mvit_v2_s.
        num_classes: K.
        clip: the clip spec in force; positions are learnt for 16 frames of 224x224 and for nothing else.
        dropout: probability before the last layer.
        stochastic_depth: probability of leaving out the last block; earlier blocks in proportion.

    Raises:
        ParameterError: the clip has another shape.
    """
    if clip is not None and (clip.frames, *clip.height_width) != (16, 224, 224):
        raise ParameterError(
            f"{architecture} takes exactly 16 frames of 224x224, the clip has {_shape(clip)}",
            hint="leave out frames and size in data.clip, or take torchvision/swin3d_t, which takes any clip",
        )
    return _torchvision(architecture, num_classes=num_classes, dropout=dropout, stochastic_depth_prob=stochastic_depth)


def swin3d(
    *,
    architecture: Literal["swin3d_t", "swin3d_s", "swin3d_b"],
    num_classes: Provided[int],
    dropout: Probability = 0.0,
    attention_dropout: Probability = 0.0,
) -> Module:
    """A video Swin transformer (Liu et al. 2022); takes clips of any length and size, padded to its windows.

    Args:
        architecture: swin3d_t, swin3d_s or swin3d_b.
        num_classes: K.
        dropout: probability inside the blocks.
        attention_dropout: probability on attention weights.
    """
    return _torchvision(architecture, num_classes=num_classes, dropout=dropout, attention_dropout=attention_dropout)


def _torchvision(architecture: str, **arguments: float) -> Module:
    module: Module = get_model(architecture, weights=None, **arguments)
    return module


def _shape(clip: ClipSpec) -> str:
    height, width = clip.height_width
    return f"{clip.frames} of {height}x{width}"
