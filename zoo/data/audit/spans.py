"""What there is to look at: every span of film that samples use, once, however many samples use it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data.audit.findings import Place
from zoo.data.audit.reading import Job, Span
from zoo.data.decode.film import Decoder
from zoo.data.targets import MEDIA

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
class Companion:
    """A target clip or mask, and the samples that it belongs to.

    Attributes:
        key: `clip_bcthw` or `mask_bthw`.
        path: of its file.
        clip: number of the span of film that it goes with.
        job: number of its own job, whose only span it is.
        places: the samples.
    """

    key: str
    path: str
    clip: int
    job: int
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Survey:
    """All files and spans of a data set.

    Attributes:
        jobs: one for every file, then one for every companion.
        used: one for every span of the files; those of a file in the order of its job.
        companions: in the order of their jobs.
    """

    jobs: tuple[Job, ...]
    used: tuple[Used, ...]
    companions: tuple[Companion, ...] = ()

    @property
    def files(self) -> int:
        """How many files clips are in: so many jobs come first."""
        return len(self.jobs) - len(self.companions)


def survey(splits: Mapping[str, Split], decoder: Decoder = Decoder()) -> Survey:
    """Gather the samples of all splits by file and span; links to one file count as that file."""
    files: dict[Hashable, dict[Span, list[Place]]] = defaultdict(lambda: defaultdict(list))
    media: dict[Hashable, Media] = {}
    targets: dict[tuple[Hashable, Span], dict[tuple[str, str], list[Place]]] = defaultdict(lambda: defaultdict(list))
    for split in splits.values():
        for index, sample in enumerate(split.samples):
            file, span = _identity(sample), (sample.start, sample.end)
            media.setdefault(file, sample.media)
            place = _place(split, index, sample)
            files[file][span].append(place)
            for key in MEDIA:
                if isinstance(sample.targets.get(key), str):
                    targets[file, span][key, sample.targets[key]].append(place)
    sizes = {file: _size(media[file]) for file in files}
    common = {size for size, times in Counter(sizes.values()).items() if times > 1 and size != 0}
    jobs = [Job(media[file], tuple(spans), sizes[file] in common, decoder) for file, spans in files.items()]
    used: list[Used] = []
    companions: list[Companion] = []
    for number, (file, spans) in enumerate(files.items()):
        for span, places in spans.items():
            for (key, path), own in targets.get((file, span), {}).items():
                companions.append(Companion(key, path, len(used), len(files) + len(companions), tuple(own)))
                jobs.append(Job(path, (span,), decoder=decoder))
            used.append(Used(number, span, tuple(places)))
    return Survey(tuple(jobs), tuple(used), tuple(companions))


def _place(split: Split, index: int, sample: Sample) -> Place:
    path = sample.media if isinstance(sample.media, str) else sample.key
    labels = label_names(sample.targets, split.labels)
    return Place(split.name, index, path, sample.name, sample.start, sample.end, labels)


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
        path = sample.media.removeprefix("file:")
        return path if "\0" in path else os.path.realpath(path)
    return type(sample.media).__name__, sample.key or id(sample.media)


def _size(media: Media) -> int:
    """Bytes; 0 for a file that is not there, -1 where nobody knows."""
    if isinstance(media, bytes):
        return len(media)
    if not isinstance(media, str):
        return -1 if media.size is None else media.size
    try:
        return os.stat(media.removeprefix("file:")).st_size
    except (OSError, ValueError):
        return 0
