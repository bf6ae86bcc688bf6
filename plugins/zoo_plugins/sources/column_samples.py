"""A million samples that are made when they are asked for."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from zoo_plugins.sources.columns import CHUNK, SharedArrays, Texts, TextWriter, distinct
from zoo_plugins.sources.samples_on_demand import SamplesOnDemand
from zoo_registry.protocols import Sample

_NETWORK = re.compile(r"https?://")


class ColumnSamples(SamplesOnDemand):
    """Samples of one form, kept as arrays.

    Args:
        base: folder that paths start from.
        paths: of the media; a sample's key, with its span.
        start, end: (n,) float64 seconds, NaN for none.
        label: the class of every sample.
        labels: names of several classes, between `separator`.
        values: (n,) or (n, K) float64.
        files: other targets that are paths, by key.
        boxes: corners as JSON, [[x1, y1, x2, y2], ...].
        separator: see labels.

    Example:
        >>> samples = labelled_samples("films", [("a.mp4", "cat", None, None), ("b.mp4", "dog", 0.5, 2.0)])
        >>> samples[1].key, samples[1].targets, len(samples)
        ('b.mp4 [0.5 s to 2 s]', {'label_b': 'dog'}, 2)
    """

    def __init__(
        self,
        base: str,
        paths: Texts,
        *,
        start: np.ndarray | None = None,
        end: np.ndarray | None = None,
        label: Texts | None = None,
        labels: Texts | None = None,
        values: np.ndarray | None = None,
        files: Mapping[str, Texts] | None = None,
        boxes: Texts | None = None,
        separator: str = ";",
    ) -> None:
        arrays = {"buffer": paths.buffer, "start": start, "end": end, "values": values}
        self._base, self._separator, self._names = base, separator, ()
        self._files = tuple(files or ())
        texts = {"path": paths, "boxes": boxes, **(files or {})}
        for name, column in (("label", label), ("labels", labels)):
            if column is not None:
                codes, names = _in_order(*distinct(column))
                arrays[name] = codes
                texts[f"{name} names"] = names
        for name, texts_of in texts.items():
            if texts_of is not None:
                arrays[f"{name} from"], arrays[f"{name} to"] = texts_of.starts, texts_of.ends
        self._arrays = SharedArrays({name: array for name, array in arrays.items() if array is not None})
        self._count = len(paths)
        self._names: tuple[str, ...] = self._all("label names") if label is not None else ()

    def __len__(self) -> int:
        return self._count

    def make(self, at: int) -> Sample:
        """See `SamplesOnDemand`."""
        path = self._text("path", at)
        start, end = self._seconds("start", at), self._seconds("end", at)
        return Sample(self._place(path), self._targets(at), start, end, key=key_of(path, start, end))

    def _targets(self, at: int) -> dict[str, Any]:
        targets: dict[str, Any] = {}
        if "label" in self._arrays:
            targets["label_b"] = self._names[self._arrays["label"][at]]
        if "labels" in self._arrays:
            targets["label_bk"] = self._split(self._text("labels names", int(self._arrays["labels"][at])))
        if "values" in self._arrays:
            values = self._arrays["values"][at].tolist()
            targets["value_bk" if isinstance(values, list) else "value_b"] = values
        for key in self._files:
            targets[key] = self._place(self._text(key, at))
        if "boxes from" in self._arrays:
            targets["boxes_n4"] = json.loads(self._text("boxes", at))
        return targets

    def target_keys(self) -> list[tuple[str, ...]]:
        """The keys of the targets of every sample: see `zoo_registry.protocols.Overview`."""
        return [tuple(self._targets(0))] if self._count else []

    def class_names(self) -> set[str]:
        """All classes that samples name."""
        several = self._all("labels names") if "labels" in self._arrays else ()
        return {*self._names, *(name for text in several for name in self._split(text))}

    def digest(self) -> bytes:
        """Of the keys, targets and spans of all samples, wherever the files lie."""
        digest = hashlib.sha256(json.dumps([self._names, self._files, self._separator]).encode())
        for name in ("start", "end", "values", "label", "labels"):
            if name in self._arrays:
                digest.update(name.encode() + np.ascontiguousarray(self._arrays[name]).tobytes())
        for name in ("path", "labels names", "boxes", *self._files):
            if f"{name} from" in self._arrays:
                digest.update(name.encode())
                for chunk in self._texts(name).raw():
                    digest.update(b"\0".join(chunk) + b"\0")
        return digest.digest()

    def class_codes(self) -> np.ndarray | None:
        """(n,) int32: for every sample the place of its class among the sorted names, None without one class each."""
        return self._arrays.get("label")

    def _place(self, path: str) -> str:
        return path if _NETWORK.match(path) else os.path.join(self._base, path)

    def _split(self, text: str) -> list[str]:
        return [name for part in text.split(self._separator) if (name := part.strip())]

    def _seconds(self, name: str, at: int) -> float | None:
        if name not in self._arrays:
            return None
        value = float(self._arrays[name][at])
        return None if value != value else value  # NaN

    def _text(self, name: str, at: int) -> str:
        place = slice(self._arrays[f"{name} from"][at], self._arrays[f"{name} to"][at])
        return self._arrays["buffer"][place].tobytes().decode()

    def _texts(self, name: str) -> Texts:
        return Texts(self._arrays["buffer"], self._arrays[f"{name} from"], self._arrays[f"{name} to"])

    def _all(self, name: str) -> tuple[str, ...]:
        return tuple(text.decode() for chunk in self._texts(name).raw() for text in chunk)


def key_of(path: str, start: float | None, end: float | None) -> str:
    """What a person recognises a sample by: its path and span."""
    if start is None and end is None:
        return path
    return f"{path} [{start or 0:g} s to {'end' if end is None else f'{end:g} s'}]"


def _in_order(codes: np.ndarray, names: Texts) -> tuple[np.ndarray, Texts]:
    """The same with the names sorted, so that codes say the same for the same data."""
    texts = [text for chunk in names.raw() for text in chunk]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[codes], names.rows(np.array(order, np.int64))


def labelled_samples(base: str, rows: Iterable[tuple[str, str | None, float | None, float | None]]) -> ColumnSamples:
    """Samples of one class each.

    Args:
        base: folder that paths start from.
        rows: path, class, start and end of each; either all rows have a class or none has.
    """
    writer = TextWriter()
    spans: list[float] = []
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, CHUNK)):
        paths, labels, starts, ends = zip(*some, strict=True)
        has = {} if labels[0] is None else {"label": labels}
        writer.extend(len(some), {"path": paths, **has})
        for start, end in zip(starts, ends, strict=True):
            spans += (np.nan if start is None else start, np.nan if end is None else end)
    columns = writer.columns()
    start_n, end_n = np.array(spans, np.float64).reshape(-1, 2).T.copy()
    spanned = not (np.isnan(start_n).all() and np.isnan(end_n).all())
    return ColumnSamples(
        base,
        columns["path"],
        start=start_n if spanned else None,
        end=end_n if spanned else None,
        label=columns.get("label"),
    )
