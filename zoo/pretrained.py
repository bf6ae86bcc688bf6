"""Published weights: found by tag or URI, fetched, verified, and put into a module key by key."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.artefact.manifest import MANIFEST, WEIGHTS, read_manifest
from zoo.artefact.weights import differences, misfit, read_weights, sha256_of
from zoo.model import ZooModel
from zoo_registry.catalog import cache_folder
from zoo_registry.errors import ArtefactError, Location, ParameterError, PluginError
from zoo_registry.names import Name, reference_kind
from zoo_registry.protocols import Fetch, Fetched

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import ClipSpec, Weights

_PICKLES = (".pth", ".pt", ".pyth", ".bin", ".ckpt")
_WRAPPERS = ("model_state", "state_dict", "model")
"""Keys under which training scripts of other projects keep the state dict."""

Convert = Callable[[Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]]
"""What `Weights.convert` leads to."""


@dataclass(frozen=True)
class LoadedWeights:
    """What went into a module.

    Attributes:
        uri: where the weights came from, pinned.
        sha256: of the file that held them.
        skipped: keys of the classifier that kept their random values, because it has another number of classes.
        classes: how many the skipped classifier was trained for; None where the file has none.
    """

    uri: str
    sha256: str
    skipped: tuple[str, ...] = ()
    classes: int | None = None


def fetch(uri: str, *, files: Iterable[str] | None = None) -> Fetched:
    """Bring what a URI points at, through the fetcher of its scheme.

    Raises:
        UnknownName: no plugin knows the scheme.
        HubError: it cannot be reached.
    """
    from zoo.build import build
    from zoo_registry.catalog import catalog

    fetcher: Fetch = build(catalog().resolve("fetcher", uri.partition(":")[0]), {})
    return fetcher(uri, files=files)


def load_by_name(name: str, *, pretrained: bool, num_classes: int | None, device: str | torch.device) -> ZooModel:
    """A model of the catalogue; see `zoo.load`."""
    from zoo.build import build
    from zoo_registry.catalog import catalog

    listed = catalog().resolve("model", name)
    entry = listed.model
    weights = _choose(listed, Name.parse(name).tag) if pretrained else None
    classes = num_classes if num_classes is not None else _classes(listed, weights)
    clip = clip_of(listed, weights.tag if weights else None)
    provided = {"num_classes": classes, "labels": (), "inputs": entry.inputs, "clip": clip, "audio": entry.audio}
    network: nn.Module = build(listed, {}, provided)
    loaded = load_weights(network, weights.tag, listed=listed) if weights else None
    if loaded and loaded.skipped:
        warnings.warn(
            f"{listed.name}: {', '.join(loaded.skipped)} start from random values: the weights are "
            f"{_meant_for(loaded.classes)}, not for {classes}",
            stacklevel=3,
        )
    model = ZooModel(
        network,
        name=listed.name,
        num_classes=classes,
        inputs=entry.inputs,
        clip=clip,
        audio=entry.audio,
        task={"name": catalog().resolve("task", entry.task).name, "params": {}},
        licence=weights.licence if weights else entry.licence,
        metrics=weights.metrics if weights else None,
        uri=loaded.uri if loaded else "",
    )
    return model.to(device).eval()


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
    folder = _model_folder(fetch(_uri(reference), files=(MANIFEST, WEIGHTS)).path)
    return (read_manifest(folder).clip if folder else None) or listed.model.clip


def load_weights(module: nn.Module, reference: str, *, listed: Listed) -> LoadedWeights:
    """Put published weights into a freshly built module; what a recipe's `model.weights` means.

    Every key must fit. The one exception is the classifier, the last part of the network, when it was built for another
    number of classes: it keeps its random values, and the answer names its keys.

    Args:
        module: built by the entry's builder.
        reference: a tag of the entry's weights, or the URI or path of a model folder or weights file.
        listed: the entry, for tags and for words.

    Raises:
        ArtefactError: unknown tag, weights that fail their checksum, cannot be trusted or do not fit.
        HubError: a store that cannot be reached.

    Example:
        >>> load_weights(network, "k400", listed=catalog().resolve("model", "r3d_18")).skipped    # doctest: +SKIP
        ('fc.weight', 'fc.bias')
    """
    weights = _choose(listed, reference) if reference_kind(reference) == "name" else None
    if weights is not None:
        state, uri, sha256 = _read(_with_checksum(weights))
        where = weights.source
        if weights.sha256 and not sha256.startswith(weights.sha256.lower()):
            raise ArtefactError(
                f"the weights {weights.tag!r} of {listed.name} are not those it names: sha256 {sha256[:12]}…, "
                f"should start with {weights.sha256}",
                where=Location(where),
                hint="the publisher changed the file, or it was damaged on the way; it was not used",
            )
    else:
        where = _uri(reference)
        state, uri, sha256 = _read(where)
    convert = _converter(listed, weights) if weights else None
    if convert is not None:
        state = convert(state, module)
    wrong = differences(module.state_dict(), state)
    skipped = _classifier(module, state, wrong, may_lack=convert is not None)
    if wrong and not skipped:
        raise misfit(listed.name, wrong.values(), where)
    module.load_state_dict({key: value for key, value in state.items() if key not in skipped}, strict=not skipped)
    return LoadedWeights(uri, sha256, skipped, next((len(state[key]) for key in skipped if key in state), None))


def refuse_random_classifier(module: nn.Module, loaded: LoadedWeights | None) -> None:
    """Where nothing trains a model that started from weights, its classifier has to come from them.

    Raises:
        ArtefactError: it did not; says both numbers of classes.
    """
    if loaded and loaded.skipped:
        classes = len(module.state_dict()[loaded.skipped[0]])
        raise ArtefactError(
            f"the weights are {_meant_for(loaded.classes)}, the data has {classes}: "
            f"{', '.join(loaded.skipped)} would be random, and this recipe trains nothing",
            where=Location(loaded.uri),
            hint="train it (optim and data.train), or take data with the classes of the weights",
        )


def _meant_for(classes: int | None) -> str:
    return "without a classifier" if classes is None else f"for {classes} classes"


def _classes(listed: Listed, weights: Weights | None) -> int | None:
    """Outputs of the head where the caller does not say: those of the weights, or of the first that are published."""
    from zoo.build import parameters

    offered = [weights] if weights else listed.model.weights
    classes = next((each.labels for each in offered if each.labels), None)
    asked = next((parameter for parameter in parameters(listed) if parameter.name == "num_classes"), None)
    if classes is None and asked is not None and asked.required and not asked.nullable:
        raise ParameterError(
            f"{listed.name} has to know for how many classes it is, and no published weights say it",
            hint=f"zoo.load({listed.name!r}, num_classes=...)",
        )
    return classes


def _converter(listed: Listed, weights: Weights) -> Convert | None:
    """The function behind `Weights.convert`."""
    if weights.convert is None:
        return None
    module, _, function = weights.convert.partition(":")
    try:
        convert: Convert = getattr(importlib.import_module(module), function)
    except Exception as error:  # a plugin may raise anything when it is imported
        raise PluginError(
            f"the converter of the weights {weights.tag!r} of {listed.name}, {weights.convert!r}, cannot be imported: "
            f"{type(error).__name__}: {error}",
            where=listed.plugin.where,
        ) from error
    return convert


def _uri(reference: str) -> str:
    return reference if reference_kind(reference) == "uri" else f"file:{reference}"


def _choose(listed: Listed, tag: str | None) -> Weights:
    if tag is not None:
        return listed.weights(tag)
    offered: tuple[Weights, ...] = listed.entry.weights  # type: ignore[attr-defined]
    if not offered:
        raise ArtefactError(
            f"{listed.name} has no published weights", hint="zoo.load(..., pretrained=False) gives it random ones"
        )
    return offered[0]


def _with_checksum(weights: Weights) -> str:
    if weights.sha256 and weights.source.startswith("https://"):
        return f"{weights.source}#sha256={weights.sha256}"
    return weights.source


def _read(uri: str) -> tuple[Mapping[str, Tensor], str, str]:
    """State dict, pinned URI and checksum of what a URI points at: a model folder, or one file."""
    fetched = fetch(uri, files=(MANIFEST, WEIGHTS))
    path = fetched.path
    folder = _model_folder(path)
    if folder is not None:
        manifest = read_manifest(folder)
        if manifest.structure:
            raise ArtefactError(
                f"{fetched.uri} is compressed ({', '.join(step.strategy for step in manifest.structure)}), "
                "its weights fit no network that is not",
                hint="start from the model as it was before compression",
            )
        return read_weights(folder / WEIGHTS, sha256=manifest.weights.sha256), fetched.uri, manifest.weights.sha256
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix in _PICKLES:
        sha256 = sha256_of(file)
        return _converted(file, sha256), fetched.uri, sha256
    state = read_weights(file)
    return state, fetched.uri, sha256_of(file)


def _model_folder(path: Path) -> Path | None:
    """The model folder at a path, or within the run there; None for weights of other projects."""
    return next((folder for folder in (path, path / "model") if (folder / MANIFEST).is_file()), None)


def _converted(pickle: Path, sha256: str) -> Mapping[str, Tensor]:
    """The state dict of a `.pth` file: read without running code, and only once; then from safetensors in the cache."""
    from safetensors.torch import save_file

    folder = cache_folder() / "weights" / sha256
    for kept in folder.glob("*.safetensors"):
        with suppress(ArtefactError):
            return read_weights(kept, sha256=kept.stem)
    state = _unpickled(pickle)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{os.getpid()}.tmp"
    try:
        save_file(state, temporary)
        temporary.replace(folder / f"{sha256_of(temporary)}.safetensors")
    finally:
        temporary.unlink(missing_ok=True)
    return state


def _unpickled(path: Path) -> dict[str, Tensor]:
    where = Location(str(path))
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the damaged or hostile pickle makes it raise
        raise ArtefactError(
            f"not a plain file of weights: {str(error).splitlines()[0]}",
            where=where,
            hint="only tensors are read from pickles, never code; ask its author for a safetensors file",
        ) from None
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise ArtefactError("holds no state dict", where=where, hint="save `model.state_dict()` and nothing else")
    return {str(key): value.clone().contiguous() for key, value in loaded.items()}


def _classifier(
    module: nn.Module, state: Mapping[str, Tensor], wrong: Mapping[str, str], *, may_lack: bool
) -> tuple[str, ...]:
    """The keys that differ, if they are the last layer and differ in the number of classes only; else nothing.

    With `may_lack` the last layer may also be missing as a whole.
    """
    own = module.state_dict()
    last = list(own)[len(own) - len(wrong) :]
    if not wrong or list(wrong) != last or len({key.rpartition(".")[0] for key in last}) != 1:
        return ()
    if may_lack and not any(key in state for key in last):
        return tuple(last)
    same = all(key in state and state[key].ndim and state[key].shape[1:] == own[key].shape[1:] for key in last)
    return tuple(last) if same else ()
