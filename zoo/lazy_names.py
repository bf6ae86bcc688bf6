"""Names that a package hands on without importing where they live: torch is loaded when somebody asks for one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562).

    Args:
        package: its name.
        homes: module of each name: in full, or as it is called within the package.

    Example:
        >>> get = lazily("zoo", {"load": "model"})
        >>> get("load").__module__
        'zoo.model'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        value = getattr(importlib.import_module(home if home.startswith("zoo.") else f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
