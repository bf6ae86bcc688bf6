"""A publisher's state dict, made to fit a module key by key; whatever has to be adapted is said aloud."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.artefact.weights import differences, misfit
from zoo.pretrained.owners import owners_in_words
from zoo_registry.errors import ArtefactError, Location, PluginError, ZooError
from zoo_registry.protocols import StagedNetwork

if TYPE_CHECKING:
    from zoo.pretrained.state_dicts import Published
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import ClipSpec, Weights

Convert = Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]]
"""What `Weights.convert` and the values of `Model.layouts` lead to."""


@dataclass(frozen=True)
class LoadedWeights:
    """What went into a module.

    Attributes:
        uri: where the weights came from, pinned.
        sha256: of the file that held them.
        skipped: keys of the classifier that kept their random values, because it has another number of classes.
        classes: how many the skipped classifier was trained for; None where the file has none.
        pickle: whether they were read from a pickle.
        clip: what the network saw when they were learnt; None where nothing says it.
    """

    uri: str
    sha256: str
    skipped: tuple[str, ...] = ()
    classes: int | None = None
    pickle: bool = False
    clip: ClipSpec | None = None


@dataclass(frozen=True)
class Fitted:
    """A state dict in the keys and shapes of a module.

    Attributes:
        state: everything but the classifier, where that is for other classes.
        loaded: what `load_weights` says of it.
    """

    state: Mapping[str, Tensor]
    loaded: LoadedWeights


def fitted(module: nn.Module, published: Published, listed: Listed, weights: Weights | None) -> Fitted:
    """Make published weights fit a freshly built module, which may be on the meta device.

    The classifier, the last part of the network, is left out where it is for another number of classes. The first
    convolutions of a network for other input channels get the published ones folded.

    Args:
        module: built by the entry's builder.
        published: what was read.
        listed: the entry, for its layouts and for words.
        weights: the record of the tag. None for weights that were given by path or URI: they have the module's own keys
            or are written in one of the model's layouts.

    Raises:
        ArtefactError: keys that are missing, unknown or have another shape; says whose they are where that is known.
    """
    attempts: list[Fitted | dict[str, str] | None]
    attempts = [_attempt(module, published, listed, weights.convert if weights else None)]
    if weights is None and isinstance(attempts[0], dict):
        attempts += [_attempt_quietly(module, published, listed, layout) for layout in listed.model.layouts]
    for attempt in attempts:
        if isinstance(attempt, Fitted):
            return attempt
    wrong = min((attempt for attempt in attempts if isinstance(attempt, dict)), key=len)
    where = weights.source if weights else published.uri
    raise misfit(listed.name, wrong.values(), where, owners_in_words(published.state, published.uri))


def fitted_as(module: nn.Module, published: Published, listed: Listed, convert: Convert | None) -> Fitted:
    """The same for weights whose layout is known: `convert` is what an adapter gave."""
    attempt = _attempt(module, published, listed, convert)
    if isinstance(attempt, Fitted):
        return attempt
    raise misfit(listed.name, attempt.values(), published.uri, owners_in_words(published.state, published.uri))


def _attempt(
    module: nn.Module, published: Published, listed: Listed, convert: str | Convert | None
) -> Fitted | dict[str, str]:
    """The weights read in one way; what differs, by key, where they do not fit."""
    change = converter(listed, convert) if isinstance(convert, str) else convert
    try:
        state = converted(published.state, module, change)
    except ZooError:
        raise
    except Exception as error:  # a plugin's converter may raise anything when it is given what it does not know
        raise ArtefactError(
            f"{listed.name} cannot read these weights as {_named(convert)}: {type(error).__name__}: {error}",
            where=Location(published.uri),
            hint=owners_in_words(published.state, published.uri),
        ) from error
    own = module.state_dict()
    state = {key: value for key, value in state.items() if key not in published.untrained}
    wrong = differences(own, state)
    if wrong:
        state = {**state, **dict(_folded(state, own, module, listed.name))}
        wrong = differences(own, state)
    if not wrong:
        fits = {key: value.to(own[key].dtype) for key, value in state.items()}
        return Fitted(fits, LoadedWeights(published.uri, published.sha256, pickle=published.pickle))
    may_lack = convert is not None or bool(published.untrained)
    skipped = _classifier(own, state, wrong, may_lack=may_lack) or (_new_head(module, state, wrong) if may_lack else ())
    if not skipped:
        return wrong
    classes = next((len(state[key]) for key in skipped if key in state), None)
    fits = {key: value.to(own[key].dtype) for key, value in state.items() if key not in skipped}
    return Fitted(fits, LoadedWeights(published.uri, published.sha256, skipped, classes, published.pickle))


def _named(convert: str | Convert | None) -> str:
    return convert if isinstance(convert, str) else getattr(convert, "__module__", "published")


def _attempt_quietly(
    module: nn.Module, published: Published, listed: Listed, layout: str
) -> Fitted | dict[str, str] | None:
    """The same of a layout that may not be the right one: its converter is heard only where it is."""
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            attempt = _attempt(module, published, listed, layout)
    except Exception:  # a converter that was given another project's keys may raise anything
        return None
    if isinstance(attempt, Fitted):
        for warning in said:
            warnings.warn(warning.message, stacklevel=4)
    return attempt


def converted(state: Mapping[str, Tensor], module: nn.Module, convert: Convert | None) -> dict[str, Tensor]:
    """A publisher's state dict in the module's keys.

    Batch norm's counters came with PyTorch 0.4.1 and some files are older; those that lack start at 0, as PyTorch does.
    """
    state = convert(state, module) if convert is not None else state
    counters = (key for key in module.state_dict() if key.endswith("num_batches_tracked") and key not in state)
    return {**state, **{key: torch.zeros((), dtype=torch.long) for key in counters}}


def converter(listed: Listed, convert: str) -> Convert:
    """The function behind `Weights.convert`, or a name in `Model.layouts`.

    Raises:
        MissingExtra: packages that the model wants are not installed.
        PluginError: there is no such function.
    """
    listed.check_requirements()
    text = listed.model.layouts.get(convert, convert)
    module, _, function = text.partition(":")
    try:
        found: Convert = getattr(importlib.import_module(module), function)
    except Exception as error:  # a plugin may raise anything when it is imported
        raise PluginError(
            f"the converter {text!r} of {listed.name} cannot be imported: {type(error).__name__}: {error}",
            where=listed.plugin.where,
        ) from error
    return found


def refuse_random_classifier(module: nn.Module, loaded: LoadedWeights | None) -> None:
    """Where nothing trains a model that started from weights, its classifier has to come from them.

    Raises:
        ArtefactError: it did not; says both numbers of classes.
    """
    if loaded and loaded.skipped:
        classes = len(module.state_dict()[loaded.skipped[-1]])
        raise ArtefactError(
            f"the weights are {meant_for(loaded.classes)}, the data has {classes}: "
            f"{', '.join(loaded.skipped)} would be random, and this recipe trains nothing",
            where=Location(loaded.uri),
            hint="train it (optim and data.train), or take data with the classes of the weights",
        )


def meant_for(classes: int | None) -> str:
    """How many classes weights are for, in words."""
    return "without a classifier" if classes is None else f"for {classes} classes"


def _folded(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], module: nn.Module, name: str
) -> Iterator[tuple[str, Tensor]]:
    """The weights of convolutions that see the input, where the module takes other channels than the weights.

    For one channel the published ones are added up, which gives a grey clip the answer of its three equal channels; for
    others they are repeated, and scaled so that the sum over channels stays.
    """
    stem = module.stages()[0].layers if isinstance(module, StagedNetwork) else ()
    of_stem = tuple(part for layer in stem for part in layer)
    for key, wanted in own.items():
        given = state.get(key)
        if given is None or given.ndim < 4 or given.ndim != wanted.ndim or given.shape == wanted.shape:
            continue
        if not any(key == part or key.startswith(f"{part}.") for part in of_stem):
            continue
        theirs, ours = given.shape[1], wanted.shape[1]
        if given.shape[:1] != wanted.shape[:1] or given.shape[2:] != wanted.shape[2:]:
            continue
        warnings.warn(f"{name}: {key} is folded from {theirs} input channels to {ours}", stacklevel=5)
        if ours == 1:
            yield key, given.sum(1, keepdim=True)
        else:
            repeated = given[:, [channel % theirs for channel in range(ours)]]
            yield key, repeated * (theirs / ours)


def _classifier(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], wrong: Mapping[str, str], *, may_lack: bool
) -> tuple[str, ...]:
    """The keys that differ, if they are the last layer and differ in the number of classes only; else nothing.

    With `may_lack` the last layer may also be missing as a whole.
    """
    last = list(own)[len(own) - len(wrong) :]
    if not wrong or list(wrong) != last or len({key.rpartition(".")[0] for key in last}) != 1:
        return ()
    if may_lack and not any(key in state for key in last):
        return tuple(last)
    same = all(key in state and state[key].ndim and state[key].shape[1:] == own[key].shape[1:] for key in last)
    return tuple(last) if same else ()


def _new_head(module: nn.Module, state: Mapping[str, Tensor], wrong: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that differ, if the weights have none of them and all are of the head: what comes after a backbone."""
    if not isinstance(module, StagedNetwork) or any(key in state for key in wrong):
        return ()
    parts = [part for layer in module.stages()[-1].layers for part in layer]
    return tuple(wrong) if all(any(f"{key}.".startswith(f"{part}.") for part in parts) for key in wrong) else ()
