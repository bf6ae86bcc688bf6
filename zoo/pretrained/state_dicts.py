"""State dicts of ours and of other projects, read without running anybody's code."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.artefact.checksums import sha256_of
from zoo.artefact.file_names import MANIFEST, WEIGHTS
from zoo.artefact.weights import read_weights
from zoo.hub.layout import INDEX, PICKLES
from zoo.pretrained.fetching import fetch
from zoo_registry.catalog import cache_folder
from zoo_registry.errors import ArtefactError, Location

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec

_PICKLES = (".pth", ".pt", ".pyth", ".bin", ".ckpt", ".tar")
PICKLED = "read from a pickle: tensors only, no code was run (weights_only=True)"
"""What is said of such weights, also in `zoo.lock`."""

_WRAPPERS = ("model_state", "state_dict", "model", "model_state_dict")
"""Keys under which training scripts of other projects keep the state dict."""


@dataclass(frozen=True)
class Published:
    """A state dict, and where it came from.

    Attributes:
        state: tensors by the publisher's keys.
        uri: where it came from, pinned.
        sha256: of the file that held it; of the first, where there were several.
        pickle: whether that was a pickle.
        clip: what the model that was saved with it wants to see; None where nothing says it.
        untrained: keys that nothing has trained, and that start no other model.
    """

    state: Mapping[str, Tensor]
    uri: str
    sha256: str
    pickle: bool = False
    clip: ClipSpec | None = None
    untrained: frozenset[str] = frozenset()


def read_published(uri: str, *, compressed: bool = False) -> Published:
    """Read what a URI points at: a model folder, a run with one, or one file of weights.

    Args:
        uri: where.
        compressed: whether the network has been given the structure that `structure_of` tells.

    Raises:
        ArtefactError: weights that cannot be trusted or read, or those of a compressed model.
        HubError: a store that cannot be reached.
    """
    from zoo.artefact.manifest import read_manifest

    fetched = fetch(uri, files=(MANIFEST, WEIGHTS))
    folder = model_folder(fetched.path)
    if folder is not None:
        manifest = read_manifest(folder)
        if manifest.structure and not compressed:
            raise ArtefactError(
                f"{fetched.uri} is compressed ({', '.join(step.strategy for step in manifest.structure)}), "
                "its weights fit no network that is not",
                hint="start from the model as it was before compression",
            )
        ours = read_weights(folder / WEIGHTS, sha256=manifest.weights.sha256, immutable=fetched.immutable)
        untrained = frozenset(manifest.untrained)
        return Published(ours, fetched.uri, manifest.weights.sha256, clip=manifest.clip, untrained=untrained)
    state, sha256 = read_checkpoint(fetched.path, immutable=fetched.immutable)
    return Published(state, fetched.uri, sha256, pickle=fetched.path.suffix in _PICKLES)


def structure_of(uri: str) -> tuple[dict[str, Any], ...]:
    """What compression changed in the model that a URI points at: `{strategy, version, record}` in order.

    Raises:
        ArtefactError: a manifest that cannot be trusted.
        HubError: a store that cannot be reached.
    """
    from zoo.artefact.manifest import read_manifest

    folder = model_folder(fetch(uri, files=(MANIFEST, WEIGHTS)).path)
    return tuple(step.model_dump() for step in read_manifest(folder).structure) if folder else ()


def model_folder(path: Path) -> Path | None:
    """The model folder at a path, or within the run there; None for weights of other projects."""
    return next((folder for folder in (path, path / "model") if (folder / MANIFEST).is_file()), None)


def read_checkpoint(path: Path, *, immutable: bool = False) -> tuple[Mapping[str, Tensor], str]:
    """The state dict of a file or folder of any project, and the sha256 of the file that held it.

    Args:
        path: a safetensors file; a pickle that holds a state dict, bare or as training scripts wrap it; a folder with
            `model.safetensors`, whole or in shards.
        immutable: it is in a cache, see `zoo.artefact.weights.read_weights`.

    Raises:
        ArtefactError: nothing of the kind, damaged, or a pickle that holds more than tensors and plain values.
    """
    if path.is_dir() and (path / INDEX).is_file() and not (path / WEIGHTS).is_file():
        return _read_shards(path, immutable)
    file = path / WEIGHTS if path.is_dir() else path
    if file.suffix in _PICKLES:
        sha256 = sha256_of(file)
        return _converted(file, sha256), sha256
    return read_weights(file, immutable=immutable), sha256_of(file)


def pickle_in(folder: Path) -> Path | None:
    """The pickle that holds a folder's weights; None where safetensors do, or nothing does."""
    if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        return None
    return next((folder / name for name in PICKLES if (folder / name).is_file()), None)


def _read_shards(folder: Path, immutable: bool) -> tuple[Mapping[str, Tensor], str]:
    where = Location(str(folder / INDEX))
    try:
        names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ArtefactError(f"not an index of shards: {error}", where=where, hint="fetch it again") from None
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ArtefactError("names no shards beside it", where=where, hint="this was not written by a known library")
    state: dict[str, Tensor] = {}
    for name in names:
        state |= read_weights(folder / name, immutable=immutable)
    return state, sha256_of(folder / names[0])


def _converted(pickle: Path, sha256: str) -> Mapping[str, Tensor]:
    """The state dict of a `.pth` file: read without running code, and only once; then from safetensors in the cache."""
    from safetensors.torch import save_file

    folder = cache_folder() / "weights" / sha256
    for kept in folder.glob("*.safetensors"):
        with suppress(ArtefactError):
            return read_weights(kept, sha256=kept.stem, immutable=True)
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's version
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the damaged or hostile pickle makes it raise
        raise ArtefactError(
            f"not a plain file of weights: {_why_not(error)}",
            where=where,
            hint="only tensors are read from pickles, never code; ask its author for a safetensors file",
        ) from None
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded or not all(map(_is_plain, loaded.values())):
        raise ArtefactError("holds no state dict", where=where, hint="save `model.state_dict()` and nothing else")
    keys = [str(key) for key in loaded]
    # DistributedDataParallel wraps the whole network as `module`.
    prefix = "module." if all(key.startswith("module.") for key in keys) else ""
    return {str(key).removeprefix(prefix): value.clone().contiguous() for key, value in loaded.items()}


def _why_not(error: Exception) -> str:
    """What is wrong with a pickle; torch's own words advise to run its code."""
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        return f"it asks for code, {code[1]}"
    return f"it is damaged, or torch did not write it ({type(error).__name__})"


def _is_plain(value: object) -> bool:
    """Whether it is a tensor of numbers that are all in the file: one stretched over few would fill any memory."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_meta
        and not value.is_quantized
        and value.nbytes <= value.untyped_storage().nbytes()
    )
