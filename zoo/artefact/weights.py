"""State dicts in safetensors files: written in full, read with their checksum, compared key by key."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.artefact.checksums import sha256_of
from zoo.artefact.header import PICKLE, first_bytes, pickle_error
from zoo_registry.errors import ArtefactError, Location, Problem

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from zoo.artefact.manifest import WeightsFile

SHOWN = 5
"""How many keys that do not fit are named."""


def write_weights(module: Module, path: Path) -> WeightsFile:
    """Write the state dict of a module.

    Tensors that share memory are written once each, under every key: which of them are one parameter is known to the
    architecture, and `load_model` ties them again.

    Raises:
        ArtefactError: the module keeps things in its state dict that are no tensors, or has weights without memory.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from zoo.artefact.manifest import WeightsFile

    state = _apart({key: _on_cpu(key, value) for key, value in module.state_dict().items()})
    try:
        save_file(state, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise ArtefactError(
            f"the weights cannot be written: {error}", where=Location(str(path)), hint="free some space"
        ) from error
    path.chmod(_mode_of_new_files())
    return WeightsFile(sha256=sha256_of(path), bytes=path.stat().st_size)


def _mode_of_new_files() -> int:
    """What the user's umask says; safetensors writes files that only their owner can read, useless on a shared disk."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _on_cpu(key: str, value: object) -> Tensor:
    import torch

    if not isinstance(value, torch.Tensor):
        raise ArtefactError(
            f"{key!r} in the model's state dict is a {type(value).__name__}, only tensors can be saved",
            hint="keep it as a buffer, or as a parameter of the builder",
        )
    if value.is_meta:
        raise ArtefactError(f"{key!r} has no values yet (it is on the meta device)", hint="load weights first")
    return value.detach().cpu().contiguous()


def _apart(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, none of them sharing memory with another or being a view of more than itself."""
    seen: set[int] = set()
    answer = {}
    for key, tensor in state.items():
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.nbytes
        answer[key] = tensor if whole and storage.data_ptr() not in seen else tensor.clone()
        seen.add(storage.data_ptr())
    return answer


def read_weights(path: Path, *, sha256: str | None = None, immutable: bool = False) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: the file.
        sha256: expected checksum of the whole file.
        immutable: the file is in a cache, where files are replaced and never written to. It is mapped into memory: its
            bytes are read when they are needed, and its checksum is computed once, see `zoo.artefact.checksums`. Of
            any other file the bytes that are checked are the bytes that are used, and the tensors do not depend on it.

    Returns:
        Tensors on the CPU; what is written to them does not reach the file.

    Raises:
        ArtefactError: no such file, another checksum, a pickle, or a damaged or hostile header.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load, load_file

    where = Location(str(path))
    if not path.is_file():
        raise ArtefactError("the weights are missing", where=where, hint="save or fetch the model again")
    data = None if immutable else path.read_bytes()
    if sha256 is not None:
        _check_sum(sha256_of(path) if data is None else hashlib.sha256(data).hexdigest(), sha256, where)
    if (first_bytes(path) if data is None else data[:2]) in PICKLE:
        raise pickle_error(path)
    try:
        return dict(load_file(path) if data is None else load(data))
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise ArtefactError(f"not a safetensors file: {error}", where=where, hint="fetch it again") from None


def _check_sum(found: str, wanted: str, where: Location) -> None:
    if found != wanted:
        raise ArtefactError(
            f"the weights are not those that were saved: sha256 is {found[:12]}…, should be {wanted[:12]}…",
            where=where,
            hint="the file is damaged or was changed; fetch or save the model again",
        )


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, str]:
    """What does not fit, by key, in the order of the model: keys missing, with other shapes or types, or unknown."""
    answer = {}
    for key, wanted in expected.items():
        given = found.get(key)
        if given is None:
            answer[key] = f"{key!r} {_shape(wanted)} is missing from the file"
        elif given.shape != wanted.shape:
            answer[key] = f"{key!r} is {_shape(given)} in the file, {_shape(wanted)} in the model"
        elif given.is_floating_point() != wanted.is_floating_point():
            answer[key] = f"{key!r} is {given.dtype} in the file, {wanted.dtype} in the model"
    unknown = {
        key: f"{key!r} {_shape(value)} is not in the model" for key, value in found.items() if key not in expected
    }
    return answer | unknown


def misfit(
    model: str,
    keys: Iterable[str],
    where: str,
    hint: str = "they belong to another architecture, or to other parameters of this one",
) -> ArtefactError:
    """The error for weights that belong to another model; `keys` are texts of `differences`."""
    texts = list(keys)
    place = Location(where)
    head = Problem(f"the weights do not fit {model}: {len(texts)} of their keys differ", place, hint)
    more = [f"and {len(texts) - SHOWN} more"] if len(texts) > SHOWN else []
    return ArtefactError([head, *(Problem(text) for text in [*texts[:SHOWN], *more])])


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
