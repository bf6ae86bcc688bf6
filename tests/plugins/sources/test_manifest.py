"""`manifest` reads lists of films, and says all that is wrong with them, with the line."""

from __future__ import annotations

import csv
import json
import pickle
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.plugins.sources.listing import lines_of, problems_of, touch
from tests.plugins.sources.listing import write as write_text
from zoo.data import open_split
from zoo.data.split import check_targets
from zoo_plugins.sources import column_samples
from zoo_plugins.sources.columns import TextWriter, _distinct_one_by_one, distinct, numbers
from zoo_plugins.sources.manifest import manifest
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample


def write(path: Path, text: str) -> Path:
    touch(path.parent / "a.mp4", path.parent / "b.mp4")
    return write_text(path, text)


def test_a_csv_manifest_gives_the_rows_of_the_split(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "path,label,start,end,split\na.mp4,dog,0.5,2,train\nb.mp4,cat,,,val\n")
    source = manifest(path=path, split="train")
    (sample,) = source.samples
    assert (sample.media, sample.targets) == (str(tmp_path / "a.mp4"), {"label_b": "dog"})
    assert (sample.start, sample.end) == (0.5, 2.0)
    assert sample.key == "a.mp4 [0.5 s to 2 s]"
    assert source.labels == ["dog"]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "label": "dog", "start": 0.5}, {"path": "b.mp4", "label": "cat"}]
    path = write(tmp_path / "labels.jsonl", "\n".join(map(json.dumps, rows)))
    source = manifest(path=path, split="train")
    assert [sample.targets["label_b"] for sample in source.samples] == ["dog", "cat"]
    assert source.samples[0].start == 0.5
    assert source.labels == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,labels\na.mp4,cat;dog\nb.mp4,owl\n"),
        ("labels.jsonl", '{"path": "a.mp4", "labels": ["cat", "dog"]}\n{"path": "b.mp4", "labels": ["owl"]}\n'),
    ],
)
def test_a_film_can_have_several_labels(tmp_path: Path, name: str, text: str) -> None:
    source = manifest(path=write(tmp_path / name, text), split="train")
    assert [sample.targets["label_bk"] for sample in source.samples] == [["cat", "dog"], ["owl"]]
    assert source.labels == ["cat", "dog", "owl"]


def test_a_spreadsheets_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.csv", "\ufeffpath,label\na.mp4,cat\n")
    assert manifest(path=path, split="train").labels == ["cat"]


def test_every_bad_row_is_reported_with_its_line(tmp_path: Path) -> None:
    text = "path,label,start,end\na.mp4,cat,x,\n,cat,,\nb.mp4,cat,2,1\nb.mp4,cat,-1,\n"
    with pytest.raises(DataError) as caught:
        manifest(path=write(tmp_path / "labels.csv", text), split="train")
    assert all(problem.hint for problem in caught.value.problems)
    assert [f"{problem.where}: {problem.message}" for problem in caught.value.problems] == [
        f"{tmp_path}/labels.csv:2:1: start should be seconds from the film's beginning, not 'x'",
        f"{tmp_path}/labels.csv:3:1: the row has no path",
        f"{tmp_path}/labels.csv:4:1: the span from 2 s to 1 s is empty",
        f"{tmp_path}/labels.csv:5:1: start should be seconds from the film's beginning, not '-1'",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "path,lable\na.mp4,cat\n", r"csv:1:1: unknown column 'lable'\n  did you mean 'label'\?"),
        ("labels.csv", "path,label\na.mp4,cat,dog\n", "csv:2:1: the row has 1 more field than the header"),
        ("labels.csv", "path,label\n", "this manifest lists nothing"),
        ("labels.csv", "path,label\na.mp4,cat\nb.mp4,\n", "csv:3:1: 1 row has no label, the others do"),
        ("labels.csv", "path,label,split\na.mp4,cat,val\n", "no row is of the split 'train'\n  there are rows of val"),
        ("labels.csv", "path,label\nfilms/a.mp4,cat\n", "none of its 1 files of the train split exists"),
        ("labels.csv", "path,label,labels\na.mp4,cat,dog\n", "the row has both a label and labels"),
        ("labels.jsonl", '{"path": "a.mp4"}\n{"path": \n', r"jsonl:2:\d+: no JSON"),
        ("labels.jsonl", "[1]\n", "jsonl:1:1: a row should be a JSON object"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said_with_its_place(tmp_path: Path, name: str, text: str, message) -> None:
    with pytest.raises(DataError, match=message):
        manifest(path=write(tmp_path / name, text), split="train")


def test_a_manifest_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("path,label\nü.mp4,cat\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        manifest(path=tmp_path / "latin.csv", split="train")
    with pytest.raises(DataError, match="cannot read this manifest: No such file"):
        manifest(path=tmp_path / "nowhere.csv", split="train")


def test_the_shared_films_labels_are_read(shared: Path) -> None:
    train = manifest(path=shared / "clips" / "labels.csv", split="train")
    val = manifest(path=shared / "clips" / "labels.csv", split="val")
    assert (len(train.samples), len(train.labels)) == (12, 10)
    assert val.labels == ["juggling_soccer_ball", "using_segway", "wave"]


# ----------------------------------------------------------------------------------- values, targets, masks and boxes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "path,value\na.mp4,0.5\nb.mp4,-2e1\n"),
        ("labels.jsonl", '{"path": "a.mp4", "value": 0.5}\n{"path": "b.mp4", "value": -20}\n'),
    ],
)
def test_a_value_is_a_number_to_be_predicted(tmp_path: Path, name: str, text: str) -> None:
    source = manifest(path=write(tmp_path / name, text), split="train")
    assert [sample.targets for sample in source.samples] == [{"value_b": 0.5}, {"value_b": -20.0}]
    assert source.labels == ["value"]


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("labels.csv", "path,values\na.mp4,1;2.5\nb.mp4,3; 4\n", ["value_1", "value_2"]),
        ("labels.csv", "path,value_speed,value_age\na.mp4,1,2.5\nb.mp4,3,4\n", ["speed", "age"]),
        (
            "labels.jsonl",
            '{"path": "a.mp4", "values": [1, 2.5]}\n{"path": "b.mp4", "values": [3, 4]}\n',
            ["value_1", "value_2"],
        ),
    ],
)
def test_several_values_have_names(tmp_path: Path, name: str, text: str, labels: list[str]) -> None:
    source = manifest(path=write(tmp_path / name, text), split="train")
    assert [sample.targets for sample in source.samples] == [{"value_bk": [1.0, 2.5]}, {"value_bk": [3.0, 4.0]}]
    assert source.labels == labels


def test_target_films_and_masks_lie_relative_to_the_manifest(tmp_path: Path) -> None:
    text = "path,target,mask\na.mp4,sharp/a.mp4,masks/a.png\n"
    (sample,) = manifest(path=write(tmp_path / "pairs.csv", text), split="train").samples
    assert sample.targets == {
        "clip_bcthw": str(tmp_path / "sharp/a.mp4"),
        "mask_bthw": str(tmp_path / "masks/a.png"),
    }


def test_boxes_stand_in_json_lines(tmp_path: Path) -> None:
    text = '{"path": "a.mp4", "boxes": [[0, 0.25, 0.5, 1]]}\n{"path": "b.mp4", "boxes": []}\n'
    source = manifest(path=write(tmp_path / "boxes.jsonl", text), split="train")
    assert [sample.targets for sample in source.samples] == [
        {"boxes_n4": [[0, 0.25, 0.5, 1]]},
        {"boxes_n4": []},
    ]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("l.csv", "path,value\na.mp4,x\nb.mp4,nan\n", [(2, "value should be a number, not 'x'"), (3, "not 'nan'")]),
        ("l.csv", "path,value\na.mp4,1\nb.mp4,\n", [(3, "1 row has no value, the others do")]),
        ("l.csv", "path,values\na.mp4,1;2\nb.mp4,1\n", [(3, "the row has 1 values, the first one has 2")]),
        ("l.csv", "path,values\na.mp4,1;x\n", [(2, "values should be numbers, separated by ;, not '1;x'")]),
        ("l.csv", "path,value,label\na.mp4,1,cat\n", [(0, "the list has both classes and values")]),
        ("l.csv", "path,value,value_age\na.mp4,1,2\n", [(0, "values stand in value, value_age")]),
        ("l.csv", "path,value_a,value_b\na.mp4,1,2\nb.mp4,1,\n", [(3, "1 row has no value_b, the others do")]),
        ("l.csv", "path,label,labels\na.mp4,cat,\nb.mp4,,a;b\nb.mp4,dog,\n", [(3, "1 row has labels, the others")]),
        ("l.csv", "path,target\na.mp4,b.mp4\nb.mp4,\n", [(3, "1 row has no target, the others do")]),
        ("l.csv", "path,boxes\na.mp4,[]\n", [(1, "boxes need a manifest of JSON lines")]),
        ("l.csv", "path,label,path\na.mp4,cat,b.mp4\n", [(1, "column 'path' is there 2 times")]),
        ("l.jsonl", '{"path": "a.mp4", "boxes": [[0, 0, 2, 1]]}', [(1, "boxes should be a list of [x1, y1, x2, y2]")]),
        ("l.jsonl", f'{{"path": "a.mp4", "boxes": [[0, 0, 1{"0" * 400}, 1]]}}', [(1, "boxes should be a list of")]),
        ("l.jsonl", '{"path": "a.mp4", "boxes": [[0, 0, "1", 1]]}', [(1, "boxes should be a list of")]),
        ("l.jsonl", '{"path": "a.mp4", "label": {"a": 1}}', [(1, "label should be a text or a number, not {")]),
        (
            "l.jsonl",
            '{"path": 3}\n{"path": "a.mp4", "labels": 3.5, "start": true}',
            [
                (1, "path should be a text"),
                (2, "labels should be a list of"),
                (2, "start should be a text or a number"),
            ],
        ),
    ],
)
def test_bad_targets_are_told_with_their_lines(tmp_path: Path, name: str, text: str, told) -> None:
    with pytest.raises(DataError) as caught:
        manifest(path=write(tmp_path / name, text), split="train")
    found = lines_of(caught)
    assert [line for line, _ in found] == [line for line, _ in told]
    assert all(message in said for (_, said), (_, message) in zip(found, told, strict=True)), found


def test_of_many_bad_rows_the_first_are_told_and_the_rest_counted(tmp_path: Path) -> None:
    text = "path,start\n" + "a.mp4,x\n" * 1000
    with pytest.raises(DataError) as caught:
        manifest(path=write(tmp_path / "list.csv", text), split="train")
    assert [line for line, _ in lines_of(caught)][:20] == list(range(2, 22))
    assert problems_of(caught)[20:] == ["and 980 more"]


# ------------------------------------------------------------------------------------------------------ reading quickly

NAMES = [
    "a.mp4",
    "a very long name of a film, with a comma.mp4",
    'a "quoted" name.mp4',
    "größer/猫.mp4",
    "two\nlines.mp4",
]


def rows_of(source) -> list[tuple]:
    return [(sample.key, sample.targets, sample.start, sample.end) for sample in source.samples]


@pytest.mark.parametrize("names", [NAMES, ["a.mp4", "größer/猫.mp4", "abcdefgh.mp4", "b"]], ids=["quotes", "plain"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_fields_are_those_of_pythons_own_reader(tmp_path: Path, names: list[str], line_end: str, quoting: int) -> None:
    """Without quotes, with some, and with quotes around everything, which take different ways through the code."""
    spans = ["0", "0.1", "12.345678901234", "1e-3", "123456789.125", "00.50", "7.", ".25", "0.30000000000000004"]
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=line_end, quoting=quoting)
        writer.writerow(["path", "start", "label", "split"])
        for at in range(200):
            label = f"class {'x' * (at % 23)}{at % 7}"
            writer.writerow([names[at % len(names)], spans[at % len(spans)], label, ["train", "val", ""][at % 3]])
    touch(tmp_path / "a.mp4")
    with (tmp_path / "list.csv").open(newline="", encoding="utf-8") as file:
        expected = [
            (row["path"], float(row["start"]), row["label"])
            for row in csv.DictReader(file)
            if row["split"] in ("train", "")
        ]
    source = manifest(path=tmp_path / "list.csv", split="train")
    found = [(s.media, s.start, s.targets["label_b"]) for s in source.samples]
    assert found == [(str(tmp_path / path), start, label) for path, start, label in expected]
    assert source.labels == sorted({label for _, _, label in expected})


@pytest.mark.parametrize(
    "text",
    [
        "path,label\n\na.mp4,cat\n\n\nb.mp4,dog\n",  # empty lines
        "path , label\n a.mp4\t, cat \nb.mp4,dog",  # blanks, no line break at the end
        "path,label,start\na.mp4,cat\nb.mp4,dog\n",  # short rows
        "path,label\r\na.mp4,cat\r\nb.mp4,dog\r\n",
        'path,label\n"a.mp4",cat\nb.mp4,"dog"\n',
        '"path","label"\n"a.mp4","cat"\n"b.mp4","dog"\n',
        'split,path,label\n"train",a.mp4,cat\n"","b.mp4",dog\n"val","a,""b"",.mp4","owl"\n',
        "path,label\ra.mp4,cat\rb.mp4,dog\r",  # as old Macintoshes ended lines
    ],
)
def test_ways_to_write_the_same_list(tmp_path: Path, text: str) -> None:
    source = manifest(path=write(tmp_path / "list.csv", text), split="train")
    assert rows_of(source) == [
        ("a.mp4", {"label_b": "cat"}, None, None),
        ("b.mp4", {"label_b": "dog"}, None, None),
    ]


def test_a_quote_that_nothing_closes_is_told(tmp_path: Path) -> None:
    text = 'path,label\n"a.mp4,cat\n' + "b.mp4,dog\n" * 20_000
    with pytest.raises(DataError, match="this is no CSV: field larger than field limit"):
        manifest(path=write(tmp_path / "list.csv", text), split="train")


def test_names_in_a_json_list_may_hold_any_sign(tmp_path: Path) -> None:
    row = {"path": "a.mp4", "labels": ["one; two", 'a "b", c']}
    source = manifest(path=write(tmp_path / "list.jsonl", json.dumps(row) + "\n"), split="train")
    assert source.samples[0].targets["label_bk"] == ["one; two", 'a "b", c']
    assert source.labels == ['a "b", c', "one; two"]


def test_lines_are_right_where_some_of_many_are_no_json(tmp_path: Path) -> None:
    lines = ['{"path": "a.mp4", "start": 1}'] * 5000
    lines[4500], lines[4600], lines[4700] = "{", '{"path": "a.mp4", "start": -1}', ""
    with pytest.raises(DataError) as caught:
        manifest(path=write(tmp_path / "list.jsonl", "\n".join(lines)), split="train")
    assert [line for line, _ in lines_of(caught)] == [4501, 4601]


def test_samples_behave_like_a_list(tmp_path: Path) -> None:
    text = "path,label\n" + "".join(f"{at}.mp4,cat\n" for at in range(10)) + "a.mp4,dog\n"
    samples = manifest(path=write(tmp_path / "list.csv", "" + text.replace("0.mp4", "b.mp4", 1)), split="train").samples
    assert (len(samples), samples[-1].key, samples[3].key) == (11, "a.mp4", "3.mp4")
    assert [sample.key for sample in samples[1:3]] == ["1.mp4", "2.mp4"]
    assert [sample.key for sample in samples][-2:] == ["9.mp4", "a.mp4"]
    for index in (11, -12):
        with pytest.raises(IndexError):
            samples[index]


def test_a_copy_made_by_pickle_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv", "path,label,start\na.mp4,cat,1.5\nb.mp4,dog,\n")
    samples = manifest(path=path, split="train").samples
    assert list(pickle.loads(pickle.dumps(samples))) == list(samples)


def key_in_another_process(samples: Sequence[Sample], queue) -> None:
    queue.put([(samples[at].key, samples[at].targets) for at in (0, 1)])
    queue.put([Path(line).name for line in Path("/proc/self/maps").read_text().split() if "torch_" in line])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_spawned_process_maps_the_same_memory(tmp_path: Path) -> None:
    """Torch's shared blocks bear names; the new process has them in its map, so nothing was copied into it."""
    path = write(tmp_path / "list.csv", "path,label,start\na.mp4,cat,1.5\nb.mp4,dog,\n")
    samples = manifest(path=path, split="train").samples
    context = torch.multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=key_in_another_process, args=(samples, queue))
    process.start()
    found, blocks = queue.get(timeout=60), queue.get(timeout=60)
    process.join()
    assert found == [("a.mp4 [1.5 s to end]", {"label_b": "cat"}), ("b.mp4", {"label_b": "dog"})]
    assert blocks
    assert samples[0].key == "a.mp4 [1.5 s to end]"  # here too, after the memory was moved


def test_opening_a_list_makes_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a million rows cheap: checks look at columns, and at a few files only."""
    text = "path,label\n" + "a.mp4,cat\n" * 5000
    made = []
    monkeypatch.setattr(column_samples, "Sample", lambda *args, **kwargs: made.append(1) or Sample(*args, **kwargs))
    split = open_split(manifest(path=write(tmp_path / "list.csv", text), split="train"), "train")
    check_targets(split, ("label_b",), "classification")
    assert len(split) == 5000
    assert len(made) <= 1_001


def test_texts_are_numbered_alike_by_both_ways() -> None:
    texts = [f"{'abcdefgh' * (at % 3)}{at % 50}" for at in range(1000)]
    writer = TextWriter()
    writer.extend(len(texts), {"name": texts})
    column = writer.columns()["name"]
    for codes, names in (distinct(column), _distinct_one_by_one(column)):
        assert [names[code] for code in codes.tolist()] == texts
        assert len(names) == len(set(texts))


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_read_to_the_last_bit(seed: int) -> None:
    generator = random.Random(seed)
    kinds = ("{:.2f}", "{:.0f}", "{:.14f}", "{!r}", "{:e}", "-{:.3f}")
    texts = [
        generator.choice(kinds).format(generator.uniform(0, 10 ** generator.randrange(1, 12))) for _ in range(3000)
    ]
    writer = TextWriter()
    writer.extend(len(texts), {"seconds": texts})
    values, bad = numbers(writer.columns()["seconds"])
    assert values.tolist() == [float(text) for text in texts]
    assert not len(bad)


@pytest.mark.parametrize("text", [".", "1.2.3", "1 2", "0x10", "1,5", "inf", "nan", "--1", "１２", "1_0_"])
def test_what_is_no_number_is_found(text: str) -> None:
    writer = TextWriter()
    writer.extend(2, {"seconds": ["1", text]})
    assert numbers(writer.columns()["seconds"])[1].tolist() == ([] if text == "１２" else [1])
