"""Networks of the catalogue with random weights, and clips small enough to run them in a test."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.build import build
from zoo_registry.catalog import catalog

CLIPS = {
    "torchvision/r3d_18": (4, 48),
    "torchvision/r2plus1d_18": (4, 48),
    "video/x3d_s": (4, 48),
    "video/slowfast_r50": (8, 48),
    "torchvision/mvit_v2_s": (4, 64),
    "transformers/videomae_s": (4, 64),
    "timm/resnet18": (2, 48),
    "timm/mobilenetv3_small_100": (2, 48),
    "timm/convnext_tiny": (2, 48),
    "timm/vit_tiny_patch16_224": (2, 224),
    "video/tsm_mobilenetv2_100": (8, 48),
}
"""Frames and pixels."""


def network_and_clip(name: str, classes: int = 7) -> tuple[nn.Module, Tensor]:
    """A network in eval mode, and a clip (1, 3, T, H, W) for it."""
    listed = catalog().resolve("model", name)
    frames, pixels = CLIPS[name]
    clip = replace(listed.entry.clip, frames=frames, size=pixels, resize=pixels)
    provided = {"num_classes": classes, "labels": (), "inputs": listed.entry.inputs, "clip": clip, "audio": None}
    torch.manual_seed(0)
    network = build(listed, {}, provided, load_weights=lambda *_: None).eval()
    return network, torch.randn(1, 3, frames, pixels, pixels, generator=torch.Generator().manual_seed(1))


def reloaded(built: nn.Module, model: nn.Module, record: Mapping[str, Any], restore: Callable[..., Any]) -> nn.Module:
    """What a stranger gets who has the record, the weights and the architecture."""
    empty = copy.deepcopy(built).to("meta")
    restored = restore(empty, json.loads(json.dumps(record))).eval()
    restored.load_state_dict(model.state_dict(), strict=True, assign=True)
    return restored


def parameters(model: nn.Module) -> int:
    """How many numbers a network learned."""
    return sum(parameter.numel() for parameter in model.parameters())
