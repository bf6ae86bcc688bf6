"""Quality against cost, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.compress.measure import Measurement
from zoo_registry.protocols import Series

COSTS = {"latency (ms)": "latency_ms", "file (MB)": "bytes"}
"""What a picture has along its x axis, and the attribute of a measurement."""


def trade_offs(measurements: Sequence[Measurement], monitor: tuple[str, str]) -> list[Series]:
    """The monitored metric of every stage against its latency, and against its file: a picture each.

    Args:
        measurements: of `compress`.
        monitor: the metric and its direction, `max` or `min`.

    Returns:
        No picture where nothing was measured on validation data.
    """
    name, direction = monitor
    measured = [stage for stage in measurements if name in stage.metrics]
    if not measured:
        return []
    better = "more" if direction == "max" else "less"
    return [
        Series(
            f"{name} and {axis.split(' (')[0]}, stage by stage",
            {
                f"{number}. {stage.stage}" if number else stage.stage: [(_value(stage, attribute), stage.metrics[name])]
                for number, stage in enumerate(measured)
            },
            axis,
            f"{name}, {better} is better",
            joined=False,
        )
        for axis, attribute in COSTS.items()
    ]


def _value(stage: Measurement, attribute: str) -> float:
    value = float(getattr(stage, attribute))
    return value / 1e6 if attribute == "bytes" else value
