"""What tests of sources share."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo_registry.errors import DataError


def touch(*files: Path) -> None:
    """Make empty files, and the folders they lie in."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def write(path: Path, text: str) -> Path:
    """Write a text, byte by byte as it is; the file's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def problems_of(caught: pytest.ExceptionInfo[DataError]) -> list[str]:
    """What an error says, without places and hints."""
    return [problem.message for problem in caught.value.problems]


def lines_of(caught: pytest.ExceptionInfo[DataError]) -> list[tuple[int, str]]:
    """What an error says, each with its line."""
    return [(problem.where.line if problem.where else 0, problem.message) for problem in caught.value.problems]
