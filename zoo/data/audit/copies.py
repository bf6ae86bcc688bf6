"""Pairs of spans that show the same: by the bytes and times of their files, or by their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.data.audit.duplicates import Copy, Fingerprints
from zoo.data.audit.reading import FileLook, SpanLook
from zoo.data.audit.spans import Survey

OVERLAP = 0.1
"""Seconds that two spans of one film have to share, unless they are equal: time stamps are rounded."""

_SPLITS = {"train": 1, "val": 2, "test": 4}


@dataclass(frozen=True)
class Copies:
    """What shows the same in a data set.

    Attributes:
        pairs: as many as it takes to link all spans that show the same, whole or in parts.
        films: int (N,), for every span the film it is of: files with the same bytes are one film.
    """

    pairs: tuple[Copy, ...]
    films: np.ndarray


def find_copies(
    found: Survey,
    files: Sequence[FileLook],
    looks: Sequence[SpanLook],
    prints: Fingerprints,
    progress: Callable[[int], None],
) -> Copies:
    """Look for spans with the same moments of one film, and for films with the same pictures."""
    films = films_of(found, files)
    equal = list(_equal(found, looks, films))
    overlapping = [copy for members in _members(looks, films) for copy in _overlapping(members, found, looks)]
    similar = [
        replace(copy, seconds=min(looks[number].end - looks[number].begin for number in (copy.one, copy.other)))
        for copy in prints.find(films, equal, progress)
    ]
    return Copies((*equal, *overlapping, *similar), films)


def films_of(found: Survey, files: Sequence[FileLook]) -> np.ndarray:
    """For every span the number of the first file with the same bytes as its own."""
    first: dict[str, int] = {}
    for number, file in enumerate(files):
        if file.digest:
            first.setdefault(file.digest, number)
    return np.array([first.get(files[used.file].digest, used.file) for used in found.used], np.int64)


def _equal(found: Survey, looks: Sequence[SpanLook], films: np.ndarray) -> Iterator[Copy]:
    """Spans of one film that begin and end together, each with the first of them."""
    first: dict[tuple[int, float, float], int] = {}
    for number, look in enumerate(looks):
        if not look.reason:
            before = first.setdefault((int(films[number]), round(look.begin, 2), round(look.end, 2)), number)
            if before != number:
                yield Copy(before, number, _how(found, before, number), seconds=look.end - look.begin)


def _how(found: Survey, one: int, other: int) -> str:
    return "same file" if found.used[one].file == found.used[other].file else "same bytes"


def _members(looks: Sequence[SpanLook], films: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of the readable spans of every film that is used in more than one way, the earliest first."""
    readable = np.flatnonzero([not look.reason for look in looks])
    begins = np.array([look.begin for look in looks])
    order = readable[np.lexsort((begins[readable], films[readable]))]
    for members in np.split(order, np.flatnonzero(np.diff(films[order])) + 1):
        if len(members) > 1:
            yield members


def _overlapping(members: np.ndarray, found: Survey, looks: Sequence[SpanLook]) -> Iterator[Copy]:
    """Spans that share a part of one film: each with the one of another split, or of another file, it shares most with.

    Windows of one file within a split may well overlap.
    """
    begins, ends = (np.array([getattr(looks[number], name) for number in members]) for name in ("begin", "end"))
    files = np.array([found.used[number].file for number in members])
    splits = np.array([_splits(found, number) for number in members])
    longest = float((ends - begins).max())
    for at, number in enumerate(members.tolist()):
        near = slice(*np.searchsorted(begins, [begins[at] - longest, ends[at]]))
        shared = np.minimum(ends[near], ends[at]) - np.maximum(begins[near], begins[at])
        differ = np.abs(begins[near] - begins[at]) + np.abs(ends[near] - ends[at]) > OVERLAP
        foreign = np.bitwise_count(splits[near] | splits[at]) > 1
        renamed = (files[near] != files[at]) & ~foreign
        for kind in (foreign, renamed):
            seconds = np.where(kind & differ, shared, 0.0)
            best = int(seconds.argmax())
            if seconds[best] > OVERLAP:
                one, other = sorted((number, int(members[near][best])))
                yield Copy(one, other, _how(found, one, other), seconds=float(seconds[best]), whole=False)


def _splits(found: Survey, number: int) -> int:
    """The splits that use a span, as bits."""
    return int(np.bitwise_or.reduce([_SPLITS[place.split] for place in found.used[number].places]))
