"""Label problems are found before anything is decoded, and all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoo.data import Split, fingerprint, open_split
from zoo.data.split import check_targets
from zoo_registry.errors import DataError
from zoo_registry.protocols import Sample


def source(*labels: str, classes=("cat", "dog")) -> SimpleNamespace:
    samples = [Sample(f"{at}.mp4", {"label_b": label}) for at, label in enumerate(labels)]
    return SimpleNamespace(samples=samples, labels=list(classes))


def test_a_source_keeps_its_samples_and_labels() -> None:
    split = open_split(source("cat", "dog"), "train")
    assert (split.name, len(split), split.labels) == ("train", 2, ("cat", "dog"))


def test_labels_that_training_lacks_are_all_named_with_counts_and_examples() -> None:
    with pytest.raises(DataError) as caught:
        open_split(source("cat", "cot", "cot", "cow", "cot", "cot"), "val", ["cat", "dog"])
    first, second = caught.value.problems
    assert first.message == (
        "class 'cot' of 4 samples of the val split is not among the training classes: 1.mp4, 2.mp4, 4.mp4, ..."
    )
    assert first.hint == "did you mean 'cat'? the classes are cat, dog"
    assert second.message.startswith("class 'cow' of 1 sample of the val split")


def test_validation_takes_the_training_labels_order() -> None:
    assert open_split(source("cat", classes=("cat",)), "val", ["dog", "cat"]).labels == ("dog", "cat")


def test_an_index_outside_the_classes_is_an_unknown_label() -> None:
    with pytest.raises(DataError, match="class '2' of 1 sample"):
        open_split(SimpleNamespace(samples=[Sample("a.mp4", {"label_b": 2})], labels=["cat", "dog"]), "train")


def test_labels_without_classes_are_an_error() -> None:
    with pytest.raises(DataError, match="the source names no classes"):
        open_split(source("cat", classes=()), "train")


def test_no_samples_are_an_error() -> None:
    with pytest.raises(DataError, match="the train split has no samples"):
        open_split(source(), "train")


def test_a_class_listed_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="class 'cat' is listed 2 times"):
        open_split(source("cat", classes=("cat", "cat")), "train")


def test_samples_with_other_targets_than_the_rest_are_named() -> None:
    samples = [Sample(f"{at}.mp4", {"label_b": "cat"}) for at in range(3)] + [Sample("odd.mp4", {})]
    with pytest.raises(DataError, match=r"1 of 4 samples of the train split have no targets .*such as odd\.mp4"):
        open_split(SimpleNamespace(samples=samples, labels=["cat"]), "train")


def films(folder: Path) -> Split:
    folder.mkdir(exist_ok=True)
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(b"12345")
    samples = [Sample(str(folder / name), {"label_b": "cat"}, key=name) for name in ("a.mp4", "b.mp4")]
    return Split("train", samples, ("cat",))


def test_a_fingerprint_is_the_same_for_the_same_data_elsewhere(tmp_path: Path) -> None:
    here, there = fingerprint(films(tmp_path / "here")), fingerprint(films(tmp_path / "there"))
    assert here == there
    assert len(here) == 64


def test_a_fingerprint_changes_with_targets_spans_sizes_and_labels(tmp_path: Path) -> None:
    split = films(tmp_path / "films")
    first, second = split.samples
    changed = [
        replace(split, samples=[first, replace(second, targets={"label_b": "dog"})]),
        replace(split, samples=[first, replace(second, end=2.0)]),
        replace(split, samples=[first]),
        replace(split, labels=("cat", "dog")),
    ]
    prints = {fingerprint(other) for other in (split, *changed)}
    (tmp_path / "films" / "a.mp4").write_bytes(b"123456")
    prints.add(fingerprint(split))
    assert len(prints) == 6


def test_targets_in_another_form_than_the_task_reads_are_an_error() -> None:
    several = [Sample(f"{at}.mp4", {"label_bk": ["cat", "dog"]}) for at in range(4)]
    split = Split("train", [*several, Sample("one.mp4", {"label_b": "cat"})], ("cat", "dog"))
    with pytest.raises(DataError) as caught:
        check_targets(split, ("label_b",), "tasks/classification")
    (problem,) = caught.value.problems
    assert problem.message == (
        "4 of 5 samples of the train split have label_bk instead of label_b, which task 'tasks/classification' reads: "
        "0.mp4, 1.mp4, 2.mp4, ..."
    )
    assert problem.hint == "give them label_b, or choose a task that reads label_bk"


def test_targets_that_are_missing_are_all_named() -> None:
    split = Split("val", [Sample("a.mp4")], ())
    with pytest.raises(DataError) as caught:
        check_targets(split, ("label_b", "boxes_n4"), "detection")
    assert [problem.message for problem in caught.value.problems] == [
        "1 of 1 samples of the val split have no label_b, which task 'detection' reads: a.mp4",
        "1 of 1 samples of the val split have no boxes_n4, which task 'detection' reads: a.mp4",
    ]


def test_samples_with_more_than_the_task_reads_are_fine() -> None:
    split = Split("train", [Sample("a.mp4", {"label_b": "cat", "caption": "a cat"})], ("cat",))
    check_targets(split, ("label_b",), "classification")
    check_targets(split, (), "contrastive")


def test_the_path_of_a_target_clip_is_no_class() -> None:
    films = SimpleNamespace(samples=[Sample("a.mp4", {"clip_bcthw": "b.mp4"})], labels=[])
    assert len(open_split(films, "train")) == 1


def test_what_a_source_notes_is_kept() -> None:
    noted = SimpleNamespace(samples=[Sample("a.mp4")], labels=[], notes=["1 of 2 films is missing"])
    assert open_split(noted, "train").notes == ("1 of 2 films is missing",)
    assert open_split(source("cat"), "train").notes == ()


def test_samples_in_memory_are_called_by_their_key() -> None:
    samples = [Sample(b"...", {"label_b": "cow"}, key="shard.tar: 1.mp4"), Sample(b"..", {}, key="shard.tar: 2.mp4")]
    with pytest.raises(DataError) as caught:
        open_split(SimpleNamespace(samples=samples, labels=["cat"]), "train")
    assert [problem.message.rpartition(" ")[2] for problem in caught.value.problems] == ["1.mp4", "2.mp4"]
    split = Split("train", samples, ("cow",))
    with pytest.raises(DataError, match=r"no label_b, which task 'classification' reads: shard\.tar: 2\.mp4"):
        check_targets(split, ("label_b",), "classification")
    other = Split("train", [replace(samples[0], media=b"...."), samples[1]], ("cow",))
    assert fingerprint(split) != fingerprint(other)  # the content has another size


@pytest.mark.parametrize(
    ("key", "good", "odd", "wanted"),
    [
        ("value_bk", [1, 2], [[1, 2, 3], [1], None, [1, [2]], [1, float("nan")]], "2 numbers, one for each label"),
        ("label_bk", ["x"], [[1, 2, 3], [1], None, 7], "a list of class names, or 2 numbers, one for each label"),
        ("value_b", 1, [None, [1.0], float("inf"), 10**400, {}], "a number"),
        ("label_b", "x", [None, 0.5, ["x"]], "the name or number of a class"),
        ("boxes_n4", [[0, 0, 1, 1]], [[[0, 0, 1]] * 4, [[12, 30, 90, 80]], [[0.5, 0, 0.4, 1]], None],
         "a list of x1, y1, x2, y2 in 0..1 of the frame, x1 <= x2 and y1 <= y2"),
        ("label_nk", [["x"], []], [None, [[1, 2, 3]], [["x"], [1, 2]]],
         "a list of class names, or 2 numbers, for every box"),
        ("mask_bthw", "m.png", [None, 3], "the path of a film"),
    ],
)  # fmt: skip
def test_odd_targets_are_all_named_before_the_run(key: str, good: object, odd: list, wanted: str) -> None:
    samples = [Sample(f"{at}.mp4", {key: value}) for at, value in enumerate([good, *odd, good])]
    with pytest.raises(DataError) as caught:
        open_split(SimpleNamespace(samples=samples, labels=["x", "y"]), "train")
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"{len(odd)} samples of the train split have a {key} that is not {wanted}: ")
    for at in range(1, len(odd) + 1):
        assert f"{at}.mp4 (" in problem.message
    assert problem.hint == "mend them, or leave these samples out"
    only = [samples[0], samples[-1]]
    assert len(open_split(SimpleNamespace(samples=only, labels=["x", "y"]), "train")) == 2


def pairs(folder: Path) -> Split:
    for name in ("noisy/a.mp4", "clean/a.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"12345")
    return Split("train", [Sample(f"{folder}/noisy/a.mp4", {"clip_bcthw": f"{folder}/clean/a.mp4"}, key="a")], ())


def test_a_fingerprint_of_pairs_stays_when_they_move_and_changes_with_the_target(tmp_path: Path) -> None:
    here, there = pairs(tmp_path / "here"), pairs(tmp_path / "there")
    assert fingerprint(here) == fingerprint(there)
    (tmp_path / "there" / "clean" / "a.mp4").write_bytes(b"123456")
    assert fingerprint(here) != fingerprint(there)
    (sample,) = here.samples
    other = replace(here, samples=[replace(sample, targets={"clip_bcthw": str(tmp_path / "here" / "noisy" / "a.mp4")})])
    assert fingerprint(here) != fingerprint(other)


class Seen:
    """Samples with an overview; looking at one is noted."""

    def __init__(self, samples: list[Sample]) -> None:
        self.all, self.looked = samples, 0

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, at):
        self.looked += 1
        return self.all[at]

    def target_keys(self):
        return {tuple(sample.targets) for sample in self.all}

    def class_names(self):
        return {sample.targets["label_b"] for sample in self.all if "label_b" in sample.targets}

    def digest(self) -> bytes:
        return repr([(sample.key, sample.targets, sample.start, sample.end) for sample in self.all]).encode()


def test_samples_with_an_overview_are_checked_without_looking_at_them() -> None:
    samples = Seen([Sample(f"{at}.mp4", {"label_b": "cat"}) for at in range(100)])
    split = open_split(SimpleNamespace(samples=samples, labels=["cat"]), "train")
    check_targets(split, ("label_b",), "classification")
    assert samples.looked <= 1


def test_an_overview_hides_no_problem() -> None:
    samples = Seen([Sample("a.mp4", {"label_b": "cat"}), Sample("b.mp4", {"label_b": "cow"}), Sample("c.mp4", {})])
    with pytest.raises(DataError) as caught:
        open_split(SimpleNamespace(samples=samples, labels=["cat"]), "train")
    assert [problem.message for problem in caught.value.problems] == [
        "class 'cow' of 1 sample of the train split is not among the training classes: b.mp4",
        "1 of 3 samples of the train split have no targets instead of label_b, such as c.mp4",
    ]


def test_a_fingerprint_by_overview_follows_samples_and_sizes(tmp_path: Path) -> None:
    def split() -> Split:
        return Split("train", Seen(list(films(tmp_path / "films").samples)), ("cat",))

    first, again, changed = split(), split(), split()
    changed.samples.all[1] = replace(changed.samples.all[1], end=2.0)
    assert fingerprint(first) == fingerprint(again) != fingerprint(changed)
    before = fingerprint(first)
    (tmp_path / "films" / "a.mp4").write_bytes(b"123456")
    assert fingerprint(first) != before


def test_a_shuffled_split_has_every_sample_once_in_the_seeds_order() -> None:
    split = open_split(source(*["cat"] * 50), "train")
    shuffled = split.shuffled(3)
    names = [sample.media for sample in shuffled.samples]
    assert sorted(names) == sorted(sample.media for sample in split.samples)
    assert names == [sample.media for sample in split.shuffled(3).samples]
    assert names != [sample.media for sample in split.samples]
    assert [sample.media for sample in shuffled.samples[10:13]] == names[10:13]
