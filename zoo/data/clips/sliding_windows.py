"""Sliding windows: a film cut into spans of equal length."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoo.data.clips.slots import span_within
from zoo.data.decode.film import Media, open_film
from zoo_registry.errors import DataError

SHORTEST = 0.001
"""Seconds. No film has frames as short as that; windows as short would be more than fit into memory."""


def windows(
    media: Media,
    seconds: float,
    *,
    step: float | None = None,
    start: float | None = None,
    end: float | None = None,
    drop_last: bool = False,
) -> list[tuple[float, float]]:
    """Cut a film into spans of equal length. Its header is read, nothing is decoded.

    Args:
        media: a film.
        seconds: length of a window.
        step: from the beginning of one window to that of the next; by default `seconds`, so that they lie side by side.
        start: where the first one begins, in seconds from the first frame; None for the film's beginning.
        end: where the last one ends at the latest; None for the film's end.
        drop_last: leave out a last window that would be cut short.

    Returns:
        (start, end) of each, in seconds from the first frame. After the first one that reaches the end there is none.

    Raises:
        UndecodableMedia: with the file and the reason.
        DataError: a length or step that is not positive.

    Example:
        >>> windows("film.mp4", 4.0, step=2.0)                                          # doctest: +SKIP
        [(0.0, 4.0), (2.0, 6.0), (4.0, 8.0), (6.0, 10.0)]
    """
    check_window(seconds, step)
    with open_film(media) as film:
        begin, stop = span_within(film, start, end)
        return list(window_spans(begin, stop, seconds, step or seconds, drop_last, slack=0.5 / film.timeline.fps))


def check_window(seconds: float | None, step: float | None) -> None:
    """See that a length and a step are numbers of seconds that make sense, where they are given.

    Raises:
        DataError: one is not.
    """
    for name, value in (("a window", seconds), ("the step between windows", step)):
        if value is not None and not (math.isfinite(value) and value >= SHORTEST):
            hint = f"give {SHORTEST:g} seconds or more"
            raise DataError(f"{name} lasts {value:g} s, which is no length of time", hint=hint)


def window_spans(
    begin: float, stop: float, seconds: float, step: float, drop_last: bool, slack: float
) -> Iterator[tuple[float, float]]:
    """(start, end) of windows between two times; at least one, unless it would be cut short and is dropped.

    Args:
        begin: where the first one begins, in seconds.
        stop: where the last one ends at the latest.
        seconds: length of a window.
        step: between the beginnings of two.
        drop_last: leave out a last one that would be cut short.
        slack: seconds that do not count: half a frame.

    Example:
        >>> list(window_spans(0.0, 5.0, 2.0, 1.5, drop_last=False, slack=0.02))
        [(0.0, 2.0), (1.5, 3.5), (3.0, 5.0)]
        >>> list(window_spans(0.0, 5.0, 2.0, 2.0, drop_last=True, slack=0.02))
        [(0.0, 2.0), (2.0, 4.0)]
    """
    number, start = 0, begin
    while number == 0 or start < stop - slack:
        end = start + seconds
        if end <= stop + slack or not drop_last:
            yield start, min(end, stop)
        if end >= stop - slack:
            return
        number += 1
        start = begin + number * step  # not added up: errors would add up too
