"""Runs a recipe from end to end: fit, evaluate, compress, export, report, publish; each only if its slot is filled."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.recipe import LoadedRecipe, check_recipe, dump, load_recipe, resolve_recipe, write_lock
from zoo.runner.folder import RunFolder
from zoo.runner.progress import Progress
from zoo_registry.catalog import catalog
from zoo_registry.errors import RecipeError, RunError

if TYPE_CHECKING:
    import numpy as np
    from torch.nn import Module

    from zoo.data import Loader
    from zoo.report import Table
    from zoo.runner.evaluation import Evaluation
    from zoo.runner.pipeline import Pipeline
    from zoo_registry.protocols import Batch, Figure


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        folder: where everything is; `report.html` first of all.
        summary: the headline numbers, as in `summary.json`: "val/accuracy", ...
        tables: what was compared: compression before and after, exported files, files that could not be decoded.
    """

    folder: Path
    summary: Mapping[str, Any]
    tables: Sequence[Table] = ()


def run(
    recipe: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    publish: bool = False,
    quiet: bool = False,
) -> RunResult:
    """Run whatever a recipe names.

    Args:
        recipe: name, path, URI or plain data; may be left out with `resume`.
        overrides: `"run.epochs=3"` and the like.
        out: folder of the run; by default a new one below `runs/`.
        resume: folder of a run to go on with, from its last checkpoint.
        publish: let a recipe that was fetched from elsewhere publish.
        quiet: show no progress.

    Returns:
        Folder and headline numbers.

    Raises:
        ZooError: everything a user can mend; nothing half-written stays under its final name.

    Example:
        >>> result = run("quickstart", ["run.epochs=1"])        # doctest: +SKIP
        >>> sorted(result.summary)[:2]                          # doctest: +SKIP
        ['epochs', 'model']
    """
    loaded = load_checked(recipe, overrides, resume)
    where = resume or out or RunFolder.fresh(loaded.name)
    folder = RunFolder.open(where, loaded.data, resume=resume is not None)
    with Progress(quiet=quiet) as progress:
        stages = _Stages(loaded, folder, progress, resume=resume is not None, may_publish=publish or not loaded.fetched)
        return stages.run()


def load_checked(
    recipe: str | Path | Mapping[str, Any] | None, overrides: Sequence[str] = (), resume: str | Path | None = None
) -> LoadedRecipe:
    """A recipe without problems; of a resumed run the one it wrote, unless one is given."""
    if recipe is None:
        if resume is None:
            raise RunError("nothing to run", hint="name a recipe, or a run to resume")
        recipe = Path(resume) / "recipe.resolved.yaml"
        if not recipe.is_file():
            raise RunError(f"{resume} is no run: it has no recipe.resolved.yaml", hint="give the folder of a run")
    loaded = load_recipe(recipe, overrides)
    problems = check_recipe(loaded)
    if loaded.schema.optim is not None:
        from zoo.runner.optim import check_optim

        problems += check_optim(loaded.schema.optim, origins=loaded.origins)
    if problems:
        raise RecipeError(problems)
    return resolve_recipe(loaded)


@dataclass
class _Stages:
    """One run under way, and what its stages hand on."""

    loaded: LoadedRecipe
    folder: RunFolder
    progress: Progress
    resume: bool
    may_publish: bool
    summary: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    structure: tuple[Mapping[str, Any], ...] = ()

    def run(self) -> RunResult:
        """Every stage whose slot is filled, in order."""
        from zoo.runner.device import configure, place
        from zoo.runner.observers import Observers
        from zoo.runner.pipeline import assemble, build_observers

        started = time.perf_counter()
        self.recipe = self.loaded.schema
        self.device = configure(self.recipe.run)
        self.pipeline: Pipeline = assemble(self.loaded, self.folder.quarantine)
        place(self.pipeline.task, self.device)
        self.pipeline.preprocess.to(self.device)
        self.observers = Observers(build_observers(self.recipe.run.observers), self.progress.say)
        self._write_lock()
        self.observers.notify("run_start", self.folder.path, self.loaded.data)
        self.summary |= {"recipe": self.loaded.name, "model": self.pipeline.listed.name, "device": str(self.device)}
        if self.pipeline.skipped:
            self.progress.say(f"new classifier, not from the weights: {', '.join(self.pipeline.skipped)}")
        if self.recipe.optim is not None and "train" in self.pipeline.splits:
            self._fit()
        self.module: Module = self.pipeline.task.result().eval()
        self._evaluate()
        self._save()
        if self.recipe.compress:
            self._compress()
        if self.recipe.export:
            self._export()
        self.tables += self._quarantined()
        self.summary["seconds"] = round(time.perf_counter() - started, 1)
        self._write_summary()
        self._report()
        self._publish()
        self.observers.notify("run_end", self.summary)
        return RunResult(self.folder.path, self.summary, self.tables)

    def _fit(self) -> None:
        from zoo.runner.loop import fit

        with ExitStack() as stack:
            train = stack.enter_context(closing(self.pipeline.loader("train", train=True)))
            val = stack.enter_context(closing(self.pipeline.loader("val"))) if "val" in self.pipeline.splits else None
            result = fit(
                self.pipeline.task,
                train,
                val,
                recipe=self.recipe,
                folder=self.folder,
                augment=self.pipeline.augment,
                preprocess=self.pipeline.preprocess,
                device=self.device,
                progress=self.progress,
                observers=self.observers,
                resume=self.resume,
            )
        self.summary |= {"epochs": result.epochs, "steps": result.steps}

    def _evaluate(self) -> None:
        first = next((name for name in ("val", "test") if name in self.pipeline.splits), None)
        for name in ("val", "test"):
            if name not in self.pipeline.splits:
                continue
            with closing(self.pipeline.loader(name)) as loader:
                measured = self._measure(self.module, loader, figures=name == first)
            self.summary |= {f"{name}/{metric}": value for metric, value in measured.metrics.items()}
            self.summary[f"{name}/samples"] = measured.samples
            self.figures += measured.figures
        self.summary["parameters"] = sum(parameter.numel() for parameter in self.module.parameters())
        self.summary["quarantined"] = len(self.pipeline.quarantine)

    def _measure(self, module: Module, loader: Loader, *, figures: bool = False) -> Evaluation:
        from zoo.runner.evaluation import evaluate

        return evaluate(
            self.pipeline.task,
            module,
            loader,
            preprocess=self.pipeline.preprocess,
            device=self.device,
            precision=self.recipe.run.precision,
            progress=self.progress,
            figures=figures,
        )

    def _save(self) -> None:
        """Write `model/`, with the structure that compression left so far."""
        _save_as(self.folder.model, self.module, self.pipeline, self.structure, self._metrics(), self._licence())

    def _compress(self) -> None:
        from zoo.compress import Context, compress, table
        from zoo.runner.device import uses_bf16

        strategies = [(catalog().resolve("compression", slot.name), slot.params) for slot in self.recipe.compress]
        with ExitStack() as stack:
            train, val = (
                stack.enter_context(closing(self.pipeline.loader(name))) if name in self.pipeline.splits else None
                for name in ("train", "val")
            )
            context = Context(
                self.pipeline.task,
                train=train,
                val=val,
                preprocess=self.pipeline.preprocess,
                metrics=lambda module: self._measure(module, val).metrics if val is not None else {},
                device=self.device,
                precision="bf16" if uses_bf16(self.device, self.recipe.run.precision) else "fp32",
            )
            result = compress(self.module, strategies, context, reload=self._reload, progress=self.progress.say)
        self.module, self.structure = result.module, result.structure
        last = result.measurements[-1]
        self.summary |= {f"compressed/{metric}": value for metric, value in last.metrics.items()}
        self.summary |= {"compressed/bytes": last.bytes, "compressed/latency_ms": last.latency_ms}
        self.tables.append(table(result.measurements))
        self._save()

    def _reload(self, module: Module, structure: Sequence[Mapping[str, Any]]) -> tuple[Module, int]:
        """The module as somebody else would load it, and the size of its weights file in bytes."""
        from zoo.artefact import load_model
        from zoo.artefact.manifest import WEIGHTS

        folder = self.folder.path / ".reload"
        try:
            _save_as(folder, module, self.pipeline, structure, {}, self._licence())
            size = (folder / WEIGHTS).stat().st_size
            return load_model(folder, device=self.device).network, size
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _export(self) -> None:
        from zoo.export import export, table

        batches = self._some_batches(samples=32)
        example = tuple(value[:1] for value in batches[0].inputs.values())
        written = []
        for slot in self.recipe.export:
            listed = catalog().resolve("exporter", slot.name)
            written.append(
                export(
                    self.module,
                    listed,
                    slot.params,
                    example=example,
                    path=self.folder.path / f"model{getattr(listed.entry, 'suffix', '')}",
                    batches=batches,
                    predict=self.pipeline.task.predict,
                    inputs=self.pipeline.listed.model.inputs,
                    progress=self.progress.say,
                )
            )
            self.summary[f"export/{listed.entry.name}/max_difference"] = written[-1].max_difference
        self.tables.append(table(written))

    def _some_batches(self, samples: int) -> list[Batch]:
        """Preprocessed batches of the evaluated split, with at least so many samples, or all there are."""
        batches: list[Batch] = []
        with closing(self.pipeline.loader(self._shown)) as loader:
            for batch in loader.epoch(0):
                batches.append(self.pipeline.preprocess(batch.to(self.device)))
                if sum(map(len, batches)) >= samples:
                    break
        if not batches:
            raise RunError("no clip could be decoded to try the model on", hint=f"see {self.folder.quarantine}")
        return batches

    @property
    def _shown(self) -> str:
        """The split whose clips pictures and exports are made of."""
        return next(name for name in ("val", "test", "train") if name in self.pipeline.splits)

    def _report(self) -> None:
        from zoo.report import write_report

        write_report(
            self.folder.path,
            title=self.loaded.name,
            summary=_headlines_first(self.summary),
            history=self.folder.history(),
            figures=self.figures,
            clips=self._frames,
            recipe_yaml=dump(self.loaded.data),
            tables=self.tables,
            diagram=self._diagram(),
            provenance=json.loads(json.dumps(self.facts, default=str)),
        )

    def _diagram(self) -> Path | None:
        from zoo.report import diagram

        (batch, *_) = self._some_batches(samples=1)
        example = tuple(value[:1] for value in batch.inputs.values())
        try:
            return diagram(self.module, example, self.folder.figures / "model.png")
        except Exception as error:  # a picture must not cost a finished run
            self.progress.say(f"the model's diagram could not be drawn: {type(error).__name__}: {error}")
            return None

    def _frames(self, index: int, view: int) -> np.ndarray:
        """Frames (T, H, W, 3) uint8 of an evaluated clip, for film strips."""
        from zoo.data import read_clip, view_position

        sample, spec = self.pipeline.splits[self._shown].samples[index], self.pipeline.clip
        if spec is None:
            raise RunError("the model takes no clip")
        position = view_position(view, self.recipe.data.views)
        clip = read_clip(sample.media, spec, start=sample.start, end=sample.end, position=position)
        return clip.permute(1, 2, 3, 0).numpy()

    def _quarantined(self) -> list[Table]:
        from zoo.report import Table

        bad = self.pipeline.quarantine.entries
        rows = [(entry.media, entry.reason) for entry in bad]
        return [Table("Files that could not be decoded", ("file", "reason"), rows)] if rows else []

    def _publish(self) -> None:
        from zoo.hub import publish

        slot = self.recipe.publish
        if slot is None:
            return
        if not self.may_publish:
            self.progress.say(f"not published to {slot.repo}: the recipe was fetched from elsewhere; say --publish")
            return
        self.progress.say(f"publish {slot.repo}")
        uri = publish(self.folder.path, slot.repo, private=slot.private, licence=slot.licence, tag=slot.tag)
        self.summary["published"] = uri
        self._write_summary()

    def _write_lock(self) -> None:
        import torch

        from zoo.data import fingerprint

        self.facts: dict[str, Any] = {
            "threads": torch.get_num_threads(),
            "data": {name: fingerprint(split) for name, split in self.pipeline.splits.items()},
        }
        if self.pipeline.weights is not None:
            self.facts["weights"] = {"uri": self.pipeline.weights.uri, "sha256": self.pipeline.weights.sha256}
        write_lock(self.folder.lock, self.loaded, **self.facts)

    def _write_summary(self) -> None:
        text = json.dumps(_finite(self.summary), indent=2) + "\n"
        partial = self.folder.summary.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.folder.summary)

    def _metrics(self) -> dict[str, float]:
        """What was measured so far; numbers of the compressed model once there is one."""
        return {name: value for name, value in self.summary.items() if "/" in name and isinstance(value, float)}

    def _licence(self) -> str | None:
        return self.recipe.publish.licence if self.recipe.publish else None


def _save_as(
    folder: Path,
    module: Module,
    pipeline: Pipeline,
    structure: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, float],
    licence: str | None,
) -> None:
    from zoo.artefact import save_model

    save_model(
        folder,
        module,
        model=pipeline.listed.name,
        params=pipeline.recipe.model.params,
        clip=pipeline.clip,
        audio=pipeline.audio,
        inputs=pipeline.listed.model.inputs,
        labels=pipeline.labels,
        task=_reading_task(pipeline),
        structure=structure,
        metrics=metrics,
        licence=licence,
    )


def _reading_task(pipeline: Pipeline) -> dict[str, Any]:
    """The task that reads the model's outputs: what the model is meant for, as the recipe set it up if it did.

    A task that wraps another one, such as distillation, needs its teacher only to train.
    """
    meant_for = catalog().resolve("task", pipeline.listed.model.task).name
    same = pipeline.recipe.task.name == meant_for
    return {"name": meant_for, "params": dict(pipeline.recipe.task.params) if same else {}}


def _headlines_first(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Measured numbers first, facts about the run after them."""
    measured = {name: value for name, value in summary.items() if "/" in name}
    return measured | {name: value for name, value in summary.items() if name not in measured}


def _finite(summary: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what could not be measured is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in summary.items()
    }
