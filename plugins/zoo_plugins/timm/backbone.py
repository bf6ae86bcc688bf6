"""Backbones of timm as encoders of single frames."""

from __future__ import annotations

from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from zoo_plugins.timm.stages import feature_levels
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.names import nearest


def frame_backbone(
    architecture: str,
    *,
    clip: ClipSpec | None,
    in_channels: int = 3,
    drop_path: float = 0.0,
) -> tuple[nn.Module, int]:
    """A timm model without its classifier.

    Args:
        architecture: timm's name of it.
        clip: the clip spec in force. Backbones that are made for one size are made for this one.
        in_channels: C of the frames.
        drop_path: probability of leaving out a residual branch (stochastic depth).

    Returns:
        The module, pictures (N, C, H, W) to features (N, D), and D. The few encoders that do not pool give tokens
        (N, L, D) or a map (N, D, h, w).

    Raises:
        ParameterError: timm has no such model, or cannot build it for this size or number of channels, or it has no
            stochastic depth.
    """
    if not timm.is_model(architecture):
        known = nearest(architecture, timm.list_models())
        raise ParameterError(
            f"timm has no backbone {architecture!r}",
            hint=f"did you mean {', '.join(known)}?" if known else "`zoo models 'timm/*'` lists them",
        )
    arguments = _arguments(architecture, clip, in_channels, drop_path)
    try:
        backbone = timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)
    except (TypeError, ValueError, AssertionError) as error:
        if not arguments:
            raise
        asked = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ParameterError(
            f"timm/{architecture} cannot be built with {asked}: {error}",
            hint="leave out data.clip.size, in_channels and drop_path, or take another backbone",
        ) from error
    return backbone, getattr(backbone, "head_hidden_size", None) or backbone.num_features


def _arguments(architecture: str, clip: ClipSpec | None, in_channels: int, drop_path: float) -> dict[str, Any]:
    """What timm is asked for beyond its defaults."""
    arguments: dict[str, Any] = {}
    if drop_path:
        arguments["drop_path_rate"] = drop_path
    if in_channels != 3:
        arguments["in_chans"] = in_channels
    config = get_pretrained_cfg(architecture)
    own_size = tuple(config.input_size[1:]) if config is not None and config.fixed_input_size else None
    if clip is not None and own_size is not None and clip.height_width != own_size:
        arguments["img_size"] = clip.height_width
    return arguments


def frames_of(clip_bcthw: Tensor) -> Tensor:
    """Clips (B, C, T, H, W) as pictures (B * T, C, H, W), those of a clip one after the other."""
    return clip_bcthw.transpose(1, 2).flatten(0, 1)


def frame_features(backbone: nn.Module, clip_bcthw: Tensor) -> Tensor:
    """Features (B, T, D) of every frame of clips (B, C, T, H, W)."""
    features = backbone(frames_of(clip_bcthw))
    if features.ndim == 4:
        features = features.flatten(2).transpose(1, 2)
    if features.ndim == 3:
        features = features.mean(1)
    features_btd: Tensor = features.unflatten(0, (-1, clip_bcthw.shape[2]))
    return features_btd


def frame_pyramid(backbone: nn.Module, clip_bcthw: Tensor) -> list[Tensor]:
    """The maps (B, C, T, H, W) that timm offers on the way through a backbone, finest first.

    Raises:
        ParameterError: it offers none, or none that follow one another.
    """
    levels = [level.index for level in feature_levels(backbone)]
    if not levels:
        raise ParameterError(
            f"timm offers no maps of {type(backbone).__name__} that follow one another",
            hint="take features from another backbone, such as resnet50, convnext_tiny or vit_small_patch16_224",
        )
    maps_nchw = backbone.forward_intermediates(
        frames_of(clip_bcthw), indices=levels, intermediates_only=True, output_fmt="NCHW"
    )
    return [map_nchw.unflatten(0, (-1, clip_bcthw.shape[2])).transpose(1, 2) for map_nchw in maps_nchw]


def set_grad_checkpointing(backbone: nn.Module, enable: bool) -> None:
    """Tell a backbone to compute its layers again in the backward pass.

    Raises:
        ParameterError: timm cannot do that with this backbone.
    """
    try:
        backbone.set_grad_checkpointing(enable)
    except (AttributeError, AssertionError, NotImplementedError) as error:
        raise ParameterError(
            f"timm has no gradient checkpointing for {type(backbone).__name__}",
            hint="leave it off, make the batch smaller, or take another backbone",
        ) from error
