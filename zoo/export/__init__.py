"""Writes models in the file formats of deployment, reads them back and compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.export.comparison import Comparison, compare
    from zoo.export.description import described, description_of, manifest_description
    from zoo.export.exports_table import table
    from zoo.export.file_format import device_for, format_of
    from zoo.export.file_model import FileModel, load_file
    from zoo.export.model_export import export_model
    from zoo.export.raw_clips import Unprepared, pairs_of
    from zoo.export.write import Exported, export

__all__ = [
    "Comparison",
    "Exported",
    "FileModel",
    "Unprepared",
    "compare",
    "described",
    "description_of",
    "device_for",
    "export",
    "export_model",
    "format_of",
    "load_file",
    "manifest_description",
    "pairs_of",
    "table",
]

_HOMES = {
    "Comparison": "zoo.export.comparison",
    "Exported": "zoo.export.write",
    "FileModel": "zoo.export.file_model",
    "Unprepared": "zoo.export.raw_clips",
    "compare": "zoo.export.comparison",
    "described": "zoo.export.description",
    "description_of": "zoo.export.description",
    "device_for": "zoo.export.file_format",
    "manifest_description": "zoo.export.description",
    "export": "zoo.export.write",
    "export_model": "zoo.export.model_export",
    "format_of": "zoo.export.file_format",
    "load_file": "zoo.export.file_model",
    "pairs_of": "zoo.export.raw_clips",
    "table": "zoo.export.exports_table",
}

__getattr__ = lazily(__name__, _HOMES)
