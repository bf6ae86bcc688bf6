"""Runs a recipe from end to end: fit, evaluate, compress, export, report, publish; each only if its slot is filled."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo.distributed.processes import ALONE, Processes, joined, lost_connection, part, restarted
from zoo.recipe import (
    LoadedRecipe,
    differences,
    dump,
    load_recipe,
    lock_facts,
    lock_of,
    read_lock,
    resolve_recipe,
    without_folders,
    write_lock,
)
from zoo.runner.folder import RunFolder
from zoo.runner.progress import Progress
from zoo.runner.signals import Terminated, interrupted, sigterm_raises
from zoo_registry.catalog import catalog
from zoo_registry.errors import HubError, Problem, RecipeError, RunError, ZooError
from zoo_registry.names import reference_kind

if TYPE_CHECKING:
    import numpy as np
    from torch.nn import Module

    from zoo.compress import Compressed, Measurement
    from zoo.data import Loader
    from zoo.report import Table
    from zoo.runner.evaluation import Evaluation
    from zoo.runner.pipeline import Pipeline
    from zoo.runner.saving import Reloading
    from zoo_registry.protocols import Batch, Figure

_MADE_OF = ("data.", "weights.", "other_weights.")
"""Parts of a lock that another run cannot share without being another run."""

_UNLOCK = "bring these back as they were, or leave --locked out: the numbers may then be others"


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Attributes:
        folder: where everything is; `report.html` first of all.
        summary: the headline numbers, as in `summary.json`: "val/accuracy", ...
        tables: what was compared: compression before and after, exported files, files that could not be decoded.
        main: whether this process wrote it; of several that trained together one does.
    """

    folder: Path
    summary: Mapping[str, Any]
    tables: Sequence[Table] = ()
    main: bool = True


def run(
    recipe: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    publish: bool = False,
    locked: bool = False,
    profile: bool = False,
    quiet: bool = False,
) -> RunResult:
    """Run whatever a recipe names.

    Args:
        recipe: name, path, URI or plain data; may be left out with `resume`.
        overrides: `"run.epochs=3"` and the like.
        out: folder of the run; by default a new one below `runs/`.
        resume: folder of a run to go on with, from its last checkpoint.
        publish: let a recipe that was fetched from elsewhere publish.
        locked: do not begin where versions, weights or data are not those in the lock beside the recipe.
        profile: look closely at a few steps, and write a trace and the ten longest operations into `profile/`.
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
    overrides = [overrides] if isinstance(overrides, str) else list(overrides)
    loaded = load_checked(recipe, overrides, resume)
    lock = lock_of(recipe) if locked and isinstance(recipe, str | Path) else None
    if locked and lock is None:
        raise RunError("only a recipe that ran elsewhere has a lock", hint="name its run, path or URI")
    with joined(loaded.schema.run.device) as processes:
        folder, resumed = _folder_of(loaded, out, resume, processes)
        loaded = _with_choices(loaded, folder) if resumed else loaded
        with Progress(quiet=quiet or not processes.main) as progress, sigterm_raises():
            return _Stages(loaded, folder, progress, resumed, publish, lock, processes, profile).run()


def _folder_of(
    loaded: LoadedRecipe, out: str | Path | None, resume: str | Path | None, processes: Processes
) -> tuple[RunFolder, bool]:
    """The folder of a run and whether it goes on there; of several processes the main one makes it."""
    if out is None and resume is None and restarted():
        raise RunError("a run that is started again has to know its folder", hint="start it with --out FOLDER")
    if resume is None and restarted() and out is not None and RunFolder(out).recipe.is_file():
        resume = out
    where: str | Path | None = None
    with processes.agreeing():
        if processes.main:
            where = resume or out or RunFolder.fresh(loaded.name)
            known = loaded if resume is None else _with_choices(loaded, RunFolder(where))
            RunFolder.open(where, known.data, resume=resume is not None)
    return RunFolder(processes.first(where), writes=processes.main), resume is not None


def _with_choices(loaded: LoadedRecipe, folder: RunFolder) -> LoadedRecipe:
    """A recipe with `run.auto`, and what the run in a folder has chosen by it."""
    if not loaded.schema.run.auto or not folder.recipe.is_file():
        return loaded
    chosen = load_recipe(folder.recipe).schema.run
    if chosen.auto:
        return loaded
    return _tuned(loaded, {"memory_format": chosen.memory_format, "compile": chosen.compile})


def _tuned(loaded: LoadedRecipe, chosen: Mapping[str, Any]) -> LoadedRecipe:
    """A recipe with the settings that `run.auto` has found, and without it."""
    run = loaded.schema.run.model_copy(update={**chosen, "auto": False})
    plain = run.model_dump(mode="json", include={*chosen, "auto"})
    data = {**loaded.data, "run": {**loaded.data["run"], **plain}}
    return replace(loaded, schema=loaded.schema.model_copy(update={"run": run}), data=data)


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
    return resolve_recipe(load_recipe(recipe, overrides))


def _discard(folder: RunFolder) -> None:
    """Remove the folder of a run that could not start, so that the mended recipe finds its place free."""
    if folder.metrics.exists() or folder.checkpoints.exists() or folder.model.exists():
        return
    for file in (folder.recipe, folder.lock, folder.quarantine):
        file.unlink(missing_ok=True)
    with suppress(OSError):  # whatever else is in there is not ours
        folder.path.rmdir()


@dataclass
class _Stages:
    """One run under way, and what its stages hand on."""

    loaded: LoadedRecipe
    folder: RunFolder
    progress: Progress
    resume: bool
    publish: bool
    lock: Mapping[str, Any] | None = None
    processes: Processes = ALONE
    profile: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    structure: tuple[Mapping[str, Any], ...] = ()
    untrained: Sequence[str] = ()
    energy: Mapping[str, Any] = field(default_factory=dict)
    failed: list[Problem] = field(default_factory=list)

    def run(self) -> RunResult:
        """Every stage whose slot is filled, in order."""
        started, done = time.perf_counter(), False
        self.recipe = self.loaded.schema
        with self.processes.agreeing():
            self._begin()
        try:
            self._train()
            if not self.processes.main:
                return RunResult(self.folder.path, self.summary, main=False)
            self._make()
            self.summary["seconds"] = round(time.perf_counter() - started, 1)
            self._write_summary()
            self._report()
            if self.failed:
                raise RunError(self.failed)
            self._publish()
            done = True
        except KeyboardInterrupt as error:
            number = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
            hint = f"zoo run --resume {self.folder.path} goes on"
            raise self.processes.everywhere(interrupted(number, "outside of training", hint)) from None
        except RuntimeError as error:
            if self.processes.count == 1 or not lost_connection(error):
                raise
            hint = f"zoo run --resume {self.folder.path} goes on from the last checkpoint"
            raise self.processes.everywhere(RunError("another process of this run was lost", hint=hint)) from error
        finally:  # observers tell by the seconds whether the run was finished
            told = {name: value for name, value in self.summary.items() if done or name != "seconds"}
            self.observers.notify("run_end", told)
        return RunResult(self.folder.path, self.summary, self.tables)

    def _begin(self) -> None:
        """Everything that can go wrong before the first step; a run that cannot start leaves no folder."""
        try:
            from zoo.runner.device import configure, place
            from zoo.runner.observers import Observers
            from zoo.runner.pipeline import assemble, build_observers

            self._check_publishing()
            self._check_processes()
            self.device = configure(self.recipe.run)
            self.pipeline: Pipeline = assemble(self.loaded, self.folder.quarantine if self.processes.main else None)
            place(self.pipeline.task, self.device)
            self.pipeline.preprocess.to(self.device)
            watching = build_observers(self.recipe.run.observers, self.pipeline.provided) if self.processes.main else []
            self.observers = Observers(watching, self.progress.say)
            if self.processes.main:
                self._write_lock()
        except BaseException:
            if not self.resume and self.processes.main:
                _discard(self.folder)
            raise
        self.observers.notify("run_start", self.folder.path, self.loaded.data)
        self.summary |= {"recipe": self.facts.get("name", self.loaded.name), "model": self.pipeline.listed.name}
        self.summary["device"] = str(self.device)
        notes = [f"{split.name}: {note}" for split in self.pipeline.splits.values() for note in split.notes]
        if notes:
            self.summary["notes"] = notes
        for note in notes:
            self.progress.say(note)
        if self.pipeline.skipped:
            self.progress.say(f"new classifier, not from the weights: {', '.join(self.pipeline.skipped)}")

    def _check_processes(self) -> None:
        """What several processes cannot do, said before the first step."""
        from zoo.runner.device import choose_device
        from zoo.runner.precision import resolved

        run, count, problems = self.recipe.run, self.processes.count, []
        if run.batch % count:
            problems.append(
                Problem(
                    f"a batch of {run.batch} cannot be divided over {count} processes",
                    self.loaded.where(("run", "batch")),
                    f"write run.batch: {max(run.batch // count, 1) * count}; it is of all processes together",
                )
            )
        if run.sync_batch_norm and count > 1 and choose_device(run.device).type == "cpu":
            problems.append(
                Problem(
                    "torch has synchronised batch norms for GPUs only",
                    self.loaded.where(("run", "sync_batch_norm")),
                    "remove it",
                )
            )
        fsdp = run.strategy == "fsdp" and count > 1
        if fsdp and resolved(choose_device(run.device), run.precision) == "fp16":
            problems.append(
                Problem(
                    "gradients in fp16 cannot be scaled where parameters are divided (fsdp)",
                    self.loaded.where(("run", "precision")),
                    "write run.precision: bf16, or run.strategy: ddp",
                )
            )
        if problems:
            raise RecipeError(problems)

    def _train(self) -> None:
        """Fit and evaluate, all processes together; afterwards the main one goes on by itself."""
        from zoo.runner.saving import untrained_keys

        if self.recipe.optim is not None and "train" in self.pipeline.splits:
            self._fit()
        self.module: Module = self.pipeline.task.result().eval()
        self.untrained = untrained_keys(self.pipeline)
        self.structure = self.pipeline.structure
        self.processes.share_buffers(self.pipeline.task.state)
        self._evaluate()
        for found in self.processes.gathered(self.pipeline.quarantine.entries):
            for bad in found:
                self.pipeline.quarantine.add(bad)
        self.summary["quarantined"] = len(self.pipeline.quarantine)
        self.summary |= self.energy
        part()

    def _make(self) -> None:
        """From the saved model to the exported files. What training made is kept, also when a later stage fails."""
        self._save()
        try:
            if self.recipe.compress:
                self._compress()
            if self.recipe.export:
                self._export()
        except ZooError as error:
            self.failed += error.problems
        self.tables += self._quarantined()

    def _fit(self) -> None:
        from zoo.runner.loop import fit
        from zoo.runner.profile import StepProfile

        with ExitStack() as stack:
            stack.enter_context(self._metered())
            train = stack.enter_context(closing(self.pipeline.loader("train", train=True)))
            val = stack.enter_context(closing(self.pipeline.loader("val"))) if "val" in self.pipeline.splits else None
            if self.recipe.run.auto:
                self._tune(train)
            profiled = self.profile and self.processes.main
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
                network=self.pipeline.network,
                frozen=self.pipeline.frozen,
                processes=self.processes,
                profile=StepProfile(self.folder.profile, self.device, self.progress.say) if profiled else None,
            )
        self.summary |= {"epochs": result.epochs, "steps": result.steps}
        if result.stopped != "finished":
            self.summary["stopped"] = result.stopped
        if result.skipped:
            self.summary["skipped_steps"] = result.skipped
        self._account(result.clips)

    @contextmanager
    def _metered(self) -> Iterator[None]:
        """Within it what this process draws is counted and noted, also when training is stopped."""
        from zoo.energy.log import EnergyLog
        from zoo.energy.meter import EnergyMeter

        if self.recipe.run.energy == "off":
            yield
            return
        gpus = [self.device.index or 0] if self.device.type == "cuda" else []
        meter = EnergyMeter(gpus)
        try:
            with meter:
                yield
        finally:
            EnergyLog(self.folder.path, self.processes.rank).add(meter.read())

    def _account(self, clips: int) -> None:
        """What training drew, all attempts and processes together."""
        from zoo.energy.log import EnergyLog
        from zoo.energy.meter import together
        from zoo.report.energy import energy_table

        if self.recipe.run.energy == "off":
            return
        energy = together(self.processes.gathered(EnergyLog(self.folder.path, self.processes.rank).total()))
        self.energy = energy.facts(clips, self.recipe.run.carbon_intensity)
        self.tables.append(energy_table(energy))

    def _tune(self, train: Loader) -> None:
        """Find the fastest settings, and write them into the run's recipe, so that it is repeated with the same."""
        import torch

        from zoo.runner.tuning import Tuning

        batch = next(iter(train.epoch(0))).to(self.device)
        generator = torch.Generator().manual_seed(self.recipe.run.seed)
        tuning = Tuning(
            self.pipeline.task,
            self.pipeline.network,
            self.pipeline.preprocess(self.pipeline.augment(batch, generator)),
            self.recipe,
            self.device,
            steps=self.recipe.run.epochs * -(-len(train) // self.recipe.run.accumulate),
            say=self.progress.say,
        )
        with self.processes.agreeing():
            found = tuning.best()
        self.loaded = _tuned(self.loaded, self.processes.first(found))
        self.recipe = self.loaded.schema
        if self.processes.main:
            self.folder.rewrite_recipe(self.loaded.data)

    def _evaluate(self) -> None:
        first = next((name for name in ("val", "test") if name in self.pipeline.splits), None)
        for name in ("val", "test"):
            if name not in self.pipeline.splits:
                continue
            with closing(self.pipeline.loader(name)) as loader:
                measured = self._measure(self.module, loader, figures=name == first, together=True)
            self.summary |= {f"{name}/{metric}": value for metric, value in measured.metrics.items()}
            self.summary[f"{name}/samples"] = measured.samples
            self.figures += measured.figures
        self.summary["parameters"] = sum(parameter.numel() for parameter in self.module.parameters())

    def _measure(self, module: Module, loader: Loader, *, figures: bool = False, together: bool = False) -> Evaluation:
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
            processes=self.processes if together else ALONE,
        )

    def _save(self) -> None:
        """Write `model/`, with the structure that compression left so far."""
        from zoo.runner.saving import save_as

        save_as(
            self.folder.model,
            self.module,
            self.pipeline,
            self.structure,
            self._metrics(),
            self._licence(),
            self.untrained,
        )

    def _compress(self) -> None:
        from zoo.compress import ORIGINAL, table, trade_offs
        from zoo.runner.compression import stages_of

        measurements: Sequence[Measurement] = ()
        try:
            for stage in stages_of(self.pipeline, self.module, self.device, self.progress, self._reloading()):
                measurements = stage.measurements
                if stage.problem is not None:
                    self._keep_rejected(stage)
                    raise RunError([stage.problem])
                if measurements[-1].stage != ORIGINAL:
                    self.module, self.structure = stage.module, stage.structure
                    self._note_compressed(measurements[-1])
                    self._save()
        finally:
            if measurements:
                self.tables.append(table(measurements))
                self.figures += trade_offs(measurements, self.pipeline.task.monitor)

    def _keep_rejected(self, stage: Compressed) -> None:
        """Hours of training may have gone into a model that missed its bound by little."""
        from zoo.runner.saving import save_as

        if stage.rejected is not None:
            module, structure = stage.rejected
            folder = self.folder.path / "rejected"
            save_as(folder, module, self.pipeline, structure, {}, self._licence(), self.untrained)
            self.progress.say(f"the model that missed its bound is in {folder}")

    def _note_compressed(self, measured: Measurement) -> None:
        self.summary |= {f"compressed/{metric}": value for metric, value in measured.metrics.items()}
        self.summary |= {f"compression/{cost}": value for cost, value in measured.costs.items()}

    def _reloading(self) -> Reloading:
        from zoo.runner.saving import Reloading

        return Reloading(self.folder.path / ".reload", self.pipeline, self.device, self._licence(), self.untrained)

    def _export(self) -> None:
        import torch

        from zoo.runner.device import place

        batches = self._some_batches(samples=32)
        place(self.pipeline.task, torch.device("cpu"))  # files are compared on the CPU, by what the task says of them
        try:
            self._write_exports(batches)
        finally:
            place(self.pipeline.task, self.device)

    def _write_exports(self, batches: Sequence[Batch]) -> None:
        from zoo.export import table
        from zoo.runner.exporting import write_exports

        slots, pipeline = self.recipe.export, self.pipeline
        written = write_exports(slots, self.module, pipeline, self.folder, batches, self._shown, self.progress.say)
        for file in written:
            name = f"{file.format}{file.path.name.partition('.')[0].removeprefix('model')}"
            self.summary[f"export/{name}/max_difference"] = file.max_difference
            self.summary[f"export/{name}/bytes"] = file.bytes
            self.summary[f"export/{name}/latency_ms"] = file.latency_ms
        self.tables.append(table(written))

    def _some_batches(self, samples: int) -> list[Batch]:
        """Preprocessed batches of the evaluated split, with at least so many samples, or all there are."""
        batches: list[Batch] = []
        with closing(self.pipeline.loader(self._shown, shuffled=True)) as loader:
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
            title=self.facts["name"],
            summary=_headlines_first(self.summary),
            history=self.folder.history(),
            figures=self.figures,
            clips=self._frames,
            recipe_yaml=dump(without_folders(self.loaded.data)),
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
        from zoo.data.clips.clip import read_views
        from zoo.data.clips.views import evaluation_view
        from zoo.data.decode.embedded import at_hand, decodable
        from zoo.data.decode.film import open_film

        if not self.pipeline.splits[self._shown].samples:
            raise RunError("a stream cannot be asked for a film again")
        sample, spec = at_hand(self.pipeline.splits[self._shown].samples[index]), self.pipeline.clip
        if spec is None:
            raise RunError("the model takes no clip")
        data = self.recipe.data
        shown = evaluation_view(view, clips=data.views, crops=data.crops, sampling=spec.sampling)
        with open_film(decodable(sample.media)) as film:
            (clip,) = read_views(film, spec, [shown], start=sample.start, end=sample.end, canvas=False)
        return clip.pixels_cthw.permute(1, 2, 3, 0).numpy()

    def _quarantined(self) -> list[Table]:
        from zoo.report import Table

        bad = self.pipeline.quarantine.entries
        rows = [(without_folders(entry.media), entry.reason) for entry in bad]
        return [Table("Files that could not be decoded", ("file", "reason"), rows)] if rows else []

    def _check_publishing(self) -> None:
        """What publishing would refuse at the end, said before the first step."""
        slot = self.recipe.publish
        if slot is None:
            return
        from zoo.hub import check_destination, check_licence

        if self._licence() is None:
            raise RecipeError(
                "nothing says under which licence the result is published",
                where=self.loaded.where(("publish",)),
                hint="write publish.licence, such as apache-2.0",
            )
        try:
            check_licence(str(self._licence()))
            if self.publish or not self.loaded.publish_is_foreign:
                check_destination(slot.repo, tag=slot.tag)
        except HubError as error:
            where = self.loaded.where(("publish",))
            raise HubError(replace(each, where=each.where or where) for each in error.problems) from error

    def _publish(self) -> None:
        """Complete `model/` with everything that is published, and publish it if the recipe says so."""
        with TemporaryDirectory() as folder:
            self._publish_with(self._portable(Path(folder)))

    def _publish_with(self, portable: Mapping[str, Path]) -> None:
        from zoo.hub import publish

        publish(self.folder.path, f"file:{self.folder.model}", licence=self._licence(), extra_files=portable)
        slot = self.recipe.publish
        if slot is None:
            return
        if self.facts["foreign_publish"] and not self.publish:
            self.progress.say(f"not published to {slot.repo}: the recipe was fetched from elsewhere; say --publish")
            return
        self.progress.say(f"publish {slot.repo}")
        try:
            uri = publish(
                self.folder.path,
                slot.repo,
                private=slot.private,
                licence=self._licence(),
                tag=slot.tag,
                extra_files=portable,
            )
        except ZooError as error:
            again = (
                f"the run is whole: zoo push {self.folder.path} --to {slot.repo} --licence {self._licence()} sends it"
            )
            raise type(error)(
                replace(each, hint="\n  ".join(filter(None, (each.hint, again)))) for each in error.problems
            ) from error
        self.summary["published"] = uri
        self._write_summary()

    def _portable(self, folder: Path) -> dict[str, Path]:
        """Recipe and lock without the folders of this machine, and the metrics, to go along with the model."""
        recipe = without_folders(self.loaded.data)
        if str(recipe["model"].get("weights")).startswith("file:"):
            del recipe["model"]["weights"]  # a file of this machine; what came of it lies beside
        texts = {
            self.folder.recipe.name: dump(recipe),
            self.folder.lock.name: dump(without_folders(read_lock(self.folder.lock))),
            "metrics.json": json.dumps(_finite(self._metrics()), indent=2) + "\n",
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        return {name: folder / name for name in texts}

    def _write_lock(self) -> None:
        """Record what the run is made of; a resumed one must still be made of the same data and weights."""
        import torch

        from zoo.data import fingerprint
        from zoo.pretrained.state_dicts import PICKLED
        from zoo.runner.device import hardware

        before = read_lock(self.folder.lock) if self.resume and self.folder.lock.is_file() else {}
        self.facts = {
            "name": before.get("name", self.loaded.name),
            "foreign_publish": before.get("foreign_publish", self.loaded.publish_is_foreign),
            "threads": torch.get_num_threads(),
            "hardware": hardware(self.device),
            "data": {name: fingerprint(split) for name, split in self.pipeline.splits.items()},
        }
        if self.pipeline.weights is not None:
            self.facts["weights"] = {"uri": self.pipeline.weights.uri, "sha256": self.pipeline.weights.sha256}
        if self.pipeline.other_weights:
            self.facts["other_weights"] = {other.uri: other.sha256 for other in self.pipeline.other_weights}
        loaded = [weights for weights in (self.pipeline.weights, *self.pipeline.other_weights) if weights is not None]
        if pickles := [{"weights": weights.uri, "warning": PICKLED} for weights in loaded if weights.pickle]:
            self.facts["warnings"] = pickles
        if before:
            self._compare(before)
        if self.lock is not None:
            self._refuse_another(self.lock)
        write_lock(self.folder.lock, self.loaded, **self.facts)

    def _refuse_another(self, lock: Mapping[str, Any]) -> None:
        """Hold what the run is made of against a lock; what cannot change the numbers much is only said."""
        beside = {key: value for key, value in lock.items() if key not in ("name", "foreign_publish")}
        facts = {key: value for key, value in self.facts.items() if key not in ("name", "foreign_publish")}
        changed = differences(beside, lock_facts(self.loaded, **facts))
        if decisive := [line for line in changed if line.startswith(("packages.", "plugins.", *_MADE_OF))]:
            raise RunError(
                [Problem(f"{self.loaded.name} is locked, and {line}") for line in decisive[:-1]]
                + [Problem(f"{self.loaded.name} is locked, and {decisive[-1]}", hint=_UNLOCK)]
            )
        for line in changed:
            self.progress.say(f"unlike in the lock {line}")

    def _compare(self, before: Mapping[str, Any]) -> None:
        changed = differences(before, lock_facts(self.loaded, **self.facts))
        other = [line for line in changed if line.startswith(_MADE_OF)]
        if other:
            raise RunError(
                f"{self.folder.path} was trained on something else: {'; '.join(other)}",
                hint="bring back the files as they were, or start a new run",
            )
        for line in changed:
            self.progress.say(f"since the run began {line}: its numbers may no longer be repeated bit for bit")

    def _write_summary(self) -> None:
        text = json.dumps(_finite(self.summary), indent=2) + "\n"
        partial = self.folder.summary.with_suffix(".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(self.folder.summary)

    def _metrics(self) -> dict[str, float]:
        """What was measured of the model in `model/`: once it is compressed, that is what `val/...` means."""
        measured = {
            name: value
            for name, value in self.summary.items()
            if "/" in name and isinstance(value, float) and not name.startswith(("energy/", "compression/"))
        }
        if not self.structure:
            return measured
        before = {f"original/{name}": value for name, value in measured.items() if name.startswith(("val/", "test/"))}
        after = {
            f"val/{name.removeprefix('compressed/')}": value
            for name, value in measured.items()
            if name.startswith("compressed/")
        }
        costs = {name: value for name, value in self.summary.items() if name.startswith("compression/")}
        return after | before | costs

    def _licence(self) -> str | None:
        """What the recipe says, else the licence of the published weights that the model started from."""
        if self.recipe.publish is not None and self.recipe.publish.licence is not None:
            return self.recipe.publish.licence
        tag = self.recipe.model.weights
        if tag is None or reference_kind(tag) != "name":
            return None
        return catalog().resolve("model", self.recipe.model.name).weights(tag).licence


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
