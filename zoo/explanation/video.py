"""Writes an explanation as a film: the original frames at their own times, the map over them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from zoo_registry.errors import DataError, Location

CLOCK = 90_000
"""Ticks a second, fine enough for any frame rate."""


def write_film(path: Path, frames: Iterator[tuple[float, np.ndarray]], fps: float) -> None:
    """Write pictures as H.264 in MP4, each at its time; the file appears whole or not at all.

    Args:
        path: its folder is made.
        frames: seconds, ascending, and uint8 (H, W, 3); an odd last row or column is left out, which the pixel format
            cannot hold.
        fps: how long the last one stays.

    Raises:
        DataError: it cannot be written there, or its name is none of an MP4.
    """
    if path.suffix.lower() != ".mp4":
        raise DataError(f"{path} is no name of a film of this kind", hint="end it in .mp4")
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _encode(partial, frames, fps)
        os.replace(partial, path)
    except (OSError, FFmpegError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the film cannot be written: {reason}", where=Location(str(path))) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _encode(path: Path, frames: Iterator[tuple[float, np.ndarray]], fps: float) -> None:
    first, picture_hwc = next(frames)
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
        stream.height, stream.width = (max(side // 2 * 2, 2) for side in picture_hwc.shape[:2])
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLOCK)
        for moment, picture in _with_first(first, picture_hwc, frames):
            even = np.ascontiguousarray(_at_least_two(picture)[: stream.height, : stream.width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.time_base = Fraction(1, CLOCK)
            frame.pts = round((moment - first) * CLOCK)
            frame.duration = round(CLOCK / rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _with_first(
    first: float, picture_hwc: np.ndarray, rest: Iterator[tuple[float, np.ndarray]]
) -> Iterator[tuple[float, np.ndarray]]:
    yield first, picture_hwc
    yield from rest


def _at_least_two(picture_hwc: np.ndarray) -> np.ndarray:
    """A picture of one row or column has it twice."""
    height, width = picture_hwc.shape[:2]
    return np.pad(picture_hwc, ((0, max(2 - height, 0)), (0, max(2 - width, 0)), (0, 0)), mode="edge")
