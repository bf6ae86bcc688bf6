"""Tasks of a stranger's plugin run in the zoo's own loop: they train, resume bit for bit and evaluate.

None of them is known to the runner. Each has a file of its own in `tests/fixtures/zoo_acme`, of under 60 lines.
"""

import importlib.metadata
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.recipe import check_recipe, load_recipe
from zoo.runner.evaluation import Evaluation, evaluate
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.pipeline import Pipeline, assemble
from zoo.runner.progress import Progress
from zoo_registry.catalog import catalog
from zoo_registry.protocols import Batch, Task

try:
    importlib.metadata.distribution("zoo-acme")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("needs pip install tests/fixtures/zoo_acme, as make test does it", allow_module_level=True)

CPU = torch.device("cpu")
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "zoo_acme" / "zoo_acme" / "tasks"

TASKS: dict[str, dict[str, Any]] = {
    "wgan_gp": {
        "task": {"name": "acme/wgan_gp", "params": {"critic": "acme/critic", "every": 2}},
        "model": "acme/generator",
        "source": "acme/tones",
    },
    "distillation": {
        "task": {
            "name": "acme/distillation",
            "params": {"teacher": {"name": "acme/tiny3d", "params": {"width": 12}}, "task": "classification"},
        },
        "model": "acme/tiny3d",
        "loss": "acme/focal",
        "augment": ["acme/temporal_flip"],
        "source": "acme/tones",
    },
    "masked_autoencoder": {
        "task": {"name": "acme/masked_autoencoder", "params": {"decoder": "acme/decoder"}},
        "model": "acme/encoder",
        "source": "acme/tones",
    },
    "clip_and_sound": {
        "task": "acme/clip_and_sound",
        "model": "acme/clip_and_sound",
        "loss": "cross_entropy",
        "augment": ["acme/temporal_flip"],
        "source": "acme/tones",
    },
    "one_box": {"task": "acme/one_box", "model": "acme/box_finder", "source": "acme/boxes"},
}


def recipe_of(name: str) -> dict[str, Any]:
    """Four epochs of three batches; a checkpoint after every second step."""
    slots = dict(TASKS[name])
    source = slots.pop("source")
    return slots | {
        "zoo": 1,
        "data": {
            "train": {"name": source, "params": {"films": 12}},
            "val": {"name": source, "params": {"films": 6}},
            "workers": 0,
        },
        "optim": {"name": "adam", "params": {"lr": 0.01}, "schedule": "cosine"},
        "run": {"epochs": 4, "batch": 4, "device": "cpu", "log_every": 1, "checkpoint": {"every_steps": 2}},
    }


@dataclass
class Run:
    """A task after training, and what it left."""

    pipeline: Pipeline
    folder: RunFolder

    @property
    def task(self) -> Task:
        return self.pipeline.task

    @property
    def state(self) -> dict[str, torch.Tensor]:
        return self.task.state.state_dict()

    def rows(self, split: str) -> list[dict[str, Any]]:
        return [row for row in self.folder.history() if row["split"] == split]


class PowerCut(BaseException):
    """Ends a run as abruptly as a test can."""


def train(name: str, folder: Path, *, resume: bool = False, cut_after: int | None = None) -> Run:
    """Train a task from scratch, or go on; with `cut_after`, until so many batches of any kind were prepared."""
    loaded = load_recipe(recipe_of(name))
    assert [str(problem) for problem in check_recipe(loaded)] == []
    pipeline = assemble(loaded)
    run = Run(pipeline, RunFolder.open(folder, loaded.data, resume=resume))
    with Progress(quiet=True) as progress:
        fit(
            pipeline.task,
            pipeline.loader("train", train=True),
            pipeline.loader("val"),
            recipe=loaded.schema,
            folder=run.folder,
            augment=pipeline.augment,
            preprocess=pipeline.preprocess if cut_after is None else cut(pipeline.preprocess, cut_after),
            device=CPU,
            progress=progress,
            resume=resume,
        )
    return run


def cut(preprocess: Callable[[Batch], Batch], after: int) -> Callable[[Batch], Batch]:
    seen = 0

    def counted(batch: Batch) -> Batch:
        nonlocal seen
        seen += 1
        if seen > after:
            raise PowerCut
        return preprocess(batch)

    return counted


@pytest.fixture(scope="module", params=list(TASKS))
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Each task, trained without disturbance; resuming is exact at an equal number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train(request.param, tmp_path_factory.mktemp(request.param) / "run")
    torch.set_num_threads(threads)


def name_of(run: Run) -> str:
    return run.pipeline.recipe.task.name.partition("/")[2]


def test_it_trains(run: Run) -> None:
    """Twelve steps: the first three losses against the last three; of a GAN those of the critic, which starts first."""
    key = "critic/loss" if name_of(run) == "wgan_gp" else "loss"
    losses = [row[key] for row in run.rows("train")]
    assert len(losses) == 12
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-3:]) < sum(losses[:3])


def test_it_resumes_with_the_same_weights(run: Run, tmp_path: Path) -> None:
    """Cut in the second epoch: 5 batches of training and 2 of validation went before, the checkpoint is a step old."""
    with pytest.raises(PowerCut):
        train(name_of(run), tmp_path / "run", cut_after=7)
    assert (tmp_path / "run" / "checkpoints" / "step-000004").is_dir()
    resumed = train(name_of(run), tmp_path / "run", resume=True)
    assert resumed.state.keys() == run.state.keys()
    assert [key for key, value in run.state.items() if not torch.equal(value, resumed.state[key])] == []
    assert [row["step"] for row in resumed.rows("train")] == list(range(1, 13))
    assert [without_time(row) for row in resumed.rows("val")] == [without_time(row) for row in run.rows("val")]


def without_time(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "time"}


def test_it_evaluates_what_it_keeps(run: Run) -> None:
    evaluation = measure(run)
    assert evaluation.samples == 6
    assert math.isfinite(evaluation.metrics[run.task.monitor[0]])
    best = (min if run.task.monitor[1] == "min" else max)(row[run.task.monitor[0]] for row in run.rows("val"))
    assert evaluation.metrics[run.task.monitor[0]] == pytest.approx(best, rel=1e-5)


def test_it_evaluates_several_views_of_a_film(run: Run) -> None:
    several = measure(run, views=2)
    assert several.samples == 6
    assert math.isfinite(several.metrics[run.task.monitor[0]])


def measure(run: Run, views: int = 1) -> Evaluation:
    data = run.pipeline.recipe.data.model_copy(update={"views": views})
    pipeline = replace(run.pipeline, recipe=run.pipeline.recipe.model_copy(update={"data": data}))
    return evaluate(run.task, run.task.result(), pipeline.loader("val"), preprocess=pipeline.preprocess, device=CPU)


def test_it_has_a_row_for_people(run: Run) -> None:
    batch = next(iter(run.pipeline.loader("val").epoch(0)))
    with torch.no_grad():
        outputs = run.task.predict(run.task.result().eval(), run.pipeline.preprocess(batch))
    assert len(run.task.readable(outputs)) == len(batch)


@pytest.mark.parametrize("name", TASKS)
def test_it_is_under_60_lines(name: str) -> None:
    assert len((FIXTURE / f"{name}.py").read_text().splitlines()) < 60


@pytest.mark.parametrize("name", TASKS)
def test_it_answers_the_whole_protocol(name: str) -> None:
    assert isinstance(assemble(load_recipe(recipe_of(name))).task, Task)


# ------------------------------------------------------------------------------------- what each of them promises


@pytest.mark.parametrize("run", ["wgan_gp"], indirect=True)
def test_the_generator_learns_at_every_second_step(run: Run) -> None:
    stepped = [row["step"] for row in run.rows("train") if "generator/loss" in row]
    assert stepped == [1, 3, 5, 7, 9, 11]


@pytest.mark.parametrize("run", ["wgan_gp"], indirect=True)
def test_the_gradient_penalty_is_zero_for_a_critic_of_slope_one(run: Run) -> None:
    """The mean of n values times the root of n has a gradient of length 1 everywhere."""

    class SlopeOne(torch.nn.Module):
        def forward(self, clip_bcthw: torch.Tensor) -> torch.Tensor:
            flat_bn = clip_bcthw.flatten(1)
            return flat_bn.sum(dim=1) / flat_bn.shape[1] ** 0.5

    task: Any = assemble(load_recipe(recipe_of("wgan_gp"))).task
    task.critic = SlopeOne()
    batch = run.pipeline.preprocess(next(iter(run.pipeline.loader("val").epoch(0))))
    terms = task.criticise(batch, {})
    assert terms["penalty"].item() == pytest.approx(0.0, abs=1e-6)
    assert terms["total"].item() == pytest.approx(-terms["distance"].item(), abs=1e-5)


@pytest.mark.parametrize("run", ["wgan_gp"], indirect=True)
def test_the_generator_is_what_is_kept(run: Run) -> None:
    assert not any("score" in key for key in run.task.result().state_dict())
    assert any(key.startswith("critic.score") for key in run.state)


@pytest.mark.parametrize("run", ["distillation"], indirect=True)
def test_the_teacher_is_neither_trained_nor_saved(run: Run) -> None:
    trained: Any = run.task
    fresh: Any = assemble(load_recipe(recipe_of("distillation"))).task
    untouched = fresh.teacher.state_dict()
    assert [key for key, value in trained.teacher.state_dict().items() if not torch.equal(value, untouched[key])] == []
    assert not any("teacher" in key for key in run.state)
    assert run.state["features.0.weight"].shape[0] == 8  # the student's width, not the teacher's 12


@pytest.mark.parametrize("run", ["distillation"], indirect=True)
def test_distillation_measures_as_the_task_that_it_wraps(run: Run) -> None:
    assert {"accuracy", "f1"} <= measure(run).metrics.keys()


@pytest.mark.parametrize("run", ["masked_autoencoder"], indirect=True)
def test_only_gaps_count_as_error(run: Run) -> None:
    """An error of 2 inside a gap over half the clip, and of 5 outside, is 2 squared."""
    task: Any = run.task
    gap_b11hw = torch.zeros(1, 1, 1, 8, 8, dtype=torch.bool)
    gap_b11hw[..., :4] = True
    filled = torch.where(gap_b11hw, 2.0, 5.0).expand(1, 3, 2, 8, 8)
    batch = Batch({"clip_bcthw": torch.zeros(1, 3, 2, 8, 8)}, {}, torch.tensor([0]), torch.tensor([0]))
    assert task.error_b({"clip_bcthw": filled, "gap_b11hw": gap_b11hw}, batch).tolist() == [4.0]


@pytest.mark.parametrize("run", ["masked_autoencoder"], indirect=True)
def test_the_encoder_is_what_is_kept(run: Run) -> None:
    kept = {f"encoder.{key}" for key in run.task.result().state_dict()}
    assert kept < run.state.keys()
    assert any(key.startswith("decoder.") for key in run.state)


@pytest.mark.parametrize("run", ["clip_and_sound"], indirect=True)
def test_film_and_sound_are_measured_apart_and_together(run: Run) -> None:
    assert measure(run).metrics.keys() == {"accuracy", "accuracy/film_only", "accuracy/sound_only"}


@pytest.mark.parametrize("run", ["clip_and_sound"], indirect=True)
def test_the_sound_of_the_film_arrives_at_its_pitch(run: Run) -> None:
    """Half a second at 16 kHz: a tone of f Hz has its peak at bin f / 2."""
    batch = next(iter(run.pipeline.loader("val").epoch(0)))
    peaks = torch.fft.rfft(batch.inputs["audio_bcn"][:, 0]).abs().argmax(dim=1) * 2
    assert peaks.tolist() == [250, 2000, 250, 2000]


@pytest.mark.parametrize("run", ["one_box"], indirect=True)
def test_targets_are_ragged(run: Run) -> None:
    batch = next(iter(run.pipeline.loader("val").epoch(0)))
    assert [len(boxes_n4) for boxes_n4 in batch.targets["boxes_n4"]] == [0, 1, 2, 0]


@pytest.mark.parametrize("run", ["one_box"], indirect=True)
def test_boxes_lie_on_what_is_bright_in_the_film(run: Run) -> None:
    batch = next(iter(run.pipeline.loader("val").epoch(0)))
    for clip_cthw, boxes_n4 in zip(batch.inputs["clip_bcthw"], batch.targets["boxes_n4"], strict=True):
        for x1, y1, x2, y2 in boxes_n4.round().int().tolist():
            assert clip_cthw[:, :, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].float().mean() > 150


@pytest.mark.parametrize("run", ["one_box"], indirect=True)
def test_the_overlap_is_that_of_the_largest_box(run: Run) -> None:
    """Boxes of 4x4 and 2x2; the answer covers half of the larger one: 8 / 16. A film without a box is left out."""
    boxes = [torch.tensor([[0.0, 0, 2, 2], [4, 4, 8, 8]]), torch.zeros(0, 4)]
    batch = Batch({"clip_bcthw": torch.zeros(2, 3, 1, 8, 8)}, {"boxes_n4": boxes}, torch.arange(2), torch.zeros(2))
    metrics = run.task.metrics()
    metrics.update({"box_b4": torch.tensor([[4.0, 4, 6, 8], [0, 0, 8, 8]])}, batch)
    assert metrics.compute() == {"iou": 0.5}


def test_two_halves_of_a_split_merge_into_the_whole() -> None:
    from zoo_acme.running_means import RunningMeans

    def means(*values: float) -> RunningMeans:
        running = RunningMeans(("score",), lambda outputs, batch: outputs)
        running.update({"score": torch.tensor(values)}, None)
        return running

    first, second = means(1.0, math.nan), means(2.0, 6.0)
    first.merge(second)
    assert first.compute() == {"score": 3.0}
    assert second.compute() == {"score": 4.0}


def test_the_plugin_has_no_problems() -> None:
    (plugin,) = [plugin for plugin in catalog().plugins if plugin.namespace == "acme"]
    assert plugin.status == "loaded"
    assert [str(problem) for problem in catalog().problems() if problem.where == plugin.where] == []
