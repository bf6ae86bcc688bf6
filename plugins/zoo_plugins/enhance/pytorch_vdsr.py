"""Checkpoints of pytorch-vdsr, in the keys of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn


def of_vdsr(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give pytorch-vdsr's keys the names they have in ours.

    It calls the first convolution `input`, the last one `output`, and those between them
    `residual_layer.0.conv`, `residual_layer.1.conv`, ...

    Args:
        state: what the checkpoint holds.
        network: the module it is meant for.

    Returns:
        `layers.*`; keys that are none of a VDSR keep their names.

    Example:
        >>> import torch
        >>> weight = torch.zeros(64, 64, 3, 3)
        >>> list(of_vdsr({"residual_layer.0.conv.weight": weight}, nn.Identity()))
        ['layers.2.weight']
    """
    last = sum(key.startswith("layers.") for key in network.state_dict()) - 1

    def renamed(key: str) -> str:
        between = re.fullmatch(r"residual_layer\.(\d+)\.conv\.weight", key)
        if between:
            return f"layers.{2 * int(between[1]) + 2}.weight"
        return {"input.weight": "layers.0.weight", "output.weight": f"layers.{2 * last}.weight"}.get(key, key)

    return {renamed(key): value for key, value in state.items()}
