"""Checkpoints of other projects as model folders of ours: `zoo convert`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.artefact.empty import build_empty, fill
from zoo.artefact.weights import differences, misfit
from zoo.pretrained.fitting import converted, converter
from zoo.pretrained.owners import owners_in_words
from zoo.pretrained.state_dicts import model_folder, read_checkpoint
from zoo_registry.errors import ArtefactError, Location, ParameterError
from zoo_registry.names import Name, nearest

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from zoo_registry.catalog import Listed

_OWN = "videozoo"
"""The layout whose keys are the model's own."""


@dataclass(frozen=True)
class Converted:
    """What was converted.

    Attributes:
        folder: the model folder.
        model: qualified name of the architecture.
        layout: how the checkpoint was written: a key of `Model.layouts`, or `videozoo`.
        classes: outputs of the head.
        labels: how many of them have names.
        parameters: of the network.
        sha256: of the checkpoint.
    """

    folder: Path
    model: str
    layout: str
    classes: int
    labels: int
    parameters: int
    sha256: str


def convert(
    checkpoint: Path,
    model: str,
    folder: Path,
    *,
    layout: str | None = None,
    params: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    licence: str | None = None,
) -> Converted:
    """Write a checkpoint of another project as a model folder.

    Pickles are read without running code (`weights_only=True`), and refused where that does not do. Every key has to be
    explained: none may be missing, left over or of another shape. The number of classes is what the checkpoint has.

    Args:
        checkpoint: `.pth`, `.pyth`, `.pt`, `.bin`, `.ckpt`, `.safetensors`, or a folder with `model.safetensors`.
        model: the architecture, by name.
        folder: what is written; a model folder that is there is replaced.
        layout: how the checkpoint is written; by default the one of the model's layouts that explains every key.
        params: of the model's builder.
        labels: names of the classes, in the order of the outputs.
        licence: SPDX identifier of the weights.

    Raises:
        UnknownName: no such model.
        ArtefactError: a checkpoint that cannot be read or does not fit; says whose it is where that is known.
        ParameterError: an unknown layout, or another number of labels than classes.

    Example:
        >>> convert(Path("X3D_S.pyth"), "video/x3d_s", Path("x3d_s"), licence="apache-2.0").layout    # doctest: +SKIP
        'pytorchvideo'
    """
    from zoo.artefact import save_model
    from zoo_registry.catalog import catalog

    listed = catalog().resolve("model", model)
    entry = listed.model
    if Name.parse(model).tag is not None:
        raise ParameterError(f"{model!r} names weights, not an architecture", hint=f"convert to {listed.name}")
    if licence is not None and not licence.strip():
        raise ParameterError(
            "the licence is empty", hint="give its SPDX identifier, or leave it out: it is unknown then"
        )
    if model_folder(checkpoint) is not None:
        raise ArtefactError(
            f"{str(checkpoint)!r} is a model folder already", hint=f"zoo.load('file:{checkpoint}') reads it"
        )
    if not checkpoint.exists():
        raise ArtefactError("there is no such file", where=Location(str(checkpoint)), hint="check the path")
    state, sha256 = read_checkpoint(checkpoint)
    _refuse_not_finite(state, checkpoint)
    task = {"name": catalog().resolve("task", entry.task).name, "params": {}}
    network, found, classes = _network(listed, state, params or {}, _layouts(listed, layout), checkpoint)
    if labels and len(labels) != classes:
        raise ParameterError(
            f"{len(labels)} labels for {classes} classes", hint="one name a line, in the order of the network's outputs"
        )
    save_model(
        folder,
        network,
        model=listed.name,
        params=params or {},
        clip=entry.clip,
        audio=entry.audio,
        inputs=entry.inputs,
        labels=labels,
        task=task,
        licence=licence,
        num_classes=classes,
    )
    count = sum(parameter.numel() for parameter in network.parameters())
    return Converted(folder, listed.name, found, classes, len(labels), count, sha256)


def _layouts(listed: Listed, wanted: str | None) -> tuple[str, ...]:
    known = (_OWN, *listed.model.layouts)
    if wanted is None:
        return known
    if wanted not in known:
        near = nearest(wanted, known) or known
        raise ParameterError(f"{listed.name} reads no layout {wanted!r}", hint=f"there is {', '.join(near)}")
    return (wanted,)


@dataclass(frozen=True)
class _Attempt:
    """A checkpoint read in one layout, beside a network for some number of classes.

    Attributes:
        module: the network, without memory.
        state: the checkpoint in its keys.
        wrong: in what they differ, by key.
        classes: what the checkpoint's last layer has.
        said: warnings of the layout's converter.
    """

    module: Module
    state: Mapping[str, Tensor]
    wrong: Mapping[str, str]
    classes: int
    said: Sequence[warnings.WarningMessage]


def _network(
    listed: Listed, state: Mapping[str, Tensor], params: Mapping[str, Any], layouts: Sequence[str], checkpoint: Path
) -> tuple[Module, str, int]:
    """The network filled with a checkpoint, the layout that explains all of it, and its number of classes."""
    closest: Mapping[str, str] = {}
    for layout in layouts:
        attempt = _tried(listed, state, params, layout)
        if attempt is None:
            continue
        if not attempt.wrong:
            for warning in attempt.said:
                warnings.warn(warning.message, stacklevel=3)
            own = attempt.module.state_dict()
            fill(attempt.module, {key: attempt.state[key].to(own[key].dtype) for key in own})
            return attempt.module, layout, attempt.classes
        closest = min(filter(None, (closest, attempt.wrong)), key=len)
    hint = owners_in_words(state, str(checkpoint))
    if len(layouts) == 1 and (other := _layout_that_fits(listed, state, params, layouts[0])):
        hint = f"its keys are those of the layout {other}: leave --layout out"
    raise misfit(listed.name, closest.values(), str(checkpoint), hint)


def _layout_that_fits(listed: Listed, state: Mapping[str, Tensor], params: Mapping[str, Any], tried: str) -> str | None:
    """Another layout than the one that was asked for, which explains every key."""
    for layout in _layouts(listed, None):
        found = None if layout == tried else _tried(listed, state, params, layout)
        if found and not found.wrong:
            return layout
    return None


def _tried(listed: Listed, state: Mapping[str, Tensor], params: Mapping[str, Any], layout: str) -> _Attempt | None:
    """A checkpoint in a layout, beside a network for as many classes as its last layer has."""
    usual = next((weights.labels for weights in listed.model.weights if weights.labels), None) or 400
    attempt = _attempt(listed, state, params, layout, usual)
    if attempt and attempt.wrong and attempt.classes != usual:
        attempt = _attempt(listed, state, params, layout, attempt.classes)
    return attempt


def _refuse_not_finite(state: Mapping[str, Tensor], checkpoint: Path) -> None:
    """Weights that hold NaN or infinity answer NaN to everything."""
    broken = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise ArtefactError(
            f"not finite: {', '.join(broken[:3])}{more}",
            where=Location(str(checkpoint)),
            hint="the training that wrote it went wrong, or the file is damaged",
        )


def _attempt(
    listed: Listed, state: Mapping[str, Tensor], params: Mapping[str, Any], layout: str, classes: int
) -> _Attempt | None:
    """None where the layout's converter cannot make anything of the checkpoint."""
    from zoo.build import build

    entry = listed.model
    provided = {"num_classes": classes, "labels": (), "inputs": entry.inputs, "clip": entry.clip, "audio": entry.audio}
    module = build_empty(lambda: build(listed, params, provided, load_weights=lambda *_: None))
    change = None if layout == _OWN else converter(listed, layout)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            renamed = converted(state, module, change)
    except Exception:  # a converter that was given another project's keys may raise anything
        return None
    own = module.state_dict()
    last = renamed.get(next(reversed(own)))
    found = len(last) if last is not None and last.ndim and len(last) else classes
    return _Attempt(module, renamed, differences(own, renamed), found, said)
