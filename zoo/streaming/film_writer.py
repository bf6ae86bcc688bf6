"""Writes a film while it happens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.codec import codecs_available
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from zoo_registry.errors import RunError

if TYPE_CHECKING:
    import numpy as np
    from av.container import OutputContainer
    from av.video.stream import VideoStream

SUFFIXES = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}
"""FFmpeg's container formats by the ends of file names."""

# In fragments: an index of the whole film would grow for as long as it is written, and what was written before a
# machine lost power could not be played.
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_X264 = {"preset": "veryfast", "tune": "zerolatency", "crf": "23"}
_TICKS = Fraction(1, 1000)


def check_film_path(path: Path) -> None:
    """See that a film can be written there, before anything starts.

    Raises:
        RunError: it cannot, and why.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RunError(f"{path} is no name of a film", hint=f"end it in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise RunError(f"{path} is a folder", hint="name a file in it")
    folder = path.parent
    if not folder.is_dir():
        raise RunError(f"{path} cannot be written: there is no folder {folder}", hint="make it first")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise RunError(f"{path} cannot be written: no permission", hint="name a place that you may write to")


class FilmWriter:
    """A film in the making. It has its name only once it is whole; until then it lies beside it as `.NAME.partial`.

    Args:
        path: where it goes; the end of its name says which kind of file. One that is there is replaced.
        rate: frames per second, about: frames keep their own times.

    Raises:
        RunError: writing fails.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self._rate = path, Fraction(rate).limit_denominator(1001)
        self._partial = path.with_name(f".{path.name}.partial")
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._reformatter = VideoReformatter()  # a frame's own starts threads anew, until the frame is collected
        self._last = -1
        self._failed = False

    def write(self, seconds: float, frame_hwc: np.ndarray) -> None:
        """Add a frame; one of another size than the first is scaled to it.

        Args:
            seconds: when it is displayed.
            frame_hwc: uint8 (H, W, 3), RGB.
        """
        with self._failures_in_words():
            if self._container is None or self._stream is None:
                self._container, self._stream = self._open(frame_hwc.shape[0] & ~1, frame_hwc.shape[1] & ~1)
            frame = av.VideoFrame.from_ndarray(frame_hwc, format="rgb24")
            width, height = self._stream.width, self._stream.height
            frame = self._reformatter.reformat(frame, width, height, "yuv420p", threads=1)
            self._last = max(self._last + 1, round(seconds / _TICKS))
            frame.pts, frame.time_base = self._last, _TICKS
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """End the film and give it its name; without a frame, or where writing failed, there is none."""
        if self._container is None or self._stream is None:
            return
        container, self._container = self._container, None
        if self._failed:
            with suppress(FFmpegError):
                container.close()
            return
        with self._failures_in_words():
            try:
                container.mux(self._stream.encode())
            finally:
                container.close()
            self._partial.replace(self.path)

    def _open(self, height: int, width: int) -> tuple[OutputContainer, VideoStream]:
        kind = SUFFIXES[self.path.suffix.lower()]
        options = _FRAGMENTS if kind in ("mp4", "mov") else {}
        container = av.open(str(self._partial), "w", format=kind, options=options)
        x264 = "libx264" in codecs_available
        stream = container.add_stream("libx264" if x264 else "mpeg4", rate=self._rate, options=_X264 if x264 else {})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.time_base = _TICKS
        stream.codec_context.gop_size = max(1, round(2 * self._rate))  # no more than two seconds are ever lost
        stream.codec_context.thread_count = 1
        if not x264:
            stream.bit_rate = 4_000_000
        return container, stream

    @contextmanager
    def _failures_in_words(self) -> Iterator[None]:
        try:
            yield
        except (FFmpegError, OSError) as error:
            self._failed = True
            hint = f"what was written before can be played: {self._partial}" if self._partial.exists() else None
            raise RunError(f"{self.path} cannot be written: {error.strerror}", hint=hint) from error
