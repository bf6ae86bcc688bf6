"""Tables in the terminal: aligned on a screen, tab-separated in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click


def in_bytes(size: float) -> str:
    """A size for people.

    Example:
        >>> in_bytes(346_000_000)
        '346.0 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def printable(text: str) -> str:
    r"""Text as it may reach a terminal: files of strangers cannot move its cursor or colour it.

    Example:
        >>> printable("left\x1b[2J")
        'left\\x1b[2J'
    """
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )


def print_columns(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print rows under a head.

    On a terminal columns are aligned and the head is shown; in a pipe each row is one line of tab-separated values
    without a head, ready for `cut` and `sort`.

    Args:
        head: names of the columns.
        rows: cells; None is shown as nothing.
        right: indices of columns that hold numbers.
    """
    cells = [["" if cell is None else printable(str(cell)).replace("\n", " ") for cell in row] for row in rows]
    columns = max(map(len, [list(head), *cells]))
    cells = [row + [""] * (columns - len(row)) for row in cells]
    head = [*head, *[""] * (columns - len(head))]
    if not sys.stdout.isatty():
        click.echo("\n".join("\t".join(row) for row in cells) if cells else "", nl=bool(cells))
        return
    widths = [max(len(row[column]) for row in [list(head), *cells]) for column in range(len(head))]
    for line, row in enumerate([list(head), *cells]):
        parts = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        text = "  ".join(parts).rstrip()
        click.echo(click.style(text, bold=True) if line == 0 else text)
