"""Looks pixels up one by one at points that several stages say, and fills in what lies outside of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from zoo_plugins.augment.arithmetic import computed_in
from zoo_plugins.augment.geometric.stage import Border, Interpolation, PaddingMode, Stage, eyes, whole

_FLOATS_AT_ONCE = 600_000


@dataclass(frozen=True)
class _Outside:
    """How much of what is looked up comes from inside, 0..1, and what is seen where nothing does."""

    inside_bhw: Tensor
    border: Border

    def hide(self, pixels_bphw: Tensor, fill_p11: Tensor | None) -> None:
        """Put the fill, 0 if None, where pixels come from outside."""
        inside = self.inside_bhw[:, None].to(pixels_bphw.dtype)
        pixels_bphw.mul_(inside)
        if fill_p11 is not None:
            pixels_bphw.add_(fill_p11 * (1 - inside))


def look_up(
    clip_bcthw: Tensor, stages: Sequence[Stage], interpolation: Interpolation, moved_bcthw: Tensor, *, is_class: bool
) -> None:
    """Fill in the clips after all stages, every pixel looked up once in the clips that came in.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1, or the classes of pixels as integers.
        stages: drawn for these clips, in their order.
        interpolation: `nearest` takes a pixel as it is, `bilinear` mixes four.
        moved_bcthw: what is filled in, contiguous, of the same type.
        is_class: never mix, and fill with `Border.mask_fill`.
    """
    is_nearest = is_class or interpolation == "nearest" or all(map(_keeps_whole_pixels, stages))
    x_bhw, y_bhw, hidden = _points(stages, clip_bcthw, is_nearest)
    outsides = [(outside, fill_of(outside.border, clip_bcthw, is_class)) for outside in hidden]
    planes_bphw, moved_bphw = clip_bcthw.flatten(1, 2), moved_bcthw.flatten(1, 2)
    if is_nearest:
        _nearest(planes_bphw, x_bhw, y_bhw, moved_bphw)
        for outside, fill_p11 in outsides:
            outside.hide(moved_bphw, fill_p11)
        return
    for planes in _pieces(planes_bphw, stages[-1].size):
        pixels = _bilinear(planes_bphw[:, planes], x_bhw, y_bhw)
        for outside, fill_p11 in outsides:
            outside.hide(pixels, None if fill_p11 is None else fill_p11[planes])
        moved_bphw[:, planes] = _stored(pixels, clip_bcthw)


def _pieces(planes_bphw: Tensor, size: tuple[int, int]) -> list[slice]:
    """Which planes to mix at a time.

    On a CPU a few: as floats they have to fit into its cache (12 of 224x224 a third of the time that 48 at once take).
    """
    planes = planes_bphw.shape[1]
    if planes_bphw.device.type != "cpu":
        return [slice(None)]
    step = max(1, _FLOATS_AT_ONCE // max(1, size[0] * size[1]))
    return [slice(start, start + step) for start in range(0, planes, step)]


def _stored(pixels: Tensor, like: Tensor) -> Tensor:
    """Mixed pixels as the clip keeps them, bytes rounded; they lie between those they are mixed from."""
    if like.is_floating_point():
        return pixels
    whole = pixels.add_(0.5)
    return whole.to(torch.int16) if like.device.type == "cpu" else whole  # int16 first: five times as fast on a CPU


def _points(stages: Sequence[Stage], clip_bcthw: Tensor, is_nearest: bool) -> tuple[Tensor, Tensor, list[_Outside]]:
    """Where every pixel of what comes out lies in the clips, (B, H, W) each; what hides it, the first stage first."""
    device, (height, width) = clip_bcthw.device, stages[-1].size
    x = torch.arange(width, device=device, dtype=torch.float32).view(1, 1, -1) + 0.5
    y = torch.arange(height, device=device, dtype=torch.float32).view(1, -1, 1) + 0.5
    outsides: list[_Outside] = []
    pending_b33 = eyes(len(clip_bcthw))
    # The pixels' middles lie in this box, before the movements of `seen_b33`.
    box_b4, seen_b33 = _middles(whole(len(clip_bcthw), (height, width))), eyes(len(clip_bcthw))
    for number, stage in reversed([*enumerate(stages)]):
        pending_b33, seen_b33 = stage.to_input_b33 @ pending_b33, stage.to_input_b33 @ seen_b33
        looks_outside = _looks_outside(seen_b33, box_b4, stage.inside_b4, 0 if is_nearest else 0.5)
        if number == 0 or looks_outside:
            x, y = _moved(pending_b33, x, y)
            pending_b33 = eyes(len(clip_bcthw))
            if number == 0 and is_nearest:
                x, y = (x - 0.5).round_().add_(0.5), (y - 0.5).round_().add_(0.5)
        if looks_outside:
            x, y, inside_bhw = _kept_inside(x, y, stage, is_nearest)
            box_b4, seen_b33 = _middles(stage.inside_b4), eyes(len(clip_bcthw))
            if stage.border.padding_mode == "constant":
                outsides.append(_Outside(inside_bhw, stage.border))
    return x, y, outsides[::-1]


def _keeps_whole_pixels(stage: Stage) -> bool:
    """Whether pixels are only mirrored and moved by whole pixels: nothing lies between them."""
    matrices_b33 = stage.to_input_b33.clone()
    matrices_b33[:, [0, 1], [0, 1]] = matrices_b33[:, [0, 1], [0, 1]].abs()
    matrices_b33[:, :2, 2] -= matrices_b33[:, :2, 2].round()
    return bool(((matrices_b33 - eyes(len(matrices_b33))).abs() < 1e-6).all())


def _middles(pixels_b4: Tensor) -> Tensor:
    """The box around the middles of the pixels of a box."""
    return pixels_b4 + pixels_b4.new_tensor([0.5, 0.5, -0.5, -0.5])


def _looks_outside(matrices_b33: Tensor, box_b4: Tensor, inside_b4: Tensor, margin: float) -> bool:
    """Whether a point of a box, moved, may lie outside; the corners say it, as straight lines stay straight."""
    x1, y1, x2, y2 = box_b4.unbind(1)
    one = torch.ones_like(x1)
    corners_b34 = torch.stack([x1, x2, x1, x2, y1, y1, y2, y2, one, one, one, one], 1).view(-1, 3, 4)
    points_b34 = matrices_b33 @ corners_b34
    points_b24 = points_b34[:, :2] / points_b34[:, 2:]
    low_b2, high_b2 = points_b24.amin(2), points_b24.amax(2)
    least_b2, most_b2 = inside_b4[:, :2] + margin - 1e-6, inside_b4[:, 2:] - margin + 1e-6
    return bool(((low_b2 < least_b2) | (high_b2 > most_b2)).any())


def _moved(matrices_b33: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Points through the matrix of each sample."""
    is_flat = bool((matrices_b33[:, 2] == matrices_b33.new_tensor([0, 0, 1])).all())
    rows = matrices_b33.float().to(x.device, non_blocking=True).unbind(1)
    (a, b, c), (d, e, f), (g, h, i) = ([value.view(-1, 1, 1) for value in row.unbind(1)] for row in rows)
    moved_x, moved_y = a * x + (b * y + c), d * x + (e * y + f)
    if is_flat:
        return moved_x, moved_y
    depth = g * x + (h * y + i)
    return moved_x / depth, moved_y / depth


def _kept_inside(x: Tensor, y: Tensor, stage: Stage, is_nearest: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The points brought inside as the border says, and how much of each was inside."""
    edges = stage.inside_b4.float().to(x.device, non_blocking=True).view(-1, 4, 1, 1)
    x1, y1, x2, y2 = edges.unbind(1)
    mode = stage.border.padding_mode
    inside = _share(x, x1, x2, is_nearest) * _share(y, y1, y2, is_nearest) if mode == "constant" else x
    return _folded(x, x1, x2, mode), _folded(y, y1, y2, mode), inside


def _share(at: Tensor, low: Tensor, high: Tensor, is_nearest: bool) -> Tensor:
    """1 where a point is inside; between two pixels of which one is outside, the other's share when mixing."""
    if is_nearest:
        return (at >= low) & (at <= high)
    return (torch.minimum(at - low, high - at) + 0.5).clamp_(0, 1)


def _folded(at: Tensor, low: Tensor, high: Tensor, mode: PaddingMode) -> Tensor:
    """Points outside replaced by those that are seen there."""
    if mode in ("reflect", "symmetric"):
        edge = 0.5 if mode == "reflect" else 0.0  # mirrored at the centre of the last pixel, or at its far side
        length = high - low - 2 * edge
        turned = (at - low - edge).remainder(2 * length.clamp(min=1e-6))
        at = low + edge + torch.minimum(turned, 2 * length - turned)
    return at.clamp(low + 0.5, high - 0.5)


def _nearest(planes_bphw: Tensor, x_bhw: Tensor, y_bhw: Tensor, moved_bphw: Tensor) -> None:
    height, width = planes_bphw.shape[-2:]
    # Beyond the picture something else is filled in: any pixel will do.
    x_bhw, y_bhw = (x_bhw - 0.5).clamp_(0, width - 1), (y_bhw - 0.5).clamp_(0, height - 1)
    index_bhw = y_bhw.round_().mul_(width).add_(x_bhw.round_()).long()
    index_bpn = index_bhw.flatten(1)[:, None].expand(-1, planes_bphw.shape[1], -1)
    torch.gather(planes_bphw.flatten(2), 2, index_bpn, out=moved_bphw.flatten(2))


def _bilinear(planes_bphw: Tensor, x_bhw: Tensor, y_bhw: Tensor) -> Tensor:
    height, width = planes_bphw.shape[-2:]
    floats_bphw = planes_bphw.to(computed_in(planes_bphw.dtype))
    grid_bhw2 = torch.stack([x_bhw * (2 / width) - 1, y_bhw * (2 / height) - 1], -1).to(floats_bphw.dtype)
    return grid_sample(floats_bphw, grid_bhw2, mode="bilinear", padding_mode="border", align_corners=False)


def fill_of(border: Border, clip_bcthw: Tensor, is_class: bool) -> Tensor | None:
    """What a border is filled with, (C * T, 1, 1) on the clips' device, in their units; None for 0."""
    channels, frames = clip_bcthw.shape[1:3]
    if is_class:
        values: tuple[float, ...] = (border.mask_fill,)
    else:
        values = border.fill if isinstance(border.fill, tuple) else (border.fill,)
        if clip_bcthw.is_floating_point():
            values = tuple(value / 255 for value in values)
    if not any(values):
        return None
    fill_ct = torch.tensor(values, dtype=clip_bcthw.dtype).view(-1, 1).expand(channels, frames)
    return fill_ct.reshape(-1, 1, 1).to(clip_bcthw.device, non_blocking=True)
