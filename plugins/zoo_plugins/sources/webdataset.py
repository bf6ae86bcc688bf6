"""Tar shards in the layout of the webdataset library: `000123.mp4`, `000123.cls`, `000124.mp4`, ..."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from zoo_plugins.sources.sample_list import SampleList
from zoo_plugins.sources.shard_fields import FILMS, MEDIA, Fields, class_names
from zoo_plugins.sources.shard_names import expand
from zoo_plugins.sources.tar_index import indexed
from zoo_plugins.sources.tar_stream import PIPES, TarStream, check_address
from zoo_registry import Range
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided

DEFAULT_TARGETS = {"label_b": "cls"}


def webdataset(
    *,
    split: Provided[str],
    cache: Provided[Path],
    path: Path | list[Path] | None = None,
    urls: str | list[str] | None = None,
    labels: Path | list[str] | None = None,
    targets: dict[str, str] | None = None,
    media: list[str] | None = None,
    samples: Annotated[int, Range(ge=1)] | None = None,
    buffer: Annotated[int, Range(ge=1)] = 256,
    stream: bool = False,
) -> SampleList | TarStream:
    """Films and pictures in tar files; members of one name up to its first dot are one sample.

    Plain tar files on a disk are indexed once; any sample can then be asked for, and training is as with single files.
    Files from elsewhere, and compressed ones, are read from beginning to end as they arrive.

    Args:
        split: what is asked for; each split names its own shards.
        cache: keeps the index.
        path: tar files on this machine; `{0000..0099}` and `{a,b}` stand for several.
        urls: tar files elsewhere: http://, https://, hf://datasets/ORG/NAME/FILE, or `pipe:COMMAND`, which is refused
            unless the environment variable ZOO_ALLOW_PIPES is 1; braces as in `path`.
        labels: class names in the order of their numbers, or a text file with one a line; None takes what the samples
            say, which only an index can know.
        targets: which member each target is read from: `cls`, `txt`, or `json.FIELD`; None means `label_b: cls`.
            Films that should come out (`clip_bcthw`, `mask_bthw`) are not read from shards.
        media: extensions of films and pictures, the first one present is taken; None for the usual ones.
        samples: of an epoch, when shards are streamed; training needs it.
        buffer: samples in each shuffle buffer, when shards are streamed; up to eight are in memory.
        stream: read local files like those from elsewhere, which suits disks that are slow to seek.

    Returns:
        samples with the targets asked for.

    Raises:
        DataError: no shards, or shards that are no tar files; samples without media or targets; all at once.

    Example:
        >>> webdataset(path=Path("train-{000..099}.tar"), split="train", cache=cache).labels     # doctest: +SKIP
        ['jump', 'run']
    """
    files = [name for one in _listed(path) for name in expand(str(one))]
    addresses = [name for one in _listed(urls) for name in ([one] if one.startswith("pipe:") else expand(one))]
    names = _names(labels)
    fields = Fields(
        tuple(extension.lower().lstrip(".") for extension in media or MEDIA),
        DEFAULT_TARGETS if targets is None else targets,
        tuple(names),
    )
    _check_targets(fields.targets)
    _check(files, addresses, split)
    if not addresses and not stream and all(_is_plain(file) for file in files):
        found = indexed(files, fields, cache)
        return SampleList(found, names or class_names(set(found.class_names())))
    if not names and {"label_b", "label_bk"} & set(fields.targets):
        raise DataError(
            f"the shards of the {split} split are streamed, so nobody knows their classes beforehand",
            hint="write `labels`: a list of names, or a text file with one a line",
        )
    return TarStream([*files, *addresses], fields, names, samples, buffer)


def _listed(value: list | Path | str | None) -> list:
    return [] if value is None else value if isinstance(value, list) else [value]


def _is_plain(file: str) -> bool:
    return file.lower().endswith(".tar")


def _names(labels: Path | list[str] | None) -> list[str]:
    if not isinstance(labels, Path):
        return list(labels or ())
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError("this list of classes cannot be read", where=Location(str(labels)), hint=str(error)) from error
    return [line.strip() for line in lines if line.strip()]


def _check_targets(targets: Mapping[str, str]) -> None:
    problems = [
        Problem(
            f"the target {key} is a film, which is not read from shards",
            hint="list films and their targets in a manifest (the source `manifest`, its columns `target` and `mask`)",
        )
        for key in targets
        if key in FILMS
    ]
    if problems:
        raise DataError(problems)


def _check(files: list[str], addresses: list[str], split: str) -> None:
    """Everything that can be known before a shard is opened."""
    problems = [
        Problem("there is no such shard", Location(file), "relative paths start from the recipe's folder")
        for file in files
        if not Path(file).is_file()
    ]
    allow = f"set the environment variable {PIPES}=1 where you trust the recipe"
    for address in addresses:
        if fault := check_address(address):
            hint = allow if address.startswith("pipe:") else "files on this machine are named by `path`"
            problems.append(Problem(fault, hint=hint))
    if not files and not addresses:
        problems.append(Problem(f"no shards are named for the {split} split", hint="fill `path` or `urls`"))
    if problems:
        more = [Problem(f"and {len(problems) - 5} more shards")] if len(problems) > 5 else []
        raise DataError([*problems[:5], *more])
