"""Models small enough to be watched: they remember what they were shown, or take the time they are told to."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from zoo.model import ZooModel
from zoo_registry import ClipSpec

LABELS = ("dark", "bright")


class Watcher(nn.Module):
    """Says how bright a clip is; keeps every clip, and works for `seconds` on each."""

    def __init__(self, seconds: float = 0.0, size: int | None = None) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.seconds = seconds
        self.size = size

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        if self.size is not None and clip_bcthw.shape[-1] != self.size:
            raise RuntimeError(f"made for {self.size} pixels")
        if clip_bcthw.any():  # not a warm-up
            self.seen.append(clip_bcthw.clone())
            work_for(self.seconds * clip_bcthw.shape[-1] / 32)
        level_b = clip_bcthw.mean((1, 2, 3, 4))
        return torch.stack([-level_b, level_b], 1)


class FrameWatcher(Watcher):
    """A `StreamingNetwork` that counts the frames it looks at, and with `memory` sums up all it has ever seen."""

    def __init__(self, memory: bool = False, streams: bool = True) -> None:
        super().__init__()
        self.memory, self.streams = memory, streams
        self.looked = 0

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return self.forward_time(self.forward_frames(clip_bcthw)[0])

    def forward_frames(self, clip_bcthw: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        if clip_bcthw.any():
            self.looked += clip_bcthw.shape[2]
        level_bt = clip_bcthw.mean((1, 3, 4))
        if not self.memory:
            return level_bt, None
        sum_bt = level_bt.cumsum(1) + (0 if state is None else state)
        return sum_bt, sum_bt[:, -1:]

    def forward_time(self, features_bt: Tensor) -> Tensor:
        self.seen.append(features_bt.clone())
        level_b = features_bt.mean(1)
        return torch.stack([-level_b, level_b], 1)


def work_for(seconds: float) -> None:
    """Be busy, as a network is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def model_of(network: nn.Module, **clip: Any) -> ZooModel:
    """A classifier of two labels, whose clips hold the grey levels of the film in 0..255."""
    spec = {"frames": 4, "stride": 2, "size": 32, "mean": (0.0,) * 3, "std": (1 / 255,) * 3, **clip}
    return ZooModel(
        network,
        name="tests/watcher",
        num_classes=2,
        clip=ClipSpec(**spec),
        labels=LABELS,
        task={"name": "classification", "params": {}},
    ).eval()


def numbers_seen(network: Watcher) -> list[list[int]]:
    """Which frames of a numbered film every clip showed."""
    return [[round(float(level) / 10) for level in clip.mean((0, 1, 3, 4))] for clip in network.seen]
