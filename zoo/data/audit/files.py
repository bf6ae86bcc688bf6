"""The files that an audit leaves: never half written, and no manifest over another one unless told to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_registry.errors import DataError, Location

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.audit.cleaning import LeftOut
    from zoo.data.split import Split

HTML, JSON, CLEANED = "audit.html", "audit.json", "cleaned.csv"


@dataclass(frozen=True)
class Files:
    """The files of one audit.

    Attributes:
        folder: where they lie.
        fix: whether a cleaned manifest is among them.
        force: whether it may take the place of an older one.
    """

    folder: Path
    fix: bool = False
    force: bool = False

    @classmethod
    def in_folder(cls, folder: Path, *, fix: bool = False, force: bool = False) -> Files:
        """See that nothing is in the way, before films are read for hours.

        Raises:
            DataError: there is a cleaned manifest already, which somebody may train on, and no `force`.
        """
        cleaned = folder / CLEANED
        if fix and not force and cleaned.exists():
            hint = "--out names another folder, --force writes over it"
            raise DataError("it is there already", where=Location(str(cleaned)), hint=hint)
        return cls(folder, fix, force)

    @property
    def written(self) -> list[Path]:
        """What `write` leaves."""
        return [self.folder / name for name in ((HTML, JSON, CLEANED) if self.fix else (HTML, JSON))]

    def check_targets(self, splits: Mapping[str, Split]) -> None:
        """See that a manifest can say what the samples are.

        Raises:
            DataError: it cannot.
        """
        from zoo.data.audit.cleaning import check_writable

        if self.fix:
            check_writable(self.folder / CLEANED, splits, force=self.force)

    def write(self, audit: Audit, splits: Mapping[str, Split], out: Sequence[LeftOut] | None) -> dict[str, Any]:
        """Write all of them.

        Args:
            audit: what was found.
            splits: what was audited.
            out: what the cleaned manifest leaves out; None without one.

        Returns:
            What the JSON file holds.
        """
        from zoo.data.audit.cleaning import write_cleaned
        from zoo.data.audit.page import as_html
        from zoo.data.audit.record import as_json

        self.folder.mkdir(parents=True, exist_ok=True)
        report = as_json(audit, out)
        _write(self.folder / JSON, json.dumps(report, indent=1))
        _write(self.folder / HTML, as_html(audit, out))
        if out is not None:
            write_cleaned(self.folder / CLEANED, splits, out, force=self.force)
        return report


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
