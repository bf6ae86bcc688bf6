"""Scene cuts: where the picture of a film changes from one frame to the next, more than motion changes it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.video.reformatter import VideoReformatter

from zoo.data.clips.slots import span_within
from zoo.data.decode.film import Film, Media, open_film
from zoo.data.decode.frames import frames_from
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from av import VideoFrame

WIDTH = 128
"""Pixels; frames are compared at most this wide."""

AROUND = 2
"""Frames before and after a change that it is compared with, and after which a flash must be over."""

REPEATED = 0.5
"""Smallest change between two frames that are not the same one shown again."""

REPEATS = 2
"""How often in a row a frame is shown again in films that were made for a lower frame rate."""


def scenes(
    media: Media,
    *,
    threshold: float = 15.0,
    ratio: float = 3.0,
    shortest: float = 0.5,
    start: float | None = None,
    end: float | None = None,
) -> list[tuple[float, float]]:
    """Cut a film where its content changes. Every frame is decoded once and compared at most 128 pixels wide.

    The change between two frames is the mean absolute difference of hue (0..180), saturation and value (0..255), as in
    PySceneDetect's ContentDetector. It counts as a cut where it is at least `threshold` and `ratio` times the mean of
    the two changes before and the two after it, as in its AdaptiveDetector: a moving camera changes all of them. Two
    things are added: frames that are shown again, as in films made for a lower frame rate, do not count as frames
    without change; and the frames on one side must differ from those two frames away on the other, for a flash is no
    cut. Fades and dissolves are not found.

    Args:
        media: a film; a picture is one scene.
        threshold: smallest change that is a cut, 0..255.
        ratio: how many times more than the frames around it.
        shortest: seconds of the shortest scene; a cut sooner after the last one is passed over.
        start: of the part to look at, in seconds from the first frame; None for the film's beginning.
        end: of that part; None for the film's end.

    Returns:
        (start, end) of each scene, in seconds from the first frame. They lie side by side and cover the part; a scene
        begins where its first frame is displayed.

    Raises:
        UndecodableMedia: with the file and the reason.
        DataError: a threshold, ratio or length that is negative.

    Example:
        >>> scenes("film.mp4")                                                          # doctest: +SKIP
        [(0.0, 3.2), (3.2, 10.01)]
    """
    for name, value in (("threshold", threshold), ("ratio", ratio), ("shortest", shortest)):
        if not value >= 0:
            raise DataError(f"{name} is {value:g}, it cannot be negative")
    with open_film(media) as film:
        begin, stop = span_within(film, start, end)
        edges = [begin]
        for cut in _cuts(_changes(_frames(film, begin, stop)), threshold, ratio):
            if cut - edges[-1] >= shortest:
                edges.append(cut)
        return list(zip(edges, [*edges[1:], stop], strict=True))


@dataclass(frozen=True)
class _Change:
    """What became different at `time`: by how much, and the pictures before and from then on."""

    time: float
    amount: float
    before: np.ndarray
    after: np.ndarray


def _frames(film: Film, begin: float, stop: float) -> Iterator[tuple[float, np.ndarray]]:
    """Times from the film's first frame, and pictures in hue, saturation and value."""
    origin, reformatter = film.timeline.origin, VideoReformatter()
    half = 0.5 / film.timeline.fps
    for stamp, frame in frames_from(film, origin + begin + half):
        if stamp - origin >= stop - half:
            return
        yield max(begin, stamp - origin), _hue_saturation_value(_small(frame, reformatter))


def _small(frame: VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """(height, width, 3) uint8 RGB, at most `WIDTH` pixels wide."""
    scale = min(1.0, WIDTH / frame.width)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    return reformatter.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1).to_ndarray()


def _hue_saturation_value(rgb_hwc: np.ndarray) -> np.ndarray:
    """(3, height, width) int16: hue in 0..180 (two degrees each), saturation and value in 0..255.

    Example:
        >>> _hue_saturation_value(np.array([[[0, 0, 255], [128, 64, 64]]], np.uint8))[:, 0].T.tolist()
        [[120, 255, 255], [0, 127, 128]]
    """
    red, green, blue = rgb_hwc.astype(np.float32).transpose(2, 0, 1)
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(chroma > 0, chroma, 1)
    hue = np.where(value == green, 60 + 30 * (blue - red) / divisor, 120 + 30 * (red - green) / divisor)
    hue = np.where(value == red, 30 * (green - blue) / divisor, hue) % 180
    saturation = 255 * chroma / np.where(value > 0, value, 1)
    return np.stack([np.where(chroma > 0, hue, 0), saturation, value]).astype(np.int16)


def _difference(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.abs(before - after).mean())


def _differ(before: np.ndarray, after: np.ndarray, threshold: float) -> bool:
    return before.shape != after.shape or _difference(before, after) >= threshold


def _changes(frames: Iterable[tuple[float, np.ndarray]]) -> Iterator[_Change]:
    before: np.ndarray | None = None
    repeats = 0
    for time, picture in frames:
        if before is not None and before.shape == picture.shape:  # a stream may change its size on the way
            change = _Change(time, _difference(before, picture), before, picture)
            repeats = repeats + 1 if change.amount < REPEATED else 0
            if repeats == 0 or repeats > REPEATS:  # a picture that stands still for longer has no change
                yield change
        before = picture


def _cuts(changes: Iterable[_Change], threshold: float, ratio: float) -> Iterator[float]:
    """Times of cuts; only the changes around the one that is judged are kept."""
    held: deque[_Change] = deque(maxlen=2 * AROUND + 1)
    at = 0  # which of those held is judged next
    for change in changes:
        if len(held) == held.maxlen:
            at -= 1
        held.append(change)
        if len(held) > at + AROUND:
            if _is_cut(held, at, threshold, ratio):
                yield held[at].time
            at += 1
    for last in range(at, len(held)):
        if _is_cut(held, last, threshold, ratio):
            yield held[last].time


def _is_cut(held: deque[_Change], at: int, threshold: float, ratio: float) -> bool:
    change = held[at]
    others = [other.amount for place, other in enumerate(held) if 0 < abs(place - at) <= AROUND]
    usual = sum(others) / len(others) if others else 0.0
    earlier, later = held[max(at - AROUND, 0)].before, held[min(at + AROUND, len(held) - 1)].after
    return (
        change.amount >= threshold
        and change.amount >= ratio * usual
        and _differ(change.before, later, threshold)  # no flash begins here
        and _differ(earlier, change.after, threshold)  # nor ends
    )
