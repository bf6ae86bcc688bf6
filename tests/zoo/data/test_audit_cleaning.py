"""The cleaned manifest: what is left can be trained on, what is left out is said, and no file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import black, copied, moving_texture, truncated
from zoo.build import build
from zoo.data import Split, open_split
from zoo.data.audit import Audit, audit_splits
from zoo.data.audit.cleaning import emptied, left_out, write_cleaned
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample


def read_back(manifest: Path, name: str) -> list[tuple[str, object, float | None, float | None]]:
    source = build(catalog().resolve("source", "manifest"), {"path": str(manifest)}, {"split": name})
    split = open_split(source, name)
    return [(Path(sample.media).name, dict(sample.targets), sample.start, sample.end) for sample in split.samples]


def audited(**splits: list[Sample]) -> tuple[Audit, dict[str, Split]]:
    opened = {name: Split(name, samples, ("cat", "dog")) for name, samples in splits.items()}
    return audit_splits(opened, workers=0), opened


def cat(path: Path, label: str = "cat", **span: float) -> Sample:
    return Sample(str(path), {"label_b": label}, key=path.name, **span)


def test_what_is_broken_black_or_there_twice_is_left_out_and_the_rest_reads_back(tmp_path: Path) -> None:
    films = [moving_texture(tmp_path / f"{seed}.mp4", seed) for seed in range(4)]
    contents = {path: path.read_bytes() for path in films}
    train = [
        cat(films[0]),
        cat(films[1], "dog", start=0.2, end=1.0),
        cat(copied(films[0], tmp_path / "copy.mp4")),
        cat(copied(films[2], tmp_path / "leak.mp4")),
        cat(truncated(films[3], tmp_path / "cut.mp4")),
        cat(black(tmp_path / "black.mp4")),
        cat(films[3]),
        cat(copied(films[3], tmp_path / "other.mp4"), "dog"),
    ]
    audit, splits = audited(train=train, val=[cat(films[2])])
    out = left_out(audit)
    assert [(each.place.key, each.kind) for each in out] == [
        ("copy.mp4", "duplicate"),
        ("leak.mp4", "leak"),
        ("cut.mp4", "unreadable"),
        ("black.mp4", "black"),
        ("3.mp4", "contradiction"),
        ("other.mp4", "contradiction"),
    ]
    assert out[1].reason == "shows what 2.mp4 of val shows, which stays"
    manifest = write_cleaned(tmp_path / "lists", splits, out)
    assert read_back(manifest, "train") == [
        ("0.mp4", {"label_b": "cat"}, None, None),
        ("1.mp4", {"label_b": "dog"}, 0.2, 1.0),
    ]
    assert read_back(manifest, "val") == [("2.mp4", {"label_b": "cat"}, None, None)]
    assert {path: path.read_bytes() for path in films} == contents


def test_a_class_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    films = [moving_texture(tmp_path / f"{seed}.mp4", seed, frames=8) for seed in range(3)]
    train = [cat(films[0]), cat(films[1], "dog"), cat(films[2], "dog")]
    audit, _ = audited(train=train, val=[cat(copied(films[0], tmp_path / "a.mp4")), cat(films[1], "dog")])
    assert emptied(audit, left_out(audit)) == [("train", "cat")]


def test_paths_below_the_manifest_are_relative_so_that_both_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    film = moving_texture(tmp_path / "films/a.mp4", 1, frames=8)
    _, splits = audited(train=[cat(film)])
    assert write_cleaned(tmp_path, splits, []).read_text() == "path,label,split\nfilms/a.mp4,cat,train\n"


def test_several_labels_commas_and_quotes_survive(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / 'a, "b".mp4', 1, frames=8)
    labels = ("cat, big", "dog")
    splits = {"train": Split("train", [Sample(str(film), {"label_bk": ["dog", "cat, big"]})], labels)}
    manifest = write_cleaned(tmp_path, splits, [])
    assert manifest.name == "cleaned.csv"
    assert read_back(manifest, "train") == [('a, "b".mp4', {"label_bk": ["cat, big", "dog"]}, None, None)]


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        (" blank .mp4", {"label_b": "cat"}),
        ("a\nb.mp4", {"label_b": "cat"}),
        ("a.mp4", {"label_bk": ["cat", "one; two"]}),
        ("a.mp4", {"label_b": "cat", "boxes_n4": [[0.1, 0.2, 0.3, 0.4]]}),
    ],
)
def test_what_csv_cannot_hold_is_written_as_json_lines(tmp_path: Path, name: str, targets: dict) -> None:
    film = moving_texture(tmp_path / "film.mp4", 1, frames=8).rename(tmp_path / name)
    splits = {"train": Split("train", [Sample(str(film), targets)], ("cat", "one; two"))}
    manifest = write_cleaned(tmp_path, splits, [])
    assert manifest.name == "cleaned.jsonl"
    ((read_name, read_targets, _, _),) = read_back(manifest, "train")
    assert read_name == name
    assert {
        key: getattr(value, "tolist", lambda value=value: value)() for key, value in read_targets.items()
    } == targets


def test_labels_written_as_numbers_become_names(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / "a.mp4", 1, frames=8)
    splits = {"train": Split("train", [Sample(str(film), {"label_b": 1})], ("cat", "dog"))}
    assert read_back(write_cleaned(tmp_path, splits, []), "train")[0][1] == {"label_b": "dog"}


def test_a_manifest_is_written_over_only_when_told_to(tmp_path: Path) -> None:
    film = moving_texture(tmp_path / "a.mp4", 1, frames=8)
    _, splits = audited(train=[cat(film)])
    manifest = tmp_path / "cleaned.csv"
    manifest.write_text("precious")
    with pytest.raises(DataError, match="it is there already") as error:
        write_cleaned(tmp_path, splits, [])
    assert "--force" in str(error.value)
    assert manifest.read_text() == "precious"
    write_cleaned(tmp_path, splits, [], force=True)
    assert manifest.read_text().startswith("path,label,split")


def test_targets_that_no_manifest_can_say_are_refused(tmp_path: Path) -> None:
    splits = {"train": Split("train", [Sample("a.mp4", {"label_b": "cat", "pose_n17": []})], ("cat",))}
    with pytest.raises(DataError, match="pose_n17, which a manifest cannot say"):
        write_cleaned(tmp_path, splits, [])
