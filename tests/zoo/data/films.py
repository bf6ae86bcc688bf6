"""Small real films whose frames say their own number: frame i is grey of level `10 * i`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WriteFilm = Callable[..., Path]


def numbers(clip_cthw) -> list[int]:
    """Which frames of a numbered film a clip shows."""
    return [round(level / 10) for level in clip_cthw.float().mean(dim=(0, 2, 3)).tolist()]


def write_numbered_film(
    path: Path,
    frames: int = 20,
    *,
    size: tuple[int, int] = (64, 64),
    rate: int = 10,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    rotate: int | None = None,
    options: dict[str, str] | None = None,
    level: Callable[[int], int] = lambda number: 10 * number,
) -> Path:
    """Write a film; `times` are presentation times in milliseconds for a variable frame rate."""
    height, width = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"crf": "4", "preset": "veryfast", **(options or {})}
        else:
            stream.bit_rate = 2_000_000
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotate is not None:
            stream.set_display_rotation(rotate)
        for number in range(frames):
            picture = np.full((height, width, 3), level(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
