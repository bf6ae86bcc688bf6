"""Looks at one file: what it is made of, and sixteen frames of every span that samples use. Runs in a worker."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.audit.picture_hash import HASHED, KEPT, SAMPLED, luma, perceptual_hashes, squared, without_bars
from zoo.data.audit.strip import strip_jpeg
from zoo.data.clips.clip import read_views
from zoo.data.clips.views import View
from zoo.data.decode.film import Decoder, open_film
from zoo.data.decode.media_info import MediaInfo, probe
from zoo_registry.entries import ClipSpec
from zoo_registry.errors import DataError, UndecodableMedia
from zoo_registry.spec_rules import HIGHEST_FPS

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.clips.clip import Clip
    from zoo_registry.protocols import Media

HEIGHT = 96
"""Pixels in height of these frames."""

WIDTHS = (32, 384)
"""Least and most pixels in width."""

DARK = 25.5
"""Luma below which a pixel is black: a tenth of the range, as in FFmpeg's blackdetect."""

Span = tuple[float | None, float | None]
"""Start and end in seconds from the first frame; None for the film's own."""


@dataclass(frozen=True)
class Job:
    """One file to look at.

    Attributes:
        media: its path, its bytes, or where it lies in a larger file.
        spans: what samples show of it.
        digest: whether to take its checksum, because another file has the same size.
        decoder: what decodes it.
    """

    media: Media
    spans: tuple[Span, ...]
    digest: bool = False
    decoder: Decoder = field(default_factory=Decoder)


@dataclass(frozen=True)
class SpanLook:
    """What was seen of a span.

    Attributes:
        begin, end: in seconds from the film's first frame.
        frames: frames at the film's own rate.
        times: of the sampled frames, in seconds from the film's first frame.
        dark: part of the pixels of each sampled frame that is black, 0..1.
        changes: mean absolute difference of luma between neighbouring samples, 0..255; one less than there are samples.
        contrasts: standard deviation of luma of each sampled frame, 0..255.
        hashes: uint64 (16,).
        pictures: uint8 (16, 16, 16) tiny grey pictures; where fewer frames were sampled some are repeated.
        strip: JPEG of a few of the frames side by side.
        reason: why the span could not be read, empty when it could.
        unforeseen: the reason says nothing about the file: what reads it failed.
    """

    begin: float = 0.0
    end: float = 0.0
    frames: int = 0
    times: tuple[float, ...] = ()
    dark: tuple[float, ...] = ()
    changes: tuple[float, ...] = ()
    contrasts: tuple[float, ...] = ()
    hashes: np.ndarray = field(default_factory=lambda: np.zeros(SAMPLED, np.uint64))
    pictures: np.ndarray = field(default_factory=lambda: np.zeros((SAMPLED, KEPT, KEPT), np.uint8))
    strip: bytes = b""
    reason: str = ""
    unforeseen: bool = False


@dataclass(frozen=True)
class FileLook:
    """What was seen of a file.

    Attributes:
        info: what it is made of, None when it cannot be read at all.
        spans: one for every span of the job.
        digest: checksum of its bytes, empty unless asked for.
    """

    info: MediaInfo | None
    spans: tuple[SpanLook, ...]
    digest: str = ""


def look_at(job: Job) -> FileLook:
    """Read a file; what is wrong with it is part of the answer.

    Raises:
        MissingExtra: the decoder is not installed.

    Example:
        >>> look_at(Job("film.mp4", ((None, None),))).spans[0].frames               # doctest: +SKIP
        300
    """
    try:
        media: Any = job.media if isinstance(job.media, str | bytes) else job.media.read()
        info = probe(media, job.decoder)
    except DataError as error:  # of the file, or a path that no file can have
        return failed(job, error.problems[0].message)
    except OSError as error:
        return failed(job, f"it cannot be read: {error.strerror or error}")
    spans = tuple(_span(media, info, span, job.decoder) for span in job.spans)
    return FileLook(info, spans, _digest(media) if job.digest else "")


def failed(job: Job, reason: str, *, unforeseen: bool = False) -> FileLook:
    """The answer for a file that cannot be read."""
    return FileLook(None, (SpanLook(reason=reason, unforeseen=unforeseen),) * len(job.spans))


def _span(media: str | bytes, info: MediaInfo, span: Span, decoder: Decoder) -> SpanLook:
    begin, end = span[0] or 0.0, info.seconds if span[1] is None else min(span[1], info.seconds)
    frames = max(1, round((end - begin) * info.fps)) if end > begin else 1
    count = min(SAMPLED, frames)
    size = HEIGHT, min(max(round(HEIGHT * info.width / info.height), WIDTHS[0]), WIDTHS[1])
    # Resampled so that the whole span has just as many frames as are wanted: they lie evenly in time.
    rate = min(count / (end - begin), HIGHEST_FPS) if end > begin else None
    spec = ClipSpec(frames=count, size=size, resize=size, fps=rate, interpolation="area")
    try:
        with open_film(media, decoder) as film:
            clip = read_views(film, spec, [View()], start=span[0], end=span[1], canvas=False)[0]
    except UndecodableMedia as error:
        return SpanLook(reason=error.problems[0].message)
    seen = _seen(clip)
    gap = (clip.end - clip.start) / count
    times = tuple(round(clip.start + gap * at, 3) for at in range(count))
    return replace(seen, begin=clip.start, end=clip.end, frames=frames, times=times)


def _seen(clip: Clip) -> SpanLook:
    """Measures of the sampled frames."""
    pixels_cthw = clip.pixels_cthw.cpu()  # some decoders leave them on the GPU
    luma_thw = luma(pixels_cthw)
    count = len(luma_thw)
    grey_tss = squared(without_bars(luma_thw), HASHED)
    spread = np.linspace(0, count - 1, SAMPLED).round().astype(int)
    small_tkk = grey_tss.reshape(count, KEPT, HASHED // KEPT, KEPT, HASHED // KEPT).mean(axis=(2, 4))
    return SpanLook(
        dark=_numbers((luma_thw < DARK).float().mean(dim=(1, 2))),
        changes=_numbers((luma_thw[1:] - luma_thw[:-1]).abs().mean(dim=(1, 2))),
        contrasts=_numbers(luma_thw.flatten(1).std(dim=1)),
        hashes=perceptual_hashes(grey_tss)[spread],
        pictures=small_tkk.round().astype(np.uint8)[spread],
        strip=strip_jpeg(pixels_cthw),
    )


def _numbers(values_t: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values_t.tolist())


def _digest(media: str | bytes) -> str:
    if isinstance(media, bytes):
        return hashlib.sha256(media).hexdigest()
    with open(media.removeprefix("file:"), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
