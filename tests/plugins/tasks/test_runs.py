"""Every task here trains as a run does: exactly resumed, in parts of a step, in bfloat16, and compiled."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.plugins.tasks.training import PowerCut, Run, recipe_of, train

TINY = {"width": 16, "blocks": 2, "heads": 2, "mlp_width": 32}
DECODER = {"decoder_width": 16, "decoder_blocks": 1, "decoder_heads": 2}
CRITIC = {"name": "basic/clip_discriminator", "params": {"width": 4}}
GAN = {"name": "gan", "params": {"discriminator": CRITIC, "loss": "wasserstein", "n_critic": 2}}
GENERATOR = {"name": "basic/clip_generator", "params": {"width": 4}}
PRETRAINING = {"name": "transformers/videomae_s_pretraining", "params": {**TINY, **DECODER, "mask_ratio": 0.5}}

TASKS: dict[str, tuple[Any, Any, Any]] = {
    "gan": (
        {"name": "gan", "params": {"discriminator": CRITIC, "loss": "wasserstein", "n_critic": 2}},
        GENERATOR,
        None,
    ),
    "moco": ({"name": "contrastive", "params": {"queue": 16, "projection": 8}}, "basic/cnn3d", None),
    "simclr": ({"name": "contrastive", "params": {"method": "simclr", "projection": 8}}, "basic/cnn3d", None),
    "speed": ("speed_prediction", "basic/cnn3d", None),
    "masked": ("masked_autoencoder", PRETRAINING, None),
    "distillation": (
        {"name": "distillation", "params": {"teacher": "basic/cnn3d", "hint": 0.5, "attention": 1.0}},
        {"name": "basic/cnn3d", "params": {"dropout": 0.2}},
        "cross_entropy",
    ),
}


def learn(name: str, folder: Path, *, resume: bool = False, cut_after: int | None = None, **run: Any) -> Run:
    task, model, loss = TASKS[name]
    recipe = recipe_of(task, model, clip={"frames": 8, "size": 32}, loss=loss, **{"epochs": 2, **run})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the teacher has no weights")
        warnings.filterwarnings("ignore", message="positions are a fixed table")
        return train(recipe, folder, resume=resume, cut_after=cut_after)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Resuming is exact at an equal number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=list(TASKS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "masked" and find_spec("transformers") is None:
        pytest.skip("the extra videozoo[transformers] is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def undisturbed(name: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return learn(name, tmp_path_factory.mktemp(name) / "run")


def test_a_cut_run_goes_on_to_the_same_weights(name: str, undisturbed: Run, tmp_path: Path) -> None:
    """Cut in the second epoch: 5 batches of training and 2 of validation went before, the checkpoint is a step old."""
    with pytest.raises(PowerCut):
        learn(name, tmp_path / "run", cut_after=7)
    resumed = learn(name, tmp_path / "run", resume=True)
    assert resumed.state.keys() == undisturbed.state.keys()
    assert [key for key, value in undisturbed.state.items() if not torch.equal(value, resumed.state[key])] == []


IN_PARTS = pytest.param({"accumulate": 2, "micro_batch": 2, "precision": "bf16"}, id="in parts, in bfloat16")
COMPILED = pytest.param({"compile": {"mode": "default"}}, id="compiled", marks=pytest.mark.slow)


@pytest.mark.parametrize("run", [IN_PARTS, COMPILED])
def test_it_trains_in_every_way(name: str, run: dict[str, Any], tmp_path: Path) -> None:
    trained = learn(name, tmp_path / "run", epochs=1, **run)
    rows = trained.rows("train")
    losses = [value for row in rows for key, value in row.items() if key.endswith("loss")]
    assert losses
    assert all(map(math.isfinite, losses))
    assert all(value.isfinite().all() for value in trained.state.values())
