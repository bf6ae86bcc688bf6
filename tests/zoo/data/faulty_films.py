"""Films with faults that somebody might really have, made from real ones."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

OPTIONS = {"crf": "28", "preset": "veryfast"}


def write_film(
    path: Path, pictures: Iterable[np.ndarray], *, rate: int = 25, options: dict[str, str] = OPTIONS
) -> Path:
    """H.264 of (height, width, 3) uint8 pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return path


def pictures_of(film: Path, *, width: int | None = None, height: int | None = None) -> Iterable[np.ndarray]:
    """The frames of a film, scaled where a size is given."""
    with av.open(str(film), metadata_errors="ignore") as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24", width=width, height=height)


def reencoded(film: Path, path: Path, *, width: int, height: int) -> Path:
    """The film at another size and quality, as a second download would be."""
    return write_film(path, pictures_of(film, width=width, height=height), rate=30, options={"crf": "33"} | OPTIONS)


def first_frames(film: Path, path: Path, count: int) -> Path:
    """The beginning of a film."""
    return write_film(path, itertools.islice(pictures_of(film), count))


def frozen(film: Path, path: Path, count: int = 50) -> Path:
    """The first frame of a film, for as long as `count` frames."""
    return write_film(path, itertools.repeat(next(iter(pictures_of(film))), count))


def black(path: Path, count: int = 50) -> Path:
    """Nothing, with the noise of a covered lens: luma up to 8."""
    noise = np.random.default_rng(0)
    return write_film(path, (noise.integers(0, 8, (96, 128, 3), np.uint8) for _ in range(count)))


def truncated(film: Path, path: Path, part: float = 0.6) -> Path:
    """A download that broke off."""
    content = film.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    return path


def copied(film: Path, path: Path) -> Path:
    """The same bytes under another name."""
    return Path(shutil.copy(film, path))


def moving_texture(path: Path, seed: int, *, rate: int = 25, frames: int = 30, colour: int | None = None) -> Path:
    """A random texture that drifts; `colour` is the channel that is bright, 0 to 2."""
    random = np.random.default_rng(seed)
    texture = random.integers(0, 200, (8, 8, 3), np.uint8).repeat(12, axis=0).repeat(12, axis=1)
    if colour is not None:
        texture = texture // 4
        texture[..., colour] += 150
    step = int(random.integers(1, 4))
    return write_film(path, (np.roll(texture, step * frame, axis=1) for frame in range(frames)), rate=rate)
