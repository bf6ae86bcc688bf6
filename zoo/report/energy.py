"""The energy of a run as a table."""

from __future__ import annotations

from collections import Counter

from zoo.energy.meter import JOULES_PER_KWH, Energy
from zoo.report.table import Table


def energy_table(energy: Energy) -> Table:
    """A row for each device and how its energy is known; without names of machines, since reports are published.

    Args:
        energy: of training and the validations in it.

    Example:
        >>> energy_table(Energy(60, measured={"gpu GPU-1": 36_000})).rows
        [('gpu 1', 0.01, 600.0, 'measured')]
    """
    rows, called = [], dict[str, str]()
    of_a_kind = Counter[str]()
    for how, parts in (("measured", energy.measured), ("estimated", energy.estimated)):
        for name, joules in parts.items():
            kind, device = name.split()[0], " ".join(name.split()[:2])
            if device not in called:
                of_a_kind[kind] += 1
                called[device] = f"{kind} {of_a_kind[kind]}"
            seconds = energy.seconds_of(name)
            rows.append((called[device], joules / JOULES_PER_KWH, joules / seconds if seconds else None, how))
    unknown = f" Nothing is known of the {' and '.join(energy.missing)}." if energy.missing else ""
    return Table("Energy", ("device", "kwh", "watts", "how"), rows, f"Of training.{unknown}")
