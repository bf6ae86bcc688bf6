"""Data sets of the `datasets` library: columns of films become samples, and nothing is decoded beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

datasets = pytest.importorskip("datasets")

from zoo_plugins.sources.hf import RowSamples, hf  # noqa: E402
from zoo_registry.errors import DataError  # noqa: E402

FILMS = [b"first film", b"second film", b"third film"]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch) -> None:
    """Nothing is fetched, and the library's cache stays in the test's folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def rows_of(label: object, values: list, **columns) -> datasets.Dataset:
    """Three films in memory with a label column of a given kind."""
    features = {"video": datasets.Video(decode=False), "label": label}
    films = [{"bytes": film, "path": f"{number}.mp4"} for number, film in enumerate(FILMS)]
    return datasets.Dataset.from_dict({"video": films, "label": values}, datasets.Features(features))


CLASSES = datasets.ClassLabel(names=["run", "jump"])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rows = rows_of(CLASSES, [1, 0, 1])
    datasets.DatasetDict({"train": rows, "validation": rows.select([2])}).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_films_and_classes_come_out_as_they_were_put_in(saved: Path) -> None:
    source = hf(split="train", path=saved)
    assert [sample.media.read() for sample in source.samples] == FILMS
    assert [sample.targets["label_b"] for sample in source.samples] == ["jump", "run", "jump"]
    assert source.labels == ["run", "jump"]  # the data set's order, which is that of the numbers
    assert source.samples[1].key == "train 1: 1.mp4"
    assert source.samples.class_codes().tolist() == [1, 0, 1]


def test_the_usual_names_of_parts_are_known(saved: Path) -> None:
    assert [sample.media.read() for sample in hf(split="val", path=saved).samples] == [b"third film"]
    assert len(hf(split="test", path=saved, part="train").samples) == 3
    with pytest.raises(DataError, match="no part for test, which would be called test") as caught:
        hf(split="test", path=saved)
    assert "it has train, validation" in str(caught.value)


def test_parquet_files_are_read_by_the_part_that_their_names_begin_with(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = rows_of(CLASSES, [1, 0, 1])
    rows.select([0, 1]).to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    rows.select([2]).to_parquet(tmp_path / "data" / "validation-00000-of-00001.parquet")
    assert [sample.media.read() for sample in hf(split="train", path=tmp_path / "data").samples] == FILMS[:2]
    assert [sample.media.read() for sample in hf(split="val", path=tmp_path / "data").samples] == FILMS[2:]


@pytest.mark.parametrize(
    ("label", "values", "labels", "targets"),
    [
        (datasets.Value("string"), ["b", "a", "b"], ["a", "b"], ["b", "a", "b"]),
        (datasets.Value("int64"), [2, 0, 2], ["0", "1", "2"], ["2", "0", "2"]),
        (datasets.List(CLASSES), [[1], [], [0, 1]], ["run", "jump"], [["jump"], [], ["run", "jump"]]),
        (datasets.List(datasets.Value("string")), [["x"], [], ["y", "x"]], ["x", "y"], [["x"], [], ["y", "x"]]),
    ],
)
def test_labels_of_every_kind(tmp_path: Path, label, values: list, labels: list, targets: list) -> None:
    rows_of(label, values).save_to_disk(tmp_path / "saved")
    source = hf(split="train", path=tmp_path / "saved")
    key = "label_bk" if isinstance(values[0], list) else "label_b"
    assert source.labels == labels
    assert [sample.targets for sample in source.samples] == [{key: target} for target in targets]
    assert source.samples.target_keys() == [(key,)]
    assert source.samples.class_names() <= set(labels)


@pytest.mark.parametrize("kind", ["video", "string", "binary"])
def test_paths_and_bytes_are_taken_from_columns_of_any_kind(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"the film")
    feature = {"video": datasets.Video(decode=False)}.get(kind) or datasets.Value(kind)
    value = b"the film" if kind == "binary" else str(file)
    rows = datasets.Dataset.from_dict({"clip": [value]}, datasets.Features({"clip": feature}))
    rows.save_to_disk(tmp_path / "saved")
    (sample,) = hf(split="train", path=tmp_path / "saved", films=tmp_path, video="clip", label=None).samples
    assert sample.targets == {}
    if kind == "string":
        assert sample.media == str(file)
    else:  # `save_to_disk` puts the content of films into its tables
        assert sample.media.read() == b"the film"


def test_a_data_set_of_somebody_else_does_not_reach_into_this_machine(tmp_path: Path) -> None:
    """A path in a table of the Hub may only lead to what was downloaded."""
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"private")
    (tmp_path / "hf").mkdir()
    fetched = tmp_path / "hf" / "film.mp4"
    fetched.write_bytes(b"public")
    paths = [str(secret), str(fetched), f"{tmp_path}/hf/../secret.mp4"]
    rows = datasets.Dataset.from_dict({"video": paths}, datasets.Features({"video": datasets.Value("string")}))
    samples = RowSamples(rows.with_format("arrow"), "train", None, (), folder=None)
    assert samples[1].media == str(fetched)
    for at in (0, 2):
        with pytest.raises(OSError, match="neither its bytes nor a file of its own"):
            samples[at].media.read()


def test_paths_in_a_folder_of_this_machine_do_not_leave_it(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"private")
    paths = [str(tmp_path / "secret.mp4"), "../secret.mp4", "link.mp4", "a\0b", "clips/in.mp4"]
    rows = datasets.Dataset.from_dict({"video": paths})
    rows.save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    *outside, inside = hf(split="train", path=tmp_path / "saved", label=None).samples
    assert inside.media == str(tmp_path / "saved" / "clips" / "in.mp4")
    for sample, path in zip(outside, paths, strict=False):
        with pytest.raises(OSError, match="leads out of its folder") as caught:
            sample.media.read()
        assert path in str(caught.value)
    named = hf(split="train", path=tmp_path / "saved", films=tmp_path, label=None).samples
    assert named[0].media == paths[0]  # the user says where films lie


def test_one_saved_part_does_not_serve_as_every_split(tmp_path: Path) -> None:
    rows_of(CLASSES, [1, 0, 1]).save_to_disk(tmp_path / "nameless")
    named = rows_of(CLASSES, [1, 0, 1])
    datasets.Dataset(named.data, info=named.info, split=datasets.Split.VALIDATION).save_to_disk(tmp_path / "named")
    assert len(hf(split="train", path=tmp_path / "nameless").samples) == 3
    assert len(hf(split="val", path=tmp_path / "named").samples) == 3
    for split, name, said, hint in [
        ("val", "nameless", "a single part, which would serve as val too", "`part: all`"),
        ("test", "nameless", "a single part, which would serve as test too", "`part: all`"),
        ("train", "named", "its part validation, which would serve as train too", "`part: validation`"),
    ]:
        with pytest.raises(DataError, match=said) as caught:
            hf(split=split, path=tmp_path / name)
        assert hint in str(caught.value)
    assert len(hf(split="val", path=tmp_path / "nameless", part="all").samples) == 3
    assert len(hf(split="train", path=tmp_path / "named", part="validation").samples) == 3
    with pytest.raises(DataError, match="the data set is the part validation, not test"):
        hf(split="test", path=tmp_path / "named", part="test")


def saved_with_codes(folder: Path, codes: list) -> Path:
    """A `ClassLabel` column with codes that the library itself would refuse to write."""
    rows_of(datasets.Value("int64"), codes).save_to_disk(folder)
    info = json.loads((folder / "dataset_info.json").read_text())
    info["features"]["label"] = {"names": ["run", "jump"], "_type": "ClassLabel"}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("code", [2, -2, 2**40])
def test_a_code_outside_the_classes_is_told_with_its_row(tmp_path: Path, code: int) -> None:
    with pytest.raises(DataError, match=rf"row 1 has label {code}; classes are numbered from 0 to 1") as caught:
        hf(split="train", path=saved_with_codes(tmp_path / "saved", [0, code, 1]))
    assert caught.value.problems[0].hint


@pytest.mark.parametrize("number", [2**40, -7])
def test_identifiers_are_not_taken_for_classes(tmp_path: Path, number: int) -> None:
    rows_of(datasets.Value("int64"), [0, number, 1]).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=f"row 1 has label {number}") as caught:
        hf(split="train", path=tmp_path / "saved")
    assert "is it an identifier?" in str(caught.value)


@pytest.mark.parametrize("values", [[[0], None, [1]], [[0], [None], [1]]])
def test_rows_without_their_list_of_classes_are_told(tmp_path: Path, values: list) -> None:
    rows_of(datasets.List(CLASSES), values).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="row 1 has no label"):
        hf(split="train", path=tmp_path / "saved")


def test_a_damaged_data_set_is_an_error_in_words(tmp_path: Path) -> None:
    def table(folder: Path) -> None:
        (file,) = folder.glob("*.arrow")
        file.write_bytes(file.read_bytes()[:300])

    def state(folder: Path) -> None:
        (folder / "state.json").write_text("{}")

    for spoil in (table, state):
        folder = tmp_path / spoil.__name__
        rows_of(CLASSES, [1, 0, 1]).save_to_disk(folder)
        spoil(folder)
        with pytest.raises(DataError, match="this data set cannot be opened") as caught:
            hf(split="train", path=folder)
        assert caught.value.problems[0].hint
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match="this data set cannot be opened"):
        hf(split="train", path=tmp_path / "train.parquet")


def test_samples_are_not_decoded_or_copied_by_looking_at_them(saved: Path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.Video, "decode_example", None)
    assert len(list(hf(split="train", path=saved).samples)) == 3


def test_a_digest_follows_the_labels(tmp_path: Path, saved: Path) -> None:
    rows_of(CLASSES, [1, 1, 1]).save_to_disk(tmp_path / "other")
    digests = [hf(split="train", path=path).samples.digest() for path in (saved, saved, tmp_path / "other")]
    assert digests[0] == digests[1] != digests[2]


def test_what_does_not_fit_is_told(tmp_path: Path, saved: Path) -> None:
    for params, message in [
        ({}, "wants either a path or a repo"),
        ({"path": saved, "repo": "org/clips"}, "wants either a path or a repo"),
        ({"path": tmp_path / "nowhere"}, "there is no such data set"),
        ({"path": tmp_path}, "it holds no data set|cannot be opened"),
        ({"path": saved, "video": "clip"}, "no column 'clip'"),
        ({"path": saved, "video": "label"}, "neither films, pictures, paths nor bytes"),
    ]:
        with pytest.raises(DataError, match=message):
            hf(split="train", **params)
    rows_of(CLASSES, [1, None, 0]).save_to_disk(tmp_path / "holes")
    with pytest.raises(DataError, match="row 1 has no label"):
        hf(split="train", path=tmp_path / "holes")
