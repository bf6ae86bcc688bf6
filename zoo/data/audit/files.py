"""The files that an audit leaves: never half written, and no manifest over another one unless told to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.audit.cleaning import refuse_overwriting, write_cleaned
from zoo.data.audit.manifest_rows import check_sayable

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.audit.cleaning import LeftOut
    from zoo.data.split import Split

HTML, JSON = "audit.html", "audit.json"


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

    def __post_init__(self) -> None:
        if self.fix:  # known before films are read for hours
            refuse_overwriting(self.folder, force=self.force)

    def check(self, splits: Mapping[str, Split]) -> None:
        """See that what is asked for can be written.

        Raises:
            DataError: a cleaned manifest of samples that a manifest cannot say.
        """
        if self.fix:
            check_sayable(splits)

    def write(
        self, audit: Audit, splits: Mapping[str, Split], out: Sequence[LeftOut] | None
    ) -> tuple[dict[str, Any], list[Path]]:
        """Write all of them.

        Args:
            audit: what was found.
            splits: what was audited.
            out: what the cleaned manifest leaves out; None without one.

        Returns:
            What the JSON file holds, and the paths of all files.
        """
        from zoo.data.audit.page import as_html
        from zoo.data.audit.record import as_json

        self.folder.mkdir(parents=True, exist_ok=True)
        report = as_json(audit, out)
        written = [
            _write(self.folder / HTML, as_html(audit, out)),
            _write(self.folder / JSON, json.dumps(report, indent=1)),
        ]
        if out is not None:
            written.append(write_cleaned(self.folder, splits, out, force=self.force))
        return report, written


def _write(path: Path, text: str) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path
