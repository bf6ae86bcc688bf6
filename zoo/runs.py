"""What the folders of runs say of themselves: found, read, and never a reason to crash."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Literal

import yaml

from zoo.runner.folder import RunFolder
from zoo.runner.training_lock import trainer
from zoo_registry.errors import RunError


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder tells it; what the folder does not say is None.

    Attributes:
        path: the folder.
        status: `finished` with a summary, `running` while a process trains in it, else `stopped`; `damaged` where its
            recipe cannot be read.
        recipe: name of the recipe.
        model: name of the model.
        epochs: finished epochs.
        epochs_wanted: how many the recipe asks for.
        metrics: headline numbers of the evaluated splits, `val/accuracy`; those of the last epoch before the end.
        samples_per_s: median of training.
        seconds: how long it took, or has taken so far.
        kwh: energy.
        updated: when it last wrote something.
        notes: what is broken or missing, in words.
        data: the resolved recipe; empty if it cannot be read.
        history: rows of `metrics.jsonl`.
    """

    path: Path
    status: Literal["finished", "running", "stopped", "damaged"]
    recipe: str | None = None
    model: str | None = None
    epochs: int | None = None
    epochs_wanted: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    samples_per_s: float | None = None
    seconds: float | None = None
    kwh: float | None = None
    updated: datetime | None = None
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    history: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Plain data without recipe and history."""
        names = [each.name for each in fields(self) if each.name not in ("data", "history")]
        facts = {name: getattr(self, name) for name in names}
        updated = self.updated.isoformat(timespec="seconds") if self.updated else None
        return {**facts, "path": self.path.as_posix(), "metrics": dict(self.metrics), "updated": updated}


def find_runs(folders: Sequence[Path]) -> list[RunRecord]:
    """The runs in some folders and below them, the one that wrote last first.

    Args:
        folders: runs, or folders that hold some at any depth.

    Raises:
        RunError: a folder that is not there.

    Example:
        >>> [run.status for run in find_runs([Path("runs")])]                                     # doctest: +SKIP
        ['finished', 'stopped']
    """
    for folder in folders:
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder}", hint="zoo run RECIPE makes runs/RECIPE")
    paths = dict.fromkeys(path for folder in folders for path in _run_folders(folder))
    runs = [read_run(path) for path in paths]
    return sorted(runs, key=lambda run: run.updated or datetime.fromtimestamp(0, UTC), reverse=True)


def read_run(path: Path) -> RunRecord:
    """What a run's folder says.

    Args:
        path: a folder that `zoo run` made.
    """
    folder, notes = RunFolder(path), list[str]()
    data, history, summary = _recipe(folder, notes), _history(folder, notes), _summary(folder, notes)
    training = trainer(path)
    if not training:
        _note_lost_rows(folder, summary, notes)
    wanted = _number(_at(data, "run", "epochs"))
    return RunRecord(
        path,
        "running" if training else "damaged" if not data else "finished" if summary else "stopped",
        recipe=_word(summary.get("recipe")) or _locked_name(folder) or path.name,
        model=_word(_at(data, "model", "name")) or _word(summary.get("model")),
        epochs=_whole(summary.get("epochs")) if summary else _epochs(history),
        epochs_wanted=_whole(wanted),
        metrics=_metrics(summary) or _last_validation(history),
        samples_per_s=_speed(history),
        seconds=_number(summary.get("seconds")) or _elapsed(history),
        kwh=_number(summary.get("energy/kwh")),
        updated=_updated(folder),
        notes=tuple(notes),
        data=data,
        history=history,
    )


def _run_folders(folder: Path) -> Iterator[Path]:
    """Folders with a resolved recipe; a run holds no other runs."""
    for place, below, files in os.walk(folder):
        if "recipe.resolved.yaml" in files:
            below.clear()
            yield Path(place)
        below[:] = sorted(name for name in below if not name.startswith("."))


def _recipe(folder: RunFolder, notes: list[str]) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(folder.recipe.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        notes.append(f"{folder.recipe.name} cannot be read: {_first_line(error)}")
        return {}
    if not isinstance(found, Mapping) or not found:
        notes.append(f"{folder.recipe.name} holds no recipe")
        return {}
    return found


def _locked_name(folder: RunFolder) -> str | None:
    """What the recipe was called, also where the run has not come to a summary."""
    try:
        return _word(_at(yaml.safe_load(folder.lock.read_text("utf-8")), "name"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def _summary(folder: RunFolder, notes: list[str]) -> Mapping[str, Any]:
    if not folder.summary.exists():
        return {}
    try:
        return folder.headlines()
    except RunError as error:
        notes.append(f"{folder.summary.name} cannot be read: {_first_line(error.__cause__ or error)}")
        return {}


def _history(folder: RunFolder, notes: list[str]) -> list[Mapping[str, Any]]:
    try:
        rows: list[Any] = [*folder.history()]
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"{folder.metrics.name} cannot be read: {_first_line(error)}")
        return []
    whole = [row for row in rows if isinstance(row, Mapping)]
    if len(whole) < len(rows):
        notes.append(f"{len(rows) - len(whole)} lines of {folder.metrics.name} are no rows")
    return whole


def _note_lost_rows(folder: RunFolder, summary: Mapping[str, Any], notes: list[str]) -> None:
    """Of a run that is under way the last line may be half-written, and the first one yet to come."""
    try:
        line = folder.damaged_from()
    except (OSError, ValueError, RecursionError):  # noted where they were read
        return
    if line is not None:
        notes.append(f"{folder.metrics.name} is damaged from line {line} on")
    if folder.summary.exists() and summary.get("epochs") != 0 and not folder.metrics.exists():
        notes.append(f"{folder.metrics.name} is missing")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


def _at(data: Any, *way: str) -> Any:
    for key in way:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of whole splits: neither of single classes nor counts."""
    return {
        key: float(value)
        for key, value in summary.items()
        if isinstance(value, float) and key.count("/") == 1 and key.split("/")[0] in ("val", "test")
    }


def _last_validation(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    rows = [row for row in history if row.get("split") == "val"]
    numbers = {key: _number(value) for key, value in rows[-1].items()} if rows else {}
    return {
        f"val/{key}": value
        for key, value in numbers.items()
        if value is not None and "/" not in key and key not in ("step", "epoch", "time")
    }


def _epochs(history: Sequence[Mapping[str, Any]]) -> int | None:
    """Those whose validation is written, else those before the last row's."""
    if not history:
        return None
    last = _whole(history[-1].get("epoch")) or 0
    return last if history[-1].get("split") == "val" else max(last - 1, 0)


def _speed(history: Sequence[Mapping[str, Any]]) -> float | None:
    speeds = [speed for row in history if (speed := _number(row.get("samples_per_s"))) is not None]
    return median(speeds) if speeds else None


def _elapsed(history: Sequence[Mapping[str, Any]]) -> float | None:
    times = [moment for row in history if (moment := _number(row.get("time"))) is not None]
    return max(times) - min(times) if times else None


def _updated(folder: RunFolder) -> datetime | None:
    times = [path.stat().st_mtime for path in (folder.recipe, folder.metrics, folder.summary) if path.exists()]
    return datetime.fromtimestamp(max(times), UTC) if times else None
