"""The report of a run: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.report.canvas import DPI
from zoo.report.figures import Clips, draw
from zoo.report.history import curves
from zoo.report.table import Table
from zoo.report.wording import name, plain, quantity, sentence
from zoo_registry.protocols import Figure

_TILES = 12
_CSS_PIXELS_PER_INCH = 96
# Names of files and classes come from strangers: they are escaped, and should one slip through, nothing runs or loads.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    folder: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    figures: Sequence[Figure],
    clips: Clips | None,
    recipe_yaml: str,
    tables: Sequence[Table] = (),
    diagram: Path | None = None,
    provenance: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Write `report.html`, and beside it every picture as `figures/*.png`.

    Pictures are part of the page, so it can be mailed, published or kept by itself. A figure that cannot be drawn is
    replaced by the reason: a report is what is left of a run, and one bad figure must not cost it.

    Args:
        folder: the run's folder.
        title: head line, such as the recipe's name.
        summary: headline numbers by name, `"val/accuracy": 0.98`. The first twelve become tiles, all are in a table.
            Parts of parts, `"val/f1/left"`, become no tiles. Mappings inside are taken apart. `bytes`, `seconds`, `ms`
            and `parameters` at the end of a name are units.
        history: rows of `metrics.jsonl`; may be empty.
        figures: what the task returned over the evaluated splits.
        clips: `(index, view) -> (T, H, W, 3) uint8`, for film strips.
        recipe_yaml: the resolved recipe.
        tables: comparisons, in the order in which they are shown.
        diagram: picture of the model, from `zoo.report.diagram`.
        provenance: versions, checksums, commits: whatever says how this came about.

    Returns:
        The path of `report.html`. It appears whole or not at all.

    Example:
        >>> write_report(Path("run"), title="quickstart", summary={"val/accuracy": 0.98}, history=[], figures=[],
        ...              clips=None, recipe_yaml="zoo: 1")  # doctest: +SKIP
        PosixPath('run/report.html')
    """
    pictures = _Pictures(folder / "figures", clips)
    numbers = dict(_flat(summary))
    sections = {
        "Training": _group("charts", [pictures.draw(series) for series in curves(history)]),
        "Results": _group("pictures", [pictures.draw(figure) for figure in figures]),
        "Model": _group(
            "pictures", [_image(diagram, "the model's parts with shapes and parameters")] if diagram else []
        ),
        "Comparisons": "".join(map(_table, tables)),
        "All numbers": _pairs(numbers),
        "Recipe": f'<div class="sheet"><pre>{_text(recipe_yaml, lines=True)}</pre></div>'
        if recipe_yaml.strip()
        else "",
        "Provenance": _pairs(dict(_flat(provenance))),
    }
    page = _page(title, _tiles(numbers), {head: body for head, body in sections.items() if body})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    partial = folder / ".report.html.partial"
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path


class _Pictures:
    """Draws figures into a folder, each under a name of its own."""

    def __init__(self, folder: Path, clips: Clips | None) -> None:
        self._folder, self._clips, self._taken = folder, clips, set[str]()

    def draw(self, figure: Figure) -> str:
        """Draw one figure and return the HTML that shows it."""
        title = plain(getattr(figure, "title", type(figure).__name__))
        try:
            return _image(draw(figure, self._folder / f"{self._name(title)}.png", self._clips), title)
        except Exception as error:  # a figure comes from a plugin's task
            reason = f"{title} could not be drawn: {type(error).__name__}: {error}"
            return f'<div class="sheet"><p class="note">{_text(reason)}</p></div>'

    def _name(self, title: str) -> str:
        words = "".join(
            character if character.isascii() and character.isalnum() else " " for character in title.lower()
        )
        stem = "-".join(words.split())[:60] or "figure"
        name = next(
            name
            for number in range(1, 10_000)
            if (name := stem if number == 1 else f"{stem}-{number}") not in self._taken
        )
        self._taken.add(name)
        return name


def _page(title: str, tiles: str, sections: Mapping[str, str]) -> str:
    style = files("zoo.report").joinpath("page.css").read_text(encoding="utf-8")
    anchors = {head: head.lower().replace(" ", "-") for head in sections}
    links = "".join(f'<a href="#{anchors[head]}">{head}</a>' for head in sections)
    bodies = "\n".join(
        f'<section id="{anchors[head]}">\n<h2>{head}</h2>\n{body}\n</section>' for head, body in sections.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{_text(title)} · videozoo</title>
<style>
{style}</style>
</head>
<body>
<main>
<header><p>videozoo report</p><h1>{_text(title)}</h1></header>
{tiles}
<nav>{links}</nav>
{bodies}
</main>
</body>
</html>
"""


def _tiles(numbers: Mapping[str, Any]) -> str:
    """The first numbers of a summary, large."""
    shown = [(key, value) for key, value in numbers.items() if isinstance(value, int | float) and key.count("/") < 2]
    tiles = []
    for key, value in shown[:_TILES]:
        origin, _, last = key.rpartition("/")
        note = f"<small>{_text(name(origin))}</small>" if origin else "<small>&nbsp;</small>"
        tiles.append(
            f'<div class="tile"><dt>{_text(sentence(last))}</dt><dd>{_text(quantity(key, value))}{note}</dd></div>'
        )
    return f'<dl class="tiles">{"".join(tiles)}</dl>' if tiles else ""


def _table(table: Table) -> str:
    note = f'<p class="note">{_text(table.note)}</p>' if table.note else ""
    if not table.rows:
        return f"<h3>{_text(table.title)}</h3>{note or '<p class=note>none</p>'}"
    numeric = [
        all(isinstance(row[column], int | float | None) for row in table.rows) for column in range(len(table.columns))
    ]
    kinds = [' class="number"' if is_numeric else "" for is_numeric in numeric]
    head = "".join(f"<th{kind}>{_text(name(column))}</th>" for kind, column in zip(kinds, table.columns, strict=True))
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{_text(quantity(column, cell))}</td>"
            for kind, column, cell in zip(kinds, table.columns, row, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    body = f'<div class="sheet"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<h3>{_text(table.title)}</h3>{body}{note}"


def _pairs(values: Mapping[str, Any]) -> str:
    """Names and values, folded away."""
    if not values:
        return ""
    rows = "".join(
        f"<tr><td>{_text(key)}</td><td>{_text(quantity(key, value))}</td></tr>" for key, value in values.items()
    )
    return f'<details><summary>{len(values)} values</summary><div class="sheet"><table>{rows}</table></div></details>'


def _group(kind: str, images: Sequence[str]) -> str:
    return f'<div class="{kind}">{"".join(images)}</div>' if images else ""


def _image(path: Path, description: str) -> str:
    """A PNG as part of the page, at the size in which it was drawn."""
    png = path.read_bytes()
    width = round(
        int.from_bytes(png[16:20], "big") * _CSS_PIXELS_PER_INCH / DPI
    )  # the IHDR chunk: PNG specification 11.2.2
    data = base64.b64encode(png).decode("ascii")
    alt = escape(plain(description))
    return f'<figure><img src="data:image/png;base64,{data}" width="{width}" alt="{alt}"></figure>'


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested mappings as one list: `{"val": {"accuracy": 1}}` has the name `val/accuracy`."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs.extend(_flat(value, f"{prefix}{key}/"))
        else:
            pairs.append((f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else value))
    return pairs


def _text(text: object, *, lines: bool = False) -> str:
    """Anybody's text, made harmless."""
    return "\n".join(escape(plain(line)) for line in str(text).split("\n")) if lines else escape(plain(text))
