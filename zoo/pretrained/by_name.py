"""Models of the catalogue by name, and what a recipe's `model.weights` means."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.artefact.empty import build_empty, fill
from zoo.artefact.file_names import MANIFEST, WEIGHTS
from zoo.data.clip_changes import changed_clip
from zoo.model import ZooModel
from zoo.pretrained.fetching import fetch, uri_of
from zoo.pretrained.fitting import LoadedWeights, fitted, meant_for
from zoo.pretrained.labels import label_names
from zoo.pretrained.state_dicts import Published, model_folder, read_published
from zoo_registry.errors import ArtefactError, Location, ParameterError, UnknownName
from zoo_registry.licences import is_non_commercial
from zoo_registry.names import Name, reference_kind

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import ClipSpec, Model, Weights


def load_by_name(
    name: str,
    *,
    pretrained: bool,
    num_classes: int | None,
    features_only: bool,
    params: Mapping[str, Any],
    clip: Mapping[str, Any],
    device: str | torch.device,
) -> ZooModel:
    """A model of the catalogue; see `zoo.load`."""
    from zoo.build import build
    from zoo_registry.catalog import catalog

    listed = catalog().resolve("model", name)
    entry = listed.model
    weights = _choose(listed, Name.parse(name).tag) if pretrained else None
    classes = num_classes if num_classes is not None else _classes(listed, weights, needed=not features_only)
    seen = changed_clip(clip_of(listed, weights.tag if weights else None), clip, params)
    provided = {"num_classes": classes, "labels": (), "inputs": entry.inputs, "clip": seen, "audio": entry.audio}

    def make() -> nn.Module:
        module: nn.Module = build(listed, params, provided)
        return module

    network, loaded = _filled(listed, weights, make) if weights else (make(), None)
    if weights is not None:
        _say_licence(listed, weights)
    if loaded and loaded.skipped and not features_only:
        warnings.warn(
            f"{listed.name}: {', '.join(loaded.skipped)} start from random values: the weights are "
            f"{meant_for(loaded.classes)}, not for {classes}",
            stacklevel=3,
        )
    whole = weights if loaded and not loaded.skipped else None
    model = ZooModel(
        network,
        name=listed.name,
        params=params,
        num_classes=classes,
        inputs=entry.inputs,
        clip=seen,
        audio=entry.audio,
        labels=label_names(listed, whole) if whole and not features_only else (),
        task=_task(entry),
        licence=weights.licence if weights else entry.licence,
        metrics=whole.metrics if whole else None,
        uri=loaded.uri if loaded else "",
    )
    return (model.as_backbone() if features_only else model).to(device).eval()


def load_weights(module: nn.Module, reference: str, *, listed: Listed, compressed: bool = False) -> LoadedWeights:
    """Put published weights into a freshly built module; what a recipe's `model.weights` means.

    Every key must fit. The one exception is the classifier, the last part of the network, when it was built for another
    number of classes: it keeps its random values, and the answer names its keys. Convolutions that see the input are
    folded where the network takes other channels than the weights, which a warning says.

    What was loaded is also said by the module itself, as `loaded_weights`: a task that is given a teacher looks there
    for the clips that it knows.

    Args:
        module: built by the entry's builder.
        reference: a tag of the entry's weights, or the URI or path of a model folder or weights file.
        listed: the entry, for tags and for words.
        compressed: whether the module was given the structure of a compressed model.

    Raises:
        ArtefactError: unknown tag, weights that fail their checksum, cannot be trusted or do not fit.
        HubError: a store that cannot be reached.

    Example:
        >>> load_weights(network, "k400", listed=catalog().resolve("model", "r3d_18")).skipped    # doctest: +SKIP
        ('fc.weight', 'fc.bias')
    """
    weights = _choose(listed, reference) if reference_kind(reference) == "name" else None
    published = _of_tag(listed, weights) if weights else read_published(uri_of(reference), compressed=compressed)
    fit = fitted(module, published, listed, weights)
    module.load_state_dict(fit.state, strict=not fit.loaded.skipped)
    clip = (weights.clip if weights else published.clip) or listed.model.clip
    loaded = replace(fit.loaded, clip=clip)
    module.loaded_weights = loaded  # type: ignore[assignment]
    return loaded


def clip_of(listed: Listed, reference: str | None) -> ClipSpec | None:
    """The clip spec that goes with a model and the weights it starts from.

    Args:
        listed: the model.
        reference: what a recipe's `model.weights` says: a tag, a URI, a path or None.

    Returns:
        That of the weights where they have one (by their entry, or by the manifest beside them), else the model's own.

    Raises:
        UnknownName: no such tag.
        HubError: a store that cannot be reached.
    """
    if reference is None:
        return listed.model.clip
    if reference_kind(reference) == "name":
        return listed.weights(reference).clip or listed.model.clip
    from zoo.artefact.manifest import read_manifest

    folder = model_folder(fetch(uri_of(reference), files=(MANIFEST, WEIGHTS)).path)
    return (read_manifest(folder).clip if folder else None) or listed.model.clip


def _filled(listed: Listed, weights: Weights, make: Any) -> tuple[nn.Module, LoadedWeights]:
    """A network with published weights, whose parameters were not given random values first."""
    published = _of_tag(listed, weights)
    network = build_empty(make)
    fit = fitted(network, published, listed, weights)
    if not fit.loaded.skipped:
        fill(network, fit.state)
        return network, fit.loaded
    network = make()  # for the random values of the classifier
    network.load_state_dict(fit.state, strict=False)
    return network, fit.loaded


def _of_tag(listed: Listed, weights: Weights) -> Published:
    """The file of a tag, checked against the start of its checksum."""
    web = weights.sha256 and weights.source.startswith("https://")
    published = read_published(f"{weights.source}#sha256={weights.sha256}" if web else weights.source)
    if weights.sha256 and not published.sha256.startswith(weights.sha256.lower()):
        raise ArtefactError(
            f"the weights {weights.tag!r} of {listed.name} are not those it names: sha256 {published.sha256[:12]}…, "
            f"should start with {weights.sha256}",
            where=Location(weights.source),
            hint="the publisher changed the file, or it was damaged on the way; it was not used",
        )
    return published


def _task(entry: Model) -> dict[str, Any] | None:
    """The task that reads its outputs; None where nobody here has it, as with networks for pre-training."""
    from zoo_registry.catalog import catalog

    try:
        return {"name": catalog().resolve("task", entry.task).name, "params": {}}
    except UnknownName:
        return None


def _choose(listed: Listed, tag: str | None) -> Weights:
    if tag is not None:
        return listed.weights(tag)
    offered = listed.model.weights
    if not offered:
        raise ArtefactError(
            f"{listed.name} has no published weights", hint="zoo.load(..., pretrained=False) gives it random ones"
        )
    return offered[0]


def _classes(listed: Listed, weights: Weights | None, *, needed: bool) -> int | None:
    """Outputs of the head where the caller does not say: those of the weights, or of the first that are published."""
    from zoo.build import parameters

    offered = [weights] if weights else listed.model.weights
    classes = next((each.labels for each in offered if each.labels), None)
    asked = next((parameter for parameter in parameters(listed) if parameter.name == "num_classes"), None)
    if classes is not None or asked is None or not asked.required or asked.nullable:
        return classes
    if needed:
        raise ParameterError(
            f"{listed.name} has to know for how many classes it is, and no published weights say it",
            hint=f"zoo.load({listed.name!r}, num_classes=...)",
        )
    return 1  # of a head that is thrown away


def _say_licence(listed: Listed, weights: Weights) -> None:
    if is_non_commercial(weights.licence):
        warnings.warn(
            f"the weights {listed.name}.{weights.tag} are licensed {weights.licence}: no commercial use", stacklevel=4
        )
