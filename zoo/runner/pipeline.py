"""Builds everything a recipe names, in the order in which one thing needs another.

sources -> splits and labels -> model (and the weights it starts from) -> losses -> task -> augmentation
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.build import build
from zoo_registry.catalog import Listed, cache_folder, catalog
from zoo_registry.entries import AudioSpec, ClipSpec
from zoo_registry.errors import ParameterError, PluginError, Problem, RecipeError
from zoo_registry.names import reference_kind
from zoo_registry.spec_rules import NATIVE

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from zoo.data import Loader, Preprocess, Quarantine, Split
    from zoo.pretrained import LoadedWeights
    from zoo.recipe import LoadedRecipe
    from zoo.recipe.schema import Component, LossSlot, RecipeSchema
    from zoo.runner.freeze import Frozen
    from zoo_registry.protocols import Augment, Batch, Task

SPLITS = ("train", "val", "test")


@dataclass
class Pipeline:
    """What a recipe names, built.

    Attributes:
        recipe: the validated recipe.
        listed: the model in the catalogue; `task.result()` is the module.
        clip, audio: what its inputs look like, with the recipe's changes.
        clips: the same by split, with what is changed for each of them.
        labels: class names in the order of the outputs, empty where targets are no classes.
        network: the model as it was built, whatever the task puts around it.
        frozen: the part of it that does not learn.
        task: the built task; holds the model.
        splits: opened data by name.
        augment: the recipe's augmentations on the device, one after the other.
        preprocess: from uint8 clips to what the model takes, degraded where the task says so.
        quarantine: files that could not be decoded.
        weights: what the model started from, None for random values.
        other_weights: of models that the task holds beside it, such as a teacher.
        provided: what builders may ask for, such as labels and seed.
        worker_augment: the recipe's augmentations in the processes that decode, None for none.
    """

    recipe: RecipeSchema
    listed: Listed
    clip: ClipSpec | None
    audio: AudioSpec | None
    clips: Mapping[str, ClipSpec | None]
    labels: tuple[str, ...]
    network: Module
    frozen: Frozen
    task: Task
    splits: Mapping[str, Split]
    augment: Augment
    preprocess: Preprocess
    quarantine: Quarantine
    weights: LoadedWeights | None = None
    other_weights: Sequence[LoadedWeights] = ()
    provided: Mapping[str, Any] = field(default_factory=dict)
    worker_augment: Augment | None = None

    @property
    def skipped(self) -> Sequence[str]:
        """Parameters of the classifier that did not come from the weights."""
        return self.weights.skipped if self.weights else ()

    @property
    def structure(self) -> tuple[Mapping[str, Any], ...]:
        """What compression had changed in the model whose weights it starts from."""
        return structure_of_weights(self.recipe.model.weights)

    def loader(self, split: str, *, train: bool = False, shuffled: bool = False) -> Loader:
        """Batches of a split: as training wants them, or as evaluation does.

        Args:
            split: `train`, `val` or `test`.
            train: draw clips and their order.
            shuffled: evaluation's clips in an order that the seed draws, so that the first few batches show what is
                in the data and not only its first class.
        """
        from zoo.data import Decoder, Loader
        from zoo.data.loading.plan import Share

        data, run = self.recipe.data, self.recipe.run
        return Loader(
            self.splits[split].shuffled(run.seed) if shuffled else self.splits[split],
            inputs=self.listed.model.inputs,
            clip=self.clips[split],
            audio=self.audio,
            batch=run.batch // Share.own().ranks,
            views=self.task.views if train else data.views,
            crops=1 if train else data.crops,
            train=train,
            seed=run.seed,
            balance=data.balance if train else "none",
            repeat=data.repeat if train else 1,
            augment=self.worker_augment if train else None,
            workers=data.workers,
            decoder=Decoder(**data.decoder.model_dump()),
            on_bad=data.on_bad,
            quarantine=self.quarantine,
            max_bad=data.max_bad,
        )


def assemble(loaded: LoadedRecipe, quarantine: Path | None = None) -> Pipeline:
    """Build what a recipe names, on the CPU.

    Args:
        loaded: a recipe that `zoo.recipe.check_recipe` finds no problem with.
        quarantine: file that gets a line for every file that cannot be decoded.

    Raises:
        ZooError: a decoder or data that is not there or does not fit, weights that do not fit, a stage to freeze that
            the model does not have, an objective or parameters to optimise that the task does not have.
    """
    import torch

    from zoo.data import Quarantine
    from zoo.data.clip_changes import changed_clip
    from zoo.data.preprocess import preprocess_for
    from zoo.data.split import check_targets
    from zoo.optim.objective_optimizer import objective_problems
    from zoo.pretrained import clip_of, refuse_random_classifier
    from zoo.runner.reading import check_reading

    check_reading(loaded)
    recipe = loaded.schema
    listed = catalog().resolve("model", recipe.model.name)
    changes = recipe.data.clip.changes
    clip = changed_clip(clip_of(listed, recipe.model.weights), changes, recipe.model.params)
    provided: dict[str, Any] = {
        "seed": recipe.run.seed,
        "cache": cache_folder(),
        "base": loaded.base,
        "clip": clip,
        "audio": listed.model.audio,
        "inputs": listed.model.inputs,
    }
    splits = open_splits(recipe, provided)
    clips = {name: changed_clip(clip, getattr(recipe.data, name).clip.changes) for name in splits}
    task_entry = catalog().resolve("task", recipe.task.name)
    for split in splits.values():
        check_targets(split, getattr(task_entry.entry, "targets", ()), task_entry.name)
    labels = next(iter(splits.values())).labels if splits else ()
    provided |= {"labels": labels} | ({"num_classes": len(labels)} if labels else {})

    torch.manual_seed(recipe.run.seed)
    with placed(loaded, ("data", "clip") if changes else ("model", "name")):
        module, weights = build_model(listed, recipe.model.params, recipe.model.weights, provided)
    if recipe.optim is None or "train" not in splits:
        refuse_random_classifier(module, weights)
    frozen = set_for_training(module, loaded)
    provided_to_task = provided | {"model": module, "losses": build_losses(recipe.loss, provided)}
    in_workers = [slot for slot in recipe.augment if slot.where == "worker"]
    others: list[LoadedWeights] = []  # of models that the task holds beside, such as a teacher
    task = build(
        task_entry,
        recipe.task.params,
        provided_to_task,
        load_weights=lambda *what: others.append(load_weights_of_part(*what)),
    )
    if recipe.optim is not None and "train" in splits:
        problems = objective_problems(task, task.objectives(), recipe.optim, module, loaded.where)
        if problems:
            raise ParameterError(problems)
    in_training = provided | {"clip": clips.get("train", clip)}
    return Pipeline(
        recipe=recipe,
        listed=listed,
        clip=clip,
        audio=listed.model.audio,
        clips=clips,
        labels=labels,
        network=module,
        frozen=frozen,
        task=task,
        splits=splits,
        augment=build_augment(
            [slot for slot in recipe.augment if slot.where == "device"], in_training, _last_crop(clip, clips)
        ),
        preprocess=preprocess_for(task, _as_large_as_they_come(clip, clips)),
        quarantine=Quarantine(quarantine),
        weights=weights,
        other_weights=others,
        provided=provided,
        worker_augment=build_augment(in_workers, in_training) if in_workers else None,
    )


def _as_large_as_they_come(clip: ClipSpec | None, clips: Mapping[str, ClipSpec | None]) -> ClipSpec | None:
    """The spec to preprocess by: where splits have sizes of their own, clips were cropped to them before."""
    own = {spec.size for spec in clips.values() if spec is not None}
    return clip if clip is None or own <= {clip.size} else replace(clip, size=NATIVE, resize=None)


def _last_crop(clip: ClipSpec | None, clips: Mapping[str, ClipSpec | None]) -> Sequence[Augment]:
    """What cuts training clips to a size of their own, where no augmentation has."""
    from zoo.data.preprocess import CentreCrop

    train = clips.get("train")
    if train is None or train.native or _as_large_as_they_come(clip, clips) is clip:
        return ()
    return (CentreCrop(train.height_width),)


@contextmanager
def placed(loaded: LoadedRecipe, at: tuple[str, ...]) -> Iterator[None]:
    """Give what builders say of values the place in the recipe where they most likely come from."""
    try:
        yield
    except ParameterError as error:
        place = loaded.where(at)
        told = (Problem(problem.message, problem.where or place, problem.hint) for problem in error.problems)
        raise ParameterError(told) from error


def open_splits(
    recipe: RecipeSchema, provided: Mapping[str, Any], labels: Sequence[str] | None = None
) -> dict[str, Split]:
    """Open every split the recipe names; without given labels the first one says what they are."""
    from zoo.data import open_split
    from zoo.data.stream_split import open_stream
    from zoo_registry.protocols import SampleStream

    splits: dict[str, Split] = {}
    for name in SPLITS:
        slot: Component | None = getattr(recipe.data, name)
        if slot is None:
            continue
        source = build(catalog().resolve("source", slot.name), slot.params, {**provided, "split": name})
        opened = open_stream if isinstance(source, SampleStream) else open_split
        splits[name] = opened(source, name, labels)
        labels = splits[name].labels if labels is None else labels
    if not splits:
        raise RecipeError("the recipe names no data", hint="fill data.train, data.val or data.test")
    return splits


def build_model(
    listed: Listed, params: Mapping[str, Any], weights: str | None, provided: Mapping[str, Any]
) -> tuple[Module, LoadedWeights | None]:
    """Build a model and give it the weights it starts from, if any; from a compressed model its structure too."""
    from zoo.compress.structure import restore_structure
    from zoo.pretrained import load_weights

    module: Module = build(listed, params, provided, load_weights=load_weights_of_part)
    if weights is None:
        return module, None
    structure = structure_of_weights(weights)
    if structure:
        module = restore_structure(module, structure)
    return module, load_weights(module, weights, listed=listed, compressed=bool(structure))


def structure_of_weights(weights: str | None) -> tuple[Mapping[str, Any], ...]:
    """What compression had changed in the model that a run starts from."""
    from zoo.pretrained.fetching import uri_of
    from zoo.pretrained.state_dicts import structure_of

    return () if weights is None or reference_kind(weights) == "name" else structure_of(uri_of(weights))


def set_for_training(network: Module, loaded: LoadedRecipe) -> Frozen:
    """Freeze what the recipe freezes, and turn gradient checkpointing on where it says so.

    Returns:
        The part of the network that does not learn.
    """
    from zoo.runner.freeze import Frozen, freeze
    from zoo.runner.gradient_checkpointing import enable_gradient_checkpointing

    if loaded.schema.run.gradient_checkpointing:
        enable_gradient_checkpointing(network, where=loaded.where(("run", "gradient_checkpointing")))
    if loaded.schema.model.freeze is None:
        return Frozen()
    return freeze(network, loaded.schema.model.freeze.until, where=loaded.where(("model", "freeze", "until")))


def load_weights_of_part(module: Module, listed: Listed, reference: str) -> LoadedWeights:
    """Give a model inside a task or model, such as a teacher, the weights it starts from."""
    from zoo.pretrained import load_weights

    return load_weights(module, reference, listed=listed)


def build_losses(
    slots: Mapping[str, Sequence[LossSlot]], provided: Mapping[str, Any]
) -> dict[str, Callable[[Tensor, Any], Tensor]]:
    """The loss of every role, a weighted sum where the recipe lists several."""
    return {
        role: WeightedSum(
            [slot.weight for slot in listed],
            [build_loss(slot, provided) for slot in listed],
        )
        for role, listed in slots.items()
    }


def build_loss(slot: LossSlot, provided: Mapping[str, Any]) -> Callable[[Tensor, Any], Tensor]:
    """One loss."""
    listed = catalog().resolve("loss", slot.name)
    loss = build(listed, slot.params, provided)
    if not callable(loss):
        raise PluginError(
            f"{listed.name} built a {type(loss).__name__}, not a loss that can be called",
            hint=f"it comes from {listed.plugin.distribution} {listed.plugin.version}",
        )
    return loss  # type: ignore[no-any-return]


@dataclass
class WeightedSum:
    """Several losses of one prediction as one."""

    weights: Sequence[float]
    losses: Sequence[Callable[[Tensor, Any], Tensor]]

    def __call__(self, prediction: Tensor, target: Any) -> Tensor:
        """The sum of every loss times its weight, a scalar."""
        terms = [weight * loss(prediction, target) for weight, loss in zip(self.weights, self.losses, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total


def build_augment(
    slots: Sequence[Component], provided: Mapping[str, Any], following: Sequence[Augment] = ()
) -> Augment:
    """The recipe's augmentations as one, neighbours merged where they can be, and what follows them."""
    named = [build(catalog().resolve("augmentation", slot.name), slot.params, provided) for slot in slots]
    return chained([*named, *following])


def chained(steps: Iterable[Augment]) -> Chain:
    """Augmentations one after the other; each pair of neighbours that can be one step is one (`FusibleAugment`)."""
    from zoo_registry.protocols import FusibleAugment

    merged: list[Augment] = []
    for step in steps:
        both = merged[-1].fused(step) if merged and isinstance(merged[-1], FusibleAugment) else None
        if both is None:
            merged.append(step)
        else:
            merged[-1] = both
    return Chain(merged)


def build_observers(slots: Sequence[Component], provided: Mapping[str, Any] = {}) -> list[object]:
    """The recipe's observers."""
    return [build(catalog().resolve("observer", slot.name), slot.params, provided) for slot in slots]


@dataclass
class Chain:
    """Augmentations one after the other, drawing from one generator."""

    steps: Sequence[Augment]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch after every step."""
        for step in self.steps:
            batch = step(batch, generator)
        return batch
