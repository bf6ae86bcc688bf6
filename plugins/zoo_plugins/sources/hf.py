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

from zoo_plugins.sources.hf_classes import classes_of
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
    films: Path | None = None,
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
        part: what the data set calls the split; None tries the usual names. What `save_to_disk` wrote of a single part
            may not say which one it is: then it is the training data, and anything else only with `part: all`.
        films: folder that paths in the column start from, and may not leave; None for that of `path`, or what was
            downloaded.
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
        raise DataError("the source hf wants either a path or a repo", hint="a folder or file is a `path`")
    if repo is not None and (not _REPO.fullmatch(repo) or os.path.exists(repo)):  # the library prefers a local folder
        raise DataError(f"{repo!r} is no data set of the Hub", hint="write org/name; a folder is a `path`")
    rows = _part(_opened(path, repo, config, revision), split, part)
    for column in (video, label):
        if column is not None and column not in rows.column_names:
            raise DataError(f"the data set has no column {column!r}", hint=f"it has {', '.join(rows.column_names)}")
    names, targets = ([], None) if label is None else classes_of(rows, label)
    folder = films or (path.parent if path is not None and path.is_file() else path)
    return SampleList(RowSamples(_undecoded(rows, video), part or split, targets, names, folder), names)


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
            leads = f": {path} leads out of its folder (`films` names another)" if (path := self.path()) else ""
            raise OSError(f"the data set holds neither its bytes nor a file of its own{leads}")
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
        folder: that paths start from and may not leave; None for a data set of the Hub, whose paths may only lead to
            what was downloaded.
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
        self._folder = None if folder is None else str(folder)
        self._trusted = _downloads() if folder is None else (os.path.realpath(folder),)

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
        file = path if self._folder is None else os.path.join(self._folder, path)
        real = os.path.realpath(file) if "\0" not in file else ""
        trusted = any(real.startswith(os.path.join(folder, "")) for folder in self._trusted)
        return (real if self._folder is None else file) if trusted else None


def _opened(path: Path | None, repo: str | None, config: str | None, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("the source hf needs the datasets library", hint='pip install "videozoo[hf]"') from error
    where = Location(str(path) if path else f"hf://datasets/{repo}")
    if path is not None and not path.exists():
        raise DataError("there is no such data set", where=where, hint="paths start from the recipe's folder")
    try:
        if path is None:
            return datasets.load_dataset(repo, config, revision=revision)
        if path.is_dir() and any((path / name).exists() for name in ("dataset_dict.json", "dataset_info.json")):
            return datasets.load_from_disk(str(path))
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
        if not files:
            raise DataError("it holds no data set", where=where, hint="a save_to_disk folder, or parquet files")
        return datasets.load_dataset("parquet", data_files=_by_part(files))
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, datasets.exceptions.DatasetsError) as error:
        told = " ".join(str(error.__cause__ or error).split())[:300]
        hint = "is it complete? `datasets.load_from_disk` or `load_dataset` has to read it"
        raise DataError(f"this data set cannot be opened: {told}", where=where, hint=hint) from error


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
        return _single(found, split, part)
    wanted = (part,) if part else PARTS.get(split, (split,))
    name = next((name for name in wanted if name in found), None)
    if name is None:
        raise DataError(
            f"the data set has no part for {split}, which would be called {' or '.join(wanted)}",
            hint=f"it has {', '.join(found)}; write `part: {next(iter(found))}`",
        )
    return found[name]


def _single(rows: Dataset, split: str, part: str | None) -> Dataset:
    """The rows of a data set that was saved without others; they are not taken for a split that they are not."""
    own = None if rows.split is None else str(rows.split)
    if part in ("all", own) if part else own in PARTS.get(split, (split,)) or (own is None and split == "train"):
        return rows
    if part:
        raise DataError(
            f"the data set is {f'the part {own}' if own else 'one part without a name'}, not {part}",
            hint=f"write `part: {own or 'all'}`, or save all parts in one DatasetDict",
        )
    raise DataError(
        f"the data set is {f'its part {own}' if own else 'a single part'}, which would serve as {split} too",
        hint=f"`part: {own or 'all'}` says that this is meant; else save all parts in one DatasetDict",
    )


def _undecoded(rows: Dataset, column: str) -> Dataset:
    """Nothing but the media, as they are stored."""
    from datasets import Image, Value, Video

    feature = rows.features[column]
    plain = isinstance(feature, Value) and feature.dtype in ("string", "large_string", "binary", "large_binary")
    struct = isinstance(feature, dict) and {"bytes", "path"} <= set(feature)
    if not (plain or struct or isinstance(feature, Video | Image)):
        hint = f"`video` names the column of the films; there are {', '.join(rows.column_names)}"
        raise DataError(f"the column {column!r} holds {feature}, neither films, pictures, paths nor bytes", hint=hint)
    return rows.select_columns([column]).with_format("arrow")


def _downloads() -> tuple[str, ...]:
    """Folders into which the library puts what it fetches."""
    import datasets
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = datasets.config.HF_DATASETS_CACHE
    return tuple(os.path.realpath(folder) for folder in (HF_HUB_CACHE, cache))
