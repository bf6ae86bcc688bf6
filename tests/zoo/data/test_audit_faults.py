"""Planted faults are found, each by its name, and real films are not accused of any."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import (
    black,
    copied,
    first_frames,
    frozen,
    moving_texture,
    pictures_of,
    reencoded,
    truncated,
    write_film,
)
from zoo.data import Split
from zoo.data.audit import Audit, audit_splits
from zoo_registry import ClipSpec
from zoo_registry.protocols import Sample

CLIP = ClipSpec(frames=16, stride=2, size=112)


def split(name: str, *films: Path | Sample) -> Split:
    samples = [film if isinstance(film, Sample) else Sample(str(film), key=film.name) for film in films]
    return Split(name, samples, ())


def audit(*splits: Split, **options) -> Audit:
    return audit_splits({part.name: part for part in splits}, workers=0, **{"clip": CLIP, **options})


def found(audit: Audit) -> dict[str, list[list[str]]]:
    """Keys of the samples of every error and warning, by kind."""
    serious = [finding for finding in audit.findings if finding.severity != "note"]
    return {
        kind: [[place.key for place in finding.places] for finding in serious if finding.kind == kind]
        for kind in {finding.kind for finding in serious}
    }


@pytest.fixture(scope="module")
def real_films(shared: Path) -> list[Path]:
    return sorted(path for path in (shared / "clips").iterdir() if path.suffix in (".mp4", ".avi"))


@pytest.fixture(scope="module")
def planted(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Real films with one film of every fault among them."""
    clips, folder = shared / "clips", tmp_path_factory.mktemp("faulty")
    names = ("RATRACE", "SchoolRules", "arm_", "basketball", "bikes", "clean", "hmdb51", "skate", "ta_chi", "v_Soccer")
    train = [path for path in sorted(clips.iterdir()) if path.name.startswith(names)]
    train += [
        truncated(clips / "ta_chi.mp4", folder / "truncated.mp4"),
        first_frames(clips / "skateboarding.mp4", folder / "three_frames.mp4", 3),
        black(folder / "black.mp4"),
        frozen(clips / "cleaning_pool.mp4", folder / "frozen.mp4"),
        copied(clips / "arm_wrestling.mp4", folder / "copy.mp4"),
    ]
    leak = reencoded(clips / "basketball.mp4", folder / "leak.mp4", width=284, height=160)
    return audit(split("train", *train), split("val", leak, folder / "missing.mp4"))


def test_every_planted_fault_is_found_and_nothing_else(planted: Audit) -> None:
    assert found(planted) == {
        "leak": [["basketball.mp4", "leak.mp4"]],
        "unreadable": [["truncated.mp4"], ["missing.mp4"]],
        "duplicate": [["arm_wrestling.mp4", "copy.mp4"]],
        "black": [["black.mp4"]],
        "frozen": [["frozen.mp4"]],
        "short": [["three_frames.mp4"]],
    }


def test_leaks_come_first(planted: Audit) -> None:
    assert planted.findings[0].kind == "leak"
    assert not planted.clean


def test_a_missing_file_says_so(planted: Audit) -> None:
    (finding,) = [finding for finding in planted.of("unreadable") if finding.places[0].key == "missing.mp4"]
    assert finding.evidence["reason"] == "there is no such file"


def test_none_of_21_real_films_is_accused_but_the_pair_that_is_one_film(real_films: list[Path]) -> None:
    """carphone_distorted.mp4 is carphone_pristine.mp4, compressed."""
    assert len(real_films) == 21
    result = audit(split("train", *real_films), clip=replace(CLIP, stride=1))
    assert found(result) == {"duplicate": [["carphone_distorted.mp4", "carphone_pristine.mp4"]]}


def test_two_halves_of_a_film_are_no_duplicates(real_films: list[Path]) -> None:
    """Before these cameras that rest: hashes of the halves of two_people_1080p.mp4 differ in no more than 6 bits."""
    from zoo.data import probe

    halves = []
    for film in real_films:
        if film.name.startswith(("SchoolRules", "carphone_pristine", "clean_and", "ta_chi", "two_people", "v_Soccer")):
            middle = probe(film).seconds / 2
            halves.append((film, middle))
    first = split("train", *(Sample(str(film), start=0.0, end=middle) for film, middle in halves))
    second = split("val", *(Sample(str(film), start=middle) for film, middle in halves))
    result = audit(first, second, clip=None)
    assert result.of("leak") == []
    assert result.of("duplicate") == []
    assert len(result.of("shared_film")) == len(halves)


def test_a_title_that_two_films_share_makes_them_no_copies(shared: Path, tmp_path: Path) -> None:
    """The halves of a film before a resting camera, each after the same three seconds of another film."""
    clips = shared / "clips"
    title = [*itertools.islice(pictures_of(clips / "bikes.mp4", width=340, height=256), 75)]
    frames = [*pictures_of(clips / "ta_chi.mp4", width=340, height=256)]
    parts = frames[:150], frames[150:]
    films = [write_film(tmp_path / f"{at}.mp4", [*title, *part], rate=30) for at, part in enumerate(parts)]
    result = audit(split("train", films[0]), split("val", films[1]), clip=None)
    assert result.of("leak") == []


def test_a_copy_cut_at_both_ends_is_found(shared: Path, tmp_path: Path) -> None:
    frames = [*pictures_of(shared / "clips/basketball.mp4")]
    film = write_film(tmp_path / "cut.mp4", frames[9:-9], rate=30)
    result = audit(split("train", shared / "clips/basketball.mp4"), split("val", film), clip=None)
    assert found(result) == {"leak": [["basketball.mp4", "cut.mp4"]]}


def test_one_film_of_60_fps_among_25_stands_out(tmp_path: Path) -> None:
    films = [moving_texture(tmp_path / f"{seed}.mp4", seed) for seed in range(9)]
    films.append(moving_texture(tmp_path / "fast.mp4", 10, rate=60, frames=72))
    assert found(audit(split("train", *films), clip=replace(CLIP, frames=8))) == {"fps": [["fast.mp4"]]}


def test_frame_rates_do_not_matter_where_films_are_resampled_by_time(tmp_path: Path) -> None:
    films = [moving_texture(tmp_path / f"{seed}.mp4", seed) for seed in range(9)]
    films.append(moving_texture(tmp_path / "fast.mp4", 10, rate=60, frames=72))
    assert found(audit(split("train", *films), clip=replace(CLIP, frames=6, fps=10))) == {}


def test_black_and_frozen_parts_are_told_with_their_times(tmp_path: Path) -> None:
    """Four seconds each of motion, black, and one picture, at 10 fps."""
    moving = list(pictures_of(moving_texture(tmp_path / "source.mp4", 1, frames=40)))
    pictures = [*moving, *[moving[0] * 0] * 40, *[moving[7]] * 40]
    film = write_film(tmp_path / "parts.mp4", pictures, rate=10)
    result = audit(split("train", film))
    (dark,), (still,) = result.of("partly_black"), result.of("partly_frozen")
    gap = 12 / 16
    ((start, end),) = dark.evidence["seconds"]
    assert abs(start - 4) <= gap
    assert abs(end - 8) <= gap
    spans = still.evidence["seconds"]
    assert any(abs(start - 8) <= gap and abs(end - 12) <= gap for start, end in spans)
    assert result.clean  # notes alone


def test_films_without_sound_are_named_where_the_model_wants_sound(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / "silent.mp4", 1)
    result = audit(split("train", film), inputs=("clip_bcthw", "audio_bcn"), clip=None)
    assert found(result) == {"no_sound": [["silent.mp4"]]}


def test_pictures_are_neither_short_nor_frozen(tmp_path: Path, shared: Path) -> None:
    pictures = sorted((shared / "detect/imgs").glob("*.jpg"))
    assert found(audit(split("train", *pictures))) == {}


def test_overlapping_spans_of_one_film_in_two_splits_are_a_leak(tmp_path: Path) -> None:
    film = str(moving_texture(tmp_path / "a.mp4", 1, frames=100))
    result = audit(
        split("train", Sample(film, start=0.0, end=2.0, key="early"), Sample(film, start=1.0, end=2.5, key="overlap")),
        split("val", Sample(film, start=2.2, end=4.0, key="late")),
        clip=None,
    )
    assert found(result) == {"leak": [["overlap", "late"]]}


def test_one_file_under_two_paths_is_one_file(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / "a.mp4", 1)
    (tmp_path / "link.mp4").symlink_to(film)
    result = audit(split("train", film), split("test", tmp_path / "link.mp4"), clip=None)
    assert found(result) == {"leak": [["a.mp4", "link.mp4"]]}
    assert result.findings[0].evidence["how"] == "same file"


def test_copies_with_different_labels_contradict_each_other(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / "a.mp4", 1)
    copy = copied(film, tmp_path / "b.mp4")
    samples = [Sample(str(film), {"label_b": "cat"}, key="a"), Sample(str(copy), {"label_b": "dog"}, key="b")]
    result = audit_splits({"train": Split("train", samples, ("cat", "dog"))}, workers=0)
    assert found(result) == {"duplicate": [["a", "b"]], "contradiction": [["a", "b"]]}


def test_classes_are_counted_and_missing_ones_named(tmp_path: Path) -> None:
    films = [moving_texture(tmp_path / f"{seed}.mp4", seed, frames=8) for seed in range(13)]
    train = [Sample(str(film), {"label_b": "cat" if at < 11 else "dog"}) for at, film in enumerate(films[:12])]
    val = [Sample(str(films[12]), {"label_b": 0})]
    labels = ("cat", "dog")
    result = audit_splits({"train": Split("train", train, labels), "val": Split("val", val, labels)}, workers=0)
    assert result.counts == {"cat": {"train": 11, "val": 1}, "dog": {"train": 1, "val": 0}}
    (missing,), (uneven,) = result.of("missing_class"), result.of("imbalance")
    assert missing.evidence == {"split": "val", "classes": ["dog"]}
    assert uneven.evidence == {"split": "train", "ratio": 11.0}


def test_films_inside_other_files_are_looked_at_too(tmp_path: Path) -> None:
    content = moving_texture(tmp_path / "a.mp4", 1).read_bytes()
    result = audit(split("train", Sample(content, key="one"), Sample(content[:500], key="cut")), clip=None)
    assert found(result) == {"unreadable": [["cut"]]}
