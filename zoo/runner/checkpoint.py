"""Writes everything it takes to go on with a run, so that a kill or a full disk at any moment loses nothing.

A checkpoint is a folder: `tensors.safetensors` and `record.json`, which holds the checksums of both. It is written
under a temporary name, synced to the disk and then renamed, so that a folder with a checkpoint's name is whole.

Where several processes hold parameters in parts, each writes its own into `part-RANK.safetensors`, cut along the first
dimension. Whoever reads the checkpoint puts them together, however many processes there are then.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.distributed.processes import ALONE, Processes
from zoo.distributed.sharded import is_divided, own_part
from zoo_registry.errors import RunError

FORMAT = 2
TENSORS = "tensors.safetensors"
RECORD = "record.json"
_NAME = re.compile(r"step-(\d+)(-epoch-end)?")


def checkpoint_name(step: int, *, epoch_end: bool = False) -> str:
    """Name of a checkpoint. One at the end of an epoch comes after validation, so it is not the one within the epoch.

    Example:
        >>> checkpoint_name(123), checkpoint_name(123, epoch_end=True)
        ('step-000123', 'step-000123-epoch-end')
    """
    return f"step-{step:06}" + ("-epoch-end" if epoch_end else "")


@dataclass(frozen=True)
class Checkpoint:
    """What was read from one.

    Attributes:
        name: of its folder.
        tensors: by name.
        record: the JSON-able rest.
    """

    name: str
    tensors: dict[str, Tensor]
    record: dict[str, Any]


class DamagedCheckpoint(RunError):
    """A checkpoint that is incomplete or whose checksum differs."""


class Checkpoints:
    """The checkpoints of a run. Making one changes nothing on the disk.

    Args:
        folder: where they are; made with the first.
        keep: how many of the newest stay.
        warn: takes a sentence about a damaged one.
        processes: those that train together; the main one writes what is not divided, and deletes.
    """

    def __init__(self, folder: Path, keep: int, warn: Callable[[str], None], processes: Processes = ALONE) -> None:
        self.folder = folder
        self._keep = keep
        self._warn = warn
        self._processes = processes

    def names(self) -> list[str]:
        """Oldest first."""
        found = [match for path in self.folder.glob("step-*") if (match := _NAME.fullmatch(path.name))]
        return [match[0] for match in sorted(found, key=lambda match: (int(match[1]), bool(match[2])))]

    def save(self, name: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any], best: Collection[str]) -> None:
        """Write a checkpoint, then delete those that are neither new enough nor among the best; all processes together.

        Args:
            name: see `checkpoint_name`.
            tensors: on any device.
            record: the JSON-able rest.
            best: names of the best checkpoints so far, which stay.

        Raises:
            RunError: the disk is full or cannot be written; earlier checkpoints are untouched.
        """
        final, temporary = self.folder / name, self.folder / f".{name}.tmp"
        divided = {key: value for key, value in tensors.items() if is_divided(value)}
        parts = self._write_parts(temporary, divided) if divided else {}
        if not self._processes.main:
            return
        try:
            temporary.mkdir(parents=True, exist_ok=bool(divided))
            rest = {key: value for key, value in tensors.items() if key not in divided}
            _write(temporary, rest, record, parts)
            if final.exists():  # damaged, or of a future that resuming has undone
                shutil.rmtree(final)
            temporary.rename(final)
            _sync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise self._cannot_write(final, error) from error
        for old in self.names()[: -self._keep]:
            if old not in best:
                self._delete(old)

    def _write_parts(self, folder: Path, divided: Mapping[str, Tensor]) -> dict[str, str]:
        """Write this process's parts; the checksums of all files of parts, by their names in the order of ranks."""
        file = folder / f"part-{self._processes.rank:05}.safetensors"
        with self._processes.agreeing():
            try:
                folder.mkdir(parents=True, exist_ok=True)
                save_file(_storable({name: own_part(value) for name, value in divided.items()}), file)
                _sync(file)
            except (OSError, SafetensorError) as error:
                raise self._cannot_write(folder, error) from error
        return dict(self._processes.gathered((file.name, _sha256(file))))

    def newest(self) -> Checkpoint | None:
        """The newest that is whole, None when there is none at all.

        Raises:
            RunError: there are some, and every one is damaged.
        """
        names = self.names()
        for name in reversed(names):
            try:
                return self.read(name)
            except DamagedCheckpoint as error:
                self._warn(f"{error.problems[0].message}; going back to the one before")
        if names:
            raise RunError(f"every checkpoint in {self.folder} is damaged", hint="start over in another folder")
        return None

    def forget_after(self, name: str | None) -> None:
        """Delete what a resumed run leaves behind: newer checkpoints, and what was half-written when it was killed.

        A newer one is damaged; it would count as one of the newest and push out those that are whole.

        Args:
            name: of the checkpoint that the run goes on from, None when it starts over.
        """
        for left_over in self.folder.glob(".*.tmp"):
            shutil.rmtree(left_over, ignore_errors=True)
        names = self.names()
        for newer in names[names.index(name) + 1 :] if name else names:
            self._delete(newer)

    def read(self, name: str, prefix: str = "") -> Checkpoint:
        """Read and check a checkpoint.

        Args:
            name: of its folder.
            prefix: only tensors whose names start so.

        Raises:
            DamagedCheckpoint: it is incomplete, or not what was written.
        """
        path = self.folder / name
        try:
            record, parts = _read_record(path)
            with safe_open(path / TENSORS, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
            tensors |= _put_together([path / part for part in parts], prefix)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DamagedCheckpoint(f"checkpoint {path} is damaged ({error})") from error
        return Checkpoint(name, tensors, record)

    def _delete(self, name: str) -> None:
        """Rename first: a kill half-way must not leave half a folder under a checkpoint's name."""
        doomed = self.folder / f".{name}.tmp"
        (self.folder / name).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def _cannot_write(self, path: Path, error: Exception) -> RunError:
        number = _os_error(error)
        words = os.strerror(number).lower() if number else str(error)
        before = self.names()
        intact = f"; {before[-1]} is intact" if before else ""
        todo = "free some space" if number in (errno.ENOSPC, errno.EDQUOT) else "see that the folder can be written"
        return RunError(f"cannot write checkpoint {path}: {words}{intact}", hint=f"{todo}, then go on with --resume")


def _put_together(files: Sequence[Path], prefix: str) -> dict[str, Tensor]:
    """The tensors that lie in parts, one after the other."""
    with ExitStack() as stack:
        parts = [stack.enter_context(safe_open(file, framework="pt")) for file in files]
        names = [name for name in (parts[0].keys() if parts else ()) if name.startswith(prefix)]
        return {name: torch.cat([part.get_tensor(name) for part in parts]) for name in names}


def _write(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any], parts: Mapping[str, str]) -> None:
    save_file(_storable(tensors), folder / TENSORS)
    body = {"format": FORMAT, "tensors_sha256": _sha256(folder / TENSORS), "parts": parts, "record": record}
    (folder / RECORD).write_text(json.dumps({**body, "sha256": _json_sha256(body)}, indent=1), encoding="utf-8")
    shutil.copymode(folder / RECORD, folder / TENSORS)  # safetensors makes files that only their owner can read
    for path in (folder / TENSORS, folder / RECORD, folder):
        _sync(path)


def _read_record(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The record, and the names of files of parts."""
    body = json.loads((path / RECORD).read_text("utf-8"))
    if body.pop("sha256") != _json_sha256(body):
        raise ValueError(f"the checksum of {RECORD} differs")
    if body["format"] != FORMAT:
        raise RunError(
            f"checkpoint {path} is of format {body['format']}, and this version of videozoo reads {FORMAT}",
            hint="go on with the version that wrote it, which the run's zoo.lock names",
        )
    if body["tensors_sha256"] != _sha256(path / TENSORS):
        raise ValueError(f"the checksum of {TENSORS} differs")
    for part, checksum in body["parts"].items():
        if Path(part).name != part or checksum != _sha256(path / part):
            raise ValueError(f"the checksum of {part} differs")
    return body["record"], sorted(body["parts"])


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, contiguous, and each with memory of its own: tied weights are written twice."""
    stored: dict[str, Tensor] = {}
    memory: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().to("cpu").contiguous()
        if own.untyped_storage().data_ptr() in memory:
            own = own.clone()
        memory.add(own.untyped_storage().data_ptr())
        stored[name] = own
    return stored


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json_sha256(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold what was written. Windows cannot open folders, and needs no such thing for them."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _os_error(error: Exception) -> int | None:
    """The number of the system's error; safetensors only writes it into its message."""
    if isinstance(error, OSError):
        return error.errno
    match = re.search(r"os error (\d+)", str(error))
    return int(match[1]) if match else None
