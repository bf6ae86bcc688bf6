"""Checksums that are remembered: never of another state of the file than the one that is there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from zoo.artefact import checksums
from zoo.artefact.checksums import SMALL, sha256_of

CONTENT = bytes(SMALL + 1)
OTHER = b"\1" + CONTENT[1:]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large file that counts as settled at once, and a cache of its own."""
    monkeypatch.setattr(checksums, "_SETTLED", 0.0)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "weights"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were really hashed."""
    hashed: list[Path] = []
    compute = checksums._computed

    def counting(path: Path) -> str:
        hashed.append(path)
        return compute(path)

    monkeypatch.setattr(checksums, "_computed", counting)
    return hashed


def test_a_file_is_hashed_once(file: Path, computed: list[Path]) -> None:
    assert sha256_of(file) == sha256_of(file) == hashlib.sha256(CONTENT).hexdigest()
    assert computed == [file]


def test_other_bytes_of_the_same_size_and_date_are_noticed(file: Path) -> None:
    before = file.stat()
    sha256_of(file)
    with file.open("r+b") as stream:
        stream.write(b"\1")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert sha256_of(file) == hashlib.sha256(OTHER).hexdigest()


def test_another_file_in_its_place_is_noticed(file: Path, tmp_path: Path) -> None:
    before = file.stat()
    sha256_of(file)
    other = tmp_path / "other"
    other.write_bytes(OTHER)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert sha256_of(file) == hashlib.sha256(OTHER).hexdigest()


def test_a_file_that_has_just_changed_is_hashed_again(
    file: Path, computed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checksums, "_SETTLED", 3600.0)
    sha256_of(file)
    sha256_of(file)
    assert computed == [file, file]


def test_whoever_wants_it_has_every_file_hashed_every_time(
    file: Path, computed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256_of(file)
    monkeypatch.setenv("ZOO_VERIFY", "always")
    sha256_of(file)
    assert computed == [file, file]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": 1}', '{"sha256": "x"}'])
def test_a_memory_that_cannot_be_read_is_made_anew(text: str, file: Path, tmp_path: Path) -> None:
    sha256_of(file)
    (memory,) = (tmp_path / "cache" / "checksums").iterdir()
    memory.write_text(text)
    assert sha256_of(file) == hashlib.sha256(CONTENT).hexdigest()


def test_a_cache_that_cannot_be_written_costs_time_only(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "taken"))
    assert sha256_of(file) == hashlib.sha256(CONTENT).hexdigest()
