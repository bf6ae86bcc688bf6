"""Films that show nothing, or nothing that moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo.data.audit.findings import Finding

if TYPE_CHECKING:
    from zoo.data.audit.reading import SpanLook
    from zoo.data.audit.spans import Used

BLACK = 0.98
"""Part of the pixels that has to be black in a black frame: FFmpeg's blackdetect."""

MOSTLY = 0.9
"""Part of the sampled frames that has to be black in a black film."""

UNCHANGED = 0.255
"""Mean difference of luma (0..255) below which a picture stands still: -60 dB, FFmpeg's freezedetect."""

FREEZE = 2.0
"""Seconds that a picture has to stand still within a film: FFmpeg's freezedetect."""

FEWEST = 4
"""Sampled frames below which a film is too short to be called frozen."""


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """First and last place of every run of true ones.

    Example:
        >>> runs([True, True, False, True])
        [(0, 1), (3, 3)]
    """
    edges = [at for at in range(len(flags) + 1) if (at < len(flags) and flags[at]) != (at > 0 and flags[at - 1])]
    return [(first, after - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]


def dark_findings(used: Used, look: SpanLook) -> Iterator[Finding]:
    """Whether a span is black, all of it or in parts, and when."""
    flags = [dark >= BLACK for dark in look.dark]
    ends = (*look.times[1:], look.end)
    times = [(look.times[first], ends[last]) for first, last in runs(flags)]
    if sum(flags) >= MOSTLY * len(flags):
        yield Finding("black", f"{used.places[0].key} is black", used.places, _seconds(times))
    else:
        long = [span for (first, last), span in zip(runs(flags), times, strict=True) if last > first]
        if long:
            yield Finding("partly_black", f"{used.places[0].key} is black {_spoken(long)}", used.places, _seconds(long))


def still_findings(used: Used, look: SpanLook) -> Iterator[Finding]:
    """Whether a span stands still, all of it or in parts, and when; a black one is only called black."""
    flags = [change < UNCHANGED for change in look.changes]
    if len(flags) < FEWEST - 1 or all(dark >= BLACK for dark in look.dark):
        return
    times = [(look.times[first], look.times[last + 1]) for first, last in runs(flags)]
    if all(flags):
        yield Finding("frozen", f"{used.places[0].key} stands still", used.places, _seconds([(look.begin, look.end)]))
    elif long := [(start, end) for start, end in times if end - start >= FREEZE]:
        message = f"{used.places[0].key} stands still {_spoken(long)}"
        yield Finding("partly_frozen", message, used.places, _seconds(long))


def _seconds(times: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {"seconds": [[round(start, 2), round(end, 2)] for start, end in times]}


def _spoken(times: Sequence[tuple[float, float]]) -> str:
    return "from " + ", ".join(f"{start:.1f} s to {end:.1f} s" for start, end in times)
