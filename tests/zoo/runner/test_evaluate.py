from __future__ import annotations

import numpy
import pytest
import torch
from torch import nn

from tests.zoo.runner.in_memory import CPU, BrightOrDark, InMemoryLoader, to_float
from zoo.runner.evaluation import complete_samples, evaluate
from zoo_registry.protocols import Batch, FilmStrip, Matrix, Strip


def measure(task, loader, **options):
    return evaluate(task, task.result(), loader, preprocess=to_float, device=CPU, **options)


def test_every_sample_is_measured_once():
    evaluation = measure(BrightOrDark(), InMemoryLoader(7, batch=3, train=False))
    assert evaluation.samples == 7
    assert set(evaluation.metrics) == {"accuracy"}


def test_views_of_a_sample_are_merged_into_one_answer():
    class ByView(BrightOrDark):
        """Answers with the number of the view, and keeps what was merged."""

        merged = ()

        def predict(self, model, batch):
            return {
                "logits_bk": batch.view.float().view(-1, 1) + batch.index.view(-1, 1) * torch.tensor([[10.0, 20.0]])
            }

        def merge(self, outputs):
            self.merged += (torch.stack([output["logits_bk"] for output in outputs]),)
            return super().merge(outputs)

    task = ByView()
    evaluation = measure(task, InMemoryLoader(4, batch=2, views=3, train=False))
    assert evaluation.samples == 4
    first_vbk = task.merged[0]
    assert first_vbk[:, 0, 0].tolist() == [0, 1, 2]
    assert first_vbk[:, 1, 0].tolist() == [10, 11, 12]


def test_a_sample_without_all_its_views_is_left_out():
    index, view = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 0, 1])
    batch = Batch({"clip_bcthw": torch.arange(5)}, {"label_b": index, "boxes_n4": list("abcde")}, index, view)
    whole = complete_samples(batch, 2)
    assert whole.index.tolist() == [0, 0, 2, 2]
    assert whole.inputs["clip_bcthw"].tolist() == [0, 1, 3, 4]
    assert whole.targets["boxes_n4"] == ["a", "b", "d", "e"]
    assert complete_samples(batch, 1) is batch


def test_training_goes_on_as_before_afterwards():
    task = BrightOrDark()
    task.state.train()
    task.state[1].eval()  # a frozen batch norm
    random = torch.get_rng_state()
    before = {name: value.clone() for name, value in task.state.state_dict().items()}
    measure(task, InMemoryLoader(4, train=False))
    assert [task.state.training, task.state[1].training, task.state[5].training] == [True, False, True]
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in task.state.state_dict().items())


def test_no_dropout_and_no_gradients_while_measuring():
    class Watching(BrightOrDark):
        def predict(self, model, batch):
            assert not self.state.training
            outputs = super().predict(model, batch)
            assert not outputs["logits_bk"].requires_grad
            return outputs

    task = Watching()
    task.state.train()
    assert measure(task, InMemoryLoader(4, train=False)).samples == 4


def test_random_predictions_are_the_same_every_time():
    class Guessing(BrightOrDark):
        said = ()

        def predict(self, model, batch):
            self.said += (torch.randn(len(batch), 2),)
            return {"logits_bk": self.said[-1]}

    task = Guessing()
    measure(task, InMemoryLoader(4, train=False))
    torch.rand(3)
    measure(task, InMemoryLoader(4, train=False))
    assert torch.equal(*task.said)


def test_a_tensor_cached_while_measuring_can_be_trained_with():
    """As position tables are, on a model's first call."""

    class Caching(nn.Linear):
        table = None

        def forward(self, features):
            if self.table is None:
                self.table = torch.ones(12, device=features.device)
            return super().forward(features * self.table)

    task = BrightOrDark()
    task.state = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(12), Caching(12, 2))
    measure(task, InMemoryLoader(4, train=False))
    task.state(torch.randn(2, 12)).sum().backward()
    assert task.state[2].weight.grad is not None


def test_a_function_can_be_measured_as_well_as_a_module():
    task = BrightOrDark()
    module = task.result().eval()
    loader = InMemoryLoader(6, train=False)
    exported = evaluate(task, lambda clip: module(clip), loader, preprocess=to_float, device=CPU)
    assert exported.metrics == measure(task, loader).metrics


def test_figures_of_one_title_are_added_up():
    class Drawing(BrightOrDark):
        def figures(self, outputs, batch):
            strips = tuple(Strip(int(index), 0, "", float(index)) for index in batch.index)
            return [Matrix("counts", ("a",), ("a",), numpy.array([[len(batch)]])), FilmStrip("films", strips, keep=3)]

    matrix, films = measure(Drawing(), InMemoryLoader(7, batch=2, train=False), figures=True).figures
    assert matrix.values.tolist() == [[7]]
    assert [strip.index for strip in films.strips] == [6, 5, 4]


def test_no_figures_unless_asked_for():
    class NotDrawing(BrightOrDark):
        def figures(self, outputs, batch):
            raise RuntimeError("drawn all the same")

    assert measure(NotDrawing(), InMemoryLoader(4, train=False)).figures == []


@pytest.mark.parametrize(
    ("precision", "expected"), [("auto", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_precision_is_that_of_the_forward_pass(precision, expected):
    class Looking(BrightOrDark):
        seen = None

        def predict(self, model, batch):
            outputs = super().predict(model, batch)
            self.seen = outputs["logits_bk"].dtype
            return outputs

    task = Looking()
    measure(task, InMemoryLoader(4, train=False), precision=precision)
    assert task.seen == expected
