"""Copies within and across splits: from what was seen to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from zoo.data.audit.duplicates import Copy, Fingerprints, groups
from zoo.data.audit.findings import Finding, Place
from zoo.data.audit.reading import FileLook, SpanLook
from zoo.data.audit.spans import Survey

OVERLAP = 0.1
"""Seconds that two spans of one file have to share to count as showing the same."""


def find_copies(
    found: Survey,
    files: Sequence[FileLook],
    looks: Sequence[SpanLook],
    prints: Fingerprints,
    progress: Callable[[int], None],
) -> list[list[Copy]]:
    """Sets of copies, each as the pairs that link them."""
    known = [*_in_one_file(found, looks), *_same_bytes(found, files)]
    similar = (copy for copy in prints.find(known, progress) if not _one_file(found, copy))
    copies = [*known, *similar]
    of_group = {number: place for place, group in enumerate(groups(copies, len(looks))) for number in group}
    linked: dict[int, list[Copy]] = defaultdict(list)
    for copy in copies:
        linked[of_group[copy.one]].append(copy)
    return list(linked.values())


def _one_file(found: Survey, copy: Copy) -> bool:
    """Whether both are of one file: windows of it may well overlap."""
    return found.used[copy.one].file == found.used[copy.other].file


def _same_bytes(found: Survey, files: Sequence[FileLook]) -> Iterator[Copy]:
    """Files with one checksum, compared span by span."""
    first: dict[tuple[Any, ...], int] = {}
    for number, used in enumerate(found.used):
        if digest := files[used.file].digest:
            before = first.setdefault((digest, used.span), number)
            if before != number:
                yield Copy(before, number, "same bytes")


def _in_one_file(found: Survey, looks: Sequence[SpanLook]) -> Iterator[Copy]:
    """Spans of one file that overlap and are in different splits."""
    for members in _by_file(found):
        for one, other in combinations(members, 2):
            shared = min(looks[one].end, looks[other].end) - max(looks[one].begin, looks[other].begin)
            splits = {place.split for number in (one, other) for place in found.used[number].places}
            if len(splits) > 1 and shared > OVERLAP:
                yield Copy(one, other, "same file")


def _by_file(found: Survey) -> Iterator[list[int]]:
    """Numbers of the spans of every file that is in more than one split and used in more than one way."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, used in enumerate(found.used):
        members[used.file].append(number)
    for numbers in members.values():
        if len(numbers) > 1 and len({place.split for number in numbers for place in found.used[number].places}) > 1:
            yield numbers


def copy_findings(found: Survey, linked: Sequence[Sequence[Copy]]) -> Iterator[Finding]:
    """Leaks, duplicates and contradictions."""
    alone = set(range(len(found.used)))
    for copies in linked:
        members = sorted({number for copy in copies for number in (copy.one, copy.other)})
        alone -= set(members)
        places = tuple(place for number in members for place in found.used[number].places)
        yield from _of_group(places, [_said(copy, found) for copy in copies])
    for number in sorted(alone):  # one span that several samples use
        if len(found.used[number].places) > 1:
            yield from _of_group(found.used[number].places, [{"how": "same file"}])


def shared_films(found: Survey, linked: Sequence[Sequence[Copy]]) -> Iterator[Finding]:
    """Files with spans in several splits that do not overlap."""
    leaking = {found.used[copy.one].file for copies in linked for copy in copies if copy.how == "same file"}
    for members in _by_file(found):
        places = tuple(place for number in members for place in found.used[number].places)
        if found.used[members[0]].file not in leaking:
            message = f"{places[0].media} has spans in {_and(sorted({place.split for place in places}))}"
            yield Finding("shared_film", message, places)


def _of_group(places: tuple[Place, ...], copies: list[dict[str, Any]]) -> Iterator[Finding]:
    splits = sorted({place.split for place in places}, key=("train", "val", "test").index)
    how = _and(sorted({copy["how"] for copy in copies}))
    evidence = {"how": how, "copies": copies}
    if len(splits) > 1:
        one, other = (next(place for place in places if place.split == split) for split in splits[:2])
        message = f"{one.key} of {splits[0]} and {other.key} of {splits[1]} show the same ({how})"
        yield Finding("leak", message + _more(len(places) - 2), places, evidence)
    else:
        message = f"{places[0].key} and {places[1].key} show the same ({how})"
        yield Finding("duplicate", message + _more(len(places) - 2), places, evidence)
    labels = sorted({place.labels for place in places})
    if len(labels) > 1:
        said = _and([", ".join(names) or "no label" for names in labels])
        yield Finding("contradiction", f"{places[0].key} and its copies are labelled {said}", places, evidence)


def _said(copy: Copy, found: Survey) -> dict[str, Any]:
    """A pair as JSON has it."""
    both = [found.used[number].places[0].key for number in (copy.one, copy.other)]
    numbers = {key: value for key, value in asdict(copy).items() if key in ("bits", "pictures", "motion")}
    rounded = {key: None if value is None else round(value, 3) for key, value in numbers.items()}
    return {"how": copy.how, "pair": both} | (rounded if copy.how == "same pictures" else {})


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""
