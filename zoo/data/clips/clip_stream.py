"""Clips of a long film, one after the other, in one pass and little memory."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from zoo.data.clips.clip import Clip
from zoo.data.clips.sliding_windows import check_window, window_spans
from zoo.data.clips.slots import slots_of, span_within
from zoo.data.clips.views import View, crop_position
from zoo.data.decode.conversion import Conversion, seen_through
from zoo.data.decode.film import Film, Media, open_film
from zoo.data.decode.frames import frames_at
from zoo.data.decode.keyframe_times import keyframe_stamps
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.decode.conversion import Picture
    from zoo_registry.entries import ClipSpec


def iter_clips(
    media: Media,
    spec: ClipSpec,
    *,
    seconds: float | None = None,
    step: float | None = None,
    start: float | None = None,
    end: float | None = None,
    drop_last: bool = False,
    crops: Literal[1, 3] = 1,
) -> Iterator[Clip]:
    """Clips of a film in the order of time, each as `read_clip` gives it for the same window.

    The film is read once, as far as clips are asked for: frames that several windows show are decoded once, and only
    frames of windows that are not complete are kept. So it may be longer than memory. Where nothing is wanted for more
    than two seconds the film is searched for what comes next.

    Args:
        media: a film, as `read_clip` takes it; a picture is one clip.
        spec: what clips look like. From each window they are chosen as `spec.sampling` says, in its middle.
        seconds: length of a window; by default what a dense clip spans.
        step: seconds from the beginning of one window to that of the next. By default `seconds` where that is given,
            else `frames * stride` frames: windows lie side by side, and every `stride`-th frame is shown once.
        start: where the first one begins, in seconds from the first frame.
        end: where the last one ends at the latest.
        drop_last: leave out a last window that is cut short; else its last frame is repeated.
        crops: 3 gives three clips a window: left, centre and right (top, centre and bottom of a tall film).

    Yields:
        `Clip`s with uint8 pixels (3, T, H, W) and the seconds they show, from the first frame.

    Raises:
        UndecodableMedia: with the file and the reason; raised where the first clip is asked for, or the damage lies.
        DataError: a length or step that is not positive, or no length where the sampling needs one.

    Example:
        >>> for clip in iter_clips("film.mp4", spec, step=1.0):                         # doctest: +SKIP
        ...     print(f"{clip.start:.2f} s to {clip.end:.2f} s", tuple(clip.pixels_cthw.shape))
        0.00 s to 2.44 s (3, 16, 224, 224)
    """
    check_window(seconds, step)
    if seconds is None and spec.sampling != "dense":
        raise DataError(
            f"{spec.sampling} are spread over a window, and nothing says how long one is",
            hint="iter_clips(..., seconds=10)",
        )
    return _clips(media, spec, (seconds, step, start, end), drop_last, crops)


def _clips(
    media: Media,
    spec: ClipSpec,
    asked: tuple[float | None, float | None, float | None, float | None],
    drop_last: bool,
    crops: int,
) -> Iterator[Clip]:
    seconds, step, start, end = asked
    with open_film(media) as film:
        begin, stop = span_within(film, start, end)
        rate = spec.fps or film.timeline.fps
        length = seconds or ((spec.frames - 1) * spec.stride + 1) / rate
        between = step or seconds or spec.frames * spec.stride / rate
        spans = window_spans(begin, stop, length, between, drop_last, slack=0.5 / max(rate, film.timeline.fps))
        convert = Conversion(film.path, spec, canvas=False)
        views = [View(along=crop_position(crop, crops)) for crop in range(crops)]
        for window in _filled(film, convert, _windows(film, spec, spans)):
            for view in views:
                placement = convert.placement(view)
                yield Clip(seen_through(placement, window.frames), placement, window.start, window.end)
            film.be_patient()


@dataclass(eq=False)
class _Window:
    """A clip to come: when its frames are on display, in seconds on the stream's clock, and those read so far."""

    start: float
    end: float
    times: list[float]
    frames: list[Picture] = field(default_factory=list)


def _windows(film: Film, spec: ClipSpec, spans: Iterable[tuple[float, float]]) -> Iterator[_Window]:
    stamps = keyframe_stamps(film) if spec.sampling == "keyframes" else None
    for start, end in spans:
        slots = slots_of(film, spec, start, end, stamps)
        chosen = slots.choose(spec, 0.5)
        yield _Window(*slots.seconds(chosen), [slots.time(slot) for slot in chosen])


def _filled(film: Film, convert: Conversion, windows: Iterator[_Window]) -> Iterator[_Window]:
    """The windows, each when its last frame is there."""
    moments, ahead = itertools.tee(_moments(windows))
    frames = frames_at(film, (time for time, _ in ahead))
    for frame, (_, window) in zip(frames, moments, strict=True):
        window.frames.append(convert(frame))
        if len(window.frames) == len(window.times):
            yield window
            window.frames.clear()


def _moments(windows: Iterator[_Window]) -> Iterator[tuple[float, _Window]]:
    """When which window shows a frame, in the order of time; a window is asked for when it begins."""
    running: list[tuple[float, int, int, _Window]] = []
    following, number = next(windows, None), 0
    while running or following is not None:
        while following is not None and (not running or following.times[0] <= running[0][0]):
            heapq.heappush(running, (following.times[0], number, 0, following))
            following, number = next(windows, None), number + 1
        time, of, shown, window = heapq.heappop(running)
        yield time, window
        if shown + 1 < len(window.times):
            heapq.heappush(running, (window.times[shown + 1], of, shown + 1, window))
