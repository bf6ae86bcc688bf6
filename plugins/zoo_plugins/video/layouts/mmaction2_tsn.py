"""Checkpoints of MMAction2's TSN and TSM (ResNets and MobileNetV2), in the keys of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from zoo_plugins.video.temporal_shift import with_shifted_names

_DEPTHWISE = {"0": ("conv_dw", "bn1"), "1": ("conv_pw", "bn2")}
_INVERTED = {"0": ("conv_pw", "bn1"), "1": ("conv_dw", "bn2"), "2": ("conv_pwl", "bn3")}
"""Convolution and norm in timm's blocks of a MobileNetV2, by their number in MMAction2's; its first block has two."""


def of_segment_network(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give MMAction2's keys the names they have in a TSN or TSM of ours.

    Its blocks hold a convolution and its norm together (`conv1.conv`, `conv1.bn`), shifted ones with `.net` before the
    layer.

    Args:
        state: what the checkpoint has under `state_dict`.
        network: the module it is meant for.

    Returns:
        `backbone.*` and `head.*`. Keys that are none of a ResNet or MobileNetV2 keep their names.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> bias = torch.zeros(64)
        >>> list(of_segment_network({"backbone.layer1.0.conv1.bn.bias": bias}, nn.Identity()))
        ['backbone.layer1.0.bn1.bias']
    """
    inverted = any(re.match(r"backbone\.layer\d+\.\d+\.conv\.", key) for key in state)
    rename = _of_mobilenet if inverted else _of_resnet
    return with_shifted_names({rename(key.replace(".net.", ".")): value for key, value in state.items()}, network)


def _of_resnet(key: str) -> str:
    key = re.sub(r"^cls_head\.fc_cls\.", "head.", key)
    key = re.sub(r"\bdownsample\.conv\.", "downsample.0.", key)
    key = re.sub(r"\bdownsample\.bn\.", "downsample.1.", key)
    key = re.sub(r"\bconv(\d)\.conv\.", r"conv\1.", key)
    return re.sub(r"\bconv(\d)\.bn\.", r"bn\1.", key)


def _of_mobilenet(key: str) -> str:
    key = re.sub(r"^cls_head\.fc_cls\.", "head.", key)
    for number, convolution in (("1", "conv_stem"), ("2", "conv_head")):
        key = re.sub(rf"^backbone\.conv{number}\.conv\.", f"backbone.{convolution}.", key)
        key = re.sub(rf"^backbone\.conv{number}\.bn\.", f"backbone.bn{number}.", key)
    block = re.fullmatch(r"backbone\.layer(\d+)\.(\d+)\.conv\.(\d)\.(conv|bn)\.(\w+)", key)
    if block is None:
        return key
    layer, place, number, kind, value = block.groups()
    names = (_DEPTHWISE if layer == "1" else _INVERTED).get(number)
    return f"backbone.blocks.{int(layer) - 1}.{place}.{names[kind == 'bn']}.{value}" if names else key
