"""What a model wants done to pixels, on the device: centre crop, float, mean and standard deviation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.data.clips.placement import crop_boxes
from zoo.data.targets import CLIP, MASK
from zoo_registry.errors import DataError
from zoo_registry.protocols import DegradingTask

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec
    from zoo_registry.protocols import Batch, Task


_LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601)."""


class Preprocess(nn.Module):
    """Turns augmented or evaluation clips into what the model was made for; the same in training and everywhere else.

    Clips larger than `clip.size` (a training canvas that no augmentation cropped) are cropped at the centre, boxes with
    them. uint8 0..255 and float 0..1 both become float32, `(x - mean) / std` with x in 0..1. Target clips and masks
    are cropped alike, at their own scale; target clips become float32 0..1: they are pictures, not what a model was
    made for. For a model of one channel colours become grey (ITU-R BT.601 luma).

    Args:
        clip: size, mean and std; None leaves batches as they are, for models without pictures.
        degraded: what a task that degrades clips makes of a batch; comes last. None for other tasks.

    Raises:
        DataError: when called with clips smaller than the size, of other channels or of another type.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> from zoo_registry.protocols import Batch
        >>> white = torch.full((1, 3, 2, 6, 6), 255, dtype=torch.uint8)
        >>> batch = Batch({"clip_bcthw": white}, {}, torch.tensor([0]), torch.tensor([0]))
        >>> preprocess = Preprocess(ClipSpec(frames=2, size=4, mean=(0.5,) * 3, std=(0.25,) * 3))
        >>> ready = preprocess(batch).inputs["clip_bcthw"]
        >>> ready.shape, round(ready.mean().item(), 4)
        (torch.Size([1, 3, 2, 4, 4]), 2.0)
    """

    scale: Tensor
    shift: Tensor
    luma: Tensor

    def __init__(self, clip: ClipSpec | None, degraded: Callable[[Batch], Batch] | None = None) -> None:
        super().__init__()
        self.clip, self.degraded = clip, degraded
        if clip is not None:
            mean, std = torch.tensor(clip.mean, dtype=torch.float64), torch.tensor(clip.std, dtype=torch.float64)
            # (x - mean) / std = x * scale + shift: one multiplication and one addition a value.
            shape = (-1, 1, 1, 1)
            self.register_buffer("scale", (1 / std).float().view(shape), persistent=False)
            self.register_buffer("shift", (-mean / std).float().view(shape), persistent=False)
            self.register_buffer("luma", torch.tensor(_LUMA).view(shape), persistent=False)

    def __call__(self, batch: Batch) -> Batch:
        """The batch with float clips of the model's size; the one given stays as it is."""
        result: Batch = super().__call__(batch)
        return result

    def forward(self, batch: Batch) -> Batch:
        """See the class."""
        ready = self._ready(batch)
        return ready if self.degraded is None else self.degraded(ready)

    def _ready(self, batch: Batch) -> Batch:
        if self.clip is None or CLIP not in batch.inputs:
            return batch
        self._check_channels(batch.inputs[CLIP])
        if not self.clip.native:
            batch = centre_crop(batch, self.clip.height_width)
        targets = batch.targets
        if CLIP in targets:
            targets = targets | {CLIP: _unit(targets[CLIP])}
        return replace(batch, inputs=batch.inputs | {CLIP: self._normalised(batch.inputs[CLIP])}, targets=targets)

    def _check_channels(self, clip_bcthw: Tensor) -> None:
        assert self.clip is not None
        channels = len(self.clip.mean)
        given = clip_bcthw.shape[1] if clip_bcthw.dim() == 5 else 0
        if given not in (1, channels) and (given, channels) != (3, 1):
            raise DataError(
                f"clips should be B C T H W with {channels} channels, these are {_shape(clip_bcthw)}",
                hint=None if channels in (1, 3) else "films have three; leave out the model's in_channels",
            )

    def _normalised(self, clip_bcthw: Tensor) -> Tensor:
        if clip_bcthw.dtype != torch.uint8 and not clip_bcthw.is_floating_point():
            raise DataError(f"clips should be uint8 0..255 or float 0..1, these are {clip_bcthw.dtype}")
        floating = clip_bcthw.to(torch.float32, memory_format=torch.contiguous_format)
        if floating.shape[1] == 3 and len(self.scale) == 1:
            floating = (floating * self.luma).sum(1, keepdim=True)
        if clip_bcthw.dtype == torch.uint8:
            # In the same memory, unless grey becomes three channels: more of it costs a CPU as much as the arithmetic.
            memory = floating if floating.shape[1] == len(self.scale) else None
            return torch.addcmul(self.shift, floating, self.scale / 255, out=memory)
        return torch.addcmul(self.shift, floating, self.scale)


def preprocess_for(task: Task, clip: ClipSpec | None) -> Preprocess:
    """What is done to a task's clips where they are measured or learnt from: its degradation comes last."""
    return Preprocess(clip, task.degraded if isinstance(task, DegradingTask) else None)


@dataclass(frozen=True)
class CentreCrop:
    """`centre_crop` as the last augmentation of training clips that are smaller than those of evaluation.

    Attributes:
        height_width: of what is left.
    """

    height_width: tuple[int, int]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The cropped batch; nothing is drawn."""
        return centre_crop(batch, self.height_width)


def centre_crop(batch: Batch, height_width: tuple[int, int]) -> Batch:
    """The centre of a batch's clips, with boxes, target clips and masks, each at its own scale; the one given stays.

    Raises:
        DataError: the clips are smaller.
    """
    clip_bcthw, (height, width) = batch.inputs[CLIP], height_width
    outer_height, outer_width = clip_bcthw.shape[-2:]
    if outer_height < height or outer_width < width:
        raise DataError(
            f"clips of {outer_height} x {outer_width} pixels are smaller than the {height} x {width} that the "
            f"model takes ({_shape(clip_bcthw)})",
            hint="let every augmentation return at least `data.clip.size`",
        )
    top, left = round((outer_height - height) / 2), round((outer_width - width) / 2)
    window = clip_bcthw[..., top : top + height, left : left + width]
    targets = dict(batch.targets)
    if "boxes_n4" in targets and (top or left or window.shape != clip_bcthw.shape):
        targets["boxes_n4"] = [crop_boxes(boxes, top, left, (height, width)) for boxes in targets["boxes_n4"]]
    for key in (CLIP, MASK):
        if key in targets:
            scale = Fraction(targets[key].shape[-1], clip_bcthw.shape[-1])
            rows, columns = (
                slice(round(at * scale), round((at + size) * scale)) for at, size in ((top, height), (left, width))
            )
            targets[key] = targets[key][..., rows, columns]
    return replace(batch, inputs=batch.inputs | {CLIP: window}, targets=targets)


def _unit(clip_bcthw: Tensor) -> Tensor:
    """The same pixels as float32 0..1."""
    return clip_bcthw.float() / 255 if clip_bcthw.dtype == torch.uint8 else clip_bcthw.float()


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
