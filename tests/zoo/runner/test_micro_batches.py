"""Batches that are computed in parts, and what a run does when they do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.zoo.runner.in_memory import BrightOrDark, InMemoryLoader, recipe, same_weights, train
from zoo.runner.folder import RunFolder
from zoo.runner.step import parts_of
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch

SGD = {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}}


class WithoutNorm(BrightOrDark):
    """Batch norms see parts, not batches; without them parts change nothing but the order of sums."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.state = nn.Sequential(
            nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)
        )


class SmallDevice(WithoutNorm):
    """Says that memory ran out for more rows than it holds, as torch does on a GPU."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.holds, self.seen = holds, []

    def loss(self, batch, shared):
        self.seen.append(len(batch))
        if len(batch) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has ...")
        return super().loss(batch, shared)


def test_parts_are_all_rows_in_order():
    rows = torch.arange(5)
    batch = Batch({"clip_bcthw": rows.float()}, {"label_b": rows}, rows, rows)
    parts = list(parts_of(batch, 2))
    assert [begin for begin, _ in parts] == [0, 2, 4]
    assert torch.equal(torch.cat([part.index for _, part in parts]), rows)
    assert [len(part) for _, part in parts_of(batch, None)] == [5]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tmp_path, accumulate):
    whole, parts = WithoutNorm(), WithoutNorm()
    loader = InMemoryLoader(10)  # batches of 4, 4 and 2
    for name, task, size in (("whole", whole, None), ("parts", parts, 3)):
        schema = recipe(SGD, accumulate=accumulate, micro_batch=size, log_every=1)
        train(tmp_path / name, task, schema, loader=loader, augment=None)
    for name, value in whole.state.state_dict().items():
        assert torch.allclose(value, parts.state.state_dict()[name], atol=1e-6), name
    losses = [
        [row["loss"] for row in RunFolder(tmp_path / name).history() if "loss" in row] for name in ("whole", "parts")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_views_of_a_sample_stay_together(tmp_path):
    task = SmallDevice(holds=100)
    task.views = 2
    train(tmp_path, task, recipe(micro_batch=1), loader=InMemoryLoader(4, views=2), val=None)
    assert set(task.seen) == {2}


def test_halving_goes_on_until_it_fits_and_gives_what_whole_batches_would(tmp_path, capsys):
    small, large = SmallDevice(holds=1), WithoutNorm()
    train(tmp_path / "small", small, recipe(SGD, on_out_of_memory="halve"), augment=None)
    train(tmp_path / "large", large, recipe(SGD), augment=None)
    assert small.seen[:3] == [4, 2, 1]
    assert set(small.seen[3:]) == {1}
    for name, value in large.state.state_dict().items():
        assert torch.allclose(value, small.state.state_dict()[name], atol=1e-6), name


def test_without_halving_the_error_says_what_did_not_fit_and_what_would(tmp_path):
    with pytest.raises(RunError, match="step 1 does not fit into the memory of cpu: 4 clips at once") as caught:
        train(tmp_path, SmallDevice(holds=2), recipe())
    said = str(caught.value)
    assert "clip_bcthw 3x4x8x8 (the last straw was 2.50 GiB)" in said
    assert "run.micro_batch: 2" in said
    assert "run.on_out_of_memory: halve" in said


def test_one_clip_that_does_not_fit_ends_the_run_in_words(tmp_path):
    with pytest.raises(RunError, match=r"one clip is too much: write run\.gradient_checkpointing"):
        train(tmp_path, SmallDevice(holds=0), recipe(on_out_of_memory="halve"))


def test_another_error_is_not_taken_for_missing_memory(tmp_path):
    class Broken(WithoutNorm):
        def loss(self, batch, shared):
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(tmp_path, Broken(), recipe(on_out_of_memory="halve"))


def test_a_halved_run_that_is_resumed_halves_again(tmp_path):
    undisturbed, resumed = SmallDevice(holds=2), SmallDevice(holds=2)
    schema = recipe(SGD, on_out_of_memory="halve", epochs=2)
    train(tmp_path / "undisturbed", undisturbed, schema)
    train(tmp_path / "run", SmallDevice(holds=2), recipe(SGD, on_out_of_memory="halve", epochs=1))
    train(tmp_path / "run", resumed, schema, resume=True)
    assert same_weights(undisturbed, resumed)
