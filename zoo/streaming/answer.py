"""What a stream gives: an answer for each window, and a summary at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the model says of one window.

    Attributes:
        start, end: seconds from the first frame of the stream.
        row: as the model's task words it: for a classifier `{"top5": [{"label", "score"}, ...]}`.
        latency_ms: from when the window's last frame was due (a film played in real time) or arrived (anything live)
            until the answer.
        dropped: windows that were given up since the answer before.
    """

    start: float
    end: float
    row: Mapping[str, Any]
    latency_ms: float
    dropped: int

    def as_json(self) -> dict[str, Any]:
        """Everything in one flat mapping, for a JSON line.

        Example:
            >>> Answer(0.0, 1.24, {"value": 3}, 41.27, 0).as_json()
            {'start': 0.0, 'end': 1.24, 'value': 3, 'latency_ms': 41.3, 'dropped': 0}
        """
        return {
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            **self.row,
            "latency_ms": round(self.latency_ms, 1),
            "dropped": self.dropped,
        }


@dataclass(frozen=True)
class Summary:
    """What a stream came to.

    Attributes:
        seconds: how long it ran.
        windows: how many were answered.
        dropped: how many were given up.
        frames: how many were decoded.
        p50_ms, p95_ms: latency of the answers, within one part in a hundred; None without any.
        reconnects: how often a lost source came back.
        unwritten: frames that the written film lacks, because writing was slower than the source.
        rss_start, rss_end, rss_peak: memory of the process in bytes: at the first answer, now, and the most that was
            seen at an answer. 0 where the system does not say.
    """

    seconds: float
    windows: int
    dropped: int
    frames: int
    p50_ms: float | None
    p95_ms: float | None
    reconnects: int
    unwritten: int
    rss_start: int
    rss_end: int
    rss_peak: int

    def __str__(self) -> str:
        parts = [f"{self.windows} windows in {self.seconds:.1f} s", f"{self.dropped} dropped"]
        if self.p50_ms is not None and self.p95_ms is not None:
            parts.append(f"latency p50 {self.p50_ms:.0f} ms, p95 {self.p95_ms:.0f} ms")
        if self.seconds > 0:
            parts.append(f"{self.frames / self.seconds:.1f} frames/s")
        if self.reconnects:
            parts.append(f"{self.reconnects} times reconnected")
        if self.unwritten:
            parts.append(f"{self.unwritten} frames not written")
        if self.rss_peak:
            sizes = [f"{size / 1e6:.0f}" for size in (self.rss_start, self.rss_end, self.rss_peak)]
            parts.append("memory {} MB at the first answer, {} MB at the end, {} MB at most".format(*sizes))
        return "; ".join(parts)
