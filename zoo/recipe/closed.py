"""What the slots whose names are closed sets have in common: how a name of ours is read, and how one is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.build.signature import Parameter, read_signature
from zoo.build.signature_cache import cached_signature
from zoo.build.values import At, Fault

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog

Check = Callable[[Mapping[str, Any], At, "Catalog"], list[Fault]]
"""Finds everything wrong with the parameters of a name; given them, the way to them, and where components are found."""


def closed_parameters(string: str) -> tuple[Parameter, ...]:
    """What a class or function of ours takes.

    Args:
        string: its import string.
    """
    return cached_signature(string, "", lambda: read_signature(resolve_name(string), string)).parameters
