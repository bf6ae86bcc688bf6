"""Moves the pixels of clips through several stages at once, each sample in the cheapest way that is exact.

A sample that only moves by whole pixels or is mirrored is sliced; one window that changes its size is resized by torch
(antialiased, bytes directly); anything else is looked up pixel by pixel, once, however many stages there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo_plugins.augment.arithmetic import computed_in
from zoo_plugins.augment.geometric.look_up import fill_of, look_up
from zoo_plugins.augment.geometric.stage import Interpolation, Stage

Matrix = list[list[float]]

_EXACT = 1e-6  # of a pixel: what float64 leaves of a product of matrices


@dataclass(frozen=True)
class Cut:
    """A part of the picture in whole pixels, mirrored or not."""

    top: int
    left: int
    height: int
    width: int
    upside_down: bool
    mirrored: bool

    def of(self, clip_cthw: Tensor) -> Tensor:
        """A view of the part, or its mirror image."""
        part = clip_cthw[..., self.top : self.top + self.height, self.left : self.left + self.width]
        turned = [axis for axis, is_turned in ((-2, self.upside_down), (-1, self.mirrored)) if is_turned]
        return part.flip(turned) if turned else part


@dataclass(frozen=True)
class Shift:
    """Moved by whole pixels, with something else seen beside it."""

    down: int
    right: int

    def of(self, clip_cthw: Tensor, fill_p11: Tensor | None, moved_cthw: Tensor) -> None:
        """Fill in the moved clip."""
        if fill_p11 is None:
            moved_cthw.zero_()
        else:
            moved_cthw.copy_(fill_p11.view(*clip_cthw.shape[:2], 1, 1))
        to, at = [], []
        for shift, there, here in zip((self.down, self.right), clip_cthw.shape[2:], moved_cthw.shape[2:], strict=True):
            start, end = max(0, shift), min(here, there + shift)
            to.append(slice(start, max(start, end)))
            at.append(slice(start - shift, max(start, end) - shift))
        moved_cthw[:, :, to[0], to[1]] = clip_cthw[:, :, at[0], at[1]]


def resample(
    clip_bcthw: Tensor,
    stages: Sequence[Stage],
    interpolation: Interpolation,
    *,
    is_class: bool = False,
    exact: float = _EXACT,
) -> Tensor:
    """The clips after all stages, in the type that came in.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1, or the classes of pixels as integers.
        stages: drawn for these clips, in their order.
        interpolation: how pixels are looked up.
        is_class: values are classes and never mixed; `Border.mask_fill` is what is seen outside.
        exact: how far from whole pixels a window may be and is still cut; 0.5 for clips at another scale than that for
            which whole pixels were drawn.
    """
    size, is_cpu = stages[-1].size, clip_bcthw.device.type == "cpu"
    matrices = [stage.to_input_b33.tolist() for stage in stages]
    moved = clip_bcthw.new_empty(*clip_bcthw.shape[:3], *size)
    together: dict[int, list[int]] = {}
    for row, clip_cthw in enumerate(clip_bcthw):
        way = _way([each[row] for each in matrices], stages, row, is_class, exact)
        if isinstance(way, Cut):
            part = way.of(clip_cthw)
            moved[row].copy_(part if part.shape[-2:] == size else resize(part, size))
        elif isinstance(way, Shift):
            way.of(clip_cthw, fill_of(stages[0].border, clip_bcthw, is_class), moved[row])
        elif is_cpu:  # one by one they stay in the cache
            _look_up_rows(clip_bcthw, stages, [row], way, interpolation, is_class, moved)
        else:
            together.setdefault(way, []).append(row)
    for split, rows in together.items():
        _look_up_rows(clip_bcthw, stages, rows, split, interpolation, is_class, moved)
    return moved


def _look_up_rows(
    clip_bcthw: Tensor,
    stages: Sequence[Stage],
    rows: list[int],
    split: int,
    interpolation: Interpolation,
    is_class: bool,
    moved: Tensor,
) -> None:
    """Fill in some of the samples, in two steps when they are split."""
    chosen = [
        replace(stage, to_input_b33=stage.to_input_b33[rows], inside_b4=stage.inside_b4[rows]) for stage in stages
    ]
    if len(rows) == 1:
        place: slice | Tensor = slice(rows[0], rows[0] + 1)
    elif len(rows) == len(clip_bcthw):
        place = slice(None)
    else:
        place = torch.tensor(rows).to(clip_bcthw.device, non_blocking=True)
    part = clip_bcthw[place]
    if split:
        part = resample(part, chosen[:split], interpolation, is_class=is_class)
        moved[place] = resample(part, chosen[split:], interpolation, is_class=is_class)
    elif isinstance(place, slice):
        look_up(part, chosen, interpolation, moved[place], is_class=is_class)
    else:
        some = moved.new_empty(len(rows), *moved.shape[1:])
        look_up(part, chosen, interpolation, some, is_class=is_class)
        moved[place] = some


def _way(
    matrices: Sequence[Matrix], stages: Sequence[Stage], row: int, is_class: bool, exact: float
) -> Cut | Shift | int:
    """All that happens to a sample if that is simple, else after how many stages to split before looking pixels up."""
    cut = _cut(matrices, stages, row, 0 if is_class else 1, exact)
    if cut is not None:
        return cut
    if len(stages) == 1 and stages[0].border.padding_mode == "constant":
        (a, b, left), (c, d, top), last = matrices[0]
        if [a, b, c, d, *last] == [1, 0, 0, 1, 0, 0, 1] and max(abs(v - round(v)) for v in (left, top)) <= exact:
            return Shift(-round(top), -round(left))
    # Looked-up pixels are not antialiased: a window that becomes smaller is resized by itself.
    for number, (stage, matrix) in enumerate(zip(stages, matrices, strict=True)):
        if stage.resizes and not is_class and max(matrix[0][0], matrix[1][1]) > 1 + _EXACT:
            return number or (1 if len(stages) > 1 else 0)
    return 0


def _cut(matrices: Sequence[Matrix], stages: Sequence[Stage], row: int, resizings: int, exact: float) -> Cut | None:
    """The part of the input that is all of what comes out, mirrored or resized (so many times) at most."""
    height, width = map(float, stages[-1].size)
    x, y = (0.0, width), (0.0, height)
    for matrix, stage in zip(reversed(matrices), reversed(stages), strict=True):
        (a, b, left), (c, d, top), last = matrix
        if b or c or last != [0, 0, 1]:
            return None
        if abs(a) != 1 or abs(d) != 1:
            all_is_seen = {*x} == {0, stage.size[1]} and {*y} == {0, stage.size[0]}
            if not (resizings and stage.resizes and all_is_seen):
                return None
            resizings -= 1
        x, y = (a * x[0] + left, a * x[1] + left), (d * y[0] + top, d * y[1] + top)
        x1, y1, x2, y2 = stage.inside_b4[row].tolist()
        if min(x) < x1 - exact or max(x) > x2 + exact or min(y) < y1 - exact or max(y) > y2 + exact:
            return None
    if any(abs(value - round(value)) > exact for value in (*x, *y)):
        return None
    at, to = (round(min(y)), round(min(x))), (round(max(y)), round(max(x)))
    if at[0] == to[0] or at[1] == to[1]:  # at a smaller scale less than a pixel
        return None
    return Cut(*at, to[0] - at[0], to[1] - at[1], upside_down=y[1] < y[0], mirrored=x[1] < x[0])


def resize(part_cthw: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize every frame to (height, width): bilinear, antialiased, in the type that came in.

    One call a window: on a CPU torch resizes bytes directly, which is 4 to 7 times as fast as one batched resampling of
    floats; and fastest where the colours of a pixel lie side by side, which pays for bringing them there.
    """
    if part_cthw.dtype == torch.uint8 and part_cthw.device.type == "cpu":
        frames_tchw = torch.stack(part_cthw.unbind(0), -1).permute(0, 3, 1, 2)
        return interpolate(frames_tchw, size=size, mode="bilinear", antialias=True).transpose(0, 1)
    frames_tchw = part_cthw.transpose(0, 1).to(computed_in(part_cthw.dtype))  # CUDA resizes floats only
    resized = interpolate(frames_tchw, size=size, mode="bilinear", antialias=True)
    # Weights add up to 1 but for rounding.
    kept = resized.clamp_(0, 1) if part_cthw.is_floating_point() else resized.round_().clamp_(0, 255)
    return kept.to(part_cthw.dtype).transpose(0, 1)
