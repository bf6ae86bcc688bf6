"""The fetcher of `hf://`: named files of one commit, verified, from the Hub or from the cache."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from zoo.artefact.file_names import WEIGHTS
from zoo.artefact.weights import sha256_of
from zoo.hub.client import TIMEOUT, Unreachable, api, clear_words, set_environment, split_reference
from zoo.hub.layout import FETCHED
from zoo_registry.errors import HubError
from zoo_registry.protocols import Fetch, Fetched

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository.

    Attributes:
        repository: `org/name`.
        commit: its 40 digits.
        digests: checksum by file name, as the Hub tells it: sha256 of large files, git's blob id of small ones; empty
            when the Hub was not asked.
        paths: the files that are here, by name.
    """

    repository: str
    commit: str
    digests: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)


def hub_fetcher() -> Fetch:
    """Builder of the fetcher of `hf://`."""
    return fetch_repository


def fetch_repository(uri: str, *, files: Iterable[str] | None = None) -> Fetched:
    """Fetch files of a model repository.

    The revision is resolved to a commit first, and only that commit is read. A copy in the cache is verified like a
    fresh one; a damaged file is fetched once more. When the Hub cannot be reached, the copy in the cache serves and a
    warning says so.

    Args:
        uri: `hf://org/name` or `hf://org/name@revision`.
        files: of these, the ones that the repository has; all that a model can have by default.

    Returns:
        The folder of the snapshot, and the URI with the commit.

    Raises:
        HubError: no such repository, no access, nothing fit to use in it, or not to be had now.
    """
    repository, revision = split_reference(uri)
    wanted = tuple(files) if files is not None else FETCHED
    unknown = [name for name in wanted if name not in FETCHED]
    if unknown:
        raise HubError(f"{unknown[0]!r} is no file of a model", hint=f"a model has {', '.join(FETCHED)}")
    snapshot = _cached(repository, revision, wanted)
    # A commit never changes: when it is here completely, there is nothing to ask.
    if not (snapshot and snapshot.commit == revision and set(snapshot.paths) == set(wanted)):
        try:
            snapshot = _download_all(_resolve(repository, revision), revision, wanted)
        except Unreachable as error:
            return _fetched(_instead(snapshot, repository, wanted, error))
    return _fetched(_healed(snapshot))


def _fetched(snapshot: Snapshot) -> Fetched:
    folder = next(iter(snapshot.paths.values())).parent
    return Fetched(folder, f"hf://{snapshot.repository}@{snapshot.commit}")


def _resolve(repository: str, revision: str | None) -> Snapshot:
    with clear_words(repository, revision):
        info = api().model_info(repository, revision=revision, files_metadata=True, timeout=TIMEOUT)
    if not info.sha or not _COMMIT.fullmatch(info.sha):
        raise HubError(f"{repository} has no commit yet", hint="publish something first")
    files = info.siblings or ()
    digests = {file.rfilename: (file.lfs.sha256 if file.lfs else file.blob_id) or "" for file in files}
    return Snapshot(repository, info.sha, digests)


def _download_all(snapshot: Snapshot, revision: str | None, wanted: Sequence[str]) -> Snapshot:
    names = [name for name in wanted if name in snapshot.digests]
    if not names or (WEIGHTS in wanted and WEIGHTS not in names):
        raise _nothing_to_use(snapshot)
    paths = {name: _download(snapshot, name) for name in names}
    if revision != snapshot.commit:
        # Through the revision's name once, so that the client notes its commit for days without a connection.
        with suppress(HubError), clear_words(snapshot.repository, revision):
            api().hf_hub_download(snapshot.repository, names[0], revision=revision)
    return Snapshot(snapshot.repository, snapshot.commit, snapshot.digests, paths)


def _nothing_to_use(snapshot: Snapshot) -> HubError:
    pickles = [name for name in snapshot.digests if name.endswith(_PICKLES)]
    if pickles:
        return HubError(
            f"{snapshot.repository} offers its weights as a pickle only ({pickles[0]}), which is not opened",
            hint=f"ask its authors for {WEIGHTS}",
        )
    return HubError(f"{snapshot.repository} holds no model: it has no {WEIGHTS}", hint="check the name")


def _download(snapshot: Snapshot, name: str, *, force: bool = False) -> Path:
    def once() -> Path:
        with clear_words(snapshot.repository, snapshot.commit):
            path = api().hf_hub_download(snapshot.repository, name, revision=snapshot.commit, force_download=force)
        return Path(path)

    try:
        return once()
    except Unreachable:
        # The client resumes a broken transfer a few times, then gives up and forgets the part it has.
        return once()


def _healed(snapshot: Snapshot) -> Snapshot:
    """The same snapshot, each file verified and fetched once more where it is damaged."""
    for name in _damaged(snapshot):
        warnings.warn(f"{name} of {snapshot.repository} is damaged here; fetching it again", stacklevel=3)
        _download(snapshot, name, force=True)
    for name in _damaged(snapshot):
        raise HubError(
            f"{name} of {snapshot.repository} arrived damaged twice: its checksum is not the Hub's",
            hint="a proxy or mirror on the way may change it; it was not used",
        )
    return snapshot


def _damaged(snapshot: Snapshot) -> list[str]:
    return [
        name
        for name, path in snapshot.paths.items()
        if not _has_digest(path, snapshot.digests.get(name) or _digest_in_cache(path))
    ]


def _has_digest(path: Path, digest: str) -> bool:
    if len(digest) == 64:
        return sha256_of(path) == digest
    if len(digest) == 40:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == digest
    return True  # nothing to go by; `load_model` still compares the weights with model.json


def _digest_in_cache(path: Path) -> str:
    """The client names the file behind its link by the checksum; where there are no links, nothing is known."""
    name = path.resolve().name
    return name if path.is_symlink() and _DIGEST.fullmatch(name) else ""


def _cached(repository: str, revision: str | None, wanted: Sequence[str]) -> Snapshot | None:
    set_environment()
    from huggingface_hub import try_to_load_from_cache

    found = {name: try_to_load_from_cache(repository, name, revision=revision) for name in wanted}
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    if not paths:
        return None
    return Snapshot(repository, next(iter(paths.values())).parent.name, {}, paths)


def _instead(snapshot: Snapshot | None, repository: str, wanted: Sequence[str], error: Unreachable) -> Snapshot:
    """The copy in the cache when the Hub cannot be reached, said aloud; the error when there is none to rely on."""
    why, hint = error.problems[0].message, error.problems[0].hint
    if snapshot is None or (WEIGHTS in wanted and WEIGHTS not in snapshot.paths):
        missing = "only a part of it is in the cache" if snapshot else "it is not in the cache"
        raise HubError(f"cannot fetch {repository}: {why}, and {missing}", hint=hint) from error
    if damaged := _damaged(snapshot):
        raise HubError(f"{damaged[0]} of {repository} is damaged in the cache, and {why}", hint=hint) from error
    warnings.warn(f"{why}; using {repository} at commit {snapshot.commit[:12]} from the cache", stacklevel=3)
    return snapshot
