"""Recognises what timm published: `config.json` with an `architecture`, and the weights beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import timm
from timm.models import PretrainedCfg
from torch import Tensor

from zoo_plugins.timm.frame_encoder import FrameEncoder
from zoo_plugins.timm.image_weights import of_frame_encoder
from zoo_plugins.timm.index import clip_spec
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Recognise, Recognised

_TAKEN = ("num_classes", "in_chans", "img_size", "global_pool", "drop_rate", "drop_path_rate")
"""Arguments of `timm.create_model` that are looked at, or change no answer in evaluation."""


def adapter() -> Recognise:
    """Builder of the adapter."""
    return recognise


def recognise(described: Mapping[str, Mapping[str, Any]]) -> Recognised | None:
    """What a repository as `timm.models.push_to_hf_hub` writes it holds: an image backbone, seen frame by frame.

    Raises:
        ParameterError: a model of timm that the installed version does not have, or that was built with other than its
            default arguments.
    """
    config = described["config.json"]
    architecture, published = config.get("architecture"), config.get("pretrained_cfg")
    if not isinstance(architecture, str) or not isinstance(published, Mapping) or "model_type" in config:
        return None
    if not timm.is_model(architecture):
        raise ParameterError(
            f"timm {timm.__version__} has no architecture {architecture!r}", hint="pip install --upgrade timm"
        )
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, Mapping):
        raise ParameterError(f"model_args of its config.json is {arguments!r}, no mapping")
    other = {name: value for name, value in arguments.items() if name not in _TAKEN and value is not None}
    if other:
        raise ParameterError(
            f"this {architecture} was built with other arguments than timm's: {other}",
            hint="timm.create_model with 'hf-hub:...' loads it; the zoo has the architectures as timm builds them",
        )
    classes = config.get("num_classes", published.get("num_classes"))
    classes = classes if isinstance(classes, int) and classes > 0 else None
    channels = arguments.get("in_chans") or 3
    pooling = arguments.get("global_pool") or config.get("global_pool")

    def convert(state: Mapping[str, Tensor], encoder: FrameEncoder) -> dict[str, Tensor]:
        own = getattr(encoder.backbone, "global_pool", None)
        if isinstance(own, str) and isinstance(pooling, str) and own != pooling:
            raise ParameterError(f"this {architecture} pools by {pooling!r}, timm's own by {own!r}")
        return of_frame_encoder(state, encoder)

    return Recognised(
        model=f"timm/{architecture}",
        params={} if channels == 3 else {"in_channels": channels},
        convert=convert,
        num_classes=classes,
        labels=_labels(config.get("label_names", published.get("label_names")), classes),
        clip=_clip(published, arguments.get("img_size")),
    )


def _clip(published: Mapping[str, Any], built_for: Any) -> ClipSpec:
    """The preprocessing that was published, as a clip spec."""
    known = {field.name for field in fields(PretrainedCfg)}
    lists = {name: tuple(value) for name, value in published.items() if isinstance(value, list)}
    if built_for is not None:
        height, width = built_for if isinstance(built_for, list) else (built_for, built_for)
        lists["input_size"] = (3, height, width)
    try:
        return clip_spec(
            PretrainedCfg(**{name: value for name, value in {**published, **lists}.items() if name in known})
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ParameterError(f"its pretrained_cfg describes no pictures: {error}") from error


def _labels(names: Any, classes: int | None) -> tuple[str, ...]:
    """The names, where there is one for each class."""
    return tuple(map(str, names)) if isinstance(names, list) and len(names) == classes else ()
