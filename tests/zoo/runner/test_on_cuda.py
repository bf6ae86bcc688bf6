"""What only a GPU can show: memory that really runs out, kernels that are compiled for it, gradients in fp16."""

from __future__ import annotations

import pytest
import torch

from tests.zoo.runner.in_memory import BrightOrDark, recipe, train
from tests.zoo.runner.test_micro_batches import WithoutNorm
from zoo.runner.folder import RunFolder
from zoo_registry.errors import RunError

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

SGD = {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}}


class Hungry(WithoutNorm):
    """Takes a quarter of the memory that it may have for each clip."""

    def loss(self, batch, shared):
        free = torch.cuda.mem_get_info()[0]
        kept = torch.empty(len(batch) * free // 4 + free // 8, dtype=torch.uint8, device="cuda")
        del kept
        return super().loss(batch, shared)


def cuda(**run):
    return {"device": "cuda", "precision": "fp32", **run}


def test_a_batch_that_does_not_fit_is_halved(tmp_path):
    small, large = Hungry(), WithoutNorm()
    options = {"device": torch.device("cuda"), "augment": None}
    train(tmp_path / "small", small, recipe(SGD, **cuda(micro_batch="auto")), **options)
    train(tmp_path / "large", large, recipe(SGD, **cuda()), **options)
    for name, value in large.state.state_dict().items():
        assert torch.allclose(value, small.state.state_dict()[name], atol=1e-4), name


def test_without_halving_the_error_says_what_would_fit(tmp_path):
    with pytest.raises(RunError, match=r"does not fit into the memory of cuda:0: 4 clips at once") as caught:
        train(tmp_path, Hungry(), recipe(SGD, **cuda()), device=torch.device("cuda", 0))
    assert "run.micro_batch: 2" in str(caught.value)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_training_gives_the_weights_of_eager_training(tmp_path, mode):
    eager, quick = BrightOrDark(dropout=0.0), BrightOrDark(dropout=0.0)
    train(tmp_path / "eager", eager, recipe(SGD, **cuda()), device=torch.device("cuda"))
    train(tmp_path / "quick", quick, recipe(SGD, **cuda(compile={"mode": mode})), device=torch.device("cuda"))
    for name, value in eager.state.state_dict().items():
        assert torch.allclose(value, quick.state.state_dict()[name], atol=1e-3), name


def test_fp16_trains_with_scaled_gradients_as_fp32_does(tmp_path):
    half, full = BrightOrDark(dropout=0.0), BrightOrDark(dropout=0.0)
    train(tmp_path / "half", half, recipe(SGD, **cuda(precision="fp16")), device=torch.device("cuda"))
    train(tmp_path / "full", full, recipe(SGD, **cuda()), device=torch.device("cuda"))
    for name, value in half.state.state_dict().items():
        assert torch.allclose(value.float(), full.state.state_dict()[name].float(), atol=2e-2), name


def test_rows_tell_the_gpus_memory_and_where_its_time_went(tmp_path):
    train(tmp_path, BrightOrDark(), recipe(SGD, **cuda(log_every=1)), device=torch.device("cuda"))
    rows = [row for row in RunFolder(tmp_path).history() if row["split"] == "train"]
    assert all(row["gpu_memory_gib"] > 0 for row in rows)
    for row in rows:
        shares = [value for key, value in row.items() if key.startswith("time_share/")]
        assert sum(shares) == pytest.approx(1.0, abs=0.05)
