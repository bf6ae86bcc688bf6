"""Films that show the same: byte for byte, or copied, scaled and compressed again.

Hashes find candidates, tiny pictures decide. Two clips of one video, cut at different moments before a resting camera,
have nearly the same hashes and pictures; what differs is what moves. So a copy has to look and to move the same. What
moves in a frame is its difference from the median of the film's frames, so that an opening title that two films share
does not count as motion of all the other frames; and most frames have to agree, not their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data.audit.picture_hash import KEPT, SAMPLED, hamming

FLAT = 4.0
"""Contrast (0..255) below which a frame is too empty to be recognised."""

KEY_FRAMES = (3, 6, 9, 12)
"""Which of the sampled frames are compared with every other film."""

CANDIDATE_BITS = 80
"""Of the 256 bits of four hashes, how many may differ in a candidate. Unrelated films differ in about 128, of the
measured pairs never in less than 98; copies of 0.4 times the size at a low bit rate in 24 at most."""

ALIKE = 0.7
"""Median correlation of the frames of two copies, at least. Copies reach 0.99, those cut at both ends by 3 % 0.75."""

MOVES_ALIKE = 0.6
"""Median correlation of what moves, at least. Copies reach 0.89, halves of one film 0.14, after a shared title 0.26."""

MOVING = 0.05
"""Root mean square of what moves in a frame that counts as moving, in units of the frame's contrast."""

FEWEST_MOVING = 3
"""Moving frames below which two films count as standing still."""

STILL_ALIKE = 0.995
"""Median correlation of the frames of two films that stand still: only the picture can tell them apart."""

_ROWS = 256
"""Films that are compared with all others at once."""


@dataclass(frozen=True)
class Copy:
    """Two spans that show the same.

    Attributes:
        one, other: their numbers, the smaller one first.
        how: `same file` and `same bytes`, in spans that overlap; or `same pictures`.
        bits: median Hamming distance of the frames' hashes, of 64.
        pictures: median correlation of the frames.
        motion: median correlation of what moves; None where nothing does.
        seconds: how much of them is the same.
        whole: that is all of both.
    """

    one: int
    other: int
    how: str
    bits: float = 0.0
    pictures: float = 1.0
    motion: float | None = 1.0
    seconds: float = 0.0
    whole: bool = True


@dataclass(frozen=True)
class Fingerprints:
    """What is kept of N spans.

    Attributes:
        hashes: uint64 (N, 16).
        pictures: uint8 (N, 16, 16, 16).
        clear: bool (N, 16), frames with enough contrast to be recognised.
    """

    hashes: np.ndarray
    pictures: np.ndarray
    clear: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Fingerprints:
        """Room for so many spans; none is clear."""
        pictures = np.zeros((count, SAMPLED, KEPT, KEPT), np.uint8)
        return cls(np.zeros((count, SAMPLED), np.uint64), pictures, np.zeros((count, SAMPLED), bool))

    def put(self, number: int, hashes: np.ndarray, pictures: np.ndarray, contrasts: Sequence[float]) -> None:
        """Keep a span: its hashes and pictures, and the contrast of its frames, of which there may be fewer."""
        if contrasts:
            spread = np.linspace(0, len(contrasts) - 1, SAMPLED).round().astype(int)
            self.clear[number] = np.asarray(contrasts)[spread] >= FLAT
            self.hashes[number], self.pictures[number] = hashes, pictures

    def find(
        self, films_n: np.ndarray, known: Sequence[Copy] = (), progress: Callable[[int], None] = lambda rows: None
    ) -> Iterator[Copy]:
        """Pairs that show the same, as many as it takes to link all copies of a film.

        Args:
            films_n: int (N,), the film that every span is of: windows of one film look alike and are not compared.
            known: copies that need no comparing any more.
            progress: told how many more spans have been compared with all others.
        """
        linked = Links(len(self.hashes))
        for copy in known:
            linked.join(copy.one, copy.other)
        for one, other in self._candidates(films_n, progress):
            if linked.top(one) == linked.top(other):
                continue
            if (same := self._compared(one, other)) is not None:
                linked.join(one, other)
                yield same

    def _candidates(self, films_n: np.ndarray, progress: Callable[[int], None]) -> Iterator[tuple[int, int]]:
        """Pairs with similar key frames: every pair is compared, which 64-bit words and popcount make cheap."""
        able = np.flatnonzero(self.clear.sum(axis=1) > self.clear.shape[1] / 2)
        keys = [np.ascontiguousarray(self.hashes[able, frame]) for frame in KEY_FRAMES]
        for first in range(0, len(able), _ROWS):
            rows = slice(first, first + _ROWS)
            distance = np.zeros((len(able[rows]), len(able) - first), np.uint16)
            for key in keys:
                distance += np.bitwise_count(key[rows, None] ^ key[None, first:])
            foreign = films_n[able[rows], None] != films_n[None, able[first:]]
            near = np.argwhere((distance <= CANDIDATE_BITS) & foreign)
            yield from ((int(able[first + a]), int(able[first + b])) for a, b in near if a < b)
            progress(len(able[rows]))

    def _compared(self, one: int, other: int) -> Copy | None:
        clear = self.clear[one] & self.clear[other]
        if clear.sum() < self.clear.shape[1] / 2:
            return None
        ours, theirs = (_normalised(self.pictures[number][clear]) for number in (one, other))
        pictures = float(np.median((ours * theirs).mean(axis=1)))
        if pictures < ALIKE:
            return None
        bits = float(np.median(hamming(self.hashes[one], self.hashes[other])[clear]))
        motion = _motion(ours, theirs)
        alike = pictures >= STILL_ALIKE if motion is None else motion >= MOVES_ALIKE
        return Copy(one, other, "same pictures", bits, pictures, motion) if alike else None


def _motion(ours_tn: np.ndarray, theirs_tn: np.ndarray) -> float | None:
    """Median correlation of what moves, over the frames in which something does; None where too few do."""
    moves = [frames - np.median(frames, axis=0) for frames in (ours_tn, theirs_tn)]
    strengths = [np.sqrt((move**2).mean(axis=1)) for move in moves]
    moving = np.maximum(*strengths) >= MOVING
    if moving.sum() < FEWEST_MOVING:
        return None
    product = (moves[0] * moves[1]).mean(axis=1)
    return float(np.median((product / np.maximum(strengths[0] * strengths[1], 1e-9))[moving]))


def _normalised(pictures_tkk: np.ndarray) -> np.ndarray:
    """Every frame with mean 0 and standard deviation 1, so that brightness, contrast and fades do not count."""
    flat = pictures_tkk.reshape(len(pictures_tkk), -1).astype(np.float64)
    centred = flat - flat.mean(axis=1, keepdims=True)
    normalised: np.ndarray = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-6)
    return normalised


class Links:
    """Which of N things are linked, directly or through others (union-find)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def top(self, number: int) -> int:
        """The least of those that a thing is linked with."""
        while self._above[number] != number:
            self._above[number] = self._above[self._above[number]]
            number = self._above[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Link two things."""
        low, high = sorted((self.top(one), self.top(other)))
        self._above[high] = low


def groups(copies: Sequence[Copy], count: int) -> list[list[int]]:
    """Sets of spans that show the same, where what is a copy of a copy is one too; those of one are left out.

    Example:
        >>> groups([Copy(0, 3, "same bytes"), Copy(3, 4, "same bytes")], count=6)
        [[0, 3, 4]]
    """
    linked = Links(count)
    for copy in copies:
        linked.join(copy.one, copy.other)
    members: dict[int, list[int]] = {}
    for number in sorted({number for copy in copies for number in (copy.one, copy.other)}):
        members.setdefault(linked.top(number), []).append(number)
    return list(members.values())
