"""How a displayed frame is placed into a clip: scaled, then seen through a window. Pixels and boxes follow the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_registry.entries import ClipSpec


@dataclass(frozen=True)
class Placement:
    """A scaling and a window on it, all in pixels.

    Attributes:
        scaled: (height, width) of the whole frame after scaling.
        window: (height, width) of the part that is kept.
        corner: (top, left) of that part within the scaled frame.
    """

    scaled: tuple[int, int]
    window: tuple[int, int]
    corner: tuple[int, int]

    def boxes(self, relative_n4: Tensor) -> Tensor:
        """Boxes in 0..1 of the displayed frame as pixels of the clip, clipped to it.

        Args:
            relative_n4: (n, 4) corners x1 y1 x2 y2.

        Returns:
            (n, 4) float; a box that lies outside the window has no area left.

        Example:
            >>> import torch
            >>> half = Placement(scaled=(100, 200), window=(100, 100), corner=(0, 50))
            >>> half.boxes(torch.tensor([[0.0, 0.0, 0.5, 1.0]])).tolist()
            [[0.0, 0.0, 50.0, 100.0]]
        """
        height, width = self.scaled
        top, left = self.corner
        pixels = relative_n4 * relative_n4.new_tensor([width, height, width, height])
        return crop_boxes(pixels, top, left, self.window)


def crop_boxes(boxes_n4: Tensor, top: int, left: int, window: tuple[int, int]) -> Tensor:
    """Boxes in pixels as seen through a window at (top, left), clipped to its (height, width)."""
    height, width = window
    moved = boxes_n4 - boxes_n4.new_tensor([left, top, left, top])
    return moved.clamp(min=0).minimum(moved.new_tensor([width, height, width, height]))


def evaluation_placement(clip: ClipSpec, height: int, width: int, along: float = 0.5) -> Placement:
    """Resize as the clip spec says, then the centre of it, or a window elsewhere along the longer side.

    Args:
        clip: what the model wants.
        height: of the displayed frame, in pixels.
        width: likewise.
        along: in 0..1; of three crops the first lies at 0, left or top, the last at 1, right or bottom.

    Raises:
        DataError: the spec resizes to less than the size it crops, or resizes nothing and the frame is smaller.
    """
    if clip.native:
        return _whole(height, width)
    window = clip.height_width
    if isinstance(clip.resize, str):
        scaled = _large_enough(window, height, width)
    elif clip.resize is None:
        scaled = _covering(window, height, width)
    elif isinstance(clip.resize, int):
        # Truncated like torchvision's resize, whose weights this serves.
        short, long = clip.resize, int(clip.resize * max(height, width) / min(height, width))
        scaled = (short, long) if height <= width else (long, short)
    else:
        scaled = (clip.resize[0], clip.resize[1])
    if scaled[0] < window[0] or scaled[1] < window[1]:
        raise DataError(
            f"the clip is resized to {scaled[0]} x {scaled[1]} and then cropped to {window[0]} x {window[1]}",
            hint="let `resize` be at least `size` (data.clip in the recipe)",
        )
    tall = scaled[0] > scaled[1]
    top, left = (
        round(at * (outer - inner))
        for at, outer, inner in zip((along, 0.5) if tall else (0.5, along), scaled, window, strict=True)
    )
    return Placement(scaled, window, (top, left))


def canvas_placement(clip: ClipSpec, height: int, width: int, crop: tuple[float, float]) -> Placement:
    """Scale to cover the canvas, then a window of the canvas at `crop`: (0, 0) is top left, (1, 1) bottom right.

    Where `resize` is a pair, frames are scaled to exactly that, as in evaluation, and the window shows all of it. Where
    it is native nothing is scaled.

    Raises:
        DataError: nothing is scaled, and the frame is smaller than the window.
    """
    if clip.native:
        return _whole(height, width)
    window = clip.canvas
    if isinstance(clip.resize, str):
        scaled = _large_enough(window, height, width)
    else:
        scaled = window if isinstance(clip.resize, tuple | list) else _covering(window, height, width)
    top, left = (round(at * (outer - inner)) for at, outer, inner in zip(crop, scaled, window, strict=True))
    return Placement(scaled, window, (top, left))


def _whole(height: int, width: int) -> Placement:
    return Placement((height, width), (height, width), (0, 0))


def _large_enough(window: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The size of a frame that a window is cut out of."""
    if height < window[0] or width < window[1]:
        raise DataError(
            f"{window[0]} x {window[1]} pixels are to be cut out of frames of {height} x {width}, which stay as they "
            "are (resize: native)",
            hint="write a smaller `size`, leave `resize` out, or leave films of this size out",
        )
    return height, width


def _covering(window: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    scale = max(window[0] / height, window[1] / width)
    return max(window[0], round(height * scale)), max(window[1], round(width * scale))
