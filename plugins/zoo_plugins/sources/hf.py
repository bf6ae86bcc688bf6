"""Data sets of the `datasets` library that hold films: on the Hub, or written with it on a disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo_plugins.sources.sample_list import SampleList
from zoo_plugins.sources.samples_on_demand import SamplesOnDemand
from zoo_registry.errors import DataError, Location, MissingExtra
from zoo_registry.protocols import Provided, Sample

if TYPE_CHECKING:
    from datasets import Dataset

PARTS = {"train": ("train",), "val": ("validation", "val", "valid", "dev"), "test": ("test",)}
"""What data sets call our splits."""


_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def hf(
    *,
    split: Provided[str],
    path: Path | None = None,
    repo: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    part: str | None = None,
    video: str = "video",
    label: str | None = "label",
) -> SampleList:
    """A data set with a column of films or pictures; nothing is decoded before a sample is wanted.

    Args:
        split: what is asked for.
        path: a folder written by `save_to_disk`, or a parquet file, or a folder of such files.
        repo: a data set of the Hub, `org/name`; either this or `path`.
        revision: branch, tag or commit of the repository.
        config: configuration of the data set.
        part: what the data set calls the split; None tries the usual names.
        video: column of the films or pictures: paths, or bytes.
        label: column of the class, a `ClassLabel`, text or a number; or of a list of them, for several classes. None
            for none.

    Returns:
        samples with `label_b` or `label_bk`.

    Raises:
        DataError: no such data set, split or column; a column that holds something else.
        MissingExtra: the `datasets` library is not installed.

    Example:
        >>> hf(repo="org/clips", split="val").labels                                # doctest: +SKIP
        ['jump', 'run']
    """
    if (path is None) == (repo is None):
        raise DataError("the source hf wants either a path or a repo")
    if repo is not None and (not _REPO.fullmatch(repo) or os.path.exists(repo)):  # the library prefers a local folder
        raise DataError(f"{repo!r} is no data set of the Hub", hint="write org/name; a folder is a `path`")
    rows = _part(_opened(path, repo, config, revision), split, part)
    for column in (video, label):
        if column is not None and column not in rows.column_names:
            raise DataError(f"the data set has no column {column!r}", hint=f"it has {', '.join(rows.column_names)}")
    names, targets = ([], None) if label is None else _targets(rows, label)
    return SampleList(RowSamples(_undecoded(rows, video), part or split, targets, names, path), names)


@dataclass(frozen=True, eq=False)
class Cell:
    """The bytes in a row of a table, without decoding them."""

    rows: Dataset
    row: int
    size: None = None

    def path(self) -> str | None:
        """The file name beside them, or the path in their place."""
        cell = self._cell()
        if hasattr(cell, "keys"):
            return cell["path"].as_py()
        return cell.as_py() if cell.type in ("string", "large_string") else None

    def is_embedded(self) -> bool:
        """Whether there are bytes; none of them is read."""
        cell = self._cell()
        if hasattr(cell, "keys"):
            return cell["bytes"].is_valid
        return cell.is_valid and cell.type in ("binary", "large_binary")

    def read(self) -> bytes:
        """The bytes.

        Raises:
            OSError: there are none, only a path that leads out of the data set.
        """
        if not self.is_embedded():
            raise OSError("the data set holds neither its bytes nor a file of its own")
        cell = self._cell()
        return (cell["bytes"] if hasattr(cell, "keys") else cell).as_py()

    def _cell(self) -> Any:
        """The Arrow scalar, a view into the table."""
        return self.rows[self.row].column(0)[0]


class RowSamples(SamplesOnDemand):
    """The rows of a data set.

    Args:
        rows: with nothing but the column of media, in Arrow's format.
        part: for the keys of samples without a file name.
        targets: for each row the code of its class, or a list of names; None for no targets.
        names: of the classes.
        folder: that relative paths start from; None for a data set of the Hub, whose paths may only lead to what was
            downloaded.
    """

    def __init__(
        self,
        rows: Dataset,
        part: str,
        targets: np.ndarray | list[list[str]] | None,
        names: Sequence[str],
        folder: Path | None,
    ) -> None:
        self._rows, self._part, self._targets, self._names = rows, part, targets, tuple(names)
        self._folder = None if folder is None else str(folder if folder.is_dir() else folder.parent)
        self._trusted = () if folder is not None else _downloads()

    def __len__(self) -> int:
        return len(self._rows)

    def make(self, at: int) -> Sample:
        """See `SamplesOnDemand`."""
        cell = Cell(self._rows, at)
        path = cell.path()
        file = None if not path or cell.is_embedded() else self._file(path)
        key = f"{self._part} {at}" + (f": {os.path.basename(path)}" if path else "")
        return Sample(cell if file is None else file, self._of(at), key=key)

    def target_keys(self) -> list[tuple[str, ...]]:
        """See `zoo_registry.protocols.Overview`."""
        return [tuple(self._of(0))] if len(self) else []

    def class_names(self) -> set[str]:
        """All classes that samples name."""
        if isinstance(self._targets, list):
            return {name for names in self._targets for name in names}
        return set() if self._targets is None else {self._names[code] for code in np.unique(self._targets)}

    def class_codes(self) -> np.ndarray | None:
        """(n,) int64: for every sample the number of its class, None without one class each."""
        return self._targets if isinstance(self._targets, np.ndarray) else None

    def digest(self) -> bytes:
        """Of the number of samples and their targets."""
        targets = self._targets.tolist() if isinstance(self._targets, np.ndarray) else self._targets
        return hashlib.sha256(json.dumps([len(self), self._names, targets]).encode()).digest()

    def _of(self, at: int) -> dict[str, Any]:
        if self._targets is None:
            return {}
        if isinstance(self._targets, list):
            return {"label_bk": self._targets[at]}
        return {"label_b": self._names[self._targets[at]]}

    def _file(self, path: str) -> str | None:
        """Where a path leads; None for one that a data set of somebody else must not name."""
        if self._folder is not None:
            return os.path.join(self._folder, path)
        real = os.path.realpath(path)
        return real if any(real.startswith(f"{folder}{os.sep}") for folder in self._trusted) else None


def _opened(path: Path | None, repo: str | None, config: str | None, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("the source hf needs the datasets library", hint='pip install "videozoo[hf]"') from error
    where = Location(str(path) if path else f"hf://datasets/{repo}")
    if path is not None and not path.exists():
        raise DataError("there is no such data set", where=where)
    try:
        if path is None:
            return datasets.load_dataset(repo, config, revision=revision)
        if path.is_dir() and any((path / name).exists() for name in ("dataset_dict.json", "dataset_info.json")):
            return datasets.load_from_disk(str(path))
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        if not files:
            raise DataError("it holds no data set", where=where, hint="a save_to_disk folder, or parquet files")
        return datasets.load_dataset("parquet", data_files=_by_part(files))
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"this data set cannot be opened: {error}", where=where) from error


def _by_part(files: Sequence[Path]) -> dict[str, list[str]]:
    """Files by the split that begins their name, as in `train-00000-of-00002.parquet`."""
    known = {name for names in PARTS.values() for name in names}
    parts: dict[str, list[str]] = {}
    for file in files:
        name = file.stem.partition("-")[0]
        parts.setdefault(name if name in known else "train", []).append(str(file))
    return parts


def _part(found: Any, split: str, part: str | None) -> Dataset:
    """The rows of a split."""
    if not isinstance(found, dict):
        return found
    wanted = (part,) if part else PARTS.get(split, (split,))
    name = next((name for name in wanted if name in found), None)
    if name is None:
        raise DataError(
            f"the data set has no part for {split}, which would be called {' or '.join(wanted)}",
            hint=f"it has {', '.join(found)}; write `part: {next(iter(found))}`",
        )
    return found[name]


def _undecoded(rows: Dataset, column: str) -> Dataset:
    """Nothing but the media, as they are stored."""
    from datasets import Image, Value, Video

    feature = rows.features[column]
    plain = isinstance(feature, Value) and feature.dtype in ("string", "large_string", "binary", "large_binary")
    struct = isinstance(feature, dict) and {"bytes", "path"} <= set(feature)
    if not (plain or struct or isinstance(feature, Video | Image)):
        raise DataError(f"the column {column!r} holds {feature}, neither films, pictures, paths nor bytes")
    return rows.select_columns([column]).with_format("arrow")


def _targets(rows: Dataset, column: str) -> tuple[list[str], np.ndarray | list[list[str]]]:
    """Names of the classes, and for each row the number of its class or the names of several."""
    from datasets import ClassLabel

    feature, values = rows.features[column], rows.select_columns([column]).with_format(None)[:][column]
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    kind = feature if inner is None else inner
    flat = values if inner is None else [value for row in values for value in row]
    missing = next((at for at, value in enumerate(values) if value is None or value == -1), None)
    if missing is not None:
        raise DataError(f"row {missing} has no {column}", hint="write `label: null`, or choose a part with labels")
    if isinstance(kind, ClassLabel):
        names = list(kind.names)
    elif all(isinstance(value, int) for value in flat):
        names = [str(number) for number in range(max(flat, default=-1) + 1)]
    elif all(isinstance(value, str) for value in flat):
        names = sorted(set(flat))
    else:
        raise DataError(f"the column {column!r} holds {feature}, no classes")
    numbers = {name: number for number, name in enumerate(names)}
    if inner is None:
        return names, np.array([value if isinstance(value, int) else numbers[value] for value in values], np.int64)
    return names, [[names[value] if isinstance(value, int) else value for value in row] for row in values]


def _downloads() -> tuple[str, ...]:
    """Folders into which the library puts what it fetches."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = datasets.config.HF_DATASETS_CACHE
    return tuple(os.path.realpath(folder) for folder in (HF_HUB_CACHE, cache))
