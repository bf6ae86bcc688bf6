"""The temporal shift: channels moved along time, so that a 2-D network sees neighbouring frames at no cost.

Lin, Gan, Han: TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019, https://arxiv.org/abs/1811.08383.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.models import _efficientnet_blocks as inverted
from timm.models import res2net, resnest, resnet
from torch import Tensor, nn

from zoo_registry.errors import ParameterError

_FIRST_LAYER: dict[type[nn.Module], str] = {
    resnet.BasicBlock: "conv1",
    resnet.Bottleneck: "conv1",
    res2net.Bottle2neck: "conv1",
    resnest.ResNestBottleneck: "conv1",
    inverted.InvertedResidual: "conv_pw",
    inverted.EdgeResidual: "conv_exp",
    inverted.UniversalInvertedResidual: "dw_start",
}
"""timm's residual blocks, and what their residual branch begins with."""


class _Shift(torch.autograd.Function):
    """One new tensor and one pass over it; the derivative of a shift is the shift back."""

    generate_vmap_rule = True

    @staticmethod
    def forward(frames_btchw: Tensor, fold: int, back: bool) -> Tensor:
        shifted = torch.empty_like(frames_btchw)
        earlier, later = slice(0, fold), slice(fold, 2 * fold)
        if back:
            earlier, later = later, earlier
        shifted[:, :-1, earlier] = frames_btchw[:, 1:, earlier]
        shifted[:, -1, earlier] = 0
        shifted[:, 1:, later] = frames_btchw[:, :-1, later]
        shifted[:, 0, later] = 0
        shifted[:, :, 2 * fold :] = frames_btchw[:, :, 2 * fold :]
        return shifted

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
        _, ctx.fold, ctx.back = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Shift.apply(gradient, ctx.fold, not ctx.back), None, None


def temporal_shift(frames_btchw: Tensor, div: int = 8) -> Tensor:
    """Move a part of the channels to the frame before, as large a part to the frame after.

    Args:
        frames_btchw: (B, T, C, ...), any dtype and memory format; it stays as it is.
        div: the first C // div channels of a frame come from the one after it, the next C // div from the one before
            it; at the ends of the clip zeros come in. All other channels stay.

    Returns:
        A new tensor of the same shape and memory format.

    Example:
        >>> temporal_shift(torch.tensor([[[1, 10, 100], [2, 20, 200], [3, 30, 300]]]), div=3)
        tensor([[[  2,   0, 100],
                 [  3,  10, 200],
                 [  0,  20, 300]]])
    """
    shifted: Tensor = _Shift.apply(frames_btchw, frames_btchw.shape[2] // div, False)
    return shifted


def online_shift(frames_btchw: Tensor, div: int = 8, before_bchw: Tensor | None = None) -> Tensor:
    """Move a part of the channels to the frame after; no frame sees a later one (section 4.2 of the paper).

    Args:
        frames_btchw: (B, T, C, ...); it stays as it is.
        div: the first C // div channels of a frame come from the one before it. All other channels stay.
        before_bchw: those channels of the frame before the first one, (B, C // div, ...); zeros without it.

    Returns:
        A new tensor of the same shape.

    Example:
        >>> online_shift(torch.tensor([[[1, 10, 100], [2, 20, 200], [3, 30, 300]]]), div=3)
        tensor([[[  0,  10, 100],
                 [  1,  20, 200],
                 [  2,  30, 300]]])
    """
    moving = frames_btchw[:, :, : frames_btchw.shape[2] // div]
    first = torch.zeros_like(moving[:, :1]) if before_bchw is None else before_bchw.unsqueeze(1)
    return torch.cat([torch.cat([first, moving[:, :-1]], 1), frames_btchw[:, :, moving.shape[2] :]], 2)


class ShiftedLayer(nn.Module):
    """A layer that sees frames after their temporal shift.

    Args:
        net: the layer, frames (B * T, C, H, W) to anything.
        frames: T.
        div: see `temporal_shift`.
        online: see `online_shift`.

    Attributes:
        before_bchw: of an online shift: what the last frame of an earlier piece hands on to the first one of this.
        handed_on_bchw: what the last frame of this piece hands on to the next; kept while `frames_in` runs.
    """

    before_bchw: Tensor | None = None
    handed_on_bchw: Tensor | None = None

    def __init__(self, net: nn.Module, frames: int, div: int, online: bool = False) -> None:
        super().__init__()
        self.net = net
        self.frames = frames
        self.div = div
        self.online = online
        self._keeps = False

    def forward(self, frames_nchw: Tensor) -> Tensor:
        """Frames (B * T, C, H, W), those of a clip one after the other, to what the layer makes of them."""
        frames_btchw = frames_nchw.unflatten(0, (-1, self.frames))
        if self.online:
            shifted_btchw = online_shift(frames_btchw, self.div, self.before_bchw)
            if self._keeps:  # a copy: a view would hold the whole map
                self.handed_on_bchw = frames_btchw[:, -1, : frames_btchw.shape[2] // self.div].clone()
        else:
            shifted_btchw = temporal_shift(frames_btchw, self.div)
        output: Tensor = self.net(shifted_btchw.flatten(0, 1))
        return output

    @contextmanager
    def piece(self, frames: int, before_bchw: Tensor | None) -> Iterator[None]:
        """Take pieces of so many frames, with what the piece before handed on, and keep what this one does."""
        length = self.frames
        self.frames, self.before_bchw, self._keeps = frames, before_bchw, True
        try:
            yield
        finally:
            self.frames, self.before_bchw, self.handed_on_bchw, self._keeps = length, None, None, False

    def extra_repr(self) -> str:
        """Length of the clip, part of the channels and their way, for `print`."""
        return f"frames={self.frames}, div={self.div}" + (", online=True" if self.online else "")


def insert_temporal_shift(backbone: nn.Module, frames: int, div: int = 8, online: bool = False) -> int:
    """Put a temporal shift in front of the residual branches of a timm backbone; what they are added to stays.

    As the authors do it: in every block of a ResNet, in every second one where it has 23 or more of them at one size;
    in the blocks of a MobileNet or EfficientNet whose input and output are added.

    Args:
        backbone: a timm model; it is changed. `conv1` becomes `conv1.net`, and so on.
        frames: T of the clips.
        div: see `temporal_shift`.
        online: let no frame see a later one, see `online_shift`.

    Returns:
        How many blocks shift now.

    Raises:
        ParameterError: it has no block that this is known for.
    """
    blocks = [block for block in backbone.modules() if type(block) in _FIRST_LAYER and getattr(block, "has_skip", True)]
    if not blocks:
        raise ParameterError(
            f"a temporal shift can be put into residual blocks of convolutions, {type(backbone).__name__} has none",
            hint="take a ResNet, ResNeXt, Res2Net, ResNeSt, MobileNetV2 to V4 or EfficientNet, such as resnet50; "
            "for other backbones take video/tsn or video/frame_transformer",
        )
    for block in _every_second(backbone, blocks):
        name = _FIRST_LAYER[type(block)]
        setattr(block, name, ShiftedLayer(getattr(block, name), frames, div, online))
    return sum(isinstance(module, ShiftedLayer) for module in backbone.modules())


def _every_second(backbone: nn.Module, blocks: list[nn.Module]) -> list[nn.Module]:
    """The blocks that shift: all, or the first, third, ... of every stage of a deep ResNet."""
    stages = [stage for name, stage in backbone.named_children() if name.startswith("layer")]
    if max((len(list(stage.children())) for stage in stages), default=0) < 23:
        return blocks
    return [block for stage in stages for number, block in enumerate(stage.children()) if number % 2 == 0]


def with_shifted_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Weights by the names they have in a network with shifts, given their names without."""
    layers = [name for name, module in network.named_modules() if isinstance(module, ShiftedLayer)]
    renamed = {}
    for key, value in state.items():
        layer = next(
            (layer for layer in layers if key.startswith(f"{layer}.") and not key.startswith(f"{layer}.net.")), None
        )
        renamed[f"{layer}.net{key.removeprefix(layer)}" if layer else key] = value
    return renamed
