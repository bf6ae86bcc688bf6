"""Which format a file is of, by the end of its name. Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError
from zoo_registry.names import reference_kind

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed

OURS = "videozoo"
"""The distribution whose formats come first where two have the same suffix."""


def format_of(path: str | os.PathLike[str]) -> Listed | None:
    """The exporter whose files end like this one; None where none does.

    Raises:
        ParameterError: several plugins have the same suffix, and none of them is ours.

    Example:
        >>> format_of("model.onnx").name, format_of("model.mp4")
        ('export/onnx', None)
    """
    name = os.path.basename(os.fspath(path)).lower()
    matching = [listed for listed in catalog().list("exporter") if name.endswith(_suffix(listed))]
    longest = max((len(_suffix(listed)) for listed in matching), default=0)
    best = [listed for listed in matching if len(_suffix(listed)) == longest]
    ours = [listed for listed in best if listed.plugin.distribution == OURS]
    if len(best) > 1 and len(ours) != 1:
        raise ParameterError(f"{name} may be a file of {' or '.join(listed.name for listed in best)}")
    return next(iter(ours or best), None)


def _suffix(listed: Listed) -> str:
    return str(getattr(listed.entry, "suffix", "")).lower()


def file_reference(text: str) -> tuple[Path, Listed] | None:
    """The file and format that a reference names; None for other references.

    A reference counts as a file when it ends like one, and is there or has the form of a path.
    """
    plain = text.removeprefix("file:")
    if "://" in plain or os.path.isdir(plain) or (listed := format_of(plain)) is None:
        return None
    there = os.path.isfile(plain) or plain != text or reference_kind(plain) == "path"
    return (Path(plain), listed) if there else None


def device_for(reference: str, wanted: str) -> str:
    """What `auto` means for a reference: of an exported file the processor, where most formats run.

    Example:
        >>> device_for("./model.onnx", "auto"), device_for("x3d_s", "auto"), device_for("./model.pt2", "cuda")
        ('cpu', 'auto', 'cuda')
    """
    return "cpu" if wanted == "auto" and file_reference(reference) is not None else wanted
