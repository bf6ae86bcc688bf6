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


def measure_speedup(
    original: Callable[..., Any],
    changed: Callable[..., Any],
    example: Sequence[Tensor],
    *,
    runs: int = 30,
    seconds: float = 3.0,
) -> float:
    """How many times as fast the changed model answers one sample; the two in turns, so that other work hits both.

    Args:
        original: a module in eval mode, or anything called like one.
        changed: likewise.
        example: their inputs; the first sample of each is used.
        runs: turns.
        seconds: stop earlier once this much time is spent, but not before 5 turns.

    Returns:
        The ratio of the medians.

    Example:
        >>> layer = torch.nn.Linear(8, 2)
        >>> 0.1 < measure_speedup(layer, layer, [torch.zeros(4, 8)], runs=9) < 10
        True
    """
    inputs = [tensor[:1].contiguous() for tensor in example]
    taken: tuple[list[float], list[float]] = ([], [])
    started = time.perf_counter()
    for _ in range(runs):
        for times, model in zip(taken, (original, changed), strict=True):
            times += _times(model, inputs, 1, 0.0, warm_up=0 if times else WARM_UP, fewest=1)
        if time.perf_counter() - started > seconds and len(taken[0]) >= FEWEST:
            break
    medians = [torch.tensor(times, dtype=torch.float64).median() for times in taken]
    return float(medians[0] / medians[1])


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


def _times(
    model: Callable[..., Any],
    inputs: Sequence[Tensor],
    runs: int,
    seconds: float,
    warm_up: int = WARM_UP,
    fewest: int = FEWEST,
) -> list[float]:
    """Milliseconds of calls after the first few, which choose kernels and fill caches."""
    on_gpu = any(tensor.is_cuda for tensor in inputs)
    times: list[float] = []
    started = time.perf_counter()
    with torch.inference_mode():
        for call in range(warm_up + runs):
            _wait(on_gpu)
            before = time.perf_counter()
            model(*inputs)
            _wait(on_gpu)
            now = time.perf_counter()
            if call >= warm_up:
                times.append(1000 * (now - before))
            if now - started > seconds and len(times) >= fewest:
                break
    return times


def _wait(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()
