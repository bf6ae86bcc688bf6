"""The numbers of one stage of compression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch.nn import Module

from zoo.compress.context import Context
from zoo.compress.latency import measure_latency
from zoo.export.comparison import compare
from zoo_registry.protocols import Outputs


@dataclass(frozen=True)
class Measurement:
    """What a model costs and does at one stage.

    Attributes:
        stage: `original`, or the strategy by name.
        metrics: of the task on the validation split; empty without one.
        bytes: of the weights file.
        parameters: how many numbers the model learned.
        nonzero: how many of them are not zero.
        latency_ms: median time of one sample, in milliseconds.
        latency_p95_ms: 95th percentile of it.
        agreement: part of the validation samples that get the original's first answer; None for the original itself
            and for tasks without classes.
    """

    stage: str
    metrics: Mapping[str, float]
    bytes: int
    parameters: int
    nonzero: int
    latency_ms: float
    latency_p95_ms: float
    agreement: float | None


def measure(
    stage: str, module: Module, size: int, context: Context, reference: Sequence[Outputs] | None = None
) -> Measurement:
    """Measure a model that was loaded from its file.

    Args:
        stage: its name.
        module: in eval mode, on the context's device.
        size: bytes of its weights file.
        context: data and metrics.
        reference: `context.outputs` of the original.
    """
    parameters = list(module.parameters())
    with context.autocast():
        latency = measure_latency(module, context.example)
    agreement = None
    if reference:
        agreement = compare(zip(reference, context.outputs(module), strict=True)).agreement
    return Measurement(
        stage=stage,
        metrics=dict(context.evaluate(module)),
        bytes=size,
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero=sum(int(parameter.count_nonzero()) for parameter in parameters),
        latency_ms=latency.p50_ms,
        latency_p95_ms=latency.p95_ms,
        agreement=agreement,
    )
