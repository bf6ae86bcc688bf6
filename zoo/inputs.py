"""What a network was given against what it was made for, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_registry.errors import DataError, ZooError

if TYPE_CHECKING:
    from zoo_registry.entries import AudioSpec, ClipSpec


@contextmanager
def refusals_in_words(
    name: str, keys: Sequence[str], inputs: Sequence[Tensor], clip: ClipSpec | None, audio: AudioSpec | None
) -> Iterator[None]:
    """Say what differs from the specs where a network fails on its inputs; any other failure passes as it is.

    Networks may take more than their specs say (longer clips, larger pictures), so nothing is refused beforehand.

    Args:
        name: of the model.
        keys: of its inputs, such as `clip_bcthw`.
        inputs: what it is called with, in that order.
        clip: what it was made for.
        audio: likewise.

    Raises:
        DataError: it failed, and its inputs are not as the specs say.
    """
    try:
        yield
    except (ZooError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError, IndexError, AssertionError, TypeError) as error:  # torch has no type of its own
        differences = list(_differences(keys, inputs, clip, audio))
        if not differences:
            raise
        said = str(error).partition("\n")[0]
        raise DataError(
            f"{name} cannot take this: {'; '.join(differences)}",
            hint=f"`.clip` and `.audio` of the model say what it was made for; torch says: {said}",
        ) from error


def _differences(
    keys: Sequence[str], inputs: Sequence[Tensor], clip: ClipSpec | None, audio: AudioSpec | None
) -> Iterator[str]:
    if len(inputs) != len(keys):
        yield f"it takes {len(keys)} inputs ({', '.join(keys)}), not {len(inputs)}"
        return
    for key, given in zip(keys, inputs, strict=True):
        if not isinstance(given, Tensor):
            yield f"{key} is a {type(given).__name__}, not a tensor"
        elif key.endswith("_bcthw") and clip is not None:
            sides = () if clip.native else _sides(clip)
            yield from _against(key, given, ("channels", len(clip.mean)), ("frames", clip.frames), *sides)
            if not given.is_floating_point():
                yield f"{key} holds {str(given.dtype).removeprefix('torch.')}, it takes normalised floats"
        elif key == "audio_bcn" and audio is not None:
            yield from _against(key, given, ("channels", audio.channels), ("samples", audio.samples))


def _sides(clip: ClipSpec) -> tuple[tuple[str, int], tuple[str, int]]:
    height, width = clip.height_width
    return ("height", height), ("width", width)


def _against(key: str, given: Tensor, *axes: tuple[str, int]) -> Iterator[str]:
    """What a tensor's shape is, where it is not that of the named axes behind the batch."""
    known = given.shape[1 : 1 + len(axes)]
    if tuple(known) != tuple(size for _, size in axes) or given.ndim != (5 if key.endswith("_bcthw") else 3):
        wanted = ", ".join(f"{name} {size}" for name, size in axes)
        yield f"{key} is ({', '.join(map(str, given.shape))}), it was made for (batch, {wanted})"
