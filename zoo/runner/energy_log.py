"""The energy of a run that is stopped and resumed: what each attempt drew, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.runner.energy import Energy


class EnergyLog:
    """The file `energy.jsonl` of a run.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "energy.jsonl"

    def add(self, energy: Energy, clips: int) -> None:
        """Note what an attempt drew; a disk that is full loses no more than that.

        Args:
            energy: of the attempt.
            clips: how many clips it learnt from.
        """
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**asdict(energy), "clips": clips}) + "\n")
        except OSError:
            return

    def total(self) -> tuple[Energy, int]:
        """What all attempts drew, and how many clips they learnt from; lines that cannot be read are left out.

        An attempt that was killed and could say nothing is not in it.
        """
        attempts = [attempt for line in self._lines() if (attempt := _attempt(line)) is not None]
        energies = [energy for energy, _ in attempts]
        sums = Energy(
            sum(energy.seconds for energy in energies),
            _sums([energy.measured for energy in energies]),
            _sums([energy.estimated for energy in energies]),
            tuple(dict.fromkeys(kind for energy in energies for kind in energy.missing)),
        )
        return sums, sum(clips for _, clips in attempts)

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []


def _attempt(line: str) -> tuple[Energy, int] | None:
    try:
        row: dict[str, Any] = json.loads(line)
        clips = int(row.pop("clips"))
        return Energy(**{**row, "missing": tuple(row["missing"])}), clips
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _sums(parts: list[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}
