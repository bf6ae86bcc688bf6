"""The energy of a run as a table."""

from __future__ import annotations

from zoo.report.table import Table
from zoo.runner.energy import JOULES_PER_KWH, Energy


def energy_table(energy: Energy) -> Table:
    """A row for each device, with how its energy is known.

    Args:
        energy: of training and the validations in it.

    Example:
        >>> energy_table(Energy(60, measured={"gpu GPU-1": 36_000})).rows
        [('gpu GPU-1', 0.01, 600.0, 'measured')]
    """
    rows = [
        (name, joules / JOULES_PER_KWH, joules / energy.seconds if energy.seconds else None, how)
        for how, parts in (("measured", energy.measured), ("estimated", energy.estimated))
        for name, joules in parts.items()
    ]
    unknown = f" Nothing is known of the {' and '.join(energy.missing)}." if energy.missing else ""
    return Table("Energy", ("device", "kwh", "watts", "how"), rows, f"Of training.{unknown}")
