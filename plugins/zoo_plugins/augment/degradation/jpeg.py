"""What saving as JPEG leaves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Generator, Tensor

from zoo_plugins.augment.degradation.drawn import Degradation, whole
from zoo_plugins.augment.degradation.on_cpu import as_bytes_on_cpu
from zoo_plugins.augment.ranges import in_order
from zoo_registry import Range
from zoo_registry.protocols import Augment

Quality = Annotated[int, Range(ge=1, le=100)]


def jpeg(clip_cthw: Tensor, quality: int) -> Tensor:
    """Every frame written as a JPEG picture (ITU-T T.81, colours at half the resolution) and read again.

    Args:
        clip_cthw: RGB, uint8 0..255 or float 0..1.
        quality: of libjpeg, 1..100.
    """

    def save_and_load(frames_tchw: Tensor) -> Tensor:
        pictures = frames_tchw.permute(0, 2, 3, 1).contiguous().numpy()
        return torch.stack([_saved_and_loaded(picture, quality) for picture in pictures]).permute(0, 3, 1, 2)

    return as_bytes_on_cpu(clip_cthw, save_and_load)


def _saved_and_loaded(picture_hwc: NDArray[uint8], quality: int) -> Tensor:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture_hwc).save(file, "JPEG", quality=quality)
    with Image.open(file) as loaded:
        return torch.frombuffer(bytearray(loaded.tobytes()), dtype=torch.uint8).view(picture_hwc.shape)


@dataclass(frozen=True, kw_only=True)
class Jpeg(Degradation[int]):
    """See `random_jpeg`."""

    quality: tuple[int, int]

    def draw(self, clip_bcthw: Tensor, generator: Generator) -> Sequence[int]:
        """A quality for each sample."""
        return whole(len(clip_bcthw), *self.quality, generator)

    def degrade(self, clip_cthw: Tensor, drawn: int) -> Tensor:
        """The clip as JPEG pictures."""
        return jpeg(clip_cthw, drawn)


def random_jpeg(
    *, quality: tuple[Quality, Quality] = (30, 95), p: Annotated[float, Range(ge=0, le=1)] = 1.0
) -> Augment:
    """Write every frame as a JPEG picture and read it again; target clips stay clean.

    It is done on the CPU: batches on a GPU are copied there and back, and the step waits for it. `where: worker` has it
    done before they get there.

    Args:
        quality: least and greatest of libjpeg's quality; every whole number between is as likely.
        p: probability for each sample.

    Raises:
        ParameterError: a pair in the wrong order.
    """
    in_order("quality", *quality)
    return Jpeg(quality=quality, p=p)
