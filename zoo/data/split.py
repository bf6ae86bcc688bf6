"""One part of the data: its samples and what their labels mean."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from zoo_registry.errors import DataError, Problem
from zoo_registry.names import nearest
from zoo_registry.protocols import Overview, Sample

if TYPE_CHECKING:
    from zoo_registry.protocols import SampleSource

MOST_SIZES = 20_000
"""Samples whose files' sizes go into a fingerprint; of more samples every n-th counts. A size costs some microseconds
on a local disk and half a millisecond on a network disk, where a million of them would take eight minutes."""


MOST_NAMED = 20
"""Samples with a bad target that are named."""


@dataclass(frozen=True)
class Split:
    """Samples with checked labels.

    Attributes:
        name: `train`, `val` or `test`.
        samples: not decoded yet.
        labels: class names in the order of their indices, or names of the values; empty where targets are neither.
        notes: what the source wants the user to know before the run.
    """

    name: str
    samples: Sequence[Sample]
    labels: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), kw_only=True)

    def shuffled(self, seed: int) -> Split:
        """The same samples in an order that the seed draws; none of them is copied."""
        order = list(range(len(self.samples)))
        random.Random(f"{seed} {self.name}").shuffle(order)
        return replace(self, samples=Reordered(self.samples, np.array(order, np.int64)))

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self.samples)} samples, {len(self.labels)} labels)"


class Reordered(Sequence[Sample]):
    """Samples in another order, or some of them.

    Args:
        samples: all of them.
        order: (n,) whole numbers, which of them stands where.

    Example:
        >>> [sample.media for sample in Reordered([Sample("a.mp4"), Sample("b.mp4")], np.array([1, 0]))]
        ['b.mp4', 'a.mp4']
    """

    def __init__(self, samples: Sequence[Sample], order: np.ndarray) -> None:
        self._samples, self._order = samples, order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Reordered: ...
    def __getitem__(self, index: int | slice) -> Sample | Reordered:
        if isinstance(index, slice):
            return Reordered(self._samples, self._order[index])
        return self._samples[int(self._order[index])]


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
    problems = [*_duplicates(known), *_label_problems(samples, known, name), *_uneven_targets(samples, name)]
    if not len(samples):
        problems.append(Problem(f"the {name} split has no samples", hint="look at the path and filters of its source"))
    if problems:
        raise DataError(problems)
    return Split(name, samples, known, notes=tuple(getattr(source, "notes", ())))


def check_targets(split: Split, wanted: Sequence[str], task: str) -> None:
    """See that every sample has the targets that a task reads.

    Args:
        split: opened.
        wanted: the task entry's `targets`; `value_b|value_bk` is either of them.
        task: its name, for the message.

    Raises:
        DataError: a problem for every target that samples lack, with their number and examples.
    """
    problems = [problem for key in wanted if (problem := _lacking(split, key, task)) is not None]
    if problems:
        raise DataError(problems)


def _lacking(split: Split, key: str, task: str) -> Problem | None:
    """What is wrong with the samples that lack a target; None where all have it."""
    either = set(key.split("|"))
    if isinstance(split.samples, Overview) and all(either & set(keys) for keys in split.samples.target_keys()):
        return None
    lacking = [sample for sample in split.samples if not either & sample.targets.keys()]
    if not lacking:
        return None
    key = " or ".join(key.split("|"))
    # `label_bk` where `label_b` is wanted: known, but in another form.
    stems = {one.rpartition("_")[0] for one in either}
    others = sorted({other for sample in lacking for other in sample.targets if other.rpartition("_")[0] in stems})
    has = f"{', '.join(others)} instead of {key}" if others else f"no {key}"
    names = ", ".join(sample.name for sample in lacking[:3]) + (", ..." if len(lacking) > 3 else "")
    return Problem(
        f"{len(lacking)} of {len(split)} samples of the {split.name} split have {has}, which task {task!r} reads: "
        f"{names}",
        hint=f"give them {key}, or choose a task that reads {others[0] if others else 'none'}",
    )


def _duplicates(labels: Sequence[str]) -> Iterator[Problem]:
    for label, times in Counter(labels).items():
        if times > 1:
            yield Problem(f"class {label!r} is listed {times} times", hint="each class name stands for one index")


def _label_problems(samples: Sequence[Sample], labels: Sequence[str], name: str) -> list[Problem]:
    if isinstance(samples, Overview) and not set(samples.class_names()) - set(labels):
        return [*_bad_targets(samples[:1], labels, name)]  # nobody needs to look at every sample
    return [*_unknown_labels(samples, labels, name), *_bad_targets(samples, labels, name)]


def _unknown_labels(samples: Sequence[Sample], labels: Sequence[str], name: str) -> Iterator[Problem]:
    from zoo.data.targets import class_names, shape_of

    known = set(labels)
    unknown: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        for label in class_names(sample.targets):
            if label not in known:
                unknown[label].append(sample.name)
        for key, value in sample.targets.items():
            outside = isinstance(value, int) and shape_of(key) == "b" and not 0 <= value < len(labels)
            if outside and labels and key == "label_b":
                unknown[str(value)].append(sample.name)
    for label, where in sorted(unknown.items()):
        files = f"{len(where)} sample{'s' if len(where) > 1 else ''} of the {name} split"
        examples = ", ".join(where[:3]) + (", ..." if len(where) > 3 else "")
        near = nearest(label, labels)
        meant = f"did you mean {near[0]!r}? " if near else ""
        hint = f"{meant}the classes are {_some(labels)}" if labels else "the source names no classes"
        yield Problem(f"class {label!r} of {files} is not among the training classes: {examples}", hint=hint)


def _bad_targets(samples: Sequence[Sample], labels: Sequence[str], name: str) -> Iterator[Problem]:
    """Targets that no batch can hold; classes that nobody knows are another problem."""
    from zoo.data.targets import BadTarget, UnknownClass, encode

    classes = {label: number for number, label in enumerate(labels)}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sample in samples:
        if all(type(value) is str for value in sample.targets.values()):
            continue  # names and paths, which most samples of most splits have
        for key, value in sample.targets.items():
            try:
                encode({key: value}, classes, None)
            except UnknownClass:
                pass
            except BadTarget as error:
                found[key, error.wanted].append(f"{sample.name} ({error.value})")
    for (key, wanted), where in found.items():
        examples = ", ".join(where[:MOST_NAMED]) + (", ..." if len(where) > MOST_NAMED else "")
        have = (
            f"{len(where)} samples of the {name} split have" if len(where) > 1 else f"1 sample of the {name} split has"
        )
        yield Problem(f"{have} a {key} that is not {wanted}: {examples}", hint="mend them, or leave these samples out")


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels[:8]) + (f", ... ({len(labels)} in all)" if len(labels) > 8 else "")


def _uneven_targets(samples: Sequence[Sample], name: str) -> Iterator[Problem]:
    """A batch needs the same targets of every sample."""
    if isinstance(samples, Overview) and len({tuple(sorted(keys)) for keys in samples.target_keys()}) < 2:
        return
    kinds = Counter(tuple(sorted(sample.targets)) for sample in samples)
    if len(kinds) < 2:
        return
    usual = kinds.most_common(1)[0][0]
    for other in sorted(kinds.keys() - {usual}):
        example = next(s.name for s in samples if tuple(sorted(s.targets)) == other)
        has = ", ".join(other) or "no targets"
        yield Problem(
            f"{kinds[other]} of {len(samples)} samples of the {name} split have {has} instead of "
            f"{', '.join(usual) or 'none'}, such as {example}",
            hint="every sample of a split needs the same targets",
        )


def fingerprint(split: Split) -> str:
    """What a lock keeps of the data: changes when samples, targets, spans, labels or the sizes of files change.

    Files are known by their key and size, not by folder or content: moving a data set changes nothing, and a million
    films need not be read. Sizes are those of at most `MOST_SIZES` samples.

    Returns:
        sha256, 64 hex digits.
    """
    from zoo.data.targets import MEDIA

    digest = hashlib.sha256(json.dumps([split.name, split.labels]).encode())
    samples = split.samples
    if isinstance(samples, Overview):
        digest.update(samples.digest())
    else:
        for sample in samples:
            row = [sample.name, _where_they_lie(sample, MEDIA), sample.start, sample.end]
            digest.update(json.dumps(row, sort_keys=True, default=_plain).encode())
    step = max(1, -(-len(samples) // MOST_SIZES))
    for at in range(0, len(samples), step):
        sample = samples[at]
        sizes = [_size(sample.media), *(_size(sample.targets[key]) for key in MEDIA if key in sample.targets)]
        digest.update(json.dumps(sizes).encode())
    return digest.hexdigest()


def _where_they_lie(sample: Sample, media: Sequence[str]) -> dict[str, Any]:
    """The targets, films among them by their way from the sample's own: it stays when a data set is moved."""
    targets = dict(sample.targets)
    for key in media:
        path = targets.get(key)
        if isinstance(path, str) and isinstance(sample.media, str) and os.path.isabs(path):
            targets[key] = os.path.relpath(path, os.path.dirname(os.path.abspath(sample.media))).replace(os.sep, "/")
    return targets


def _size(media: Any) -> int:
    """Bytes of a file, or of media in memory or inside a file; -1 where nobody knows."""
    if isinstance(media, bytes):
        return len(media)
    if not isinstance(media, str):
        size = getattr(media, "size", None)
        return size if isinstance(size, int) else -1
    try:
        return os.stat(media.removeprefix("file:")).st_size
    except (OSError, ValueError):
        return -1


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else repr(value)
