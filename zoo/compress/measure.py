"""The numbers of one stage of compression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch.nn import Module

from zoo.complexity import parameter_counts
from zoo.compress.context import Context
from zoo.compress.latency import measure_latency, measure_speedup, measure_throughput
from zoo.compress.peak_memory import peak_memory
from zoo.energy.meter import EnergyMeter
from zoo.export.comparison import compare, cosine
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
        cosine: mean cosine similarity of the answers with the original's; None for the original itself.
        gmacs: billions of multiply-adds of one sample; products with zeros count.
        peak_bytes: most memory of one sample's forward pass, weights included; see `peak_memory`.
        clips_per_s: samples that are answered in a second, in batches as large as the run's.
        joules: what a sample draws, where the machine has counters; None elsewhere.
        speedup: how many times as fast as the original it answers one sample, the two measured in turns; None for the
            original itself.
        drop: how much worse the task's monitored metric is than the original's; None without validation data.
    """

    stage: str
    metrics: Mapping[str, float]
    bytes: int
    parameters: int
    nonzero: int
    latency_ms: float
    latency_p95_ms: float
    agreement: float | None
    cosine: float | None = None
    gmacs: float = 0.0
    peak_bytes: int = 0
    clips_per_s: float = 0.0
    joules: float | None = None
    speedup: float | None = None
    drop: float | None = None

    @property
    def costs(self) -> dict[str, float]:
        """What it costs and how like the original it is, by name, as far as it is known; without the task's metrics."""
        others = {name: value for name, value in vars(self).items() if name not in ("stage", "metrics")}
        return {name: value for name, value in others.items() if value is not None}


@dataclass(frozen=True)
class Reference:
    """The original, as what stages are compared with.

    Attributes:
        module: as it was loaded from its file.
        outputs: `context.outputs` of it.
        metrics: of the task.
    """

    module: Module
    outputs: Sequence[Outputs]
    metrics: Mapping[str, float]


def measure(
    stage: str,
    module: Module,
    size: int,
    context: Context,
    beside: Reference | None = None,
) -> Measurement:
    """Measure a model that was loaded from its file.

    Args:
        stage: its name.
        module: in eval mode, on the context's device.
        size: bytes of its weights file.
        context: data and metrics.
        beside: the original; None for itself.
    """
    parameters, nonzero = parameter_counts(module)
    with context.autocast():
        latency = measure_latency(module, context.example)
        throughput, joules = _throughput(module, context)
        peak = peak_memory(module, context.example)
        speedup = measure_speedup(beside.module, module, context.example) if beside else None
    metrics, reference = dict(context.evaluate(module)), beside.outputs if beside else ()
    outputs = context.outputs(module) if reference else ()
    return Measurement(
        stage=stage,
        metrics=metrics,
        bytes=size,
        parameters=parameters,
        nonzero=nonzero,
        latency_ms=latency.p50_ms,
        latency_p95_ms=latency.p95_ms,
        agreement=compare(zip(reference, outputs, strict=True)).agreement if reference else None,
        cosine=cosine(zip(reference, outputs, strict=True)) if reference else None,
        gmacs=context.gmacs(module),
        peak_bytes=peak,
        clips_per_s=throughput,
        joules=joules,
        speedup=speedup,
        drop=_drop(metrics, beside.metrics, context) if beside else None,
    )


def _throughput(module: Module, context: Context) -> tuple[float, float | None]:
    """Samples a second, and joules of each where they are measured."""
    gpus = [context.device.index or 0] if context.device.type == "cuda" else []
    with EnergyMeter(gpus) as meter:
        throughput = measure_throughput(module, context.example)
    energy = meter.read()
    watts = sum(energy.parts.values()) / energy.seconds if energy.method == "measured" else None
    return throughput, watts / throughput if watts else None


def _drop(metrics: Mapping[str, float], original: Mapping[str, float], context: Context) -> float | None:
    name, _ = context.monitor
    if name not in metrics or name not in original:
        return None
    return context.better_is_more(original[name]) - context.better_is_more(metrics[name])
