"""Pictures out of a film, each a file named by the time at which it is displayed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.data.decode.conversion import rgb_picture
from zoo.data.decode.film import Media, open_film
from zoo.data.decode.frames import frames_at
from zoo.data.decode.orientation import Orientation
from zoo_registry.errors import DataError, Location

Format = Literal["jpg", "png"]


def still_path(folder: Path, seconds: float, format: Format) -> Path:
    """Where the picture of a time goes: names in the order of time.

    Example:
        >>> still_path(Path("out"), 62.5, "jpg").as_posix()
        'out/000062.500.jpg'
    """
    return folder / f"{seconds:010.3f}.{format}"


def check_stills(folder: Path, times: Sequence[float], format: Format, *, force: bool) -> None:
    """See that no picture that is there would be written over.

    Raises:
        DataError: some are there; `force` was not given.
    """
    there = [path for time in times if (path := still_path(folder, time, format)).exists()]
    if there and not force:
        raise DataError(
            f"{len(there)} of {len(times)} pictures are there already, such as {there[0].name}",
            where=Location(str(folder)),
            hint="--force writes over them",
        )


def write_stills(
    media: Media, times: Sequence[float], folder: Path, *, format: Format = "jpg", short_side: int | None = None
) -> Iterator[Path]:
    """Write the frames on display at some times, upright, in one pass over the film.

    Args:
        media: a film, as `read_clip` takes it.
        times: ascending, in seconds from the first frame.
        folder: made where it is not there.
        format: `jpg` (quality 95) or `png`.
        short_side: pixels to scale the shorter side to; None keeps the size.

    Yields:
        Each file, when it is complete.

    Raises:
        UndecodableMedia: with the file and the reason; what was written before stays.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with open_film(media) as film:
        # Half a tick later: what was rounded to a time stamp still belongs to its frame.
        late = 0.5 * float(film.video.time_base or 0)
        frames = frames_at(film, (film.timeline.origin + time + late for time in times))
        for time, frame in zip(times, frames, strict=True):
            orientation = Orientation.of(frame)
            size = orientation.exchange(frame.height, frame.width)
            scale = short_side / min(size) if short_side else 1.0
            scaled = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
            picture = Image.fromarray(np.stack(rgb_picture(frame, orientation, scaled, "bicubic"), axis=-1))
            path = still_path(folder, time, format)
            partial = path.with_name(f".{path.name}.partial")
            try:
                picture.save(partial, "JPEG" if format == "jpg" else "PNG", quality=95)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            yield path
