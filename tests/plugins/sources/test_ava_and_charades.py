"""`ava` gives boxes with several classes each, `charades` films with several classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.plugins.sources.listing import lines_of, touch, write
from zoo.data import fingerprint, open_split
from zoo.data.targets import collate, encode
from zoo_plugins.sources.ava import ava
from zoo_plugins.sources.charades import charades
from zoo_registry.errors import DataError

ACTIONS = """item {
  name: "bend/bow (at the waist)"
  id: 1
}
item {
  name: "stand"
  id: 12
}
item {
  name: "listen to (a person)"
  id: 74
}
item {
  name: "talk to (e.g., self, a person, a group)"
  id: 79
}
"""
ACTIONS_BY_TYPE = """label {
  name: "stand"
  label_id: 12
  label_type: PERSON_MOVEMENT
}
label {
  name: "swim"
  label_id: 13
  label_type: PERSON_MOVEMENT
}
"""
ROWS = """1j20qq1JyX4,0902,0.002,0.118,0.714,0.977,12,1
1j20qq1JyX4,0902,0.002,0.118,0.714,0.977,79,1
1j20qq1JyX4,0902,0.444,0.054,0.992,0.990,12,0
1j20qq1JyX4,0902,0.444,0.054,0.992,0.990,17,0
1j20qq1JyX4,0903,0.100,0.100,0.500,0.500,74,0
2qQs3Y9OJX0,0902,0.200,0.100,0.700,0.900,17,3
2qQs3Y9OJX0,0905,0.200,0.100,0.700,0.900,1,3
"""


def ava_files(folder: Path, rows: str = ROWS, **more: str) -> dict[str, Path]:
    write(folder / "lists" / "ava_train_v2.2.csv", rows)
    write(folder / "lists" / "ava_action_list_v2.2_for_activitynet_2019.pbtxt", ACTIONS)
    for name, text in more.items():
        write(folder / "lists" / f"{name}_v2.2.csv", text)
    touch(folder / "films" / "1j20qq1JyX4.mkv", folder / "films" / "2qQs3Y9OJX0.mp4")
    return {"annotations": folder / "lists", "films": folder / "films"}


def test_rows_of_a_keyframe_become_boxes_with_several_classes(tmp_path: Path) -> None:
    source = ava(**ava_files(tmp_path), split="train")
    assert source.labels == [
        "bend/bow (at the waist)",
        "stand",
        "listen to (a person)",
        "talk to (e.g., self, a person, a group)",
    ]
    first, second, third = source.samples
    assert (first.key, first.start, first.end) == ("1j20qq1JyX4.mkv [902 s]", 901.0, 903.0)
    assert first.targets == {
        "boxes_n4": [[0.002, 0.118, 0.714, 0.977], [0.444, 0.054, 0.992, 0.99]],
        "label_nk": [["stand", "talk to (e.g., self, a person, a group)"], ["stand"]],
    }
    assert second.targets["label_nk"] == [["listen to (a person)"]]
    assert (third.key, third.targets["label_nk"]) == ("2qQs3Y9OJX0.mp4 [905 s]", [["bend/bow (at the waist)"]])


def test_actions_that_are_not_scored_are_left_out_and_reported(tmp_path: Path) -> None:
    # Action 17 is not in the list: one person does nothing else.
    source = ava(**ava_files(tmp_path), split="train")
    assert source.notes == ("1 box of the train split has no action of the list's 4",)


def test_boxes_and_their_classes_become_tensors_row_by_row(tmp_path: Path) -> None:
    split = open_split(ava(**ava_files(tmp_path), split="train"), "train")
    classes = {label: index for index, label in enumerate(split.labels)}
    batch = collate([encode(sample.targets, classes, None) for sample in split.samples])
    assert [boxes.shape for boxes in batch["boxes_n4"]] == [(2, 4), (1, 4), (1, 4)]
    assert batch["label_nk"][0].tolist() == [[0, 1, 0, 1], [0, 1, 0, 0]]
    assert batch["label_nk"][0].dtype == torch.float32


def test_excluded_keyframes_are_left_out(tmp_path: Path) -> None:
    where = ava_files(tmp_path, ava_train_excluded_timestamps="1j20qq1JyX4,0902\n")
    assert [sample.key for sample in ava(**where, split="train").samples] == [
        "1j20qq1JyX4.mkv [903 s]",
        "2qQs3Y9OJX0.mp4 [905 s]",
    ]


def test_films_that_were_cut_out_begin_at_the_offset(tmp_path: Path) -> None:
    source = ava(**ava_files(tmp_path), split="train", offset=900.0, seconds=3.0)
    assert (source.samples[0].start, source.samples[0].end) == (0.5, 3.5)
    later = ava(**ava_files(tmp_path), split="train", offset=902.0)
    assert [sample.start for sample in later.samples] == [0.0, 2.0]
    assert "1 keyframe of the train split lies before the beginning of the film" in later.notes
    with pytest.raises(DataError, match="all keyframes lie before second 1801"):
        ava(**ava_files(tmp_path), split="train", offset=1800.0)


def test_the_list_with_types_is_read_where_it_is_the_only_one(tmp_path: Path) -> None:
    where = ava_files(tmp_path)
    (where["annotations"] / "ava_action_list_v2.2_for_activitynet_2019.pbtxt").unlink()
    write(where["annotations"] / "ava_action_list_v2.2.pbtxt", ACTIONS_BY_TYPE)
    assert ava(**where, split="train").labels == ["stand", "swim"]


def test_missing_ava_films_leave_out_their_keyframes(tmp_path: Path) -> None:
    where = ava_files(tmp_path)
    (where["films"] / "2qQs3Y9OJX0.mp4").unlink()
    with pytest.raises(DataError, match="1 of 2 films of the train split are missing, such as 2qQs3Y9OJX0"):
        ava(**where, split="train")
    source = ava(**where, split="train", missing="skip")
    assert len(source.samples) == 2
    assert source.notes[0].startswith("1 of 2 films")


def test_every_bad_row_of_ava_is_told_with_its_line(tmp_path: Path) -> None:
    rows = "a,0902,0.1,0.1,0.5,0.5,12\nb,x,0.1,0.1,0.5,0.5,12,1\nc,0902,0.5,0.1,0.5,0.5,12,1\nd,0902,0,0,1,1,sit,1\n"
    with pytest.raises(DataError) as caught:
        ava(**ava_files(tmp_path, rows, ava_train_excluded_timestamps="a\n"), split="train")
    assert sorted(lines_of(caught)) == [
        (1, "the row has 7 fields, not 8"),
        (1, "the row should be FILM,SECOND, not 'a'"),
        (2, "'b' at 'x' is no keyframe"),
        (3, "the box 0.5, 0.1, 0.5, 0.5 is none: 0 <= x1 < x2 <= 1, 0 <= y1 < y2 <= 1"),
        (4, "the action should be a number, not 'sit'"),
    ]


def test_the_fingerprint_of_ava_follows_its_boxes(tmp_path: Path) -> None:
    prints = {
        fingerprint(open_split(ava(**ava_files(tmp_path / str(at), rows), split="train"), "train"))
        for at, rows in enumerate([ROWS, ROWS, ROWS.replace("0.118", "0.119"), ROWS.replace(",79,", ",74,")])
    }
    assert len(prints) == 3


CLASSES = "c000 Holding some clothes\nc001 Putting clothes somewhere\nc002 Taking clothes from somewhere\n"
HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
FILMS = HEADER + (
    '46GP8,HR43,Kitchen,6,7,Yes,"A person cooking, then ""washing"".\nSecond line.",food;stove,"Stands.",'
    "c001 11.90 21.20;c000 0.00 12.60;c001 22.00 24.00,24.83\n"
    "N11GT,0KZ7,Stairs,6,7,No,A person laughs,,One.,,18.33\n"
)


def charades_files(folder: Path, films: str = FILMS, classes: str = CLASSES) -> dict[str, Path]:
    write(folder / "Charades" / "Charades_v1_train.csv", films)
    write(folder / "Charades" / "Charades_v1_test.csv", films)
    write(folder / "Charades" / "Charades_v1_classes.txt", classes)
    touch(folder / "Charades_v1_480" / "46GP8.mp4", folder / "Charades_v1_480" / "N11GT.mp4")
    return {"annotations": folder / "Charades", "films": folder / "Charades_v1_480"}


def test_a_charades_film_has_all_its_classes_or_none(tmp_path: Path) -> None:
    source = charades(**charades_files(tmp_path), split="train")
    assert source.labels == ["Holding some clothes", "Putting clothes somewhere", "Taking clothes from somewhere"]
    assert [(sample.key, sample.targets) for sample in source.samples] == [
        ("46GP8.mp4", {"label_bk": ["Putting clothes somewhere", "Holding some clothes"]}),
        ("N11GT.mp4", {"label_bk": []}),
    ]
    classes = {label: index for index, label in enumerate(source.labels)}
    rows = collate([encode(sample.targets, classes, None) for sample in open_split(source, "train").samples])
    assert rows["label_bk"].tolist() == [[1, 1, 0], [0, 0, 0]]


def test_every_charades_action_can_be_a_sample(tmp_path: Path) -> None:
    source = charades(**charades_files(tmp_path), split="val", per="action")
    assert [(sample.targets["label_b"], sample.start, sample.end) for sample in source.samples] == [
        ("Putting clothes somewhere", 11.9, 21.2),
        ("Holding some clothes", 0.0, 12.6),
        ("Putting clothes somewhere", 22.0, 24.0),
    ]
    assert source.notes == ("Charades has no validation list: val is the test list",)


def test_every_bad_row_of_charades_is_told_with_its_line(tmp_path: Path) -> None:
    films = HEADER + (
        'a,,,,,,"two\nlines",,,c000 1.0 2.0;c009 1.0 2.0,9\n,,,,,,,,,,9\n'
        "b,,,,,,,,,c000 5.0 2.0,9\nc,,,,,,,,,c000 1.0,9\n"
    )
    with pytest.raises(DataError) as caught:
        charades(**charades_files(tmp_path, films), split="train")
    assert lines_of(caught) == [
        (3, "class 'c009' is not in Charades_v1_classes.txt"),
        (4, "the row has no id"),
        (5, "the span of 'c000 5.0 2.0' is none"),
        (6, "an action should be CODE START END, not 'c000 1.0'"),
    ]
    with pytest.raises(DataError) as caught:
        charades(**charades_files(tmp_path, classes="c000 A\nc002 B\nc001\n"), split="train")
    assert [line for line, _ in lines_of(caught)] == [2, 3]
