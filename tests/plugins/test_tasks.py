from __future__ import annotations

import doctest
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.tasks import classification as classification_module
from zoo_plugins.tasks import classification_metrics
from zoo_plugins.tasks.classification import classification
from zoo_registry.errors import PluginError, RecipeError
from zoo_registry.protocols import Batch, Task

LABELS = ("wave", "jump", "run")


def task_of(model=None, labels=LABELS, losses=None):
    return classification(model=model or nn.Flatten(), losses=losses or {}, labels=labels, inputs=("clip_bcthw",))


def batch_of(clip, **targets):
    """A batch whose 'clips' are the logits that an identity model answers."""
    rows = torch.arange(len(clip))
    return Batch({"clip_bcthw": clip}, targets, rows, torch.zeros_like(rows))


def sure_of(*classes, count=3, strength=5.0):
    """Logits that say these classes."""
    return nn.functional.one_hot(torch.tensor(classes), count) * strength


def measured(said, true, labels=LABELS, **options):
    task = task_of(labels=labels, **options)
    metrics = task.metrics()
    for start in range(0, len(said), 4):  # in pieces, as evaluation does
        logits_bk = sure_of(*said[start : start + 4], count=len(labels))
        metrics.update({"logits_bk": logits_bk}, batch_of(logits_bk, label_b=torch.tensor(true[start : start + 4])))
    return metrics.compute()


def test_metrics_of_parts_merge_into_those_of_the_whole():
    task = task_of(labels=tuple("abcdefg"), losses={"loss": nn.functional.cross_entropy})
    logits_bk = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
    label_b = torch.randint(0, 7, (30,), generator=torch.Generator().manual_seed(1))

    def seen(rows):
        metrics = task.metrics()
        if len(label_b[rows]):
            metrics.update({"logits_bk": logits_bk[rows]}, batch_of(logits_bk[rows], label_b=label_b[rows]))
        return metrics

    merged, part, whole = seen(slice(0, 0)), seen(slice(11, 30)), seen(slice(0, 30)).compute()
    before = part.compute()
    for metrics in (seen(slice(0, 11)), part, seen(slice(0, 0))):
        merged.merge(metrics)
    assert merged.compute() == pytest.approx(whole, nan_ok=True)
    assert part.compute() == pytest.approx(before, nan_ok=True)
    merged.update({"logits_bk": logits_bk[:5]}, batch_of(logits_bk[:5], label_b=label_b[:5]))  # and goes on counting
    again = seen(slice(0, 30))
    again.merge(seen(slice(0, 5)))
    assert merged.compute() == pytest.approx(again.compute(), nan_ok=True)


def test_it_is_a_task():
    assert isinstance(task_of(), Task)


def test_the_model_gets_its_inputs_in_order():
    class TwoInputs(nn.Module):
        def forward(self, audio, clip):
            return audio + clip * 0

    task = classification(model=TwoInputs(), losses={}, labels=LABELS, inputs=("audio_bcn", "clip_bcthw"))
    audio = torch.randn(2, 3)
    rows = torch.arange(2)
    batch = Batch({"clip_bcthw": torch.zeros(2, 3), "audio_bcn": audio}, {}, rows, rows)
    assert torch.equal(task.predict(task.result(), batch)["logits_bk"], audio)


def test_measures_are_those_of_the_definitions():
    """Two classes seen, six clips: 3 of 4 waves found, 1 of 2 jumps."""
    values = measured(said=[0, 0, 0, 1, 1, 0], true=[0, 0, 0, 0, 1, 1])
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["precision/wave"] == pytest.approx(3 / 4)
    assert values["recall/wave"] == pytest.approx(3 / 4)
    assert values["precision/jump"] == pytest.approx(1 / 2)
    assert values["f1/jump"] == pytest.approx(1 / 2)
    assert math.isnan(values["recall/run"])
    assert values["recall"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert values["f1"] == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_top5_comes_with_the_sixth_class():
    five, six = tuple("abcde"), tuple("abcdef")
    assert "top5" not in measured([0], [0], labels=five)
    logits_bk = torch.tensor([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]] * 2)
    metrics = task_of(labels=six).metrics()
    metrics.update({"logits_bk": logits_bk}, batch_of(logits_bk, label_b=torch.tensor([4, 5])))
    assert (metrics.compute()["top5"], metrics.compute()["accuracy"]) == (0.5, 0.0)


def test_the_loss_is_the_mean_over_samples_not_batches():
    values = measured([0, 0, 0, 0, 1], [0, 0, 0, 0, 0], losses={"loss": cross_entropy()})
    right, wrong = (-math.log(math.exp(said) / (math.exp(5) + 2)) for said in (5, 0))
    assert values["loss"] == pytest.approx((4 * right + wrong) / 5)


def test_without_losses_there_is_no_loss_to_report():
    assert "loss" not in measured([0], [0])


def test_nothing_seen_is_nan():
    values = task_of().metrics().compute()
    assert {"accuracy", "f1", "f1/wave"} <= values.keys()
    assert all(map(math.isnan, values.values()))


def test_reset_forgets():
    metrics = task_of().metrics()
    metrics.update({"logits_bk": sure_of(0)}, batch_of(sure_of(0), label_b=torch.tensor([1])))
    metrics.reset()
    metrics.update({"logits_bk": sure_of(0)}, batch_of(sure_of(0), label_b=torch.tensor([0])))
    assert metrics.compute()["accuracy"] == 1.0


def test_views_are_merged_by_the_mean_of_their_probabilities():
    one, other = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.0, math.log(2), math.log(5)]])
    merged = task_of().merge([{"logits_bk": one}, {"logits_bk": other}])["logits_bk"]
    expected = [(1 / 3 + share / 8) / 2 for share in (1, 2, 5)]
    assert merged.softmax(1)[0].tolist() == pytest.approx(expected)


def test_readable_rows_name_the_five_likeliest():
    logits_bk = torch.log(torch.tensor([[1.0, 2.0, 5.0]]) / 8)
    (row,) = task_of().readable({"logits_bk": logits_bk})
    assert [item["label"] for item in row["top5"]] == ["run", "jump", "wave"]
    assert [item["score"] for item in row["top5"]] == pytest.approx([5 / 8, 2 / 8, 1 / 8])
    many = task_of(labels=tuple("abcdefgh")).readable({"logits_bk": torch.randn(2, 8)})
    assert [len(row["top5"]) for row in many] == [5, 5]


def test_the_confusion_matrix_counts_true_by_predicted():
    logits_bk = sure_of(0, 1, 1, 2)
    matrix, _ = task_of().figures({"logits_bk": logits_bk}, batch_of(logits_bk, label_b=torch.tensor([0, 0, 1, 2])))
    assert matrix.values.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert (matrix.rows, matrix.row_axis, matrix.column_axis) == (LABELS, "true", "predicted")


def test_the_most_confidently_wrong_clips_come_first():
    logits_bk = torch.cat([sure_of(1, strength=1.0), sure_of(2, strength=9.0), sure_of(0)])
    _, films = task_of().figures({"logits_bk": logits_bk}, batch_of(logits_bk, label_b=torch.tensor([0, 0, 0])))
    (films,) = [films + films.__class__(films.title, ())]
    assert [strip.index for strip in films.strips] == [1, 0]
    assert films.strips[0].caption == "wave, taken for run (100%)"


def test_soft_labels_go_before_indices_in_training():
    task = task_of(nn.Sequential(nn.Flatten(), nn.Identity()), losses={"loss": cross_entropy()})
    (objective,) = task.objectives()
    soft = torch.tensor([[0.0, 0.0, 1.0]])
    total = objective.loss(batch_of(sure_of(0).float(), label_b=torch.tensor([0]), label_bk=soft), {})["total"]
    assert float(total) == pytest.approx(-math.log(1 / (math.exp(5) + 2)))


def test_soft_labels_alone_are_measured_by_their_likeliest_class():
    metrics = task_of().metrics()
    metrics.update({"logits_bk": sure_of(1)}, batch_of(sure_of(1), label_bk=torch.tensor([[0.4, 0.6, 0.0]])))
    assert metrics.compute()["accuracy"] == 1.0


def test_gradients_reach_the_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    (objective,) = task_of(model, losses={"loss": cross_entropy()}).objectives()
    objective.loss(batch_of(torch.randn(2, 3, 1, 2, 2), label_b=torch.tensor([0, 1])), {})["total"].backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.parameters)


def test_training_without_a_loss_says_so():
    (objective,) = task_of().objectives()
    with pytest.raises(RecipeError, match="no loss to train with"):
        objective.loss(batch_of(sure_of(0), label_b=torch.tensor([0])), {})


@pytest.mark.parametrize(("answer", "shown"), [(torch.zeros(2, 4), r"\(2, 4\)"), ({"logits": 1}, "dict")])
def test_a_model_that_answers_something_else_is_named(answer, shown):
    with pytest.raises(PluginError, match=f"the model answered {shown} to 2 clips of 3 classes"):
        task_of().predict(lambda clip: answer, batch_of(torch.zeros(2, 3)))


def test_half_precision_logits_become_full():
    outputs = task_of().predict(lambda clip: clip.bfloat16(), batch_of(torch.zeros(2, 3)))
    assert outputs["logits_bk"].dtype == torch.float32


def test_declaring_and_building_import_no_torchmetrics():
    code = (
        "import sys, zoo_plugins.tasks.plugin as tasks, zoo_plugins.losses.plugin as losses\n"
        "list(tasks.zoo_tasks()), list(losses.zoo_losses())\n"
        "assert 'torch' not in sys.modules\n"
        "import zoo_plugins.tasks.classification\n"
        "assert 'torchmetrics' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", [classification_module, classification_metrics])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_one_class_alone_can_be_measured():
    metrics = classification_metrics.ClassificationMetrics(("only",), None)
    batch = Batch({}, {"label_b": torch.tensor([0, 0])}, torch.arange(2), torch.zeros(2, dtype=torch.int64))
    metrics.update({"logits_bk": torch.tensor([[0.3], [2.0]])}, batch)
    values = metrics.compute()
    assert values["accuracy"] == values["recall/only"] == 1.0
