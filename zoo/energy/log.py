"""The energy of a run that is stopped and resumed: what each attempt drew, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.energy.meter import Energy, in_turn


class EnergyLog:
    """The file `energy.jsonl` of a run; of several processes each has its own.

    Args:
        folder: of the run.
        rank: number of the process.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.path = folder / (f"energy-{rank}.jsonl" if rank else "energy.jsonl")

    def add(self, energy: Energy) -> None:
        """Note what an attempt drew; a disk that is full loses no more than that."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(energy)) + "\n")
        except OSError:
            return

    def total(self) -> Energy:
        """What all attempts drew; lines that cannot be read are left out.

        An attempt that was killed and could say nothing is not in it.
        """
        return in_turn([energy for line in self._lines() if (energy := _attempt(line)) is not None])

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []


def _attempt(line: str) -> Energy | None:
    try:
        row: dict[str, Any] = json.loads(line)
        return Energy(**{**row, "missing": tuple(row["missing"])})
    except (ValueError, TypeError, KeyError):
        return None
