"""How long a model takes for one sample, and how many it answers in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
FEWEST = 5


@dataclass(frozen=True)
class Latency:
    """Times of single calls with a batch of one.

    Attributes:
        p50_ms: median, in milliseconds.
        p95_ms: 95th percentile, in milliseconds.
        runs: how many calls were timed.
    """

    p50_ms: float
    p95_ms: float
    runs: int


def measure_latency(
    model: Callable[..., Any], example: Sequence[Tensor], *, runs: int = 50, seconds: float = 3.0
) -> Latency:
    """Time a model on the first sample of its inputs, with as many CPU threads as torch is set to.

    Args:
        model: a module in eval mode, or anything called like one.
        example: its inputs; the first sample of each is used.
        runs: calls to time.
        seconds: stop earlier once this much time is spent, but not before 5 calls.

    Example:
        >>> measure_latency(torch.nn.Linear(8, 2), [torch.zeros(4, 8)], runs=9).runs
        9
    """
    times = _times(model, [tensor[:1].contiguous() for tensor in example], runs, seconds)
    quantiles = torch.tensor(times, dtype=torch.float64).quantile(torch.tensor([0.5, 0.95], dtype=torch.float64))
    return Latency(float(quantiles[0]), float(quantiles[1]), len(times))


def measure_throughput(model: Callable[..., Any], example: Sequence[Tensor], *, seconds: float = 2.0) -> float:
    """Samples that a model answers in a second, in batches of the given size: the median of a few calls.

    Args:
        model: a module in eval mode, or anything called like one.
        example: its inputs, a batch.
        seconds: about as long as it takes, but not less than 5 calls.

    Example:
        >>> measure_throughput(torch.nn.Linear(8, 2), [torch.zeros(4, 8)], seconds=0.1) > 0
        True
    """
    times = _times(model, [tensor.contiguous() for tensor in example], 50, seconds)
    return float(1000 * len(example[0]) / torch.tensor(times, dtype=torch.float64).median())


def _times(model: Callable[..., Any], inputs: Sequence[Tensor], runs: int, seconds: float) -> list[float]:
    """Milliseconds of calls after the first few, which choose kernels and fill caches."""
    on_gpu = any(tensor.is_cuda for tensor in inputs)
    times: list[float] = []
    started = time.perf_counter()
    with torch.inference_mode():
        for call in range(WARM_UP + runs):
            _wait(on_gpu)
            before = time.perf_counter()
            model(*inputs)
            _wait(on_gpu)
            now = time.perf_counter()
            if call >= WARM_UP:
                times.append(1000 * (now - before))
            if now - started > seconds and len(times) >= FEWEST:
                break
    return times


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()
