"""The fetcher of `hf://`: named files of one commit, verified, from the Hub or from the cache."""

from __future__ import annotations

import hashlib
import re
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from zoo.artefact.checksums import sha256_of
from zoo.artefact.file_names import WEIGHTS
from zoo.hub.client import Unreachable, api, clear_words, patience, set_environment, split_reference
from zoo.hub.layout import FETCHED, PICKLES, is_fetched
from zoo.hub.listing import Listing, RemoteFile, fetchable, has_weights, keep, kept, names_of
from zoo_registry.errors import HubError
from zoo_registry.protocols import Fetch, Fetched

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository.

    Attributes:
        repository: `org/name`.
        commit: its 40 digits.
        listing: what it holds; None when nobody here knows.
        paths: the files that are here, by name.
    """

    repository: str
    commit: str
    listing: Listing | None = None
    paths: Mapping[str, Path] = field(default_factory=dict)

    def is_complete(self, wanted: Sequence[str]) -> bool:
        """Whether all that is wanted and exists is here."""
        names = wanted if self.listing is None else names_of(self.listing, wanted)
        return bool(names) and set(names) <= set(self.paths) and (WEIGHTS not in wanted or has_weights(list(names)))


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
        files: of these, the ones that the repository has; all that a model can have by default. Weights may also come
            in shards, or as a pickle if that is asked for by its name.

    Returns:
        The folder of the snapshot, and the URI with the commit.

    Raises:
        HubError: no such repository, no access, nothing fit to use in it, or not to be had now.
    """
    repository, revision = split_reference(uri)
    wanted = tuple(files) if files is not None else FETCHED
    unknown = [name for name in wanted if not is_fetched(name)]
    if unknown:
        raise HubError(f"{unknown[0]!r} is no file of a model", hint=f"a model has {', '.join(FETCHED)}")
    snapshot = _cached(repository, revision, wanted)
    # A commit never changes: when it is here completely, there is nothing to ask.
    if not (snapshot and snapshot.commit == revision and snapshot.is_complete(wanted)):
        try:
            snapshot = _download_all(_resolve(repository, revision), revision, wanted)
        except Unreachable as error:
            return _fetched(_instead(snapshot, repository, wanted, error))
    return _fetched(_healed(snapshot))


def _fetched(snapshot: Snapshot) -> Fetched:
    folder = next(iter(snapshot.paths.values())).parent
    return Fetched(folder, f"hf://{snapshot.repository}@{snapshot.commit}", immutable=True)


def _resolve(repository: str, revision: str | None) -> Snapshot:
    """The commit that a revision is now, and what it holds."""
    if revision is not None and _COMMIT.fullmatch(revision) and (known := kept(_host(), repository, revision)):
        return Snapshot(repository, revision, known)
    with clear_words(repository, revision):
        info = api().model_info(repository, revision=revision, files_metadata=True, timeout=patience())
    if not info.sha or not _COMMIT.fullmatch(info.sha):
        raise HubError(f"{repository} has no commit yet", hint="publish something first")
    files = {
        file.rfilename: RemoteFile(file.size or 0, (file.lfs.sha256 if file.lfs else file.blob_id) or "")
        for file in info.siblings or ()
    }
    listing = fetchable(files)
    keep(_host(), repository, info.sha, listing)
    return Snapshot(repository, info.sha, listing)


def _host() -> str:
    set_environment()
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc


def _download_all(snapshot: Snapshot, revision: str | None, wanted: Sequence[str]) -> Snapshot:
    listing = snapshot.listing or {}
    names = names_of(listing, wanted)
    if not names or (WEIGHTS in wanted and not has_weights(names)):
        raise _nothing_to_use(snapshot, wanted)
    _check_space(snapshot, names)
    paths = {name: _download(snapshot, name) for name in names}
    if revision != snapshot.commit:
        # Through the revision's name once, so that the client notes its commit for days without a connection.
        with suppress(HubError), clear_words(snapshot.repository, revision):
            api().hf_hub_download(snapshot.repository, names[0], revision=revision)
    return replace(snapshot, paths=paths)


def _check_space(snapshot: Snapshot, names: Sequence[str]) -> None:
    """Refuse what the disk cannot hold before a byte of it is asked for; sizes are what the repository claims."""
    from huggingface_hub import constants

    here = _cached(snapshot.repository, snapshot.commit, names)
    missing = [name for name in names if here is None or name not in here.paths]
    needed = sum(snapshot.listing[name].size for name in missing) if snapshot.listing else 0
    place = Path(constants.HF_HUB_CACHE)
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise HubError(
            f"{snapshot.repository} would take {needed / 1e9:,.1f} GB, and the disk has {free / 1e9:,.1f} GB left",
            hint="free some space, or set HF_HOME to a folder on another disk",
        )


def _nothing_to_use(snapshot: Snapshot, wanted: Sequence[str]) -> HubError:
    listing = snapshot.listing or {}
    pickles = [name for name in listing if name in PICKLES]
    if pickles and not has_weights(names_of(listing, (WEIGHTS,))):
        return HubError(
            f"{snapshot.repository} offers its weights as a pickle only ({pickles[0]}), which is not opened",
            hint=f"ask its authors for {WEIGHTS}; if you trust them, zoo.load(..., allow_pickle=True) or "
            "zoo pull --allow-pickle reads tensors from it and nothing else",
        )
    lacks = WEIGHTS if WEIGHTS in wanted else " and no ".join(wanted)
    return HubError(f"{snapshot.repository} holds no model: it has no {lacks}", hint="check the name")


def _download(snapshot: Snapshot, name: str, *, force: bool = False) -> Path:
    def once() -> Path:
        with clear_words(snapshot.repository, snapshot.commit):
            try:
                path = api().hf_hub_download(snapshot.repository, name, revision=snapshot.commit, force_download=force)
            except ValueError as error:  # around whatever went wrong, where the copy in the cache may not serve
                raise error.__cause__ or error from None
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
        try:
            _download(snapshot, name, force=True)
        except Unreachable as error:
            raise HubError(
                f"{name} of {snapshot.repository} is damaged in the cache, and {error.problems[0].message}",
                hint=error.problems[0].hint,
            ) from error
    if still := _damaged(snapshot):
        for name in still:  # other libraries share this cache and look at no checksum
            path = snapshot.paths[name]
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        raise HubError(
            f"{still[0]} of {snapshot.repository} arrived damaged twice: its checksum is not the Hub's",
            hint="a proxy or mirror on the way may change it; it was not kept",
        )
    return snapshot


def _damaged(snapshot: Snapshot) -> list[str]:
    return [
        name
        for name, path in snapshot.paths.items()
        if not _has_digest(path, _digest_of(snapshot, name) or _digest_in_cache(path))
    ]


def _digest_of(snapshot: Snapshot, name: str) -> str:
    known = (snapshot.listing or {}).get(name)
    return known.digest if known else ""


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
    """What of it is in the cache; asks nothing."""
    set_environment()
    from huggingface_hub import try_to_load_from_cache

    listing = kept(_host(), repository, revision) if revision and _COMMIT.fullmatch(revision) else None
    names = wanted if listing is None else names_of(listing, wanted)
    found = {name: try_to_load_from_cache(repository, name, revision=revision) for name in names}
    paths = {name: Path(path) for name, path in found.items() if isinstance(path, str)}
    if not paths:
        return None
    commit = next(iter(paths.values())).parent.name
    return Snapshot(repository, commit, listing or kept(_host(), repository, commit), paths)


def _instead(snapshot: Snapshot | None, repository: str, wanted: Sequence[str], error: Unreachable) -> Snapshot:
    """The copy in the cache when the Hub cannot be reached, said aloud; the error when there is none to rely on."""
    why, hint = error.problems[0].message, error.problems[0].hint
    whole = snapshot is not None and (
        snapshot.is_complete(wanted) if snapshot.listing else WEIGHTS not in wanted or has_weights(list(snapshot.paths))
    )
    if snapshot is None or not whole:
        missing = "only a part of it is in the cache" if snapshot else "it is not in the cache"
        raise HubError(f"cannot fetch {repository}: {why}, and {missing}", hint=hint) from error
    if damaged := _damaged(snapshot):
        raise HubError(f"{damaged[0]} of {repository} is damaged in the cache, and {why}", hint=hint) from error
    warnings.warn(f"{why}; using {repository} at commit {snapshot.commit[:12]} from the cache", stacklevel=3)
    return snapshot
