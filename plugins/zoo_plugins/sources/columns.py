"""Columns of a large table in few bytes: text as places in one buffer, classes as codes, all of it shared by processes.

A million Python strings cost 80 MB and more, every forked worker copies them as soon as it counts a reference, and
every spawned one gets them through a pipe. Arrays cost what their numbers cost, and forked workers leave them alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np

SLACK = 8
"""Bytes that a buffer has beyond its last text, so that eight can be read at once from every place."""

CHUNK = 65_536
"""Rows that are Python objects at the same time while a column is read."""

APART = 4_096
"""Bytes from one text to the next beyond which what lies between is not copied along."""

Indexes = np.ndarray
"""(n,) of whole numbers."""


@dataclass(frozen=True)
class Texts:
    """Texts of a column: UTF-8 between `starts` and `ends` of a buffer that columns share. No text is an empty one.

    Attributes:
        buffer: uint8, `SLACK` longer than what is used.
        starts, ends: uint32, or uint64 beyond 4 GB; one each a row.
    """

    buffer: np.ndarray
    starts: Indexes
    ends: Indexes

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> str:
        return self.buffer[self.starts[row] : self.ends[row]].tobytes().decode()

    @property
    def filled(self) -> np.ndarray:
        """(n,) bool: which rows have a text."""
        return self.ends > self.starts

    def rows(self, rows: Indexes | slice) -> Texts:
        """The texts of some rows, in the same buffer."""
        return Texts(self.buffer, self.starts[rows], self.ends[rows])

    def raw(self) -> Iterator[list[bytes]]:
        """All texts as bytes, some at a time."""
        for at in range(0, len(self), CHUNK):
            starts, ends = self.starts[at : at + CHUNK], self.ends[at : at + CHUNK]
            if not len(starts):
                return
            places = list(zip(starts.tolist(), ends.tolist(), strict=True))
            first, last = int(starts.min()), int(ends.max())
            if last - first > APART * len(places):  # here and there in a large buffer
                yield [self.buffer[start:end].tobytes() for start, end in places]
            else:
                piece = self.buffer[first : max(first, last)].tobytes()
                yield [piece[start - first : end - first] for start, end in places]

    def stripped(self) -> Texts:
        """Without blanks and tabs around the texts."""
        starts, ends = self.starts, self.ends
        while (blank := (starts < ends) & _is_blank(self.buffer[starts])).any():
            starts = starts + blank.astype(starts.dtype)
        while (blank := (starts < ends) & _is_blank(self.buffer[np.maximum(ends, 1) - 1])).any():
            ends = ends - blank.astype(ends.dtype)
        return Texts(self.buffer, starts, ends)


def _is_blank(letters: np.ndarray) -> np.ndarray:
    return (letters == ord(" ")) | (letters == ord("\t"))


def distinct(texts: Texts) -> tuple[np.ndarray, Texts]:
    """Number the different texts of a column.

    Returns:
        codes: (n,) int32, the number of each row's text.
        names: the different texts, by number; in no particular order.
    """
    codes = np.empty(len(texts), np.int32)
    numbers: dict[int, int] = {}  # of a text's mixed bits
    first = np.zeros(0, np.int64)  # row in which each text was seen first
    for at in range(0, len(texts), CHUNK):
        some = texts.rows(slice(at, at + CHUNK))
        lengths, words = _words(some)
        mixed = lengths.astype(np.uint64)
        for word in words:
            mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        found, rows, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        known = len(numbers)
        numbered = np.array([numbers.setdefault(bits, len(numbers)) for bits in found.tolist()], np.int32)
        first = np.concatenate([first, at + rows[numbered >= known]])
        codes[at : at + CHUNK] = numbered[inverse]
        if not _same(lengths, words, texts.rows(first[numbered[inverse]])):
            return _distinct_one_by_one(texts)  # two texts were mixed into one number: as good as never
    return codes, texts.rows(first)


def _same(lengths: np.ndarray, words: Sequence[np.ndarray], others: Texts) -> bool:
    """Whether texts are those others, row by row."""
    if not np.array_equal(lengths, (others.ends - others.starts).astype(np.int64)):
        return False
    return all(np.array_equal(ours, theirs) for ours, theirs in zip(words, _words(others)[1], strict=True))


def _words(texts: Texts) -> tuple[np.ndarray, list[np.ndarray]]:
    """Lengths in bytes, (n,) int64; and every eight bytes of all texts, (n,) uint64 each, zeros after a text's end."""
    lengths = (texts.ends - texts.starts).astype(np.int64)
    everywhere = np.ndarray((len(texts.buffer) - SLACK + 1,), np.dtype("<u8"), texts.buffer, strides=(1,))
    masks = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
    last = len(everywhere) - 1
    starts = texts.starts.astype(np.int64)
    return lengths, [
        everywhere[np.minimum(starts + at, last)] & masks[np.clip(lengths - at, 0, 8)]
        for at in range(0, int(lengths.max(initial=0)), 8)
    ]


def _distinct_one_by_one(texts: Texts) -> tuple[np.ndarray, Texts]:
    numbers: dict[bytes, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(text, len(numbers)) for chunk in texts.raw() for text in chunk), np.int32, len(texts)
    )
    _, first = np.unique(codes, return_index=True)
    return codes, texts.rows(first)


def numbers(texts: Texts) -> tuple[np.ndarray, Indexes]:
    """Read a column of numbers.

    Returns:
        values: (n,) float64, NaN for empty texts and for what is no finite number.
        bad: the rows that have a text which is no finite number.

    Example:
        >>> writer = TextWriter()
        >>> writer.extend(4, {"seconds": ["0.5", "", "-1e3", "soon"]})
        >>> values, bad = numbers(writer.columns()["seconds"])
        >>> values.tolist(), bad.tolist()
        ([0.5, nan, -1000.0, nan], [3])
    """
    values = np.full(len(texts), np.nan)
    for at in range(0, len(texts), CHUNK):  # so many fit into a processor's cache
        some = texts.rows(slice(at, at + CHUNK))
        values[at : at + CHUNK], plain = _decimals(some)
        for row in np.flatnonzero(~plain & some.filled).tolist():
            values[at + row] = _number(some[row])
    values[np.isinf(values)] = np.nan
    return values, np.flatnonzero(np.isnan(values) & texts.filled)


DIGITS = 15
"""A whole number of so many digits is exact in float64, and so is its quotient by a power of ten, correctly rounded."""


def _decimals(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """(n,) float64 of texts that are digits with at most one point, and (n,) bool: which ones are; others are NaN."""
    lengths = (texts.ends - texts.starts).astype(np.int64)
    plain = (lengths > 0) & (lengths <= DIGITS + 1)
    digits, behind = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    number = np.zeros(len(texts), np.int64)
    pointed = np.zeros(len(texts), bool)
    short = Texts(texts.buffer, texts.starts, np.where(plain, texts.ends, texts.starts))
    for word in _words(short)[1]:
        for letter in np.ascontiguousarray(word.view(np.uint8).reshape(-1, 8).T):
            digit = letter - np.uint8(ord("0"))  # far beyond 9 for signs before the zero
            is_digit, is_point = digit <= 9, letter == ord(".")
            number = np.where(is_digit, number * 10 + digit, number)
            digits += is_digit
            behind += is_digit & pointed
            plain &= is_digit | (is_point & ~pointed) | (letter == 0)
            pointed |= is_point
    plain &= (digits > 0) & (digits <= DIGITS)
    return np.where(plain, number / 10.0**behind, np.nan), plain


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


class TextWriter:
    """Texts that come some at a time, such as from JSON, as columns in one buffer.

    Example:
        >>> writer = TextWriter()
        >>> writer.extend(1, {"path": ["a.mp4"]})
        >>> writer.extend(1, {"path": ["b.mp4"], "label": ["cat"]})
        >>> [writer.columns()["label"][row] for row in range(2)]
        ['', 'cat']
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._counts: list[int] = []
        self._places: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}

    def extend(self, count: int, columns: Mapping[str, Sequence[str]]) -> None:
        """More rows.

        Args:
            count: how many.
            columns: their texts by column; a column that is not there has no text in them.
        """
        for name, texts in columns.items():
            raw, lengths = _encoded(texts)
            ends = len(self._buffer) + np.cumsum(np.fromiter(lengths, np.int64, count))
            starts = np.concatenate([np.array([len(self._buffer)], np.int64), ends[:-1]])[:count]
            self._buffer += raw
            if name not in self._places:
                self._places[name] = [(zeros := np.zeros(many, np.uint32), zeros) for many in self._counts]
            kind = place_type(len(self._buffer))
            self._places[name].append((starts.astype(kind), ends.astype(kind)))
        self._counts.append(count)
        for name in self._places.keys() - columns.keys():
            self._places[name].append((np.zeros(count, np.uint32), np.zeros(count, np.uint32)))

    def columns(self) -> dict[str, Texts]:
        """All columns so far."""
        buffer = np.frombuffer(self._buffer + bytes(SLACK), np.uint8)
        return {
            name: Texts(buffer, *(np.concatenate(parts) for parts in zip(*pieces, strict=True)))
            for name, pieces in self._places.items()
        }


def _encoded(texts: Sequence[str]) -> tuple[bytes, Iterator[int]]:
    """All texts in UTF-8 one after the other, and the bytes that each takes."""
    joined = "".join(texts)
    if joined.isascii():
        return joined.encode(), map(len, texts)
    # What is no text in UTF-8 (half of a surrogate pair in JSON) is no name of a file or class either.
    raw = [text.encode(errors="replace") for text in texts]
    return b"".join(raw), map(len, raw)


def place_type(size: int) -> np.dtype[Any]:
    """What holds every place in a buffer of so many bytes."""
    return np.dtype(np.uint32 if size < 2**32 else np.uint64)


class SharedArrays:
    """Arrays by name; processes that are spawned get them through shared memory, once for all of them."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)
        self._tensors: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def get(self, name: str) -> np.ndarray | None:
        """The array, None where there is none of this name."""
        return self._arrays.get(name)

    def __getstate__(self) -> dict[str, Any]:
        if get_spawning_popen() is None:
            return {"arrays": self._arrays}
        import torch

        if self._tensors is None:
            # Torch hands tensors in shared memory to another process without copying them.
            self._tensors = {
                name: torch.from_numpy(np.array(array)).share_memory_() for name, array in self._arrays.items()
            }
            self._arrays = {name: tensor.numpy() for name, tensor in self._tensors.items()}
        return {"tensors": self._tensors}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._tensors = state.get("tensors")
        tensors = self._tensors or {}
        self._arrays = state.get("arrays") or {name: tensor.numpy() for name, tensor in tensors.items()}
