"""What clip and audio specs may hold: nothing that means nothing, and nothing that would hang or fill the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Final

from zoo_registry.errors import ParameterError, Problem

MOST_FRAMES = 65536
"""Frames of a clip; also the longest stride."""

LONGEST_SIDE = 16384
"""Pixels; beyond any camera."""

HIGHEST_FPS = 10_000
"""Frames per second to which films are resampled; beyond any film that is not slow motion already."""

WIDEST = 255
"""Most of a mean or standard deviation, up or down: what pixels of bytes would have."""

LEAST_STD = 1e-6
"""Least standard deviation: what is divided by less overflows."""

MOST_BYTES = 2 * 1024**3
"""Bytes of a clip of three colours, as it is read."""

NATIVE: Final = "native"
"""As a size or a resize: as the film has it."""

INTERPOLATIONS = ("bilinear", "bicubic", "area", "nearest")
SAMPLINGS = ("dense", "segments", "keyframes")

HIGHEST_RATE = 768_000
"""Samples per second; the highest rate of sound cards."""

MOST_SAMPLES = 2**27
"""Samples of a clip's sound: 512 MiB a channel, 46 minutes at 48 kHz."""

CHANNELS = (1, 2, 6, 8)
"""Numbers of channels that have a usual layout: mono, stereo, 5.1, 7.1."""


@dataclass(frozen=True)
class SpecFault:
    """Something that a spec cannot hold.

    Attributes:
        fields: the fields it is about; the first one is named in the message.
        message: what is wrong.
        hint: what to do.
    """

    fields: tuple[str, ...]
    message: str
    hint: str | None = None


def clip_faults(spec: Mapping[str, Any]) -> list[SpecFault]:
    """Everything wrong with the fields of a `ClipSpec`.

    Args:
        spec: every field by its name.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> [fault.message for fault in clip_faults({**vars(ClipSpec(frames=8, size=64)), "stride": 0})]
        ['stride must be a whole number from 1 to 65536, not 0']
    """
    found = [
        *_whole(spec, "frames", MOST_FRAMES),
        *_whole(spec, "stride", MOST_FRAMES),
        *_sides(spec, "size"),
        *(_sides(spec, "resize") if spec["resize"] is not None else ()),
        *_left_as_they_are(spec),
        *_rate(spec),
        *_channels(spec),
        *_one_of(spec, "interpolation", INTERPOLATIONS),
        *_one_of(spec, "sampling", SAMPLINGS),
    ]
    return found or list(_canvas(spec))


def crop_faults(spec: Mapping[str, Any]) -> list[SpecFault]:
    """Whether what evaluation cuts out of a resized frame is larger than that frame.

    No fault of a spec by itself: training, which cuts nothing out, does not mind.

    Args:
        spec: the fields of a `ClipSpec` without faults.
    """
    size, resize = spec["size"], spec["resize"]
    if resize in (None, NATIVE):
        return []
    height, width = size if isinstance(size, tuple | list) else (size, size)
    exact = isinstance(resize, tuple | list)
    small = resize[0] < height or resize[1] < width if exact else resize < min(height, width)
    message = f"the clip is resized to {resize} and then cropped to {size}"
    hint = "let `resize` be at least `size`, or set it to null"
    return [SpecFault(("resize", "size"), message, hint)] if small else []


def canvas_of(size: int | tuple[int, int], resize: int | tuple[int, int] | str | None) -> tuple[int, int]:
    """(height, width) of a training clip before augmentation: `resize`, in the shape of `size`.

    Where nothing is resized it is the size: the window that is cut out of a frame has a place of its own in training.

    Example:
        >>> canvas_of((112, 224), 128)
        (128, 256)
    """
    height, width = (size, size) if isinstance(size, int) else (size[0], size[1])
    if resize is None or isinstance(resize, str):
        return height, width
    if not isinstance(resize, int):
        return resize[0], resize[1]
    scale = resize / min(height, width)
    return max(height, round(height * scale)), max(width, round(width * scale))


def audio_faults(spec: Mapping[str, Any]) -> list[SpecFault]:
    """Everything wrong with the fields of an `AudioSpec`, likewise."""
    found = [*_whole(spec, "rate", HIGHEST_RATE), *_whole(spec, "samples", MOST_SAMPLES)]
    if spec["channels"] not in CHANNELS or isinstance(spec["channels"], bool):
        usual = ", ".join(map(str, CHANNELS))
        found.append(SpecFault(("channels",), f"channels must be one of {usual}, not {spec['channels']!r}"))
    return found


def refuse(what: str, faults: Iterable[SpecFault]) -> None:
    """Raise what was found, if anything.

    Raises:
        ParameterError: a problem for each fault.
    """
    if problems := [Problem(f"{what}: {fault.message}", hint=fault.hint) for fault in faults]:
        raise ParameterError(problems)


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and 1 <= int(value) <= most


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and low <= float(value) <= high


def _whole(spec: Mapping[str, Any], field: str, most: int) -> Iterator[SpecFault]:
    if not _is_whole(spec[field], most):
        yield SpecFault((field,), f"{field} must be a whole number from 1 to {most}, not {spec[field]!r}")


def _sides(spec: Mapping[str, Any], field: str) -> Iterator[SpecFault]:
    value = spec[field]
    if value == NATIVE:
        return
    sides = value if isinstance(value, tuple | list) else (value,)
    if not (len(sides) <= 2 and all(_is_whole(side, LONGEST_SIDE) for side in sides)):
        form = f"{field} must be a whole number from 1 to {LONGEST_SIDE}, native, or two of them for height and width"
        yield SpecFault((field,), f"{form}, not {value!r}")


def _left_as_they_are(spec: Mapping[str, Any]) -> Iterator[SpecFault]:
    size, resize = spec["size"], spec["resize"]
    if size == NATIVE and resize not in (None, NATIVE):
        message = f"size is native, the film's own, and resize is {resize}"
        yield SpecFault(("resize", "size"), message, "leave `resize` out, or give a `size` to cut out")


def _rate(spec: Mapping[str, Any]) -> Iterator[SpecFault]:
    fps = spec["fps"]
    if fps is not None and not (_is_number(fps, 0, HIGHEST_FPS) and fps > 0):
        yield SpecFault(("fps",), f"fps must be above 0 and at most {HIGHEST_FPS}, or None, not {fps!r}")


def _channels(spec: Mapping[str, Any]) -> Iterator[SpecFault]:
    for field, low in (("mean", -WIDEST), ("std", LEAST_STD)):
        values = spec[field]
        if not isinstance(values, tuple | list) or not values:
            yield SpecFault((field,), f"{field} must have a number for every channel, not {values!r}")
        elif not all(_is_number(value, low, WIDEST) for value in values):
            yield SpecFault((field,), f"{field} must be numbers from {low:g} to {WIDEST}, not {values!r}")
    mean, std = spec["mean"], spec["std"]
    if isinstance(mean, tuple | list) and isinstance(std, tuple | list) and len(mean) != len(std):
        counts = f"mean has {len(mean)} numbers and std {len(std)}"
        yield SpecFault(("mean", "std"), counts, "both need one for every channel, three for colour")


def _one_of(spec: Mapping[str, Any], field: str, names: tuple[str, ...]) -> Iterator[SpecFault]:
    if spec[field] not in names:
        yield SpecFault((field,), f"{field} must be one of {', '.join(names)}, not {spec[field]!r}")


def _canvas(spec: Mapping[str, Any]) -> Iterator[SpecFault]:
    if spec["size"] == NATIVE:
        return  # every film is looked at when it is opened
    height, width = canvas_of(spec["size"], spec["resize"])
    if max(height, width) > LONGEST_SIDE:
        canvas = f"resize {spec['resize']} in the shape of size {spec['size']} is {height} x {width} pixels"
        yield SpecFault(("resize", "size"), f"{canvas}, more than {LONGEST_SIDE} on a side")
    elif 3 * spec["frames"] * height * width > MOST_BYTES:
        canvas = f"a clip of {spec['frames']} frames of {height} x {width} pixels"
        limit = f"is larger than {MOST_BYTES // 1024**3} GiB"
        yield SpecFault(("frames", "size", "resize"), f"{canvas} {limit}", "fewer frames, or a smaller size")
