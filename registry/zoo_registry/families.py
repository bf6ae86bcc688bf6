"""Lists large families of models without importing their library: the index is kept in a file per installed version.

    <cache>/families/<namespace>-<distribution>-<version>.<index>.json

The file also says for which plugin and for which state of the index function's own file it was made; when either
changes, when the file cannot be read, or when the distribution is upgraded, the index is made anew. That may import
the library, once.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo_registry.entries import AudioSpec, ClipSpec, Entry, Family, Model, Weights
from zoo_registry.entry_rules import faults
from zoo_registry.errors import Problem
from zoo_registry.plugin_record import PluginRecord, told

FORMAT = 2


def cache_folder() -> Path:
    """The folder for what is costly to make again: `ZOO_CACHE`, else `videozoo` in `XDG_CACHE_HOME` or `~/.cache`."""
    if chosen := os.environ.get("ZOO_CACHE"):
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "videozoo"


def expand(family: Family, plugin: PluginRecord) -> tuple[Sequence[Model], list[Problem]]:
    """The models of a family, from the cache or from the family's own index.

    Args:
        family: as the plugin declared it.
        plugin: whose it is; problems are attributed to it.

    Returns:
        Well-formed models, and what was wrong; without models when the library is not installed or the index fails.
    """
    try:
        installed = version(family.distribution)
    except PackageNotFoundError:
        message = f"its family of {family.distribution} is empty: {family.distribution} is not installed"
        return (), [plugin.problem(message, f"pip install {family.distribution}")]
    path = _cache_file(family, plugin, installed)
    made_for = [FORMAT, f"{plugin.distribution} {plugin.version}", *_state(family.index)]
    kept = _read(path, made_for)
    if kept is not None:
        return kept.models, [plugin.problem(message) for message in kept.problems]
    try:
        text = _make(family, made_for)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: no plugin may end the process that lists it
        message = f"its family of {family.distribution} is empty: {family.index} raised {told(error, plugin.module)}"
        return (), [plugin.problem(message, f"{family.distribution} {installed} may not suit it")]
    made = _parse(text)  # what is listed today is what will be listed from the file
    return made.models, [*(plugin.problem(message) for message in made.problems), *_write(path, text, plugin)]


@dataclass(frozen=True)
class _Index:
    """A family's index as it is kept."""

    made_for: list[Any]
    models: list[Model]
    problems: list[str]


def _cache_file(family: Family, plugin: PluginRecord, installed: str) -> Path:
    name = f"{plugin.namespace}-{family.distribution}-{installed}.{family.index.replace(':', '.')}.json"
    return cache_folder() / "families" / name


def _state(index: str) -> list[int]:
    """Size and time of the file that holds the index function, so that whoever edits it sees the effect."""
    try:
        found = importlib.util.find_spec(index.partition(":")[0])
        status = os.stat(found.origin) if found and found.origin else None
    except (ImportError, OSError, ValueError):
        status = None
    return [status.st_size, status.st_mtime_ns] if status else []


def _read(path: Path, made_for: list[Any]) -> _Index | None:
    """A kept index; None when there is none for this, or none that can be read."""
    try:
        index = _parse(path.read_bytes())
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return index if index.made_for == made_for else None


def _write(path: Path, text: str, plugin: PluginRecord) -> list[Problem]:
    """Keep an index; a cache that cannot be written costs time at the next listing and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".index-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        message = f"the index of a family cannot be kept in {path.parent}: {error.strerror or error}"
        return [plugin.problem(message, "listing stays slow; let ZOO_CACHE name a folder that can be written")]
    return []


def _make(family: Family, made_for: list[Any]) -> str:
    """Call the index function, which may import the library, and put down what it gives."""
    module, _, function = family.index.partition(":")
    listed: Iterable[object] = getattr(importlib.import_module(module), function)()
    clips: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    for item in listed:
        if not isinstance(item, Model):
            problems.append(f"{family.index} gave a {type(item).__name__}, not a Model")
        elif wrong := faults(item):
            problems += [f"model {item.name} of {family.distribution}: {fault}" for fault in wrong]
        else:
            rows.append(_encode(item, clips))
    index = {"made_for": made_for, "problems": problems, "clips": clips, "models": rows}
    return json.dumps(index, separators=(",", ":"))


def _encode(record: Entry | Weights | ClipSpec | AudioSpec, clips: list[dict[str, Any]]) -> dict[str, Any]:
    """A record's fields that differ from their defaults; clip specs, of which there are few, go to a table."""
    row: dict[str, Any] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if value == each.default or (isinstance(value, Mapping) and not value):
            continue
        if isinstance(value, ClipSpec):
            clip = _encode(value, clips)
            if clip not in clips:
                clips.append(clip)
            value = clips.index(clip)
        elif isinstance(value, AudioSpec):
            value = _encode(value, clips)
        elif each.name == "weights":
            value = [_encode(weights, clips) for weights in value]
        elif isinstance(value, Mapping):
            value = dict(value)
        row[each.name] = value
    return row


def _parse(text: str | bytes) -> _Index:
    """An index from its file; there may be thousands of rows, at every listing."""
    index = json.loads(text)
    clips = [ClipSpec(**{name: _tupled(value) for name, value in clip.items()}) for clip in index["clips"]]
    return _Index(index["made_for"], [_model(row, clips) for row in index["models"]], index["problems"])


def _model(row: dict[str, Any], clips: list[ClipSpec]) -> Model:
    for name in ("aliases", "requires", "inputs"):
        if name in row:
            row[name] = tuple(row[name])
    if "clip" in row:
        row["clip"] = clips[row["clip"]]
    if "audio" in row:
        row["audio"] = AudioSpec(**row["audio"])
    if "weights" in row:
        row["weights"] = tuple(_weights(weights, clips) for weights in row["weights"])
    return Model(**row)


def _weights(row: dict[str, Any], clips: list[ClipSpec]) -> Weights:
    if "clip" in row:
        row["clip"] = clips[row["clip"]]
    return Weights(**row)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
