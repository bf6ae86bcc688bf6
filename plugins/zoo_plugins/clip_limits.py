"""Says in words which clips a network cannot take."""

from __future__ import annotations

from torch import Tensor

from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError


def check_clip_spec(name: str, clip: ClipSpec | None, *, frames: int = 1, size: int = 1, multiple: int = 1) -> None:
    """Refuse a clip spec that a network cannot be built for.

    Args:
        name: of the network.
        clip: the clip spec in force, if any.
        frames: the fewest.
        size: the fewest pixels of a side.
        multiple: of what the number of frames must be a multiple.

    Raises:
        ParameterError: it is too short, too small, or of a length that does not divide.
    """
    if clip is not None:
        _check(name, clip.frames, *clip.height_width, least=(frames, size), multiple=multiple)


def check_clip(name: str, clip_bcthw: Tensor, *, frames: int = 1, size: int = 1, multiple: int = 1) -> None:
    """The same for a clip itself.

    Raises:
        ParameterError: as `check_clip_spec`, or what is there is no batch of clips.
    """
    _check_axes(name, clip_bcthw)
    _check(name, *clip_bcthw.shape[2:], least=(frames, size), multiple=multiple)


def check_clip_shape(name: str, clip_bcthw: Tensor, shape: tuple[int, int, int]) -> None:
    """Refuse a clip of another length or size than a network with tables of positions was built for.

    Args:
        name: of the network.
        clip_bcthw: what it was given.
        shape: (T, H, W) that it was built for.

    Raises:
        ParameterError: it has another one, or what is there is no batch of clips.
    """
    _check_axes(name, clip_bcthw)
    frames, height, width = clip_bcthw.shape[2:]
    if (frames, height, width) != shape:
        raise ParameterError(
            f"{name} was built for clips of {shape[0]} frames of {shape[1]}x{shape[2]}, this one has {frames} of "
            f"{height}x{width}",
            hint="give it such clips, or build it for these: data.clip of a recipe, clip= of zoo.load",
        )


def _check_axes(name: str, clip_bcthw: Tensor) -> None:
    if clip_bcthw.ndim != 5:
        raise ParameterError(
            f"{name} takes clips of shape (B, C, T, H, W), not {tuple(clip_bcthw.shape)}",
            hint="a single clip needs clip[None]; a picture needs a T of its own",
        )


def _check(name: str, frames: int, height: int, width: int, *, least: tuple[int, int], multiple: int) -> None:
    shape = f"{frames} of {height}x{width}"
    if frames < least[0] or min(height, width) < least[1]:
        frame = "frame" if least[0] == 1 else "frames"
        raise ParameterError(
            f"{name} needs at least {least[0]} {frame} of {least[1]}x{least[1]}, the clip has {shape}",
            hint="take longer or larger clips (data.clip.frames, data.clip.size), or another model",
        )
    if frames % multiple:
        raise ParameterError(
            f"{name} needs a multiple of {multiple} frames, the clip has {shape}",
            hint=f"data.clip.frames: {frames // multiple * multiple or multiple}",
        )
