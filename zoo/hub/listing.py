"""What a commit of a repository holds, asked once and kept: a commit never changes.

    <cache>/hub/<host>/<org>--<name>/<commit>.json

With it a pinned load asks nothing, and a copy in the cache is verified without a connection.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.artefact.file_names import WEIGHTS
from zoo.hub.layout import INDEX, PICKLES, is_fetched, is_shard
from zoo_registry.catalog import cache_folder


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit, as the Hub describes it.

    Attributes:
        size: in bytes.
        digest: sha256 of large files, git's blob id of small ones; empty when the Hub does not say.
    """

    size: int
    digest: str


Listing = Mapping[str, RemoteFile]
"""The files that may be fetched, by name."""


def names_of(listing: Listing, wanted: Sequence[str]) -> list[str]:
    """The files to fetch: of those wanted the ones that are there.

    Weights in shards stand for whole ones. A pickle is taken only where it is asked for by name and nothing else has
    the weights.
    """
    names = [name for name in wanted if name in listing and name not in PICKLES]
    if WEIGHTS in wanted and WEIGHTS not in listing:
        shards = [INDEX, *sorted(filter(is_shard, listing))] if INDEX in listing else []
        names += shards or [name for name in PICKLES if name in listing and name in wanted][:1]
    return names


def has_weights(names: Sequence[str]) -> bool:
    """Whether weights are among these files."""
    return any(name == WEIGHTS or is_shard(name) or name in PICKLES for name in names)


def keep(host: str, repository: str, commit: str, listing: Listing) -> None:
    """Remember a commit. A cache that cannot be written is no error: the Hub is asked again."""
    path = _place(host, repository, commit)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps({name: asdict(file) for name, file in listing.items()}), encoding="utf-8")
        temporary.replace(path)


def kept(host: str, repository: str, commit: str) -> Listing | None:
    """What `keep` wrote; None where it did not, or it cannot be read."""
    try:
        data = json.loads(_place(host, repository, commit).read_text(encoding="utf-8"))
        return {name: RemoteFile(int(file["size"]), str(file["digest"])) for name, file in data.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def fetchable(files: Mapping[str, RemoteFile]) -> Listing:
    """Of everything in a repository what could ever be fetched; most of 10,000 files is nothing to us."""
    return {name: file for name, file in files.items() if is_fetched(name)}


def _place(host: str, repository: str, commit: str) -> Path:
    return cache_folder() / "hub" / host.replace(":", "-") / repository.replace("/", "--") / f"{commit}.json"
