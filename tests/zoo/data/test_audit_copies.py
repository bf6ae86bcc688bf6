"""What two samples share is found by content and time, whatever the files are called and wherever the spans begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.zoo.data.faulty_films import copied, moving_texture, reencoded
from zoo.data import Split
from zoo.data.audit import Audit, audit_splits
from zoo.data.audit.cleaning import left_out
from zoo.data.audit.duplicates import Fingerprints
from zoo_registry.protocols import Sample


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return moving_texture(tmp_path_factory.mktemp("copies") / "a.mp4", 1, frames=100)


def audit(**splits: list[Sample]) -> Audit:
    return audit_splits({name: Split(name, samples, ("cat", "dog")) for name, samples in splits.items()}, workers=0)


def span(film: Path, start: float | None, end: float | None, label: str = "cat") -> Sample:
    return Sample(str(film), {"label_b": label}, start, end, key=f"{film.name} {start}-{end}")


def keys(audit: Audit, kind: str) -> list[list[str]]:
    return [[place.key for place in finding.places] for finding in audit.of(kind)]


def test_overlapping_spans_across_splits_are_a_leak_of_so_many_seconds(film: Path) -> None:
    result = audit(train=[span(film, 0, 2), span(film, 1, 2.5)], val=[span(film, 2.2, 4)])
    assert keys(result, "leak") == [["a.mp4 1-2.5", "a.mp4 2.2-4"]]
    (leak,) = result.of("leak")
    assert leak.evidence["seconds"] == pytest.approx(0.3, abs=0.04)
    assert leak.message == "a.mp4 1-2.5 of train and a.mp4 2.2-4 of val show the same 0.3 s (same file)"


def test_seconds_that_several_spans_share_count_once(film: Path) -> None:
    """Of the 4 s, val shows 1 to 3.5, train 0 to 2 and 1.5 to 3: what both show is 1 to 3."""
    result = audit(train=[span(film, 0, 2), span(film, 1.5, 3)], val=[span(film, 1, 2.5), span(film, 2, 3.5)])
    (leak,) = result.of("leak")
    assert leak.evidence["seconds"] == pytest.approx(2.0, abs=0.04)
    assert len(leak.places) == 4


def test_spans_of_a_copy_of_the_file_leak_too(film: Path) -> None:
    copy = copied(film, film.with_name("copy.mp4"))
    result = audit(train=[span(film, 0, 2)], val=[span(copy, 1.5, 4)])
    assert keys(result, "leak") == [["a.mp4 0-2", "copy.mp4 1.5-4"]]
    (leak,) = result.of("leak")
    assert leak.evidence["how"] == "same bytes"
    assert leak.evidence["seconds"] == pytest.approx(0.5, abs=0.04)


def test_other_moments_of_a_copy_of_the_file_are_one_film_in_two_splits(film: Path) -> None:
    copy = copied(film, film.with_name("copy.mp4"))
    result = audit(train=[span(film, 0, 2)], test=[span(copy, 2, 4)])
    assert keys(result, "leak") == []
    assert keys(result, "shared_film") == [["a.mp4 0-2", "copy.mp4 2-4"]]


def test_overlapping_windows_of_one_file_in_a_split_are_wanted_but_not_those_of_its_copy(film: Path) -> None:
    copy = copied(film, film.with_name("copy.mp4"))
    result = audit(train=[span(film, 0, 2), span(film, 1, 3)])
    assert result.findings == tuple(result.of("missing_class"))
    result = audit(train=[span(film, 0, 2), span(film, 1, 3), span(copy, 2.5, 4)])
    assert keys(result, "duplicate") == []
    assert keys(result, "overlap") == [["a.mp4 1-3", "copy.mp4 2.5-4"]]
    assert result.of("overlap")[0].evidence["seconds"] == pytest.approx(0.5, abs=0.04)
    assert left_out(result) == []


def test_windows_of_a_film_with_other_labels_do_not_contradict_each_other(film: Path) -> None:
    """In temporal localisation one action begins before the other has ended."""
    result = audit(train=[span(film, 0, 2, "cat")], val=[span(film, 1.5, 4, "dog")])
    assert keys(result, "contradiction") == []


def test_every_window_that_was_compressed_again_is_found_though_its_neighbours_look_alike(film: Path) -> None:
    """Neighbouring windows of one film look alike: that must not count as having found the copy of each."""
    again = reencoded(film, film.with_name("again.mp4"), width=48, height=48)
    windows = [(0, 3.4), (0.04, 3.44), (0.08, 3.48)]
    seconds = 30 / 25  # reencoded() changes the rate: 25 frames take 25/30 s
    result = audit(
        train=[span(film, *window) for window in windows],
        val=[span(again, start / seconds, end / seconds) for start, end in windows],
    )
    leaking = {place.key for finding in result.of("leak") for place in finding.places if place.split == "train"}
    assert leaking == {f"a.mp4 {start}-{end}" for start, end in windows}


def test_copies_of_what_is_one_film_are_each_compared() -> None:
    """Spans 0 and 1 are of one film and alike; 2 is alike too, of another: 1 must not be passed over."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (16, 16, 16), np.uint8)
    hashes = random.integers(0, 2**63, 16, np.uint64)
    prints = Fingerprints.empty(3)
    for number in range(3):
        prints.put(number, hashes, pictures, [50.0] * 16)
    pairs = {(copy.one, copy.other) for copy in prints.find(np.array([0, 0, 2]))}
    assert pairs == {(0, 2), (1, 2)}


def test_what_leaks_is_left_out_of_train_and_nothing_else_is(film: Path) -> None:
    """Windows of val overlap each other, as they may: all of them stay."""
    train = [span(film, 0, 0.9), span(film, 0.5, 2), span(film, 1.5, 3.9)]
    val = [span(film, 1, 2), span(film, 1.5, 2.5), span(film, 2, 3)]
    out = left_out(audit(train=train, val=val))
    assert [(each.place.key, each.kind) for each in out] == [("a.mp4 0.5-2", "leak"), ("a.mp4 1.5-3.9", "leak")]


def test_of_copies_in_val_and_train_one_of_val_stays(film: Path) -> None:
    copy = copied(film, film.with_name("copy.mp4"))
    out = left_out(audit(train=[span(film, None, None)], val=[span(copy, None, None), span(film, None, None)]))
    assert [(each.place.split, each.place.index, each.kind) for each in out] == [
        ("train", 0, "leak"),
        ("val", 1, "duplicate"),
    ]
