"""The folder of a run: where each thing lies, and whose run it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

import yaml

from zoo_registry.errors import RunError


class RunFolder:
    """Paths of a run and its `metrics.jsonl`.

    A row of `metrics.jsonl` is `{"step", "epoch", "split": "train" | "val", "time", "loss", ...}`; train rows also have
    `lr` and `samples_per_s`. `epoch` counts from 1, `time` is Unix seconds, values that are not finite are null.

    Args:
        path: the folder itself.
        writes: whether this process adds to it; of several that train together one does.

    Example:
        >>> folder = RunFolder("runs/quickstart")
        >>> folder.metrics.name, folder.report.name
        ('metrics.jsonl', 'report.html')
    """

    def __init__(self, path: str | Path, *, writes: bool = True) -> None:
        self.path = Path(path)
        self._writes = writes

    @classmethod
    def fresh(cls, name: str, runs: str | Path = "runs") -> Path:
        """Make the first folder of `runs/name`, `runs/name-2`, ... that does not exist yet.

        Two runs that start together get one each.

        Raises:
            RunError: it cannot be made.
        """
        plain = Path(runs) / name
        numbered = (plain.with_name(f"{plain.name}-{number}") for number in count(2))
        try:
            plain.parent.mkdir(parents=True, exist_ok=True)
            return next(path for path in chain([plain], numbered) if _is_new(path))
        except OSError as error:
            raise _cannot_make(plain, error) from error

    @classmethod
    def open(cls, path: str | Path, recipe: Mapping[str, Any], *, resume: bool = False) -> RunFolder:
        """Make the folder of a new run, or go back to one.

        A run that failed before it had anything to keep may be started again without `resume`.

        Args:
            path: the folder; made when missing.
            recipe: the resolved recipe as plain data; written to `recipe.resolved.yaml`.
            resume: go on with the run that is there.

        Raises:
            RunError: the folder belongs to another recipe (the first values that differ are named), already holds a
                run that is not to be resumed, or holds none to resume.
        """
        from zoo.recipe import dump
        from zoo.recipe.comparison import compared, shown

        folder, text = cls(path), dump(recipe)
        if folder.recipe.is_file():
            differing = compared(yaml.safe_load(folder.recipe.read_text("utf-8")), yaml.safe_load(text))
            if differing:
                words = [
                    f"{each.name or 'the recipe'} is {shown(each.one)} there and {shown(each.other)} here"
                    for each in differing[:3]
                ]
                listed = "; ".join(words) + ("; ..." if len(differing) > 3 else "")
                raise RunError(f"{path} belongs to a run of another recipe: {listed}", hint="choose another folder")
            if not resume and folder._has_results():
                raise RunError(f"{path} already holds this run", hint="go on with it by --resume, or choose another")
        elif resume:
            raise RunError(f"there is no run in {path} to resume", hint="leave --resume out to start one")
        elif folder.path.is_dir() and any(folder.path.iterdir()):
            raise RunError(f"{path} is not empty and holds no run", hint="choose another folder")
        else:
            _make(folder, text)
        return folder

    @property
    def recipe(self) -> Path:
        """What was run, with every default and full name."""
        return self.path / "recipe.resolved.yaml"

    @property
    def lock(self) -> Path:
        """With which versions, weights and data."""
        return self.path / "zoo.lock"

    @property
    def metrics(self) -> Path:
        """The measures over the run, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """The headline numbers."""
        return self.path / "summary.json"

    @property
    def model(self) -> Path:
        """The model as it is published."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Everything it takes to go on."""
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        """Pictures."""
        return self.path / "figures"

    @property
    def events(self) -> Path:
        """TensorBoard's files."""
        return self.path / "events"

    @property
    def quarantine(self) -> Path:
        """Files that could not be decoded, one JSON object a line."""
        return self.path / "quarantine.jsonl"

    @property
    def profile(self) -> Path:
        """What a few steps spent their time on."""
        return self.path / "profile"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def rewrite_recipe(self, recipe: Mapping[str, Any]) -> None:
        """Write the resolved recipe again, whole or not at all, after the run has chosen some of its values."""
        from zoo.recipe import dump

        partial = self.recipe.with_suffix(".partial")
        partial.write_text(dump(recipe), encoding="utf-8")
        partial.replace(self.recipe)

    def headlines(self) -> dict[str, Any]:
        """What `summary.json` says.

        Raises:
            RunError: it is damaged.
        """
        try:
            found = json.loads(self.summary.read_text("utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it holds no JSON object")
        except (ValueError, OSError) as error:
            raise RunError(f"{self.summary} cannot be read: {error}", hint="zoo run --resume writes it anew") from error
        return found

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row to `metrics.jsonl`; `time` is filled in.

        Raises:
            RunError: the disk is full or cannot be written.
        """
        if not self._writes:
            return
        finite = {key: _finite(value) for key, value in {**row, "time": round(time.time(), 3)}.items()}
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite, allow_nan=False) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write {self.metrics}: {(error.strerror or str(error)).lower()}",
                hint="free some space or see that the folder can be written, then go on with --resume",
            ) from error

    def history(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`; a last line that a killed run left half-written is left out."""
        return list(self._rows())

    def damaged_from(self) -> int | None:
        """Number of the first line of `metrics.jsonl` that cannot be read; `history` ends before it."""
        lines = self.metrics.read_text("utf-8").splitlines() if self.metrics.exists() else []
        read = len(self.history())
        return read + 1 if read < len(lines) else None

    def metrics_bytes(self) -> int:
        """How long `metrics.jsonl` is now; a checkpoint keeps it."""
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def cut_back(self, size: int) -> None:
        """Forget the rows that were written after a checkpoint."""
        if self._writes and self.metrics_bytes() > size:
            with self.metrics.open("r+b") as file:
                file.truncate(size)

    def _has_results(self) -> bool:
        return any(path.exists() for path in (self.metrics, self.checkpoints, self.model, self.summary))

    def _rows(self) -> Iterator[dict[str, Any]]:
        if not self.metrics.exists():
            return
        for line in self.metrics.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return


def _is_new(path: Path) -> bool:
    """Make a folder unless there is one."""
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def _make(folder: RunFolder, recipe: str) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.recipe.write_text(recipe, encoding="utf-8")
    except OSError as error:
        raise _cannot_make(folder.path, error) from error


def _cannot_make(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write to {path}: {error.strerror}", hint="choose another folder")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
