"""An audit as one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from zoo.data.audit import black_and_frozen, duplicates, outliers
from zoo.data.audit.audit import SHOWN, SHOWN_PLACES
from zoo.data.audit.findings import KINDS, Finding, Kind, Place
from zoo.data.audit.picture_hash import SAMPLED
from zoo.report.wording import plain, quantity

if TYPE_CHECKING:
    from zoo.data.audit.audit import Audit
    from zoo.data.audit.cleaning import LeftOut

# Names of files and classes come from strangers: they are escaped, and should one slip through, nothing runs or loads.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_CLASSES = 100
"""Classes whose films are shown."""

_PLAIN = frozenset({"unreadable", "unchecked", "fps", "size", "aspect", "duration", "missing_class", "imbalance"})
"""Kinds of which a picture says nothing."""


def as_html(audit: Audit, out: Sequence[LeftOut] | None = None) -> str:
    """The page.

    Args:
        audit: what was found.
        out: what a cleaned manifest leaves out; None when none was written.
    """
    sections: list[tuple[str, str, str]] = []  # anchor, link, HTML
    for kind in KINDS.values():
        if found := audit.of(kind.name):
            sections.append((kind.name, f"{kind.title} ({len(found):,})", _kind(kind, found, audit.strips)))
    if audit.counts:
        sections.append(("balance", "Classes", f"<h2>Classes</h2>{_balance(audit)}"))
    if audit.examples:
        sections.append(("films", "Films", f"<h2>Films</h2>{_films(audit)}"))
    if out is not None:
        sections.append(("cleaned", "Left out", f"<h2>Left out of the cleaned manifest</h2>{_left_out(out)}"))
    sections.append(("method", "How it was checked", f"<h2>How it was checked</h2>{_method(audit)}"))
    links = "".join(f'<a href="#{anchor}">{_text(link)}</a>' for anchor, link, _ in sections)
    bodies = "\n".join(f'<section id="{anchor}">\n{body}\n</section>' for anchor, _, body in sections)
    style = "".join(
        files(package).joinpath("page.css").read_text(encoding="utf-8") for package in ("zoo.report", "zoo.data.audit")
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{_text(audit.title)} · data check · videozoo</title>
<style>
{style}</style>
</head>
<body>
<main>
<header><p>videozoo data check</p><h1>{_text(audit.title)}</h1></header>
{_verdict(audit)}
{_tiles(audit)}
<nav>{links}</nav>
{bodies}
</main>
</body>
</html>
"""


def _verdict(audit: Audit) -> str:
    """The one thing to know, in a coloured box."""
    errors, warnings, notes = (_count(audit, severity) for severity in ("error", "warning", "note"))
    if leaks := audit.of("leak"):
        evaluated = {(place.split, place.index) for leak in leaks for place in leak.places if place.split != "train"}
        leaked = len(evaluated)
        level, head = "error", f"Data leaks: {_number(leaked, 'evaluation sample')} shown in another split too"
        rest = "Measures on them are too good to be true. " + _also(errors - len(leaks), warnings, notes)
    elif errors:
        level, head, rest = "error", f"{_number(errors, 'error')} to mend", _also(0, warnings, notes)
    elif warnings:
        level, head, rest = "warning", f"{_number(warnings, 'thing')} to look at", _also(0, 0, notes)
    else:
        level, head, rest = "good", "Nothing is wrong with this data", _also(0, 0, notes)
    return f'<div class="verdict {level}"><strong>{head}</strong>{f"<p>{rest}</p>" if rest else ""}</div>'


def _also(errors: int, warnings: int, notes: int) -> str:
    said = [
        _number(count, word)
        for count, word in ((errors, "other error" if errors else ""), (warnings, "warning"), (notes, "note"))
        if count
    ]
    return f"Also {', '.join(said)}." if said else ""


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def _count(audit: Audit, severity: str) -> int:
    return sum(finding.severity == severity for finding in audit.findings)


def _tiles(audit: Audit) -> str:
    shown: list[tuple[str, str, str]] = []
    for name, split in audit.splits.items():
        files_and_time = f"{_number(split.files, 'file')}, {quantity('seconds', split.seconds)}"
        shown.append((name, f"{split.samples:,}", files_and_time))
    shown += [
        (f"{severity.capitalize()}s", f"{_count(audit, severity):,}", "") for severity in ("error", "warning", "note")
    ]
    tiles = "".join(
        f'<div class="tile"><dt>{_text(head)}</dt><dd>{value}<small>{_text(note) or "&nbsp;"}</small></dd></div>'
        for head, value, note in shown
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _kind(kind: Kind, found: Sequence[Finding], strips: Mapping[tuple[str, int], bytes]) -> str:
    head = (
        f'<h2>{kind.title}<span class="count">{len(found):,}</span>'
        f'<span class="badge {kind.severity}">{kind.severity}</span></h2><p class="advice">{_text(kind.advice)}</p>'
    )
    shown = found[:SHOWN]
    if kind.name in _PLAIN:
        body = _rows([[_badges(finding.places), _text(finding.message)] for finding in shown])
    else:
        body = f'<div class="cards">{"".join(_card(finding, strips) for finding in shown)}</div>'
    rest = len(found) - len(shown)
    return head + body + (f'<p class="more">{rest:,} more are in audit.json</p>' if rest else "")


def _card(finding: Finding, strips: Mapping[tuple[str, int], bytes]) -> str:
    shown = finding.places[:SHOWN_PLACES]
    films = "".join(_film(place, strips) + bar for place, bar in zip(shown, _times(finding, shown), strict=True))
    rest = len(finding.places) - SHOWN_PLACES
    more = f'<p class="more">and {rest:,} more</p>' if rest > 0 else ""
    measured = "; ".join(_measured(finding.evidence))
    note = f'<p class="measured">{_text(measured)}</p>' if measured else ""
    return f'<div class="card"><p>{_text(_message(finding))}</p>{films}{more}{note}</div>'


def _message(finding: Finding) -> str:
    """What the films below it do not say themselves."""
    if finding.kind in ("leak", "duplicate", "overlap"):
        seconds = finding.evidence.get("seconds", 0)
        return str(finding.evidence.get("how", "")).capitalize() + (f", {seconds:.1f} s" if seconds >= 0.1 else "")
    if finding.kind in ("label", "doubt"):
        given, suggested = finding.evidence["given"], finding.evidence["suggested"]
        return f"labelled {given}, looks like {suggested}"
    return finding.message


def _measured(evidence: Mapping[str, Any]) -> Iterator[str]:
    for copy in evidence.get("copies", ())[:SHOWN_PLACES]:
        if "bits" in copy:
            motion = "nothing moves" if copy["motion"] is None else f"of motion {copy['motion']:.2f}"
            bits = f"hashes differ in {copy['bits']:.0f} of 64 bits"
            yield f"{bits}, correlation of pictures {copy['pictures']:.2f}, {motion}"
    if "given_confidence" in evidence:
        yield f"given {evidence['given_confidence']:.0%}, suggested {evidence['suggested_confidence']:.0%}"


def _film(place: Place, strips: Mapping[tuple[str, int], bytes], *, labelled: bool = True) -> str:
    jpeg = strips.get((place.split, place.index))
    picture = _image(jpeg, place.key) if jpeg else '<div class="none">no picture</div>'
    labels = f'<span class="labels">{_text(", ".join(place.labels))}</span>' if labelled and place.labels else ""
    spanned = place.key == place.media and not (place.start is None and place.end is None)
    span = f" {place.start or 0:g} s to {'end' if place.end is None else f'{place.end:g} s'}" if spanned else ""
    name = (
        f'{_badge(place.split)}<code title="{_text(place.media)}"><bdi>{_text(place.key + span)}</bdi></code>{labels}'
    )
    return f'<div class="film"><div class="name">{name}</div>{picture}</div>'


def _times(finding: Finding, places: Sequence[Place]) -> list[str]:
    """Under each film that shares a part with the others a bar that says which: all bars have one time axis."""
    spans = [(place.start or 0.0, place.end) for place in places if place.end is not None]
    if "seconds" not in finding.evidence or len(spans) < len(places):
        return [""] * len(places)
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    scale = 100 / max(last - first, 1e-9)
    return [
        f'<div class="when"><i class="{_text(place.split)}" '
        f'style="margin-left:{(start - first) * scale:.1f}%;width:{(end - start) * scale:.1f}%"></i></div>'
        for place, (start, end) in zip(places, spans, strict=True)
    ]


def _image(jpeg: bytes, description: str) -> str:
    data = base64.b64encode(jpeg).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="frames of {_text(description)}">'


def _badge(split: str) -> str:
    return f'<span class="split {_text(split)}">{_text(split)}</span>'


def _badges(places: Sequence[Place]) -> str:
    return " ".join(_badge(split) for split in dict.fromkeys(place.split for place in places))


def _rows(rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="sheet"><table>{body}</table></div>'


def _balance(audit: Audit) -> str:
    largest = max((count for of_class in audit.counts.values() for count in of_class.values()), default=0) or 1
    splits = list(audit.splits)
    head = "".join(f'<th class="number">{_text(split)}</th>' for split in splits)
    lines = []
    for label, of_class in audit.counts.items():
        cells = "".join(
            f'<td class="number{"" if of_class[split] else " zero"}">{of_class[split]:,}</td>' for split in splits
        )
        bars = "".join(
            f'<i class="{split}" style="width:{100 * of_class[split] / largest:.1f}%"></i>' for split in splits
        )
        lines.append(f'<tr><td>{_text(label)}</td>{cells}<td class="bar">{bars}</td></tr>')
    table = f'<table class="bars"><tr><th>class</th>{head}<th></th></tr>{"".join(lines)}</table>'
    sheet = f'<div class="sheet">{table}</div>'
    return f"<details><summary>{len(lines):,} classes</summary>{sheet}</details>" if len(lines) > 40 else sheet


def _films(audit: Audit) -> str:
    cards = []
    for label, places in list(audit.examples.items())[:_CLASSES]:
        films = "".join(_film(place, audit.strips, labelled=False) for place in places)
        cards.append(f'<div class="card"><h3>{_text(label)}</h3>{films}</div>')
    rest = len(audit.examples) - len(cards)
    more = f'<p class="more">and {rest:,} more classes</p>' if rest else ""
    return f'<div class="classes">{"".join(cards)}</div>{more}'


def _left_out(out: Sequence[LeftOut]) -> str:
    if not out:
        return '<p class="note">nothing</p>'
    rows = [[_badge(each.place.split), _text(each.place.key), _text(each.reason)] for each in out[: 10 * SHOWN]]
    rest = len(out) - len(rows)
    return _rows(rows) + (f'<p class="more">{rest:,} more are in audit.json</p>' if rest else "")


def _method(audit: Audit) -> str:
    clip = audit.clip
    wanted = "no clip" if clip is None else clip.moments
    labels = "not judged: give --model or --embed" if audit.labels is None else audit.labels.method
    if audit.labels is not None and audit.labels.left_out:
        labels += f"; classes with too few films were left out: {', '.join(audit.labels.left_out)}"
    rows = [
        ("What the model wants", wanted),
        ("Read", f"every file once, {SAMPLED} frames of every span looked at"),
        ("Black", f"{black_and_frozen.BLACK:.0%} of the pixels below a tenth of the range"),
        ("Frozen", f"mean difference of sampled frames below {black_and_frozen.UNCHANGED:g} of 255"),
        (
            "Copies",
            f"hashes within {duplicates.CANDIDATE_BITS} of 256 bits, correlation of pictures from "
            f"{duplicates.ALIKE:g} and of motion from {duplicates.MOVES_ALIKE:g}; or equal bytes",
        ),
        ("Outliers", f"modified z-score over {outliers.FAR:g}, and shared by at most {outliers.RARE:.0%} of the films"),
        ("Labels", labels),
    ]
    return _rows([[_text(head), _text(value)] for head, value in rows])


def _text(text: object) -> str:
    """Anybody's text, made harmless."""
    return escape(plain(text))
