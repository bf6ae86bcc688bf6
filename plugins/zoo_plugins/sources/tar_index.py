"""Tar files on a local disk, indexed once: then any sample can be asked for by number."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo_plugins.sources.samples_on_demand import SamplesOnDemand
from zoo_plugins.sources.shard_fields import LARGEST_NOTE, BadGroup, Fields
from zoo_plugins.sources.shard_file import CUT_OFF, FETCH_AGAIN, ShardFile
from zoo_plugins.sources.shard_names import grouped
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Sample

VERSION = 1


@dataclass(frozen=True)
class FilePart:
    """A piece of a file."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            OSError: the file is gone, or shorter than it was.
        """
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise OSError(f"{self.path} is shorter than when it was indexed")
        return content


class TarSamples(SamplesOnDemand):
    """The samples of several tar files, made when they are asked for.

    Args:
        shards: paths.
        indexes: of each: rows `offset, size` and the JSON text of each sample, `[key, extension, targets]`.
    """

    def __init__(self, shards: Sequence[str], indexes: Sequence[tuple[np.ndarray, list[str]]]) -> None:
        self._shards = tuple(shards)
        self._places_n2 = np.concatenate([places_n2 for places_n2, _ in indexes])
        self._firsts = np.cumsum([0, *(len(texts) for _, texts in indexes)])
        encoded = [text.encode() for _, texts in indexes for text in texts]
        self._text = np.frombuffer(b"".join(encoded), np.uint8)
        self._starts = np.cumsum([0, *map(len, encoded)])
        kinds, classes, codes = set(), dict[str, int](), np.full(len(encoded), -1, np.int32)
        for at in range(len(encoded)):
            targets = self._row(at)[2]
            kinds.add(tuple(targets))
            names = targets.get("label_bk", ())
            if "label_b" in targets:
                codes[at] = classes.setdefault(targets["label_b"], len(classes))
            for name in names:
                classes.setdefault(name, len(classes))
        self._kinds, self._classes = sorted(kinds), tuple(classes)
        self._codes = codes if (codes >= 0).all() else None

    def __len__(self) -> int:
        return len(self._places_n2)

    def make(self, at: int) -> Sample:
        """See `SamplesOnDemand`."""
        path = self._shards[int(np.searchsorted(self._firsts, at, side="right")) - 1]
        key, extension, targets = self._row(at)
        media = FilePart(path, int(self._places_n2[at, 0]), int(self._places_n2[at, 1]))
        return Sample(media, targets, key=f"{os.path.basename(path)}: {key}.{extension}")

    def target_keys(self) -> list[tuple[str, ...]]:
        """See `zoo_registry.protocols.Overview`."""
        return self._kinds

    def class_names(self) -> tuple[str, ...]:
        """All classes that samples name."""
        return self._classes

    def class_codes(self) -> np.ndarray | None:
        """(n,) int32: for every sample the number of its class in `class_names`, None without one class each."""
        return self._codes

    def digest(self) -> bytes:
        """Of keys, targets and sizes of all samples, wherever the shards lie."""
        names = json.dumps([os.path.basename(shard) for shard in self._shards]).encode()
        sizes = np.ascontiguousarray(self._places_n2[:, 1]).astype("<i8").tobytes()
        return hashlib.sha256(names + self._text.tobytes() + sizes).digest()

    def _row(self, at: int) -> tuple[str, str, dict[str, Any]]:
        return json.loads(self._text[self._starts[at] : self._starts[at + 1]].tobytes())


def indexed(shards: Sequence[str], fields: Fields, cache: Path) -> TarSamples:
    """The samples of tar files.

    Headers are read once; what was found is kept in the cache, by path, size and time of change of each file.

    Args:
        shards: paths of plain tar files.
        fields: what their members mean.
        cache: folder that outlives the run.

    Raises:
        DataError: every problem of every shard.
    """
    problems: list[Problem] = []
    indexes = []
    for shard in shards:
        try:
            indexes.append(_known(shard, fields, cache) or _scanned(shard, fields, cache))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return TarSamples(shards, indexes)


def _index_file(shard: str, fields: Fields, cache: Path) -> Path:
    try:
        state = os.stat(shard)
    except OSError as error:
        message = f"this shard cannot be read: {error.strerror}"
        raise DataError(message, where=Location(shard), hint="is the disk there, and may you read the file?") from error
    made_of = [VERSION, os.path.abspath(shard), state.st_size, state.st_mtime_ns]
    made_of += [fields.media, sorted(fields.targets.items()), fields.labels]
    name = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]
    return cache / "webdataset" / f"{name}.npz"


def _known(shard: str, fields: Fields, cache: Path) -> tuple[np.ndarray, list[str]] | None:
    """What was found before; None when there is nothing, or it is damaged."""
    try:
        with np.load(_index_file(shard, fields, cache), allow_pickle=False) as kept:
            texts = json.loads(kept["texts"].tobytes())
            return kept["places_n2"], texts
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _scanned(shard: str, fields: Fields, cache: Path) -> tuple[np.ndarray, list[str]]:
    """Read a shard's headers, and keep what they say."""
    where = Location(shard)
    places: list[tuple[int, int]] = []
    texts: list[str] = []
    problems: list[Problem] = []
    try:
        with open(shard, "rb") as file, ShardFile.open(fileobj=file, mode="r:") as tar:
            for key, group in grouped((member.name, member) for member in tar.files()):
                try:
                    extension = fields.medium(group)
                    targets = fields.read({name: _note(file, name, member) for name, member in group.items()
                                           if name != extension and fields.is_note(name)})  # fmt: skip
                except BadGroup as error:
                    problems.append(Problem(f"{key}: {error}", where, error.hint))
                    continue
                places.append((group[extension].offset_data, group[extension].size))
                texts.append(json.dumps([key, extension, targets]))
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{CUT_OFF} ({error})", where=where, hint=FETCH_AGAIN) from error
    except DataError as error:
        raise DataError(error.problems[0].message, where=where, hint=error.problems[0].hint) from error
    if not places and not problems:
        problems.append(Problem("it holds no films or pictures", where, f"they end in {', '.join(fields.media)}"))
    if problems:
        more = [Problem(f"and {len(problems) - 5} more of its samples", where)] if len(problems) > 5 else []
        raise DataError([*problems[:5], *more])
    places_n2 = np.array(places, np.int64)
    _keep(_index_file(shard, fields, cache), places_n2, texts)
    return places_n2, texts


def _note(file: BinaryIO, extension: str, member: tarfile.TarInfo) -> bytes:
    if member.size > LARGEST_NOTE:
        raise BadGroup(
            f"its .{extension} has {member.size:,} bytes, more than {LARGEST_NOTE:,}", "films are no targets"
        )
    file.seek(member.offset_data)
    return file.read(member.size)


def _keep(path: Path, places_n2: np.ndarray, texts: list[str]) -> None:
    """Under its final name only when complete; a cache that cannot be written costs time and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            np.savez(file, places_n2=places_n2, texts=np.frombuffer(json.dumps(texts).encode(), np.uint8))
        os.replace(file.name, path)
    except OSError:
        pass
