"""The tasks of several labels and of numbers: definitions, words for people, and whole runs."""

from __future__ import annotations

import csv
import doctest
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.data import Split
from zoo.data.split import check_targets
from zoo.runner.evaluate_saved import evaluate_saved
from zoo.runner.pipeline import WeightedSum
from zoo_plugins.losses.binary_cross_entropy import binary_cross_entropy
from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.losses.l1 import l1, smooth_l1
from zoo_plugins.losses.mse import mse
from zoo_plugins.tasks import collected, multilabel_metrics, regression_metrics
from zoo_plugins.tasks import multilabel_classification as multilabel_module
from zoo_plugins.tasks import regression as regression_module
from zoo_plugins.tasks.multilabel_classification import multilabel_classification
from zoo_plugins.tasks.regression import regression
from zoo_registry.catalog import catalog
from zoo_registry.errors import DataError, PluginError, RecipeError
from zoo_registry.protocols import Batch, FilmStrip, Sample, Series, Task

LABELS = ("wave", "jump", "run")
NAMES = ("age", "speed")


def multilabel(model=None, labels=LABELS, losses=None):
    built = {"model": model or nn.Flatten(), "losses": losses or {}, "labels": labels, "inputs": ("clip_bcthw",)}
    return multilabel_classification(**built)


def numbers(model=None, labels=NAMES, losses=None):
    return regression(model=model or nn.Flatten(), losses=losses or {}, labels=labels, inputs=("clip_bcthw",))


def batch_of(clip, **targets):
    """A batch whose 'clips' are the answers of an identity model."""
    rows = torch.arange(len(clip))
    return Batch({"clip_bcthw": clip}, targets, rows, torch.zeros_like(rows))


def measured(task, key, said, **true):
    metrics = task.metrics()
    for start in range(0, len(said), 3):  # in pieces, as evaluation does
        rows = slice(start, start + 3)
        batch = batch_of(said[rows], **{name: value[rows] for name, value in true.items()})
        metrics.update({key: said[rows]}, batch)
    return metrics.compute()


@pytest.mark.parametrize("task", [multilabel(), numbers()], ids=["multilabel", "regression"])
def test_they_are_tasks(task):
    assert isinstance(task, Task)


# -------------------------------------------------------------------------------------------- several labels


def test_average_precision_is_that_of_the_definition():
    """Ranked yes, no, yes: precision 1 at recall 1/2 and 2/3 at recall 1."""
    said = torch.tensor([[3.0, -9.0, 1.0], [2.0, -9.0, 2.0], [1.0, -9.0, 3.0]])
    true = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    values = measured(multilabel(), "logits_bk", said, label_bk=true)
    assert values["ap/wave"] == pytest.approx(1 * 1 / 2 + 2 / 3 * 1 / 2)
    assert values["ap/run"] == pytest.approx(1.0)
    assert math.isnan(values["ap/jump"])
    assert values["map"] == pytest.approx((5 / 6 + 1) / 2)
    assert values["f1/wave"] == pytest.approx(2 * 2 / (2 * 2 + 1))  # all said, two of three right
    assert values["f1/run"] == pytest.approx(2 * 1 / (2 * 1 + 2))
    assert values["f1"] == pytest.approx((0.8 + 0.5) / 2)


def test_average_precision_is_scikit_learns():
    sklearn = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn, to compare with")
    generator = torch.Generator().manual_seed(0)
    said = torch.randn(200, 7, generator=generator)
    true = (torch.rand(200, 7, generator=generator) < 0.2).float()
    values = measured(multilabel(labels=tuple("abcdefg")), "logits_bk", said, label_bk=true)
    assert values["map"] == pytest.approx(sklearn.average_precision_score(true, said, average="macro"), abs=1e-5)
    assert values["f1"] == pytest.approx(sklearn.f1_score(true, said > 0, average="macro"), abs=1e-6)


def test_multilabel_views_are_merged_by_the_mean_of_their_probabilities():
    one, other = torch.tensor([[0.0, 2.0, -40.0]]), torch.tensor([[math.log(3), 2.0, -40.0]])
    merged = multilabel().merge([{"logits_bk": one}, {"logits_bk": other}])["logits_bk"]
    assert merged.isfinite().all()
    sure = 1 / (1 + math.exp(-2))
    assert merged.sigmoid()[0].tolist() == pytest.approx([(1 / 2 + 3 / 4) / 2, sure, 0.0], abs=1e-6)


def test_readable_rows_name_every_label_above_a_half():
    some, none = multilabel().readable({"logits_bk": torch.tensor([[0.5, -1.0, 2.0], [-1.0, -2.0, -3.0]])})
    assert [item["label"] for item in some["labels"]] == ["run", "wave"]
    assert some["labels"][0]["score"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert none == {"labels": []}


def test_the_most_confidently_wrong_labels_are_shown():
    said = torch.tensor([[5.0, -5.0, -5.0], [5.0, -9.0, -5.0], [5.0, -5.0, -5.0]])
    true = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    (films,) = multilabel().figures({"logits_bk": said}, batch_of(said, label_bk=true))
    assert isinstance(films, FilmStrip)
    assert [(strip.index, strip.caption) for strip in films.strips] == [
        (1, "jump missed (100%)"),
        (2, "wave seen, but not there (99%)"),
    ]


# -------------------------------------------------------------------------------------------- numbers


def test_measures_of_numbers_are_those_of_the_definitions():
    """Off by 1, -1, 2 of 1, 2, 6: squares 6 of a variance of 14; covariance 13, variances 14 and 18 2/3."""
    said, true = torch.tensor([[2.0], [1.0], [8.0]]), torch.tensor([1.0, 2.0, 6.0])
    values = measured(numbers(labels=("age",)), "value_bk", said, value_b=true)
    assert values["mae"] == pytest.approx(4 / 3)
    assert values["rmse"] == pytest.approx(math.sqrt(6 / 3))
    assert values["r2"] == pytest.approx(1 - 6 / 14)
    mean = 11 / 3
    covariance = sum((x - mean) * (y - 3) for x, y in ((2, 1), (1, 2), (8, 6)))
    spread = sum((x - mean) ** 2 for x in (2, 1, 8))
    assert values["pearson"] == pytest.approx(covariance / math.sqrt(spread * 14))
    assert "mae/age" not in values


def test_measures_of_numbers_are_scipys_far_from_zero():
    """Around 100,000, where float32 would cancel."""
    stats = pytest.importorskip("scipy.stats", reason="needs scipy, to compare with")
    generator = torch.Generator().manual_seed(0)
    true = 1e5 + torch.randn(60, generator=generator)
    said = true + 0.5 * torch.randn(60, generator=generator)
    values = measured(numbers(labels=("age",)), "value_bk", said.unsqueeze(1), value_b=true)
    assert values["pearson"] == pytest.approx(stats.pearsonr(said.double(), true.double()).statistic, abs=1e-9)


def test_several_numbers_are_averaged_and_told_apart():
    said = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    true = torch.tensor([[2.0, 10.0], [3.0, 20.0], [4.0, 30.0]])
    values = measured(numbers(), "value_bk", said, value_bk=true)
    assert (values["mae/age"], values["mae/speed"], values["mae"]) == pytest.approx((1.0, 0.0, 0.5))
    assert values["r2/speed"] == pytest.approx(1.0)
    assert values["pearson"] == pytest.approx(1.0)


def test_what_never_varies_has_no_correlation():
    values = measured(numbers(labels=("age",)), "value_bk", torch.ones(4, 1), value_b=torch.arange(4.0))
    assert math.isnan(values["pearson"])
    assert values["r2"] == pytest.approx(1 - (1 + 0 + 1 + 4) / 5)
    values = measured(numbers(labels=("age",)), "value_bk", torch.ones(1, 1), value_b=torch.zeros(1))
    assert math.isnan(values["r2"])
    assert values["mae"] == 1.0


def test_whole_numbers_are_numbers():
    values = measured(numbers(labels=("age",)), "value_bk", torch.ones(2, 1), value_b=torch.tensor([1, 3]))
    assert values["mae"] == 1.0


def test_views_of_numbers_are_merged_by_their_mean():
    views = [{"value_bk": torch.tensor([[1.0, 4.0]])}, {"value_bk": torch.tensor([[2.0, 0.0]])}]
    assert numbers().merge(views)["value_bk"].tolist() == [[1.5, 2.0]]


def test_readable_rows_name_the_numbers():
    assert numbers().readable({"value_bk": torch.tensor([[1.5, 2.0]])}) == [{"age": 1.5, "speed": 2.0}]


def test_predictions_are_scattered_over_the_truth():
    said, true = torch.tensor([[1.0, 10.0], [2.0, 20.0]]), torch.tensor([[1.5, 10.0], [2.0, 25.0]])
    (figure,) = numbers().figures({"value_bk": said}, batch_of(said, value_bk=true))
    assert isinstance(figure, Series)
    assert not figure.joined
    assert (figure + figure).curves["speed"] == [(10.0, 10.0), (25.0, 20.0)] * 2
    assert not (figure + figure).joined


def test_data_without_numbers_are_said():
    with pytest.raises(DataError, match=r"reads value_bk or value_b, and the data have label_b\n.*column `value`"):
        measured(numbers(labels=("age",)), "value_bk", torch.ones(2, 1), label_b=torch.zeros(2))
    with pytest.raises(DataError, match="samples have 3 values, and the source names 2: age, speed"):
        measured(numbers(), "value_bk", torch.ones(2, 2), value_bk=torch.ones(2, 3))


# -------------------------------------------------------------------------------------------- both

BOTH = pytest.mark.parametrize(
    ("task", "key", "true", "loss"),
    [(multilabel, "logits_bk", "label_bk", binary_cross_entropy()), (numbers, "value_bk", "value_bk", l1())],
    ids=["multilabel", "regression"],
)


def _data(width: int, true: str, count: int = 20) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(3)
    said, target = torch.randn(2, count, width, generator=generator)
    return said, (target > 0).float() if true == "label_bk" else target


@BOTH
def test_metrics_of_parts_merge_into_those_of_the_whole(task, key, true, loss):
    built = task(losses={"loss": loss})
    said, target = _data(len(built.labels), true)

    def seen(rows):
        metrics = built.metrics()
        if len(said[rows]):
            metrics.update({key: said[rows]}, batch_of(said[rows], **{true: target[rows]}))
        return metrics

    merged, part, whole = seen(slice(0, 0)), seen(slice(7, 20)), seen(slice(0, 20)).compute()
    before = part.compute()
    for metrics in (seen(slice(0, 7)), part, seen(slice(0, 0))):
        merged.merge(metrics)
    assert merged.compute() == pytest.approx(whole, nan_ok=True)
    assert part.compute() == pytest.approx(before, nan_ok=True)
    merged.reset()
    merged.update({key: said[:5]}, batch_of(said[:5], **{true: target[:5]}))
    assert merged.compute() == pytest.approx(seen(slice(0, 5)).compute(), nan_ok=True)


@BOTH
def test_the_loss_is_the_mean_over_samples_not_batches(task, key, true, loss):
    built = task(losses={"loss": loss})
    said, target = _data(len(built.labels), true)
    assert measured(built, key, said, **{true: target})["loss"] == pytest.approx(float(loss(said, target)))
    assert "loss" not in measured(task(), key, said, **{true: target})


@BOTH
def test_nothing_seen_is_nan(task, key, true, loss):
    values = task().metrics().compute()
    assert len(values) >= 4
    assert all(map(math.isnan, values.values()))


@BOTH
def test_training_follows_the_loss(task, key, true, loss):
    width = len(LABELS) if true == "label_bk" else len(NAMES)
    said, target = _data(width, true)
    model = nn.Sequential(nn.Flatten(), nn.Linear(width, width))
    (objective,) = task(model, losses={"loss": loss}).objectives()
    total = objective.loss(batch_of(said, **{true: target}), {})["total"]
    assert total.item() == pytest.approx(loss(model(said), target).item())
    total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.parameters)


@BOTH
def test_training_without_a_loss_says_so(task, key, true, loss):
    (objective,) = task().objectives()
    with pytest.raises(RecipeError, match=r"task has no loss to train with\n.*write loss: "):
        objective.loss(batch_of(torch.zeros(2, 3 if true == "label_bk" else 2), **{true: torch.zeros(2, 2)}), {})


@BOTH
def test_a_model_that_answers_something_else_is_named(task, key, true, loss):
    with pytest.raises(PluginError, match=r"the model answered \(2, 4\) to 2 clips of \d (classes|values)"):
        task().predict(lambda clip: clip, batch_of(torch.zeros(2, 4)))
    assert (
        task()
        .predict(lambda clip: clip.bfloat16(), batch_of(torch.zeros(1, 3 if key == "logits_bk" else 2)))[key]
        .dtype
        == torch.float32
    )


@pytest.mark.parametrize(
    "module", [collected, multilabel_metrics, multilabel_module, regression_metrics, regression_module]
)
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


# -------------------------------------------------------------------------------------------- whole runs


def films(folder: Path, rows: list[Mapping[str, Any]]) -> Path:
    """Pictures of one colour each, listed with what is known about them; every third row is for validation."""
    from PIL import Image

    folder.mkdir()
    with (folder / "films.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "split", *(key for key in rows[0] if key != "colour")])
        writer.writeheader()
        for number, row in enumerate(rows):
            known = {key: value for key, value in row.items() if key != "colour"}
            Image.new("RGB", (16, 16), row["colour"]).save(folder / f"{number}.png")
            writer.writerow({"path": f"{number}.png", "split": "val" if number % 3 == 2 else "train", **known})
    return folder / "films.csv"


def run(tmp_path: Path, manifest: Path, **slots: Any) -> zoo.RunResult:
    source = {"name": "manifest", "params": {"path": str(manifest)}}
    recipe = {
        "zoo": 1,
        "model": "cnn2d",
        "data": {"train": source, "val": source, "clip": {"frames": 1, "stride": 1, "size": 16}, "workers": 0},
        "optim": {"name": "adam", "params": {"lr": 0.003}},
        "run": {"epochs": 12, "batch": 4, "device": "cpu"},
        **slots,
    }
    return zoo.run(recipe, out=tmp_path / "run", quiet=True)


def test_a_run_learns_several_labels(tmp_path):
    """Red and green are told apart, and both at once."""
    colours = {"red": (230, 0, 90), "green": (0, 230, 90), "green;red": (230, 230, 90)}
    rows = [{"colour": colours[labels], "labels": labels} for labels in list(colours) * 4 for _ in range(3)]
    result = run(
        tmp_path, films(tmp_path / "films", rows), task="multilabel_classification", loss="binary_cross_entropy"
    )
    assert result.summary["val/map"] > 0.9
    loaded = zoo.load(tmp_path / "run")
    assert loaded.labels == ("green", "red")
    said = [loaded.predict(str(tmp_path / f"films/{number}.png"))[0]["labels"] for number in (0, 3, 6)]
    assert [{item["label"] for item in labels} for labels in said] == [{"red"}, {"green"}, {"green", "red"}]
    assert (tmp_path / "run/report.html").is_file()


@pytest.mark.parametrize("column", ["value", "values"])
def test_a_run_learns_numbers(tmp_path, column):
    """How bright a picture is, and with `values` how dark."""
    greys = [(37 * number) % 250 for number in range(36)]
    written = {"value": lambda bright: bright, "values": lambda bright: f"{bright};{1 - bright}"}[column]
    rows = [{"colour": (grey, grey, grey), column: written(grey / 250)} for grey in greys]
    result = run(tmp_path, films(tmp_path / "films", rows), task="regression", loss="smooth_l1")
    assert result.summary["val/mae"] < 0.15
    assert result.summary["val/pearson"] > 0.8
    assert (tmp_path / "run/figures/predicted-over-true-values.png").is_file()
    loaded = zoo.load(tmp_path / "run")
    assert len(loaded.labels) == (1 if column == "value" else 2)
    (row,) = loaded.predict(str(tmp_path / "films/0.png"))
    assert list(row) == list(loaded.labels)
    manifest = json.loads((tmp_path / "run/model/model.json").read_text())
    assert manifest["num_classes"] == len(loaded.labels)


MIXED = ["mixup", {"name": "cutmix", "params": {"p": 0.5}}, "frame_mix"]


@pytest.mark.parametrize(
    ("task", "loss", "column", "known"),
    [
        ("classification", "cross_entropy", "label", "ab"),
        ("multilabel_classification", "binary_cross_entropy", "labels", ["a", "a;b"]),
        ("regression", "mse", "value", [0.5, 2.0]),
    ],
)
def test_a_run_trains_on_mixed_samples(tmp_path, task, loss, column, known):
    rows = [{"colour": (shade, 0, 0), column: known[shade % 20 // 10]} for shade in range(0, 240, 10)]
    manifest = films(tmp_path / "films", rows)
    settings = {"epochs": 2, "batch": 8, "device": "cpu"}
    result = run(tmp_path, manifest, task=task, loss=loss, augment=MIXED, run=settings)
    assert math.isfinite(result.summary["val/loss"])
    again = evaluate_saved(str(tmp_path / "run"), device="cpu")
    assert again["loss"] == pytest.approx(result.summary["val/loss"], rel=1e-5)


@pytest.mark.parametrize("labels", [("age",), NAMES, ("a", "b", "c", "d", "e")])
@pytest.mark.parametrize("loss", [cross_entropy(), binary_cross_entropy(), cross_entropy(label_smoothing=0.1)])
def test_regression_refuses_losses_of_classes(loss, labels):
    for wrapped in (loss, WeightedSum([0.5], [loss])):  # as recipes build them
        with pytest.raises(RecipeError, match="the loss does not fit the regression task") as caught:
            numbers(labels=labels, losses={"loss": wrapped})
        assert "write loss: smooth_l1, or l1, or mse" in str(caught.value)


@pytest.mark.parametrize("labels", [("age",), NAMES])
@pytest.mark.parametrize("loss", [l1(), smooth_l1(), smooth_l1(beta=0.01), mse(), nn.HuberLoss(), nn.L1Loss()])
def test_regression_takes_losses_of_numbers(loss, labels):
    assert numbers(labels=labels, losses={"loss": WeightedSum([2.0], [loss])}).loss is not None


def test_regression_on_classes_is_refused_before_a_model_is_built():
    entry = catalog().resolve("task", "regression")
    split = Split("train", [Sample("a.mp4", {"label_b": "cat"})], ("cat",))
    with pytest.raises(DataError, match=r"1 of 1 samples of the train split have no value_b or value_bk, .*regression"):
        check_targets(split, entry.entry.targets, entry.name)
    for targets in ({"value_b": 1.0}, {"value_bk": [1.0]}):
        check_targets(Split("train", [Sample("a.mp4", targets)], ("age",)), entry.entry.targets, entry.name)


@pytest.mark.parametrize(
    ("task", "said"),
    [(multilabel(), "multilabel_classification task reads label_bk"), (numbers(), "reads value_bk or value_b")],
    ids=["multilabel", "regression"],
)
def test_a_batch_without_the_target_is_told_in_words(task, said):
    task.loss = mse()
    clip = torch.zeros(2, len(task.labels))
    with pytest.raises(DataError, match=said):
        task.objectives()[0].loss(batch_of(clip, caption=["a", "b"]), {})
    with pytest.raises(DataError, match=said):
        task.metrics().update({task.answer: clip}, batch_of(clip))
