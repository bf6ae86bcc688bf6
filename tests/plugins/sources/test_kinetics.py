"""`kinetics` reads the official lists; rows are those of Kinetics-400 and -700, other films stand for theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugins.sources.listing import lines_of, problems_of, touch, write
from zoo.data import read_clip
from zoo_plugins.sources.kinetics import kinetics
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError

K400 = """label,youtube_id,time_start,time_end,split,is_cc
"testifying","---QUuC4vJs",84,94,"val",0
abseiling,-3B32lodo2M,59,69,val,0
"air drumming",_dbcJuKJQNs,40,50,val,0
"""
K700 = """label,youtube_id,time_start,time_end,split
testifying,---QUuC4vJs,84,94,validate
washing feet,--GkrdYZ9Tc,0,10,validate
air drumming,--nQbRBEz2s,104,114,validate
"""
K700_JSON = {
    "---QUuC4vJs": {
        "annotations": {"label": "testifying", "segment": [84.0, 94.0]},
        "duration": 10.0,
        "subset": "validate",
        "url": "https://www.youtube.com/watch?v=---QUuC4vJs",
    },
    "--GkrdYZ9Tc": {
        "annotations": {"label": "washing feet", "segment": [0.0, 10.0]},
        "duration": 10.0,
        "subset": "validate",
        "url": "https://www.youtube.com/watch?v=--GkrdYZ9Tc",
    },
}


def cut_films(folder: Path) -> Path:
    touch(
        folder / "val" / "testifying" / "---QUuC4vJs_000084_000094.mp4",
        folder / "val" / "abseiling" / "-3B32lodo2M_000059_000069.mp4",
        folder / "val" / "air_drumming" / "_dbcJuKJQNs_000040_000050.mkv",
    )
    return folder


def test_quoted_rows_and_films_in_folders_by_class(tmp_path: Path) -> None:
    source = kinetics(annotations=write(tmp_path / "val.csv", K400), films=cut_films(tmp_path / "films"), split="val")
    assert source.labels == ["abseiling", "air drumming", "testifying"]
    assert [(sample.key, sample.targets, sample.start, sample.end) for sample in source.samples] == [
        ("val/testifying/---QUuC4vJs_000084_000094.mp4", {"label_b": "testifying"}, None, None),
        ("val/abseiling/-3B32lodo2M_000059_000069.mp4", {"label_b": "abseiling"}, None, None),
        ("val/air_drumming/_dbcJuKJQNs_000040_000050.mkv", {"label_b": "air drumming"}, None, None),
    ]
    assert all(Path(sample.media).is_file() for sample in source.samples)
    assert source.notes == ()


def test_whole_films_are_read_between_the_official_seconds(tmp_path: Path) -> None:
    films = tmp_path / "films"
    touch(films / "---QUuC4vJs.mp4", films / "--GkrdYZ9Tc.webm", films / "--nQbRBEz2s_000104_000114.mp4")
    source = kinetics(annotations=write(tmp_path / "validate.csv", K700), films=films, split="val")
    assert [(sample.start, sample.end) for sample in source.samples] == [(84.0, 94.0), (0.0, 10.0), (None, None)]


def test_the_older_json_says_the_same(tmp_path: Path) -> None:
    films = tmp_path / "films"
    touch(films / "---QUuC4vJs.mp4", films / "--GkrdYZ9Tc.mp4")
    text = json.dumps(K700_JSON, indent=1)
    source = kinetics(annotations=write(tmp_path / "validate.json", text), films=films, split="val")
    assert [(sample.targets["label_b"], sample.start, sample.end) for sample in source.samples] == [
        ("testifying", 84.0, 94.0),
        ("washing feet", 0.0, 10.0),
    ]


def test_a_folder_of_lists_gives_the_one_of_the_split(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    for name in ("kinetics-400_train.csv", "kinetics-400_val.csv", "kinetics-400_test.csv", "kinetics-400_val.json"):
        write(lists / name, K400 if name.endswith("val.csv") else "")
    source = kinetics(annotations=lists, films=cut_films(tmp_path / "films"), split="val")
    assert len(source.samples) == 3
    write(lists / "validate.csv", K700)
    with pytest.raises(DataError, match="several lists could be the val split's"):
        kinetics(annotations=lists, films=tmp_path / "films", split="val")


def test_a_test_list_without_classes_gives_samples_without_targets(tmp_path: Path) -> None:
    text = "youtube_id,time_start,time_end,split\n---QUuC4vJs,84,94,test\n"
    films = cut_films(tmp_path / "films")
    source = kinetics(annotations=write(tmp_path / "test.csv", text), films=films, split="test")
    assert source.labels == []
    assert [sample.targets for sample in source.samples] == [{}]


def test_missing_films_are_an_error_that_counts_them(tmp_path: Path) -> None:
    films = tmp_path / "films"
    touch(films / "---QUuC4vJs.mp4")
    with pytest.raises(DataError) as caught:
        kinetics(annotations=write(tmp_path / "val.csv", K700), films=films, split="val")
    assert problems_of(caught) == [
        "2 of 3 films of the val split are missing, such as --GkrdYZ9Tc_000000_000010.mp4, "
        "--nQbRBEz2s_000104_000114.mp4"
    ]
    assert "`missing: skip`" in str(caught.value)


def test_films_may_be_missing_when_the_recipe_says_so_and_the_user_is_told(tmp_path: Path) -> None:
    films = tmp_path / "films"
    touch(films / "---QUuC4vJs.mp4")
    source = kinetics(annotations=write(tmp_path / "val.csv", K700), films=films, split="val", missing="skip")
    assert [sample.key for sample in source.samples] == ["---QUuC4vJs.mp4 [84 s to 94 s]"]
    assert source.labels == ["air drumming", "testifying", "washing feet"]  # numbered alike whatever is missing
    (note,) = source.notes
    assert note.startswith("2 of 3 films of the val split are missing")
    assert note.endswith("they are left out, 1 remain")


def test_no_film_at_all_is_an_error_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    with pytest.raises(DataError, match="none of 3 films of the val split is there"):
        kinetics(annotations=write(tmp_path / "val.csv", K700), films=tmp_path / "films", split="val", missing="skip")


def test_all_bad_rows_are_told_with_their_lines(tmp_path: Path) -> None:
    text = (
        "label,youtube_id,time_start,time_end,split\n"
        "yoga,aaaaaaaaaaa,0,10,validate\nyoga,,0,10,validate\nyoga,bbbbbbbbbbb,10,0,validate\n"
        "yoga,ccccccccccc,x,10,validate\nyoga,ddddddddddd,0,10,dev\nyoga,eeeeeeeeeee,9,3,train\n"
    )
    with pytest.raises(DataError) as caught:
        kinetics(annotations=write(tmp_path / "val.csv", text), films=tmp_path, split="val")
    assert lines_of(caught) == [
        (3, "the row has no youtube_id"),
        (4, "the span from 10 s to 0 s is none"),
        (5, "the span from x s to 10 s is none"),
        (6, "split 'dev' is unknown"),
    ]


def test_json_is_told_with_its_lines_too(tmp_path: Path) -> None:
    bad = {"a": {"annotations": {"label": "yoga", "segment": [3.0]}, "subset": "val"}, "b": {"subset": "val"}}
    file = write(tmp_path / "val.json", "{\n" + json.dumps(bad)[1:-1].replace(', "b"', ',\n"b"') + "\n}")
    with pytest.raises(DataError) as caught:
        kinetics(annotations=file, films=tmp_path, split="val")
    assert lines_of(caught) == [(2, "the span from None s to None s is none"), (3, "b has no annotations")]
    with pytest.raises(DataError, match=r"cut\.json:3:\d+: no JSON"):
        kinetics(annotations=write(tmp_path / "cut.json", '{\n"a": {},\n"b": {"annot'), films=tmp_path, split="val")


def test_another_list_is_not_taken_for_kinetics(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this list has no column youtube_id, time_start, time_end"):
        kinetics(annotations=write(tmp_path / "val.csv", "path,label\na.mp4,cat\n"), films=tmp_path, split="val")
    with pytest.raises(DataError, match="cannot read this annotation file: No such file"):
        kinetics(annotations=tmp_path / "nowhere.csv", films=tmp_path, split="val")


def test_real_kinetics_films_are_found_and_decoded(shared: Path, tmp_path: Path) -> None:
    """Films of Kinetics-400 that are cut already but bear the bare name: `R6llTwEh07w.mp4`."""
    text = "label,youtube_id,time_start,time_end,split\nwave,R6llTwEh07w,0,4,train\nwave,SOX5yA1l24A,1,3,train\n"
    source = kinetics(annotations=write(tmp_path / "train.csv", text), films=shared / "clips", split="train")
    clip = read_clip(source.samples[1].media, ClipSpec(frames=4, size=32), start=1.0, end=3.0)
    assert clip.shape == (3, 4, 32, 32)
