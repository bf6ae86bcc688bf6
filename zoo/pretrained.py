"""Published weights: found by tag or URI, fetched, verified, and put into a module key by key."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.artefact.manifest import MANIFEST, WEIGHTS, read_manifest
from zoo.artefact.weights import differences, misfit, read_weights, sha256_of
from zoo.model import ZooModel
from zoo_registry.catalog import cache_folder
from zoo_registry.errors import ArtefactError, Location
from zoo_registry.names import Name, reference_kind
from zoo_registry.protocols import Fetch, Fetched

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import Weights

_PICKLES = (".pth", ".pt", ".pyth", ".bin", ".ckpt")
_WRAPPERS = ("model_state", "state_dict", "model")
"""Keys under which training scripts of other projects keep the state dict."""


@dataclass(frozen=True)
class LoadedWeights:
    """What went into a module.

    Attributes:
        uri: where the weights came from, pinned.
        sha256: of the file that held them.
        skipped: keys of the classifier that kept their random values, because it has another number of classes.
    """

    uri: str
    sha256: str
    skipped: tuple[str, ...] = ()


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
    entry: Any = listed.entry
    weights = _choose(listed, Name.parse(name).tag) if pretrained else None
    classes = num_classes if num_classes is not None else weights.labels if weights else None
    clip = (weights.clip if weights else None) or entry.clip
    provided = {"num_classes": classes, "labels": (), "inputs": entry.inputs, "clip": clip, "audio": entry.audio}
    network: nn.Module = build(listed, {}, provided)
    loaded = load_weights(network, weights.tag, listed=listed) if weights else None
    if loaded and loaded.skipped:
        warnings.warn(
            f"{listed.name}: {', '.join(loaded.skipped)} start from random values, because the weights are for another "
            f"number of classes than {classes}",
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
    if reference_kind(reference) == "name":
        weights = _choose(listed, reference)
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
        where = reference if reference_kind(reference) == "uri" else f"file:{reference}"
        state, uri, sha256 = _read(where)
    wrong = differences(module.state_dict(), state)
    skipped = _classifier(module, state, wrong)
    if wrong and not skipped:
        raise misfit(listed.name, wrong.values(), where)
    module.load_state_dict({key: value for key, value in state.items() if key not in skipped}, strict=not skipped)
    return LoadedWeights(uri, sha256, skipped)


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
    if path.is_dir() and not (path / MANIFEST).is_file() and (path / "model" / MANIFEST).is_file():
        path = path / "model"
    if path.is_dir() and (path / MANIFEST).is_file():
        manifest = read_manifest(path)
        if manifest.structure:
            raise ArtefactError(
                f"{fetched.uri} is compressed ({', '.join(step.strategy for step in manifest.structure)}), "
                "its weights fit no network that is not",
                hint="start from the model as it was before compression",
            )
        return read_weights(path / WEIGHTS, sha256=manifest.weights.sha256), fetched.uri, manifest.weights.sha256
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix in _PICKLES:
        sha256 = sha256_of(file)
        return _converted(file, sha256), fetched.uri, sha256
    state = read_weights(file)
    return state, fetched.uri, sha256_of(file)


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


def _classifier(module: nn.Module, state: Mapping[str, Tensor], wrong: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that differ, if they are the last layer and differ in the number of classes only; else nothing."""
    own = module.state_dict()
    last = list(own)[len(own) - len(wrong) :]
    if not wrong or list(wrong) != last or len({key.rpartition(".")[0] for key in last}) != 1:
        return ()
    same = all(key in state and state[key].ndim and state[key].shape[1:] == own[key].shape[1:] for key in last)
    return tuple(last) if same else ()
