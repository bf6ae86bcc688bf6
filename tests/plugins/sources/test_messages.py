"""What is wrong with official lists is told with what to do next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_plugins.sources.ava import ava
from zoo_plugins.sources.charades import charades
from zoo_plugins.sources.hmdb51 import hmdb51
from zoo_plugins.sources.kinetics import kinetics
from zoo_plugins.sources.something_something_v2 import something_something_v2
from zoo_plugins.sources.ucf101 import ucf101
from zoo_registry.errors import DataError

SSV2 = {"labels.json": json.dumps({"Holding something": "0"})}
AVA = {"ava_action_list_v2.2.pbtxt": 'item { name: "sit" id: 11 }'}
CHARADES = {"Charades_v1_classes.txt": "c000 Holding something\n"}
ROW = "label,youtube_id,time_start,time_end,split\n"

CASES: list[tuple[Callable, dict[str, str | bytes], str]] = [
    (kinetics, {"train.csv": f"{ROW}run,a,7,2,train\n"}, "the span from 7 s to 2 s is none"),
    (kinetics, {"train.csv": f"{ROW}run,a,nan,2,train\n"}, "the span from nan s to 2 s is none"),
    (kinetics, {"train.csv": f"{ROW}run,a,,,train\n"}, "is none"),
    (kinetics, {"train.csv": f"{ROW}run,,1,2,train\n"}, "no youtube_id"),
    (kinetics, {"train.csv": f"{ROW}run,a,1,2,val\n"}, "no clip of the train split"),
    (kinetics, {"train.csv": f"{ROW}run,a,1,2,train\n,b,1,2,train\n"}, "1 of 2 clips .* have no label"),
    (kinetics, {"train.csv": ""}, "no column youtube_id, time_start, time_end"),
    (kinetics, {"train.csv": f'{ROW}"run'}, "the span from|no CSV|youtube_id"),
    (kinetics, {"train.json": '{"a": 3}'}, "a has no annotations"),
    (kinetics, {"train.json": "[" * 10_000}, "nested too deeply"),
    (kinetics, {"train.csv": b"\xff\xfe"}, "not UTF-8"),
    (ucf101, {"classInd.txt": "", "trainlist01.txt": "a"}, "list of classes is empty"),
    (ucf101, {"classInd.txt": "1 Archery", "trainlist01.txt": ""}, "this list is empty"),
    (ucf101, {"classInd.txt": "1 Archery", "trainlist01.txt": "a.avi"}, "the line should be CLASS/FILM.avi"),
    (hmdb51, {"wave_test_split1.txt": "a.avi\n"}, "the line should be FILM.avi and 0, 1 or 2"),
    (charades, {**CHARADES, "Charades_v1_train.csv": "id,actions\n"}, "this list is empty"),
    (charades, {**CHARADES, "Charades_v1_train.csv": "id\nA\n"}, "no column actions"),
    (charades, {**CHARADES, "Charades_v1_train.csv": "id,actions\nA,c000 3 1\nB,c0 1 2\nC,x\n"}, "the span of"),
    (charades, {**CHARADES, "Charades_v1_train.csv": "id,actions\n,c000 1 2\n"}, "the row has no id"),
    (something_something_v2, {**SSV2, "train.json": "[]"}, "the list of the train split is empty"),
    (something_something_v2, {**SSV2, "train.json": '[{"id": 1}, {}]'}, "has no template"),
    (something_something_v2, {"labels.json": '{"a": "1"}', "train.json": "[]"}, "numbers are not 0, 1, 2"),
    (ava, {**AVA, "ava_train_v2.2.csv": ""}, "this list has no keyframe"),
    (ava, {**AVA, "ava_train_v2.2.csv": "a,902,0,0,1\n"}, "the row has 5 fields, not 8"),
    (ava, {"ava_action_list_v2.2.pbtxt": "item { }", "ava_train_v2.2.csv": ""}, "no name or no id"),
]


@pytest.mark.parametrize(("source", "files", "message"), CASES)
def test_every_problem_says_what_to_do(source: Callable, files: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "lists").mkdir()
    for name, content in files.items():
        (tmp_path / "lists" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message) as caught:
        source(annotations=tmp_path / "lists", films=tmp_path / "films", split="train")
    assert all(problem.hint and problem.where for problem in caught.value.problems)
