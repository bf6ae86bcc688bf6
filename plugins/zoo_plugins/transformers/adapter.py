"""Recognises what transformers published: `config.json` with a `model_type`, and the weights beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from transformers import (
    PretrainedConfig,
    TimesformerConfig,
    VideoMAEConfig,
    VivitConfig,
    VJEPA2Config,
)

from zoo_plugins.transformers import plugin, videomae
from zoo_plugins.transformers.published import from_transformers
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Recognise, Recognised

_OF_NO_ACCOUNT = re.compile(
    r"architectures|pooler_.*|.*dropout.*|drop_path_rate|id2label|label2id|num_labels|initializer_range|.*dtype|transformers_.*|"
    r"_.*|decoder_.*|norm_pix_loss|problem_type|output_.*|return_dict|use_cache|chunk_size_.*|is_.*|tie_.*|"
    r"pruned_heads|.*_token_id|crop_size|frames_per_clip|image_size|num_frames|pred_.*|num_pooler_layers|"
    r"name_or_path|torchscript|use_bfloat16|model_type|task_specific_params|finetuning_task|gradient_checkpointing"
)
"""What of a configuration changes nothing of the answer in evaluation, or is given by the clip spec."""

_CLASSES = 1_000_000
"""The library makes a name for each class that a configuration claims."""

_SIZES = {"width": "hidden_size", "blocks": "num_hidden_layers", "heads": "num_attention_heads",
          "mlp_width": "intermediate_size"}  # fmt: skip


@dataclass(frozen=True)
class _Known:
    """A class of the library that the catalogue has.

    Attributes:
        config: of the library.
        architecture: name of the class that the weights are of.
        candidates: names in the catalogue and the configuration that each has, the likeliest size first.
        sized: whether its builders take other sizes.
    """

    config: type[PretrainedConfig]
    architecture: str
    candidates: Callable[[], Sequence[tuple[str, PretrainedConfig]]]
    sized: bool = True


_KNOWN: Mapping[str, _Known] = {
    "videomae": _Known(
        VideoMAEConfig, "VideoMAEForVideoClassification",
        lambda: [(f"videomae_{size}", videomae.configuration(size, (16, 224, 224), 3, use_mean_pooling=True))
                 for size in ("b", "s", "l")]),
    "timesformer": _Known(
        TimesformerConfig, "TimesformerForVideoClassification",
        lambda: [(f"timesformer_b{suffix}", TimesformerConfig(attention_type=kind))
                 for suffix, kind in (("", "divided_space_time"), ("_joint", "joint_space_time"))]),
    "vivit": _Known(VivitConfig, "VivitForVideoClassification", lambda: [("vivit_b_16x2", VivitConfig())]),
    "vjepa2": _Known(
        VJEPA2Config, "VJEPA2ForVideoClassification", lambda: [("vjepa2_l_attentive", VJEPA2Config())], sized=False),
}  # fmt: skip


def adapter() -> Recognise:
    """Builder of the adapter."""
    return recognise


def recognise(described: Mapping[str, Mapping[str, Any]]) -> Recognised | None:
    """What a folder as `save_pretrained` writes it holds.

    Raises:
        ParameterError: a video model of the library that the catalogue has, but not built like this one.
    """
    written = described["config.json"]
    known = _KNOWN.get(str(written.get("model_type")))
    if known is None:
        return None
    architectures = written.get("architectures") or [known.architecture]
    if not isinstance(architectures, list):
        raise ParameterError(f"architectures of its config.json is {architectures!r}, no list")
    if known.architecture not in architectures:
        raise ParameterError(
            f"its weights are those of {architectures[0]}, and only {known.architecture} is recognised",
            hint="to start from them, name the repository as `model.weights` of a recipe",
        )
    if (classes := written.get("num_labels")) is not None and not (
        isinstance(classes, int) and 0 < classes <= _CLASSES
    ):
        raise ParameterError(f"its config.json says {classes!r} classes", hint=f"at most {_CLASSES:,} are believed")
    try:
        config = known.config.from_dict(dict(written))
    except Exception as error:  # the library raises whatever a hostile configuration makes it raise
        raise ParameterError(f"transformers cannot read its config.json: {type(error).__name__}: {error}") from error
    name, params = _closest(known, config)
    entry = next(model for model in plugin.zoo_models() if model.name == name)
    return Recognised(
        model=f"transformers/{name}",
        params=params,
        convert=_converted,
        num_classes=len(config.id2label),
        labels=_labels(config.id2label),
        clip=_clip(entry.clip, config, described["preprocessor_config.json"]),
    )


def _converted(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """In the module's keys. It is built for the published clip, so no positions change and there is none to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_transformers(state, module)


def _closest(known: _Known, config: PretrainedConfig) -> tuple[str, dict[str, Any]]:
    """The entry that is built like this configuration, and its parameters.

    Raises:
        ParameterError: there is none; says in what the likeliest differs.
    """
    differing: list[list[str]] = []
    params: dict[str, Any] = {}
    for name, own in sorted(known.candidates(), key=lambda each: _sizes(each[1]) != _sizes(config)):
        params = {
            param: getattr(config, key)
            for param, key in _SIZES.items()
            if known.sized and getattr(config, key) != getattr(own, key)
        }
        if config.num_channels != 3:
            params["in_channels"] = config.num_channels
        skipped = {*(_SIZES.values() if known.sized else ()), "num_channels"}
        wrong = _differences(config, own, skipped)
        if not wrong:
            return name, params
        differing.append(wrong)
    raise ParameterError(
        f"this {config.model_type} is built otherwise than the catalogue's: {'; '.join(min(differing, key=len))}",
        hint="transformers' own from_pretrained loads it",
    )


def _sizes(config: PretrainedConfig) -> list[Any]:
    return [getattr(config, key, None) for key in _SIZES.values()]


def _differences(config: PretrainedConfig, own: PretrainedConfig, skipped: set[str]) -> list[str]:
    theirs, ours = config.to_dict(), own.to_dict()
    return [
        f"{key} is {theirs.get(key)!r}, not {value!r}"
        for key, value in ours.items()
        if key not in skipped and not _OF_NO_ACCOUNT.fullmatch(key) and theirs.get(key) != value
    ]


def _labels(names: Mapping[int, str]) -> tuple[str, ...]:
    """The names of the classes; the library's own `LABEL_0` are none."""
    labels = tuple(str(names[index]) for index in range(len(names)) if index in names)
    return () if len(labels) != len(names) or all(re.fullmatch(r"LABEL_\d+", label) for label in labels) else labels


def _clip(own: ClipSpec | None, config: PretrainedConfig, processor: Mapping[str, Any]) -> ClipSpec | None:
    """The entry's clip spec, as long and large as the configuration says, with the published mean and deviation."""
    if own is None:
        return None
    side = getattr(config, "image_size", None) or getattr(config, "crop_size", None)
    size = tuple(side) if isinstance(side, list | tuple) else (int(side), int(side))
    frames = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", own.frames)
    changes: dict[str, Any] = {}
    if (frames, size) != (own.frames, own.height_width):
        changes = {"frames": frames, "size": size if size[0] != size[1] else size[0], "resize": None}
    mean, std = processor.get("image_mean"), processor.get("image_std")
    if processor.get("do_normalize", True) and _is_colour(mean) and _is_colour(std):
        if processor.get("offset"):  # pixels are taken to -1..1 first
            mean, std = [(1 + value) / 2 for value in mean], [value / 2 for value in std]
        changes |= {"mean": tuple(mean), "std": tuple(std)}
    try:
        return replace(own, **changes)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"its configuration describes no clip: {error}") from error


def _is_colour(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(isinstance(value, float | int) for value in values)
