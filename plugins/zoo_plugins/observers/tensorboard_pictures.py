"""Pictures of augmented training clips in TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from zoo_plugins.observers.event_writer import EventWriter
from zoo_registry import Range
from zoo_registry.protocols import Batch

if TYPE_CHECKING:
    from torch import Tensor


def tensorboard_pictures(
    *,
    clips: Annotated[int, Range(ge=1, le=64)] = 8,
    frames: Annotated[int, Range(ge=1, le=64)] = 8,
    height: Annotated[int, Range(ge=8, le=1024)] = 112,
) -> TensorBoardPictures:
    """Show what the model is taught with: a row of frames for each clip, once an epoch.

    Args:
        clips: at most so many, the first of the batch.
        frames: of each, spread evenly over it.
        height: of a frame in pixels; higher ones are made smaller.

    Returns:
        An observer that writes to `events/pictures` below the run's folder.

    Example:
        >>> watching = tensorboard_pictures(clips=4)
    """
    return TensorBoardPictures(clips, frames, height)


class TensorBoardPictures:
    """The observer."""

    def __init__(self, clips: int, frames: int, height: int) -> None:
        self._clips, self._frames, self._height = clips, frames, height
        self._events = EventWriter("pictures")

    def run_start(self, folder: Path, recipe: Mapping[str, Any]) -> None:
        """Where to write."""
        self._events.begin(folder)

    def batch_ready(self, step: int, batch: Batch) -> None:
        """Write one picture for each input that is a clip."""
        for name, value in batch.inputs.items():
            if name.endswith("bcthw"):
                sheet_hwc = contact_sheet(value[: self._clips], self._frames, self._height)
                self._events.at(step).add_image(f"augmented/{name}", sheet_hwc.numpy(), step, dataformats="HWC")

    def epoch_end(self, epoch: int, values: Mapping[str, float]) -> None:
        """Keep what an epoch showed, whatever comes next."""
        self._events.flush()

    def run_end(self, summary: Mapping[str, Any]) -> None:
        """The last of it."""
        self._events.close()


def contact_sheet(clip_bcthw: Tensor, frames: int, height: int) -> Tensor:
    """A row of frames for each clip.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1, of any number of channels; one is shown grey, of more the first three.
        frames: of each clip, spread evenly over it.
        height: of a frame; higher ones are made smaller.

    Returns:
        (B * H, T * W, 3) uint8 on the CPU.

    Example:
        >>> import torch
        >>> tuple(contact_sheet(torch.zeros(2, 3, 16, 64, 48), frames=4, height=32).shape)
        (64, 96, 3)
    """
    import torch
    from torch.nn.functional import interpolate

    length = clip_bcthw.shape[2]
    chosen = torch.linspace(0, length - 1, min(frames, length)).round().long()
    shown = clip_bcthw.detach()[:, :3][:, :, chosen.to(clip_bcthw.device)]
    shown = shown.float() / 255 if shown.dtype == torch.uint8 else shown.float()
    if shown.shape[1] < 3:
        shown = shown[:, :1].expand(-1, 3, -1, -1, -1)
    rows, _, columns, high, wide = shown.shape
    pictures_nchw = shown.transpose(1, 2).flatten(0, 1)
    if high > height:
        high, wide = height, max(round(wide * height / high), 1)
        pictures_nchw = interpolate(pictures_nchw, (high, wide), mode="bilinear", antialias=True)
    pictures = pictures_nchw.clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
    sheet_hwc = pictures.view(rows, columns, 3, high, wide).permute(0, 3, 1, 4, 2)
    return sheet_hwc.reshape(rows * high, columns * wide, 3)
