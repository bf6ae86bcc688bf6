"""What a few steps of training spend their time on, for `zoo run --profile`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
        self._records: list[profile] = []
        self._recording = self._over = False
        self._seen = 0

    def step(self) -> None:
        """A step is done."""
        self._seen += 1
        if self._seen == AFTER:
            self._record()
        elif self._seen == AFTER + STEPS:
            self.close()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within it nothing is recorded: for what is done between steps, such as validation and checkpoints."""
        paused = self._recording
        if paused:
            self._pause()
        try:
            yield
        finally:
            if paused:
                self._record()

    def close(self) -> None:
        """Write what was seen, if anything was."""
        if self._recording:
            self._pause()
        if self._over:
            return
        self._over = True
        steps = self._seen - AFTER
        if steps <= 0:
            self._say(f"nothing was profiled: the run has {_steps(self._seen)}, and the first {AFTER} are let pass")
            return
        self._folder.mkdir(exist_ok=True)
        trace = self._folder / "trace.json"
        _export(self._records, trace)
        table = self._table(steps)
        (self._folder / "top.txt").write_text(table + "\n", encoding="utf-8")
        self._say(f"{table}\nthe whole of it is in {trace}, for ui.perfetto.dev or chrome://tracing")

    def _record(self) -> None:
        self._records.append(profile(activities=self._activities))
        self._records[-1].start()
        self._recording = True

    def _pause(self) -> None:
        self._records[-1].stop()
        self._recording = False

    def _table(self, steps: int) -> str:
        spent, calls = Counter[str](), Counter[str]()
        for row in (row for record in self._records for row in record.key_averages()):
            spent[row.key] += getattr(row, f"self_{self._kind}_time_total")
            calls[row.key] += row.count
        total = sum(spent.values()) or 1.0
        whose = "its" if steps == 1 else "their"
        lines = [f"where {_steps(steps)} spent {whose} time ({'GPU' if self._kind == 'device' else 'processor'})"]
        for name, time in spent.most_common(LONGEST):
            words = f" ({in_words(name)})" if in_words(name) else ""
            lines.append(
                f"{time / total:6.1%}  {time / steps / 1000:8.2f} ms a step  "
                f"{calls[name] / steps:7.1f} calls  {name}{words}"
            )
        return "\n".join(lines)


def _export(records: Sequence[profile], trace: Path) -> None:
    """Several records as one trace: they count time from the same moment."""
    merged: dict[str, Any] = {}
    for record in records:
        record.export_chrome_trace(str(trace))
        found = json.loads(trace.read_text("utf-8"))
        merged = {**found, "traceEvents": merged.get("traceEvents", []) + found["traceEvents"]}
    trace.write_text(json.dumps(merged), encoding="utf-8")


def _steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


def in_words(operation: str) -> str:
    """What an operation of torch does; nothing where its name says it or nobody knows.

    Example:
        >>> in_words("aten::convolution_backward"), in_words("cudnn::something")
        ('gradients of convolutions', '')
    """
    name = operation.lower()
    return next((words for part, words in _WORDS.items() if part in name), "")
