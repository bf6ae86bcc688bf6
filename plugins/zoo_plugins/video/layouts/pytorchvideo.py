"""PyTorchVideo's names: numbered `blocks`, of which one may be a pooling without parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from zoo_plugins.video.layouts.renaming import Rules, renamed, with_counters

BLOCK: Rules = (
    (r"\bbranch1_", "shortcut_"),
    (r"\bbranch2\.conv_b\.conv_t\b", "conv_b.temporal"),
    (r"\bbranch2\.conv_b\.conv_xy\b", "conv_b.spatial"),
    (r"\bbranch2\.norm_b\.0\b", "norm_b"),
    (r"\bbranch2\.norm_b\.1\.block\.0\b", "excite.reduce"),
    (r"\bbranch2\.norm_b\.1\.block\.2\b", "excite.expand"),
    (r"\bbranch2\.", ""),
)


def pytorchvideo(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state dict of PyTorchVideo's Slow, C2D, I3D, CSN, R(2+1)D, SlowFast and X3D under our names.

    Args:
        state: `model_state` of their files.
        module: of the same architecture.
    """
    stages = sorted({int(found[1]) for key in state if (found := re.match(r"blocks\.(\d+)\..*res_blocks\.", key))})
    numbers = {index: number for number, index in enumerate(stages, 1)}
    rules = [
        # The stem of X3D keeps its convolution in space as `conv_t`, and the other way round.
        (r"^blocks\.0\.conv\.conv_t\.", "stem.conv.spatial."),
        (r"^blocks\.0\.conv\.conv_xy\.", "stem.conv.temporal."),
        *((rf"^blocks\.{index}\.multipathway_fusion\.", f"stage{number}.fuse.")
          for index, number in ((each - 1, numbers[each]) for each in stages)),
        (r"\.fuse\.conv_fast_to_slow\.", ".fuse.conv."),
        *((rf"^blocks\.{index}\.", f"stage{number}.") for index, number in numbers.items()),
        (r"^blocks\.0\.", "stem."),
        (r"^blocks\.\d+\.pool\.(pre|post)_", r"head.\1_"),
        (r"^blocks\.\d+\.proj\.", "head.linear."),
        (r"\bmultipathway_blocks\.0\.", "slow."),
        (r"\bmultipathway_blocks\.1\.", "fast."),
        (r"\bres_blocks\.", ""),
        *BLOCK,
    ]  # fmt: skip
    return with_counters(renamed(state, rules), module)


def pytorchvideo_bgr(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The same for networks that were trained on blue, green, red: their first convolutions are turned round.

    The checkpoints for Something-Something v2 and Charades are such.
    """
    result = pytorchvideo(state, module)
    first = (
        key for key, value in result.items() if key.startswith("stem.") and value.ndim == 5 and value.shape[1] == 3
    )
    return {**result, **{key: result[key].flip(1) for key in first}}
