"""A picture of a network: its parts with their shapes and parameters. Needs no graphviz."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from torch import Tensor
from torch.nn import Module

from zoo.report.blocks import Block, count_parameters, find_blocks
from zoo.report.canvas import COLOURS, INK, LINE, MUTED, PAPER, place, sheet, write
from zoo.report.wording import number, plain, short_count

_WIDTH, _TOP, _ROW, _FOOT = 9.0, 0.75, 0.46, 0.45  # inches
_BOX, _SHAPE, _BAR, _END = 0.2, 5.1, 7.0, 8.85  # where the columns start


def diagram(module: Module, example: tuple[Tensor, ...], path: Path, *, title: str | None = None) -> Path:
    """Draw a network from input to output, a row per part: what it is, what shape leaves it, what it weighs.

    The order is that of one forward pass over `example`, in evaluation mode and without gradients. Residual branches
    are not drawn; repeated layers are folded.

    Args:
        module: any network.
        example: inputs as it is called with, on its device. Batch 1 is enough.
        path: the PNG or SVG to write.
        title: what it is called; the name of its class by default.

    Returns:
        `path`.

    Raises:
        Exception: whatever the network raises for this example.

    Example:
        >>> import torch
        >>> diagram(torch.nn.Linear(4, 2), (torch.zeros(1, 4),), Path("model.png"))  # doctest: +SKIP
        PosixPath('model.png')
    """
    blocks = find_blocks(module, example)
    total = count_parameters(module)
    inputs = [Block("", "input", tuple(tensor.shape[1:]), 0) for tensor in example]
    rows = [*inputs, *blocks]
    heaviest = max((block.parameters for block in blocks), default=0)
    with sheet(path, _WIDTH, _TOP + len(rows) * _ROW + _FOOT) as figure:
        write(figure, _BOX, 0.14, plain(title or type(module).__name__, 60), fontsize=11, fontweight="bold")
        for left, heading in ((_SHAPE, "output shape"), (_BAR, "parameters")):
            write(figure, left, 0.48, heading, fontsize=8, color=MUTED)
        axes = place(figure, 0, 0, _WIDTH, _TOP + len(rows) * _ROW + _FOOT)
        axes.set(xlim=(0, _WIDTH), ylim=(_TOP + len(rows) * _ROW + _FOOT, 0))
        for index, block in enumerate(rows):
            _draw_row(axes, block, _TOP + index * _ROW, heaviest, last=index == len(rows) - 1)
        write(figure, _BOX, _TOP + len(rows) * _ROW + 0.08, _total(total, blocks), fontsize=8.5, color=MUTED)
    return path


def _draw_row(axes: Axes, block: Block, top: float, heaviest: int, *, last: bool) -> None:
    middle = top + 0.17
    box = FancyBboxPatch(
        (_BOX + 0.05, top + 0.04),
        _SHAPE - _BOX - 0.45,
        0.26,
        boxstyle="round,pad=0.05",
        facecolor="white" if block.kind == "input" else PAPER,
        edgecolor=LINE,
        linewidth=1,
    )
    axes.add_patch(box)
    axes.text(_BOX + 0.12, middle, plain(block.name or block.kind, 26), va="center", fontsize=9, fontweight="bold")
    if block.name:
        axes.text(_SHAPE - 0.45, middle, plain(block.kind, 34), va="center", ha="right", fontsize=8.5, color=MUTED)
    _write_shapes(axes, block, middle)
    if block.parameters:
        width = (_END - _BAR - 0.75) * block.parameters / heaviest
        axes.barh(middle, width, height=0.16, left=_BAR + 0.7, color=COLOURS[0])
        axes.text(_BAR, middle, short_count(block.parameters), va="center", fontsize=9, color=INK)
    if not last:
        arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.8, "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (_BOX + 0.6, top + _ROW), (_BOX + 0.6, top + 0.35), arrowprops=arrow)


def _write_shapes(axes: Axes, block: Block, middle: float) -> None:
    """The output's shape, and below it that of a second one; how many more there are is only counted."""
    first, second, *more = (" × ".join(map(str, shape)) for shape in (block.shape, *block.beside, ()))
    if not second:
        axes.text(_SHAPE, middle, first, va="center", fontsize=9, color=INK)
        return
    further = f"  and {len(more) - 1} more" if len(more) > 1 else ""
    for text, height in ((first, middle - 0.09), (second + further, middle + 0.1)):
        axes.text(_SHAPE, height, text, va="center", fontsize=8, color=INK)


def _total(total: int, blocks: list[Block]) -> str:
    elsewhere = total - sum(block.parameters for block in blocks)
    rest = f", {number(elsewhere)} of them outside of these parts" if elsewhere > 0 else ""
    return f"{number(total)} parameters{rest}"
