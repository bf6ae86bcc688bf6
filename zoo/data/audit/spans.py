"""What there is to look at: every span of film that samples use, once, however many samples use it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data.audit.findings import Place
from zoo.data.audit.reading import Job, Span

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo_registry.protocols import Media, Sample


@dataclass(frozen=True)
class Used:
    """A span of a file and the samples that use it.

    Attributes:
        file: number of the file.
        span: start and end as the samples say them.
        places: the samples.
    """

    file: int
    span: Span
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Survey:
    """All files and spans of a data set.

    Attributes:
        jobs: one for every file.
        used: one for every span; those of a file in the order of its job.
    """

    jobs: tuple[Job, ...]
    used: tuple[Used, ...]


def survey(splits: Mapping[str, Split]) -> Survey:
    """Gather the samples of all splits by file and span; links to one file count as that file."""
    files: dict[Hashable, dict[Span, list[Place]]] = defaultdict(lambda: defaultdict(list))
    media: dict[Hashable, Media] = {}
    for split in splits.values():
        for index, sample in enumerate(split.samples):
            file = _identity(sample)
            media.setdefault(file, sample.media)
            labels = label_names(sample.targets, split.labels)
            path = sample.media if isinstance(sample.media, str) else sample.key
            place = Place(split.name, index, path, sample.key or path, sample.start, sample.end, labels)
            files[file][sample.start, sample.end].append(place)
    sizes = {file: _size(media[file]) for file in files}
    common = {size for size, times in Counter(sizes.values()).items() if times > 1 and size != 0}
    jobs = tuple(Job(media[file], tuple(spans), sizes[file] in common) for file, spans in files.items())
    used = tuple(
        Used(number, span, tuple(places))
        for number, spans in enumerate(files.values())
        for span, places in spans.items()
    )
    return Survey(jobs, used)


def label_names(targets: Mapping[str, Any], classes: Sequence[str]) -> tuple[str, ...]:
    """The class names of a sample, sorted; indices are looked up.

    Example:
        >>> label_names({"label_b": 1}, ["cat", "dog"]), label_names({"label_bk": ["dog", "cat"]}, ["cat", "dog"])
        (('dog',), ('cat', 'dog'))
    """
    value = targets.get("label_b", targets.get("label_bk", ()))
    values = value if isinstance(value, list | tuple) else [value]
    if "label_b" not in targets and values and not all(isinstance(name, str) for name in values):
        return ()  # a row of numbers: soft or measured targets, no names
    return tuple(sorted(name if isinstance(name, str) else _class(int(name), classes) for name in values))


def _class(index: int, classes: Sequence[str]) -> str:
    return classes[index] if 0 <= index < len(classes) else str(index)


def _identity(sample: Sample) -> Hashable:
    """Equal for samples of one file, however its path is written; media elsewhere are known by their sample's key."""
    if isinstance(sample.media, str):
        return os.path.realpath(sample.media.removeprefix("file:"))
    return type(sample.media).__name__, sample.key or id(sample.media)


def _size(media: Media) -> int:
    """Bytes; 0 for a file that is not there, -1 where nobody knows."""
    if isinstance(media, bytes):
        return len(media)
    if not isinstance(media, str):
        return -1 if media.size is None else media.size
    try:
        return os.stat(media.removeprefix("file:")).st_size
    except OSError:
        return 0
