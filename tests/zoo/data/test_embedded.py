"""Media from memory and out of other files are read like files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from tests.zoo.data.test_loader import assert_same, loader_of
from zoo.data import Quarantine, Split, fingerprint, read_audio
from zoo_registry import AudioSpec
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample


@dataclass(frozen=True)
class Slice:
    """A piece of a file."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@pytest.fixture
def in_memory(split_of_eight: Split) -> Split:
    samples = [
        replace(sample, media=Path(str(sample.media)).read_bytes(), key=f"film {at}")
        for at, sample in enumerate(split_of_eight.samples)
    ]
    return replace(split_of_eight, samples=samples)


@pytest.fixture
def in_one_file(split_of_eight: Split, tmp_path: Path) -> Split:
    files = [Path(str(sample.media)).read_bytes() for sample in split_of_eight.samples]
    (tmp_path / "all").write_bytes(b"".join(files))
    offsets = [sum(map(len, files[:at])) for at in range(len(files))]
    samples = [
        replace(sample, media=Slice(str(tmp_path / "all"), offset, len(file)), key=f"film {at}")
        for at, (sample, offset, file) in enumerate(zip(split_of_eight.samples, offsets, files, strict=True))
    ]
    return replace(split_of_eight, samples=samples)


@pytest.mark.parametrize("kind", ["in_memory", "in_one_file"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
def test_clips_are_those_of_the_files(request, split_of_eight: Split, kind: str, train: bool, workers: int) -> None:
    loader = loader_of(request.getfixturevalue(kind), train=train, workers=workers)
    assert_same(loader.epoch(0), loader_of(split_of_eight, train=train).epoch(0))
    loader.close()


def test_sound_is_that_of_the_file(shared: Path) -> None:
    film, spec = shared / "clips" / "R6llTwEh07w.mp4", AudioSpec(rate=8000, samples=8000)
    assert torch.equal(read_audio(film.read_bytes(), spec, start=1.0), read_audio(film, spec, start=1.0))


def test_a_bad_one_is_known_by_its_key(in_memory: Split, tmp_path: Path) -> None:
    samples = list(in_memory.samples)
    samples[2] = replace(samples[2], media=b"no film")
    samples[5] = replace(samples[5], media=Slice(str(tmp_path / "gone"), 0, 10))
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    loader = loader_of(replace(in_memory, samples=samples), train=False, quarantine=quarantine)
    assert [batch.index.tolist() for batch in loader.epoch(0)] == [[0, 1], [3, 4], [6, 7]]
    assert {bad.media: bad.reason.partition(" (")[0] for bad in quarantine.entries} == {
        "film 2": "no film or picture that can be decoded, or cut off before its index",
        "film 5": "it cannot be read: No such file or directory",
    }
    assert b"no film" not in (tmp_path / "quarantine.jsonl").read_bytes().replace(b"no film or picture", b"")


def test_media_that_is_no_path_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Sample(b"....")


def test_too_many_bad_ones_are_named_by_their_keys(in_memory: Split) -> None:
    samples = [replace(sample, media=b"") for sample in in_memory.samples]
    with pytest.raises(DataError, match="film 0: there are no bytes in it"):
        list(loader_of(replace(in_memory, samples=samples), train=False).epoch(0))


def test_a_fingerprint_knows_the_size_of_what_lies_in_memory_or_elsewhere(in_memory: Split, in_one_file: Split) -> None:
    longer = [replace(in_memory.samples[0], media=in_memory.samples[0].media + b"\0"), *in_memory.samples[1:]]
    assert fingerprint(in_memory) == fingerprint(in_one_file)
    assert fingerprint(in_memory) != fingerprint(replace(in_memory, samples=longer))
