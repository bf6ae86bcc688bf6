"""Models brought to this machine: `zoo pull`. Nothing is built, so that it needs neither torch nor the plugin."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.artefact.checksums import sha256_of
from zoo.artefact.file_names import MANIFEST, WEIGHTS
from zoo.artefact.header import check_header
from zoo.artefact.manifest import read_manifest
from zoo.hub.layout import FETCHED, PICKLES, is_shard
from zoo.pretrained.described import describe, licence_of
from zoo_registry.errors import ArtefactError, Location, NameProblem
from zoo_registry.names import Name, reference_kind

if TYPE_CHECKING:
    from zoo_registry.entries import Weights


@dataclass(frozen=True)
class Pulled:
    """A model that is on this machine now, verified.

    Attributes:
        reference: as it was asked for.
        uri: pinned.
        path: folder or file.
        size: of the weights, in bytes.
        sha256: of the weights; of the first file, where there are several.
        licence: of the weights; None when nobody says it.
    """

    reference: str
    uri: str
    path: Path
    size: int
    sha256: str
    licence: str | None


def pull(reference: str, *, allow_pickle: bool = False) -> Pulled:
    """Fetch a model and verify it, or find it in the cache.

    Args:
        reference: a name from the catalogue, with a tag or not, or a URI.
        allow_pickle: of a repository that has nothing else, take the pickle; it is read once, tensors only.

    Raises:
        UnknownName: no such name; the hint has the nearest ones.
        HubError: it cannot be had, or is damaged.
        ArtefactError: its weights are not those that a tag or `model.json` names, or a pickle of more than tensors.

    Example:
        >>> pull("hf://me/motions").licence    # doctest: +SKIP
        'apache-2.0'
    """
    from zoo.pretrained import fetch

    weights = None
    uri = f"file:{reference}" if reference_kind(reference) == "path" else reference
    if reference_kind(reference) == "name":
        try:
            weights = _weights(reference)
            web = weights.sha256 and weights.source.startswith("https://")
            uri = f"{weights.source}#sha256={weights.sha256}" if web else weights.source
        except NameProblem:  # `runs/x` has the form of a name, and is what people type for the run of that name
            run = Path(reference) / "model"
            if not (run / MANIFEST).is_file() and not (run.parent / MANIFEST).is_file():
                raise
            uri = f"file:{run if run.is_dir() else run.parent}"
    fetched = fetch(uri, files=(*FETCHED, *(PICKLES if allow_pickle else ())))
    files = _weights_in(fetched.path)
    for file in files:
        if file.suffix == ".safetensors":
            check_header(file)
    sha256 = sha256_of(files[0])
    if weights and weights.sha256 and not sha256.startswith(weights.sha256):
        raise ArtefactError(
            f"the weights are not those of {reference}: sha256 {sha256[:12]}…, should start with {weights.sha256}",
            where=Location(fetched.uri),
        )
    if fetched.path.is_dir() and files[0].name in PICKLES:
        from zoo.pretrained.state_dicts import read_checkpoint

        read_checkpoint(files[0])
        warnings.warn(f"{fetched.uri} has its weights as a pickle ({files[0].name}): load it with allow_pickle=True",
                      stacklevel=2)  # fmt: skip
    licence = weights.licence if weights else _licence(fetched.path, sha256)
    return Pulled(reference, fetched.uri, fetched.path, sum(file.stat().st_size for file in files), sha256, licence)


def _weights(name: str) -> Weights:
    from zoo_registry.catalog import catalog

    listed = catalog().resolve("model", name)
    tag = Name.parse(name).tag
    if tag is None and not listed.model.weights:
        raise ArtefactError(f"{listed.name} has no published weights", hint="there is nothing to pull")
    return listed.weights(tag) if tag is not None else listed.model.weights[0]


def _weights_in(path: Path) -> list[Path]:
    """The files that hold the weights."""
    if path.is_file():
        return [path]
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / MANIFEST).is_file():
        raise ArtefactError(f"{str(path)!r} has a {MANIFEST} and no {WEIGHTS}", hint="whoever published it left it out")
    found = sorted(file for file in path.iterdir() if is_shard(file.name)) or [
        path / name for name in PICKLES if (path / name).is_file()
    ]
    if not found:
        raise ArtefactError(f"{str(path)!r} holds no weights", hint="a model folder has model.safetensors")
    return found


def _licence(path: Path, sha256: str) -> str | None:
    """What `model.json` says, whose weights these must be; else the card."""
    if not path.is_dir():
        return None
    if not (path / MANIFEST).is_file():
        return licence_of(describe(path))
    manifest = read_manifest(path)
    if manifest.weights.sha256 != sha256:
        raise ArtefactError(
            f"the weights are not those that {MANIFEST} describes",
            where=Location(str(path / WEIGHTS)),
            hint="whoever published it has to publish it again",
        )
    return manifest.licence
