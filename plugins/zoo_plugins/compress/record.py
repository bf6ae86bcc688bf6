"""Reads the records that rebuild a compressed model. They come with a model from anywhere, so nothing is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from zoo_registry.errors import ArtefactError

if TYPE_CHECKING:
    from torch import nn

    M = TypeVar("M", bound=nn.Module)

_HINT = "the model folder is damaged or was written by something else; fetch it again"


def fields(record: object, types: Mapping[str, type | tuple[type, ...]], what: str) -> list[Any]:
    """The values of a record that must have exactly these keys, of these types.

    Args:
        record: what was read.
        types: key to the type its value must have; a bool never passes for a number.
        what: how the record is called in an error, such as `prune_magnitude`.

    Returns:
        The values, in the order of `types`.

    Raises:
        ArtefactError: not a mapping, other keys, or a value of another type.
    """
    if not isinstance(record, Mapping) or set(record) != set(types):
        found = sorted(map(str, record)) if isinstance(record, Mapping) else type(record).__name__
        raise ArtefactError(f"the record of {what} must hold {sorted(types)}, not {found}", hint=_HINT)
    for key, expected in types.items():
        value = record[key]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ArtefactError(f"{key!r} in the record of {what} is a {type(value).__name__}", hint=_HINT)
    return [record[key] for key in types]


def module_of_type(model: nn.Module, name: object, kinds: tuple[type[M], ...], what: str) -> M:
    """The module that a record names.

    Raises:
        ArtefactError: the model has no such module, or it is of another type.
    """
    module = dict(model.named_modules(remove_duplicate=False)).get(name) if isinstance(name, str) else None
    if not isinstance(module, kinds):
        found = "which the model lacks" if module is None else f"which is a {type(module).__name__}"
        raise ArtefactError(f"the record of {what} names the module {str(name)[:80]!r}, {found}", hint=_HINT)
    return module


def refuse(what: str, reason: str) -> ArtefactError:
    """The error for a record that cannot be right."""
    return ArtefactError(f"the record of {what} {reason}", hint=_HINT)
