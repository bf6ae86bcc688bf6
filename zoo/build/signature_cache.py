"""Keeps the signatures of builders on disk, so that checking a recipe again imports none of them (and no torch)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from zoo.build.signature import Signature
from zoo_registry.catalog import cache_folder

_FORMAT = 1


def cached_signature(builder: str, version: str, read: Callable[[], Signature]) -> Signature:
    """The signature of a builder, from the cache if its module's source is still the same.

    Args:
        builder: import string.
        version: of the plugin that declares it.
        read: reads it from the builder itself, which imports the builder's module.
    """
    source = _source_hash(builder.partition(":")[0])
    return read() if source is None else _kept(builder, [_FORMAT, builder, version, source], read)


def released_signature(function: str, distribution: str, read: Callable[[], Signature]) -> Signature:
    """The signature of a function of an installed package, from the cache if the package's version is still the same.

    Finding the source of a module imports the packages that it is in, which for torch is what the cache is to save.

    Args:
        function: import string.
        distribution: the package, as pip calls it.
        read: reads it from the function itself, which imports the package.
    """
    return _kept(function, [_FORMAT, function, importlib.metadata.version(distribution)], read)


def _kept(builder: str, key: list[object], read: Callable[[], Signature]) -> Signature:
    path = cache_folder() / "signatures" / f"{hashlib.sha256(builder.encode()).hexdigest()[:20]}.json"
    kept = _load(path, key)
    if kept is None:
        kept = read()
        _store(path, key, kept)
    return kept


def _source_hash(module: str) -> str | None:
    """Hash of a module's file, found without importing the module itself; None if there is no such file."""
    try:
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.has_location or spec.origin is None:
            return None
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    except Exception:  # a parent package that fails to import: reading the signature says so better
        return None


def _load(path: Path, key: list[object]) -> Signature | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Signature.from_json(stored["signature"]) if stored["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store(path: Path, key: list[object], signature: Signature) -> None:
    """Write whole or not at all; a cache that cannot be written costs time and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    except OSError:
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"key": key, "signature": signature.to_json()}, file, separators=(",", ":"))
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
