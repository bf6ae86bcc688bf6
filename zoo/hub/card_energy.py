"""What a card says of the energy that training took."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo.report.wording import quantity

SOURCE = "videozoo"


def energy_line(summary: Mapping[str, Any]) -> str | None:
    """One line for the card; None where nothing is known.

    Args:
        summary: a run's headline numbers, as somebody may have written them.

    Example:
        >>> energy_line({"energy/kwh": 0.25, "energy/kwh_per_1000_clips": 0.01, "energy/method": "measured"})
        '- training took 0.25 kWh (measured), 0.01 kWh for 1,000 clips'
    """
    kwh = _number(summary.get("energy/kwh"))
    if kwh is None:
        return None
    known = (("energy/kwh_per_1000_clips", "{:.3g} kWh for 1,000 clips"), ("energy/co2_g", ""))
    more = []
    for name, words in known:
        value = _number(summary.get(name))
        if value is not None:
            more.append(words.format(value) if words else f"{quantity(name, value)} of CO2")
    method = summary.get("energy/method")
    shown = f" ({method})" if isinstance(method, str) else ""
    return ", ".join([f"- training took {quantity('energy/kwh', kwh)}{shown}", *more])


def emissions(summary: Mapping[str, Any], hardware: object) -> dict[str, Any] | None:
    """The Hub's `co2_eq_emissions`, which it shows beside a model; None where no carbon intensity was given.

    Args:
        summary: a run's headline numbers.
        hardware: what computed, of its lock.
    """
    grams = _number(summary.get("energy/co2_g"))
    if grams is None:
        return None
    used = {"hardware_used": hardware} if isinstance(hardware, str) else {}
    return {"emissions": grams, "source": SOURCE, **used}


def is_ours(written: object) -> bool:
    """Whether emissions on a card were written by `emissions`, and not by hand."""
    return isinstance(written, Mapping) and written.get("source") == SOURCE


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(value) if known else None  # type: ignore[arg-type]
