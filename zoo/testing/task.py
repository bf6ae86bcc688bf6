"""What holds for every task."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from zoo.testing.component import ComponentConformance, NeedsItsOwnTest
from zoo.testing.network import seeded, tensors
from zoo_registry.protocols import Batch, Figure, Outputs, Task, select_rows


class TaskConformance(ComponentConformance):
    """Checks for a task. Subclass it as `Test...` and say what it is given.

    Attributes:
        labels: names of the classes, or of the numbers; empty for a task without.

    Example:
        >>> class TestOneLabel(TaskConformance):
        ...     name = "acme/one_label"
        ...     labels = ("left", "right")
        ...     def network(self):
        ...         return nn.Sequential(nn.Flatten(), nn.Linear(96, 2))
        ...     def example(self):
        ...         clips = torch.randn(4, 3, 2, 4, 4)
        ...         targets = {"label_b": torch.tensor([0, 1, 1, 0])}
        ...         return Batch({"clip_bcthw": clips}, targets, torch.arange(4), torch.zeros(4, dtype=torch.int64))
        ...     def losses(self):
        ...         return {"loss": nn.functional.cross_entropy}
    """

    kind = "task"
    labels: ClassVar[tuple[str, ...]] = ()

    def network(self) -> nn.Module:
        """A small model of the task, made from torch's random generator."""
        raise NeedsItsOwnTest(f"{self.name} needs network() -> Module and example() -> Batch")

    def example(self) -> Batch:
        """A preprocessed training batch of two samples or more, the same at every call."""
        raise NeedsItsOwnTest(f"{self.name} needs network() -> Module and example() -> Batch")

    def losses(self) -> Mapping[str, Callable[[Any, Any], Tensor]]:
        """The losses by role; none for a task that has no roles."""
        return {}

    def task(self, *, losses: Mapping[str, Callable[[Any, Any], Tensor]] | None = None) -> Task:
        """The task around a fresh network."""
        with seeded(0):
            network = self.network()
        built = self.build(
            model=network,
            losses=self.losses() if losses is None else losses,
            labels=self.labels,
            num_classes=len(self.labels) or None,
            inputs=tuple(self.example().inputs),
            clip=None,
            audio=None,
            seed=0,
        )
        missing = [name for name in (*_ATTRIBUTES, *_METHODS) if not hasattr(built, name)]
        assert not missing, f"{self.name} has no {', '.join(missing)}: subclass zoo_registry.protocols.Task"
        return built  # type: ignore[no-any-return]

    def outputs(self, task: Task) -> Outputs:
        """What the task says about the example in eval mode."""
        task.state.eval()
        with torch.no_grad(), seeded(1):
            return task.predict(task.result().eval(), self.example())

    def test_its_parts_are_what_a_run_needs(self) -> None:
        task = self.task()
        assert isinstance(task.state, nn.Module), f"state of {self.name} is a {type(task.state).__name__}, not a Module"
        assert isinstance(task.result(), nn.Module), f"result() of {self.name} is no Module"
        assert isinstance(task.views, int) and task.views >= 1, f"{self.name} wants {task.views!r} views of a sample"  # noqa: PT018
        name, direction = task.monitor
        assert direction in ("max", "min"), f"monitor of {self.name} is {direction!r}, write 'max' or 'min'"
        assert name in task.metrics().compute(), f"{self.name} monitors {name!r}, which its metrics do not have"

    def test_its_objectives_step_its_own_parameters(self) -> None:
        task = self.task()
        objectives = task.objectives()
        names = [objective.name for objective in objectives]
        assert names, f"{self.name} has no objective: nothing would be learned"
        assert len(set(names)) == len(names), f"two objectives of {self.name} have one name: {', '.join(names)}"
        own = {id(parameter) for parameter in task.state.parameters()}
        for objective in objectives:
            assert objective.parameters, f"the objective {objective.name!r} has no parameters"
            strangers = [each for each in objective.parameters if id(each) not in own]
            assert not strangers, (
                f"the objective {objective.name!r} steps {len(strangers)} parameters that are not in `state`: "
                "a checkpoint would lose them"
            )

    def test_its_losses_are_finite_and_teach_every_objective(self) -> None:
        task = self.task()
        shared: dict[str, Any] = {}
        task.state.train()
        for objective in task.objectives():
            task.state.zero_grad()
            with seeded(2):
                losses = objective.loss(self.example(), shared)
            assert "total" in losses, f"the loss of {objective.name!r} gives {sorted(losses)}, no 'total'"
            for name, value in losses.items():
                assert value.shape == (), f"{name!r} of {objective.name!r} is no scalar: {tuple(value.shape)}"
                assert value.isfinite(), f"{name!r} of {objective.name!r} is {value.item()}"
            losses["total"].backward()  # type: ignore[no-untyped-call]
            gradients = [each.grad for each in objective.parameters if each.grad is not None]
            assert gradients, f"the loss of {objective.name!r} gives none of its parameters a gradient"
            assert all(each.isfinite().all() for each in gradients), f"gradients of {objective.name!r} are not finite"
        kept = [name for name, value in shared.items() if any(each.requires_grad for each in tensors(value))]
        assert not kept, f"{kept} in `shared` still have gradients: detach what goes from one objective to the next"

    def test_predicts_a_row_for_each_sample_without_losses(self) -> None:
        outputs, samples = self.outputs(self.task(losses={})), len(self.example())
        assert isinstance(outputs, dict), f"predict of {self.name} returns a {type(outputs).__name__}, not a dict"
        wrong = {name: len(value) for name, value in outputs.items() if len(value) != samples}
        assert outputs, f"predict of {self.name} says nothing"
        assert not wrong, f"{samples} samples went in; rows that came out: {wrong}"

    def test_leaves_the_batch_alone(self) -> None:
        batch, untouched = self.example(), self.example()
        task = self.task()
        task.state.train()
        with seeded(2):
            task.objectives()[0].loss(batch, {})
        task.predict(task.result(), batch)
        for part in ("inputs", "targets"):
            given, original = getattr(batch, part), getattr(untouched, part)
            assert list(given) == list(original), f"{self.name} changes the batch's {part}"
            torch.testing.assert_close(
                given, original, rtol=0, atol=0, msg=lambda text: f"{self.name} writes to the batch: {text}"
            )

    def test_merges_views_into_one_answer(self) -> None:
        task = self.task()
        outputs = self.outputs(task)
        merged = task.merge([outputs, outputs])
        samples = len(self.example())
        assert set(merged) == set(outputs), f"views of {sorted(outputs)} are merged into {sorted(merged)}"
        wrong = {name: len(value) for name, value in merged.items() if len(value) != samples}
        assert not wrong, f"two views of {samples} samples are merged into rows of {wrong}"

    def test_its_metrics_add_up_whatever_the_batches(self) -> None:
        task, batch = self.task(), self.example()
        outputs, middle = self.outputs(task), len(batch) // 2
        whole, first, second = task.metrics(), task.metrics(), task.metrics()
        whole.update(outputs, batch)
        for metrics, rows in ((first, slice(0, middle)), (second, slice(middle, None))):
            metrics.update(select_rows(outputs, rows), batch.rows(rows))
        first.merge(second)
        expected, found = whole.compute(), first.compute()
        wrong = {name: type(value).__name__ for name, value in expected.items() if not isinstance(value, int | float)}
        assert not wrong, f"metrics of {self.name} are numbers, these are not: {wrong}"
        assert set(expected) == set(found), f"metrics of the whole are {sorted(expected)}, of merged {sorted(found)}"
        apart = {name: (expected[name], found[name]) for name in expected if not _near(expected[name], found[name])}
        assert not apart, f"metrics of one batch and of its halves merged differ: {apart}"

    def test_its_metrics_start_anew_after_a_reset(self) -> None:
        task = self.task()
        metrics, fresh = task.metrics(), task.metrics().compute()
        metrics.update(self.outputs(task), self.example())
        metrics.reset()
        after = metrics.compute()
        kept = [name for name in fresh if not _near(fresh[name], after.get(name, math.inf))]
        assert not kept, f"metrics of {self.name} remember {kept} after reset()"

    def test_its_figures_add_up(self) -> None:
        task = self.task()
        for figure in task.figures(self.outputs(task), self.example()):
            assert isinstance(figure, get_args(Figure)), f"{self.name} draws a {type(figure).__name__}, no Figure"
            total: Any = figure
            assert (total + total).title == figure.title, f"{figure.title!r} changes its title when it is added up"

    def test_says_a_row_for_people_for_each_sample(self) -> None:
        task = self.task()
        rows = task.readable(self.outputs(task))
        samples = len(self.example())
        assert len(rows) == samples, f"{samples} samples went in, readable() of {self.name} gives {len(rows)} rows"
        try:
            json.dumps(list(rows))
        except TypeError as error:
            raise AssertionError(f"readable() of {self.name} gives what JSON does not hold: {error}") from error


_ATTRIBUTES = ("state", "views", "monitor")
_METHODS = (
    "objectives", "after_step", "result", "predict", "merge", "metrics", "figures", "readable"
)  # fmt: skip


def _near(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-5)
