"""Keeps the signatures of builders on disk, so that checking a recipe again imports none of them (and no torch).

The names that an installed package lists are kept beside them.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from zoo.build.signature import Signature
from zoo_registry.catalog import cache_folder

_FORMAT = 2
T = TypeVar("T")


def cached_signature(builder: str, version: str, read: Callable[[], Signature]) -> Signature:
    """The signature of a builder, from the cache if its module's source is still the same.

    Args:
        builder: import string.
        version: of the plugin that declares it.
        read: reads it from the builder itself, which imports the builder's module.
    """
    source = _source_hash(builder.partition(":")[0])
    return read() if source is None else _kept_signature(builder, [_FORMAT, builder, version, source], read)


def released_signature(function: str, distribution: str, read: Callable[[], Signature]) -> Signature:
    """The signature of a function of an installed package, from the cache if the package's version is still the same.

    Finding the source of a module imports the packages that it is in, which for torch is what the cache is to save.

    Args:
        function: import string.
        distribution: the package, as pip calls it.
        read: reads it from the function itself, which imports the package.
    """
    return _kept_signature(function, [_FORMAT, function, importlib.metadata.version(distribution)], read)


def released_names(what: str, distribution: str, read: Callable[[], list[str]]) -> list[str]:
    """Names that an installed package lists, from the cache if the package's version is still the same.

    Args:
        what: the list.
        distribution: the package, as pip calls it.
        read: asks the package, which imports it.
    """
    return _kept(what, [_FORMAT, what, importlib.metadata.version(distribution)], read, list, _as_names)


def _as_names(kept: Any) -> list[str]:
    if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
        raise TypeError(kept)
    return kept


def _kept_signature(builder: str, key: list[object], read: Callable[[], Signature]) -> Signature:
    return _kept(builder, key, read, Signature.to_json, Signature.from_json)


def _kept(
    name: str, key: list[object], read: Callable[[], T], plain: Callable[[T], Any], parse: Callable[[Any], T]
) -> T:
    """What was kept under a name for this key, else what `read` gives, which is kept."""
    path = cache_folder() / "signatures" / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == key:
            return parse(stored["kept"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = read()
    _store(path, key, plain(made))
    return made


def _source_hash(module: str) -> str | None:
    """Hash of a module's file, found without importing the module itself; None if there is no such file."""
    try:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.has_location or spec.origin is None:
            return None
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    except Exception:  # a parent package that fails to import: reading the signature says so better
        return None


def _store(path: Path, key: list[object], kept: Any) -> None:
    """Write whole or not at all; a cache that cannot be written costs time and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"key": key, "kept": kept}, file, separators=(",", ":"))
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
