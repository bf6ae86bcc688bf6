"""The page says the most important thing first, shows the films, and is safe whatever names strangers chose."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import copied, moving_texture
from zoo.data import Split
from zoo.data.audit import KINDS, Audit, Finding, Place, audit_splits
from zoo.data.audit.audit import SplitSummary
from zoo.data.audit.page import as_html
from zoo.data.audit.record import as_json
from zoo_registry import ClipSpec
from zoo_registry.protocols import Sample

HOSTILE = '<script>alert("x")</script>'
REVERSED = "clip\u202e4pm.exe"
"""Without care browsers and terminals show it as clipexe.mp4."""


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("page")
    film = moving_texture(folder / "a.mp4", 1)
    copy = copied(film, folder / "b.mp4")
    (folder / "empty.mp4").touch()
    labels = (HOSTILE, "dog")
    train = [
        Sample(str(film), {"label_b": HOSTILE}, key=HOSTILE),
        Sample(str(folder / "empty.mp4"), {"label_b": "dog"}),
    ]
    val = [Sample(str(copy), {"label_b": HOSTILE}, key="b.mp4")]
    splits = {"train": Split("train", train, labels), "val": Split("val", val, labels)}
    return audit_splits(splits, title="tiny & small", clip=ClipSpec(frames=8, size=32), workers=0)


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data) -> None:
        if "style" not in self.open:
            self.text += data


def test_the_leak_is_the_first_thing_said(leaking: Audit) -> None:
    page = Page(as_html(leaking))
    assert page.open == []
    assert "Data leaks: 1 evaluation sample" in page.text
    headings = re.findall(r"<h2>([^<]+)", as_html(leaking))
    assert headings[0] == "Leakage between splits"


def test_the_page_runs_nothing_and_loads_nothing(leaking: Audit) -> None:
    page = Page(as_html(leaking))
    assert "script" not in [tag for tag, _ in page.tags]
    assert HOSTILE in page.text  # shown as it is
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert sources
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    links = [attributes.get("href") for tag, attributes in page.tags if tag in ("a", "link")]
    anchors = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert set(links) <= anchors


def test_films_of_findings_and_classes_are_shown(leaking: Audit) -> None:
    assert set(leaking.strips) == {("train", 0), ("val", 0)}  # the third cannot be read
    for jpeg in leaking.strips.values():  # from its first marker to its last
        assert (jpeg[:2], jpeg[-2:]) == (b"\xff\xd8", b"\xff\xd9")


def test_a_strip_shows_the_frames_in_their_colours(tmp_path: Path) -> None:
    import io

    import av

    samples = [Sample(str(moving_texture(tmp_path / "red.mp4", 1, colour=0)))]
    audit = audit_splits({"train": Split("train", samples, ())}, workers=0)
    with av.open(io.BytesIO(audit.strips["train", 0])) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape == (72, 5 * 72 + 4 * 2, 3)  # five squares and the gaps between them
    red, green, blue = picture.reshape(-1, 3).mean(0)
    assert red > 1.8 * max(green, blue)


def test_the_json_names_every_finding_with_its_samples(leaking: Audit) -> None:
    report = json.loads(json.dumps(as_json(leaking)))
    assert (report["format"], report["version"], report["clean"]) == ("videozoo-data-audit", 1, False)
    assert report["counts"] == {"leak": 1, "unreadable": 1, "missing_class": 1}
    leak = report["findings"][0]
    assert (leak["kind"], leak["severity"]) == ("leak", "error")
    assert [(sample["split"], sample["index"], sample["key"]) for sample in leak["samples"]] == [
        ("train", 0, HOSTILE),
        ("val", 0, "b.mp4"),
    ]
    assert leak["evidence"]["how"] == "same bytes"
    assert report["classes"]["dog"] == {"train": 1, "val": 0}
    assert report["cleaned"] is None


def test_clean_data_is_called_clean(tmp_path: Path) -> None:
    samples = [Sample(str(moving_texture(tmp_path / "a.mp4", 1)))]
    audit = audit_splits({"train": Split("train", samples, ())}, workers=0)
    assert audit.clean
    assert "Nothing is wrong with this data" in as_html(audit)


def test_every_kind_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    assert [name for name in KINDS if f"| `{name}` |" not in page] == []


def synthetic(findings: list[Finding], **options) -> Audit:
    return Audit(
        "large",
        None,
        {"train": SplitSummary(1, 1, 1.0), "val": SplitSummary(1, 1, 1.0)},
        tuple(findings),
        {},
        **options,
    )


def overlapping(number: int, **spans: tuple[float | None, float | None]) -> Finding:
    places = tuple(Place(split, number, "a.mp4", f"a{number}.mp4", *span) for split, span in spans.items())
    return Finding(
        "leak", "a.mp4 leaks", places, {"how": "same file", "seconds": 1.0, "copies": [{"how": "same file"}]}
    )


def test_ten_thousand_findings_make_a_page_that_opens() -> None:
    jpeg = b"\xff" * 8_000
    findings = [overlapping(number, train=(0.0, 6.0), val=(5.0, 10.0)) for number in range(10_000)]
    strips = {(split, number): jpeg for split in ("train", "val") for number in range(10_000)}
    text = as_html(synthetic(findings, strips=strips))
    assert text.count('<div class="card">') == 40
    assert "9,960 more are in audit.json" in text
    assert len(text) < 1.5e6  # 80 pictures of 8 kB are 0.85 MB in base64


def test_bars_show_which_part_of_a_film_is_shared() -> None:
    """Of the ten seconds from 0 to 10: 0 to 6 and 5 to 10."""
    bars = re.findall(
        r'<i class="(\w+)" style="([^"]+)"', as_html(synthetic([overlapping(0, train=(None, 6.0), val=(5.0, 10.0))]))
    )
    assert bars == [("train", "margin-left:0.0%;width:60.0%"), ("val", "margin-left:50.0%;width:50.0%")]


def test_no_bar_is_drawn_where_nobody_knows_how_long_a_film_is() -> None:
    assert 'style="margin-left' not in as_html(synthetic([overlapping(0, train=(None, None), val=(5.0, 10.0))]))


def test_a_name_cannot_turn_the_direction_of_what_follows() -> None:
    place = Place("train", 0, REVERSED, REVERSED)
    text = as_html(synthetic([Finding("black", f"{REVERSED} is black", (place,))]))
    assert "\u202e" not in text
    assert "clip\ufffd4pm.exe is black" in text
