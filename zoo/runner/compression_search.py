"""Searches ways to compress the model of a run, and leaves the best ones as recipes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from zoo.build import check_params
from zoo.compress import ORIGINAL, Measurement, Planned
from zoo.compress.search import Cost, Slots, Trial, cost_left, grid, pareto_front, tree_parzen
from zoo.compress.strategy_words import GRID_STEPS, StrategyWords, combinations
from zoo.recipe import LoadedRecipe, dump, without_folders
from zoo.report.table import Table
from zoo.runner.compression import applied
from zoo.runner.saving import Reloading
from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError, Problem, RunError, ZooError
from zoo_registry.protocols import Series

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

    from zoo.runner.pipeline import Pipeline
    from zoo.runner.progress import Progress

_TRIALS = "trials.jsonl"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        folder: where everything is; `report.html` first of all.
        trials: in the order they were tried.
        front: those that no other beats, cheapest first.
        table: the front, to read.
        recipes: a file for each of the front.
    """

    folder: Path
    trials: Sequence[Trial]
    front: Sequence[Trial]
    table: Table
    recipes: Sequence[Path]


@dataclass
class CompressionSearch:
    """A search under way.

    Attributes:
        loaded: a recipe whose model is trained already and is not trained again.
        space: strategies and what of them is tried.
        folder: gets the results; made when missing.
        sampler: `grid` tries everything, `tpe` what looks promising.
        trials: how many; None for all of a grid, or 20.
        steps: values that a grid tries of a range.
        cost: what is to be small.
        max_drop: how much worse than the original's the monitored metric may be; ways that cost more are not in the
            front.
    """

    loaded: LoadedRecipe
    space: Sequence[StrategyWords]
    folder: Path
    progress: Progress
    sampler: Literal["grid", "tpe"] = "grid"
    trials: int | None = None
    steps: int = GRID_STEPS
    cost: Cost = "latency"
    max_drop: float | None = None
    tried: list[Trial] = field(default_factory=list)
    original: Measurement | None = None

    def run(self) -> SearchResult:
        """Try, and write down what was found; also what was found until somebody stopped it.

        Raises:
            ParameterError: a strategy or parameter that does not exist, before anything is tried.
            RunError: no validation data to judge by, or the folder holds a search already.
        """
        from zoo.runner.device import configure, place
        from zoo.runner.pipeline import assemble

        self._check()
        self.device: torch.device = configure(self.loaded.schema.run)
        self.pipeline: Pipeline = assemble(self.loaded)
        place(self.pipeline.task, self.device)
        self.pipeline.preprocess.to(self.device)
        self.module: Module = self.pipeline.task.result().eval()
        if "val" not in self.pipeline.splits:
            raise RunError("a search has to judge what it tries", hint="fill data.val")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with (
                self.progress.task("search", self._count, unit="trials") as bar,
                (self.folder / _TRIALS).open("w", encoding="utf-8") as rows,
            ):
                for trial in self._tries():
                    self.tried.append(trial)
                    rows.write(json.dumps(_row(trial)) + "\n")
                    rows.flush()
                    bar.advance()
        finally:
            result = self._finish()
        return result

    @property
    def _count(self) -> int:
        if self.sampler == "tpe":
            return self.trials or 20
        count = sum(1 for _ in combinations(self.space, self.steps))
        return count if self.trials is None else min(count, self.trials)

    def _check(self) -> None:
        if (self.folder / _TRIALS).exists():
            raise RunError(f"{self.folder} holds a search already", hint="give --out another folder")
        index, problems = catalog(), list[Problem]()
        ways = list(combinations(self.space, self.steps))
        for slot in {json.dumps(slot, sort_keys=True): slot for way in ways for slot in way}.values():
            try:
                found = check_params(index.resolve("compression", slot["name"]), slot["params"])
                problems += [problem for problem in found if problem not in problems]
            except ZooError as error:
                problems += [problem for problem in error.problems if problem not in problems]
        if problems:
            raise ParameterError(problems)

    def _tries(self) -> Iterator[Trial]:
        if self.sampler == "tpe":
            yield from tree_parzen(self.space, self._attempt, self._count, self.loaded.schema.run.seed)
            return
        for trial, _ in zip(grid(self.space, self._attempt, self.steps), range(self._count), strict=False):
            yield trial

    def _attempt(self, slots: Slots) -> Trial:
        """Compress in this way and measure; what goes wrong is a result too."""
        planned = [Planned(catalog().resolve("compression", slot["name"]), slot["params"]) for slot in slots]
        measurements: Sequence[Measurement] = ()
        try:
            with TemporaryDirectory(prefix="zoo-search-") as folder:
                reload = Reloading(Path(folder) / "model", self.pipeline, self.device, None, ())
                for stage in applied(self.pipeline, planned, self.module, self.device, self.progress, reload):
                    measurements = stage.measurements
        except ZooError as error:
            return Trial(slots, problem=str(error.problems[0].message))
        original, last = measurements[0], measurements[-1]
        self.original = self.original or original
        name, direction = self.pipeline.task.monitor
        quality = last.metrics.get(name)
        if quality is None or quality != quality:
            return Trial(slots, measured=last, problem=f"its {name} is no number")
        sign = 1 if direction == "max" else -1
        return Trial(slots, sign * quality, cost_left(last, original, self.cost), last)

    def _finish(self) -> SearchResult:
        from zoo.report import write_report

        good = [trial for trial in self.tried if self._within(trial)]
        front = pareto_front(good)
        recipes = [self._write(number, trial) for number, trial in enumerate(front, start=1)]
        table = self._table(front, recipes)
        write_report(
            self.folder,
            title=f"ways to compress {self.loaded.name}",
            summary={"tried": len(self.tried), "failed": sum(not trial.worked for trial in self.tried)},
            history=(),
            figures=[self._picture(front)],
            clips=None,
            recipe_yaml=dump(without_folders(self.loaded.data)),
            tables=[table, self._all()],
        )
        return SearchResult(self.folder, self.tried, front, table, recipes)

    def _within(self, trial: Trial) -> bool:
        if self.max_drop is None or not trial.worked or not trial.slots:
            return trial.worked
        return trial.measured is not None and trial.measured.drop is not None and trial.measured.drop <= self.max_drop

    def _write(self, number: int, trial: Trial) -> Path:
        path = self.folder / "front" / f"{number:02}.yaml"
        path.parent.mkdir(exist_ok=True)
        name, value = self.pipeline.task.monitor[0], trial.measured.metrics if trial.measured else {}
        head = f"# {name} {value.get(name, float('nan')):.4g}, {self.cost} {trial.cost:.3g} of the original's\n"
        path.write_text(head + dump({**self.loaded.data, "compress": trial.slots}), encoding="utf-8")
        return path

    def _table(self, front: Sequence[Trial], recipes: Sequence[Path]) -> Table:
        name = self.pipeline.task.monitor[0]
        columns = ("recipe", "strategies", name, f"{self.cost} left", "file bytes", "gmacs", "p50 ms", "agreement")
        rows = [
            (
                path.relative_to(self.folder).as_posix(),
                in_words(trial.slots),
                trial.measured.metrics.get(name),
                trial.cost,
                trial.measured.bytes,
                trial.measured.gmacs,
                trial.measured.latency_ms,
                trial.measured.agreement,
            )
            for path, trial in zip(recipes, front, strict=True)
            if trial.measured is not None
        ]
        return Table(
            "No other way beats these",
            columns,
            rows,
            note=f"Of {len(self.tried)} ways tried. What is left is a part of the original's {self.cost}, measured "
            "again beside each.",
        )

    def _all(self) -> Table:
        name = self.pipeline.task.monitor[0]
        rows = [
            (
                in_words(trial.slots),
                trial.measured.metrics.get(name) if trial.measured else None,
                trial.cost,
                trial.measured.bytes if trial.measured else None,
                trial.problem,
            )
            for trial in self.tried
        ]
        columns = ("strategies", name, f"{self.cost} left", "file bytes", "why it failed")
        return Table("Every way that was tried", columns, rows)

    def _picture(self, front: Sequence[Trial]) -> Series:
        name, direction = self.pipeline.task.monitor
        sign = 1 if direction == "max" else -1
        worked = [trial for trial in self.tried if trial.worked]
        curves = {
            "tried": [(float(trial.cost or 0), sign * float(trial.quality or 0)) for trial in worked],
            "not beaten": [(float(trial.cost or 0), sign * float(trial.quality or 0)) for trial in front],
        }
        if self.original is not None and name in self.original.metrics:
            curves["original"] = [(1.0, self.original.metrics[name])]
        return Series(f"{name} against {self.cost}", curves, f"{self.cost}, part of the original's", name, joined=False)


def in_words(slots: Slots) -> str:
    """A way as it is written after `--with`.

    Example:
        >>> in_words([{"name": "prune_magnitude", "params": {"amount": 0.5}}, {"name": "cast_bf16", "params": {}}])
        'prune_magnitude:amount=0.5 cast_bf16'
    """
    words = []
    for slot in slots:
        params = ",".join(f"{key}={json.dumps(value) if not isinstance(value, str) else value}" for key, value in
                          slot["params"].items())  # fmt: skip
        words.append(f"{slot['name']}:{params}" if params else slot["name"])
    return " ".join(words) or ORIGINAL


def _row(trial: Trial) -> dict[str, Any]:
    return {
        "compress": trial.slots,
        "quality": trial.quality,
        "cost": trial.cost,
        "problem": trial.problem or None,
        "measured": asdict(trial.measured) if trial.measured else None,
    }
