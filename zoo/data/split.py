"""One part of the data: its samples and what their labels mean."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_registry.errors import DataError, Problem
from zoo_registry.names import nearest
from zoo_registry.protocols import Sample

if TYPE_CHECKING:
    from zoo_registry.protocols import SampleSource


@dataclass(frozen=True)
class Split:
    """Samples with checked labels.

    Attributes:
        name: `train`, `val` or `test`.
        samples: not decoded yet.
        labels: class names in the order of their indices; empty where targets are no classes.
    """

    name: str
    samples: Sequence[Sample]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self.samples)} samples, {len(self.labels)} labels)"


def open_split(source: SampleSource, name: str, labels: Sequence[str] | None = None) -> Split:
    """Check a source's samples against the labels and keep both.

    Args:
        source: what a source's builder returned.
        name: `train`, `val` or `test`.
        labels: the classes of the training data, when this is another split; None takes the source's own.

    Raises:
        DataError: every problem found: no samples, class names nobody knows, samples with other targets than the rest.

    Example:
        >>> class Two:
        ...     samples = [Sample("a.mp4", {"label_b": "cat"}), Sample("b.mp4", {"label_b": "dog"})]
        ...     labels = ["cat", "dog"]
        >>> open_split(Two(), "train")
        Split('train', 2 samples, 2 labels)
    """
    known = tuple(source.labels if labels is None else labels)
    samples = source.samples
    problems = [*_duplicates(known), *_unknown_labels(samples, known, name), *_uneven_targets(samples, name)]
    if not len(samples):
        problems.append(Problem(f"the {name} split has no samples", hint="look at the path and filters of its source"))
    if problems:
        raise DataError(problems)
    return Split(name, samples, known)


def check_targets(split: Split, wanted: Sequence[str], task: str) -> None:
    """See that every sample has the targets that a task reads.

    Args:
        split: opened.
        wanted: the task entry's `targets`.
        task: its name, for the message.

    Raises:
        DataError: a problem for every target that samples lack, with their number and examples.
    """
    problems = [problem for key in wanted if (problem := _lacking(split, key, task)) is not None]
    if problems:
        raise DataError(problems)


def _lacking(split: Split, key: str, task: str) -> Problem | None:
    """What is wrong with the samples that lack a target; None where all have it."""
    lacking = [sample for sample in split.samples if key not in sample.targets]
    if not lacking:
        return None
    # `label_bk` where `label_b` is wanted: known, but in another form.
    stem = key.rpartition("_")[0]
    others = sorted({other for sample in lacking for other in sample.targets if other.rpartition("_")[0] == stem})
    has = f"{', '.join(others)} instead of {key}" if others else f"no {key}"
    names = ", ".join(sample.key or sample.media for sample in lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    return Problem(
        f"{len(lacking)} of {len(split)} samples of the {split.name} split have {has}, which task {task!r} reads: "
        f"{names}",
        hint=f"give them {key}, or choose a task that reads {others[0] if others else 'none'}",
    )


def _duplicates(labels: Sequence[str]) -> Iterator[Problem]:
    for label, times in Counter(labels).items():
        if times > 1:
            yield Problem(f"class {label!r} is listed {times} times", hint="each class name stands for one index")


def _unknown_labels(samples: Sequence[Sample], labels: Sequence[str], name: str) -> Iterator[Problem]:
    from zoo.data.targets import class_names, shape_of

    known = set(labels)
    unknown: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        for label in class_names(sample.targets):
            if label not in known:
                unknown[label].append(sample.key or sample.media)
        for key, value in sample.targets.items():
            outside = isinstance(value, int) and shape_of(key) == "b" and not 0 <= value < len(labels)
            if outside and labels and key == "label_b":
                unknown[str(value)].append(sample.key or sample.media)
    for label, where in sorted(unknown.items()):
        files = f"{len(where)} sample{'s' if len(where) > 1 else ''} of the {name} split"
        examples = ", ".join(where[:3]) + (", ..." if len(where) > 3 else "")
        near = nearest(label, labels)
        meant = f"did you mean {near[0]!r}? " if near else ""
        hint = f"{meant}the classes are {_some(labels)}" if labels else "the source names no classes"
        yield Problem(f"class {label!r} of {files} is not among the training classes: {examples}", hint=hint)


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:8]) + (f", ... ({len(labels)} in all)" if len(labels) > 8 else "")


def _uneven_targets(samples: Sequence[Sample], name: str) -> Iterator[Problem]:
    """A batch needs the same targets of every sample."""
    kinds = Counter(tuple(sorted(sample.targets)) for sample in samples)
    if len(kinds) < 2:
        return
    usual = kinds.most_common(1)[0][0]
    for other in sorted(kinds.keys() - {usual}):
        example = next(s.key or s.media for s in samples if tuple(sorted(s.targets)) == other)
        has = ", ".join(other) or "no targets"
        yield Problem(
            f"{kinds[other]} of {len(samples)} samples of the {name} split have {has} instead of "
            f"{', '.join(usual) or 'none'}, such as {example}",
            hint="every sample of a split needs the same targets",
        )


def fingerprint(split: Split) -> str:
    """What a lock keeps of the data: changes when samples, targets, spans, labels or the sizes of files change.

    Files are known by their key and size, not by folder or content: moving a data set changes nothing, and a million
    films need not be read.

    Returns:
        sha256, 64 hex digits.
    """
    digest = hashlib.sha256(json.dumps([split.name, split.labels]).encode())
    for sample in split.samples:
        row = [sample.key or sample.media, dict(sample.targets), sample.start, sample.end, _size(sample.media)]
        digest.update(json.dumps(row, sort_keys=True, default=_plain).encode())
    return digest.hexdigest()


def _size(media: str) -> int:
    try:
        return os.stat(media.removeprefix("file:")).st_size
    except OSError:
        return -1


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else repr(value)
