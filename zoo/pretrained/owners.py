"""Whose weights these are: the architectures of the catalogue whose keys and shapes a state dict has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from zoo.artefact.empty import build_empty
from zoo.artefact.weights import differences
from zoo_registry.errors import ZooError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from zoo_registry.catalog import Listed

_NEAR = 0.3
"""Architectures are tried whose parameters differ by less than this part: a classifier may be for other classes."""

_CLASSES = 400
"""For how many classes `Model.parameters` is counted."""


def owners(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str | None]]:
    """Names of the models that a state dict fits but for its classifier, each with the layout it is in.

    Args:
        state: tensors by any project's keys.

    Yields:
        Qualified name, and a key of `Model.layouts`; None where the keys are the model's own.
    """
    from zoo_registry.catalog import catalog

    size = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    for listed in catalog().list("model"):
        counted = listed.model.parameters
        if counted is None or abs(size - counted) > _NEAR * counted:
            continue
        module = _empty(listed)
        if module is None:
            continue
        for layout in (None, *listed.model.layouts):
            if _fits(state, module, listed, layout):
                yield listed.name, layout
                break


def owners_in_words(state: Mapping[str, Tensor], where: str) -> str:
    """What to do with weights that do not fit the model they were given to."""
    found = list(owners(state))
    if not found:
        return "they belong to another architecture, or to other parameters of this one"
    name, layout = found[0]
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    if layout is None:
        return f"their keys are those of {names}"
    return f"they are {names} as {layout} writes it: zoo convert {where.removeprefix('file:')} --to {name}"


def _empty(listed: Listed) -> Module | None:
    """The architecture without memory; None where it cannot be built here."""
    from zoo.build import build

    entry = listed.model
    provided = {"labels": (), "inputs": entry.inputs, "clip": entry.clip, "audio": entry.audio, "num_classes": _CLASSES}
    try:
        return build_empty(lambda: build(listed, {}, provided, load_weights=lambda *_: None))
    except ZooError:
        return None


def _fits(state: Mapping[str, Tensor], module: Module, listed: Listed, layout: str | None) -> bool:
    from zoo.pretrained.fitting import converted, converter

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a converter says of weights that may not be its own
            renamed = converted(state, module, converter(listed, layout) if layout else None)
    except Exception:  # a converter that was given something else than it knows
        return False
    own = module.state_dict()
    wrong = differences(own, renamed)
    last = list(own)[len(own) - len(wrong) :]
    return list(wrong) == last and all(
        key in renamed and renamed[key].shape[1:] == own[key].shape[1:] for key in last if renamed.get(key) is not None
    )
