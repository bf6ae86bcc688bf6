"""What a few steps of training spend their time on, for `zoo run --profile`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

AFTER, STEPS = 3, 5
"""Steps that are let pass, because the first ones prepare kernels and caches, and steps that are profiled."""

LONGEST = 10
"""Rows of the table."""

_WORDS = {
    "convolution_backward": "gradients of convolutions",
    "conv": "convolutions",
    "batch_norm_backward": "gradients of batch norms",
    "batch_norm": "batch norms",
    "layer_norm": "layer norms",
    "scaled_dot_product": "attention",
    "flash": "attention",
    "softmax": "softmax",
    "addmm": "matrix products with a bias",
    "gemm": "matrix products",
    "mm": "matrix products",
    "copy_": "copies and changes of type or layout",
    "memcpy": "copies to or from the device",
    "contiguous": "changes of memory layout",
    "max_pool": "pooling",
    "avg_pool": "pooling",
    "relu": "activations",
    "gelu": "activations",
    "silu": "activations",
    "threshold_backward": "gradients of activations",
    "foreach": "optimiser: all parameters at once",
    "fused": "optimiser: all parameters in one kernel",
    "optimizer": "optimiser",
    "zero_": "filling with zeros",
    "cat": "joining tensors",
    "mul": "products, element by element",
    "add": "sums, element by element",
    "sum": "sums over dimensions",
    "mean": "means over dimensions",
    "index": "picking elements",
}
"""What parts of the names of torch's operations stand for, the more special first."""


class StepProfile:
    """Profiles some steps of a run and writes what it saw.

    That is `trace.json`, for chrome://tracing or Perfetto, and `top.txt`, the operations that took longest.

    Args:
        folder: where the files go; made with them.
        device: where the run computes.
        say: takes the table.
    """

    def __init__(self, folder: Path, device: torch.device, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        on_gpu = device.type == "cuda"
        self._kind = "device" if on_gpu else "cpu"
        self._activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        self._profile: profile | None = None
        self._seen = 0

    def step(self) -> None:
        """A step is done."""
        self._seen += 1
        if self._seen == AFTER:
            self._profile = profile(activities=self._activities)
            self._profile.start()
        elif self._seen == AFTER + STEPS:
            self.close()

    def close(self) -> None:
        """Write what was seen, if anything was."""
        if self._profile is None:
            if self._seen < AFTER:
                self._say(f"nothing was profiled: the run has {self._seen} steps, and the first {AFTER} are let pass")
            return
        recorded, self._profile = self._profile, None
        recorded.stop()
        steps = max(self._seen - AFTER, 1)
        self._seen = AFTER  # written once
        self._folder.mkdir(exist_ok=True)
        recorded.export_chrome_trace(str(self._folder / "trace.json"))
        table = self._table(recorded, steps)
        (self._folder / "top.txt").write_text(table + "\n", encoding="utf-8")
        self._say(
            f"{table}\nthe whole of it is in {self._folder / 'trace.json'}, for ui.perfetto.dev or chrome://tracing"
        )

    def _table(self, recorded: profile, steps: int) -> str:
        def spent(row: Any) -> float:
            return float(getattr(row, f"self_{self._kind}_time_total"))

        rows = sorted(recorded.key_averages(), key=spent, reverse=True)
        total = sum(map(spent, rows)) or 1.0
        lines = [f"where {steps} steps spent their time ({'GPU' if self._kind == 'device' else 'processor'})"]
        for row in rows[:LONGEST]:
            words = f" ({in_words(row.key)})" if in_words(row.key) else ""
            lines.append(
                f"{spent(row) / total:6.1%}  {spent(row) / steps / 1000:8.2f} ms a step  "
                f"{row.count / steps:7.1f} calls  {row.key}{words}"
            )
        return "\n".join(lines)


def in_words(operation: str) -> str:
    """What an operation of torch does; nothing where its name says it or nobody knows.

    Example:
        >>> in_words("aten::convolution_backward"), in_words("cudnn::something")
        ('gradients of convolutions', '')
    """
    name = operation.lower()
    return next((words for part, words in _WORDS.items() if part in name), "")
