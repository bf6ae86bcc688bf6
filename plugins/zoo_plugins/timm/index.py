"""What timm has, as entries. Imports timm, so it runs once per installed version; the catalogue caches the result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import floor
from typing import Literal

import timm
from timm.models import PretrainedCfg, get_pretrained_cfg

from zoo_registry import ClipSpec, Model, Weights

_FRAMES = 8
_STRIDE = 8


def index() -> Iterator[Model]:
    """All architectures of the installed timm, each with its published weights.

    Example:
        >>> entries = {entry.name: entry for entry in index()}
        >>> entries["resnet18"].clip.size, entries["resnet18"].weights[0].source
        (224, 'hf://timm/resnet18.a1_in1k')
    """
    tags: dict[str, list[str]] = {}
    for reference in timm.list_pretrained():
        architecture, _, tag = reference.partition(".")
        if tag:
            tags.setdefault(architecture, []).append(tag)
    for architecture in timm.list_models(pretrained=False):
        default = get_pretrained_cfg(architecture) or PretrainedCfg()
        clip = clip_spec(default)
        yield Model(
            architecture,
            builder="zoo_plugins.timm.frame_encoder:frame_encoder",
            summary="Image backbone: every frame on its own, averaged over time.",
            fixed={"architecture": architecture},
            clip=clip,
            weights=tuple(_weights(architecture, tag, clip) for tag in tags.get(architecture, ())),
            licence="apache-2.0",
        )


def clip_spec(config: PretrainedCfg) -> ClipSpec:
    """What timm's preprocessing for evaluation says, as a clip spec: 8 frames, every 8th of the film.

    timm enlarges before the centre crop: the short side becomes size / crop_pct; crop mode `squash` scales both sides
    by themselves.
    """
    _, height, width = config.input_size
    enlarged = (floor(height / config.crop_pct), floor(width / config.crop_pct))
    resize: int | tuple[int, int] | None = min(enlarged)
    if config.crop_mode == "squash":
        resize = enlarged
    elif enlarged == (height, width):
        resize = None  # just covers the crop
    interpolation: Literal["bilinear", "bicubic"] = "bicubic" if config.interpolation == "bicubic" else "bilinear"
    return ClipSpec(
        frames=_FRAMES,
        stride=_STRIDE,
        size=height if height == width else (height, width),
        resize=resize,
        mean=tuple(config.mean),
        std=tuple(config.std),
        interpolation=interpolation,
    )


def _weights(architecture: str, tag: str, of_model: ClipSpec) -> Weights:
    """The image weights of one tag, as timm names their keys."""
    config = get_pretrained_cfg(f"{architecture}.{tag}")
    checksum = re.search(r"-([0-9a-f]{8,64})\.\w+$", config.url or "")
    clip = clip_spec(config)
    return Weights(
        tag=tag,
        source=f"hf://{config.hf_hub_id}" if config.hf_hub_id else config.url,
        sha256=checksum[1] if checksum and not config.hf_hub_id else None,
        labels=config.num_classes or None,
        licence=None if config.license in (None, "unknown") else config.license,
        clip=None if clip == of_model else clip,
        convert="zoo_plugins.timm.image_weights:of_frame_encoder",
    )
