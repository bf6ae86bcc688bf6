"""The page in a real browser: a film is dropped on it or chosen, and its answer is seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zoo.data.films import write_numbered_film
from tests.zoo.serving.chromium import Tab, browser, found
from tests.zoo.serving.live_server import LiveServer, live_server
from tests.zoo.serving.test_overload import slow_model
from zoo.serving.limits import Limits

if found() is None:
    pytest.skip("needs chromium (apt-get install chromium)", allow_module_level=True)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.fixture
def tab(profile: Path) -> Iterator[Tab]:
    program = found()
    assert program is not None
    with browser(program, profile) as tab:
        yield tab


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(limits=Limits(workers=2, size=1 << 20), title="What <b>is</b> it?") as server:
        yield server


def shown(tab: Tab, selector: str) -> str:
    return tab.evaluate(f"document.querySelector({selector!r}).innerText")


def is_seen(tab: Tab, selector: str) -> bool:
    return tab.evaluate(f"document.querySelector({selector!r}).checkVisibility()")


def answered(tab: Tab) -> None:
    tab.wait_for("!document.querySelector('#answer').hidden || !document.querySelector('#fault').hidden")


def test_a_film_is_chosen_and_its_answer_is_seen(tab: Tab, server: LiveServer, film: Path) -> None:
    tab.open(server.url)
    assert shown(tab, "h1") == "What <b>is</b> it?"
    tab.wait_for("document.querySelector('#model').textContent !== ''")
    assert shown(tab, "#model").startswith("basic/cnn3d · 3 labels · 4 frames of each film")
    assert shown(tab, "#allowed") == "Up to 1 MB and 60 s"
    tab.choose("#film", film)
    answered(tab)
    ranked = server.model.predict(film)[0]["top5"]
    labels = tab.evaluate("[...document.querySelectorAll('.label')].map((each) => each.textContent)")
    assert labels == [row["label"] for row in ranked]  # as text, also where it looks like HTML
    assert "<b>grey</b>" in labels
    scores = tab.evaluate("[...document.querySelectorAll('.score')].map((each) => each.textContent)")
    assert scores == [f"{100 * row['score']:.1f} %" for row in ranked]
    widths = tab.evaluate(
        "[...document.querySelectorAll('.bar')].map((each) => each.offsetWidth / each.parentElement.offsetWidth)"
    )
    assert widths == pytest.approx([row["score"] for row in ranked], abs=0.01)
    assert shown(tab, "#heading") == "film.mp4"
    assert "decoded in" in shown(tab, "#took")
    assert tab.evaluate("document.querySelector('#preview').src.startsWith('blob:')")
    assert not is_seen(tab, "#going")
    assert tab.complaints() == []
    assert all(url.startswith((server.url, "blob:", "data:", "about:")) for url in tab.requested())


def test_a_film_is_dropped_anywhere(tab: Tab, server: LiveServer, film: Path) -> None:
    tab.open(server.url)
    tab.drop(450, 900, film)
    answered(tab)
    assert shown(tab, "#heading") == "film.mp4"
    assert tab.complaints() == []


def test_it_works_by_keyboard(tab: Tab, server: LiveServer, film: Path) -> None:
    """The first stop is the choice of a film, and it is seen where one is."""
    tab.open(server.url)
    tab.press("Tab", 9)
    assert tab.evaluate("document.activeElement.id") == "film"
    outline = "getComputedStyle(document.querySelector('#drop'))"
    assert tab.evaluate(f"{outline}.outlineStyle") == "solid"
    tab.call("Page.setInterceptFileChooserDialog", enabled=True)
    tab.press("Enter", 13)
    tab.wait_for("true")
    opened = [event for event in tab.events if event.get("method") == "Page.fileChooserOpened"]
    assert opened, "Enter opens the dialog"
    tab.call("DOM.setFileInputFiles", files=[str(film)], backendNodeId=opened[0]["params"]["backendNodeId"])
    answered(tab)
    assert shown(tab, "#heading") == "film.mp4"


def test_refusals_are_said(tab: Tab, server: LiveServer, tmp_path: Path) -> None:
    text = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    text.write_text("once upon a time")
    tab.open(server.url)
    tab.choose("#film", text)
    answered(tab)
    assert is_seen(tab, "#fault")
    assert shown(tab, "#reason").startswith("<img src=x onerror=alert(1)>.mp4: it is text, no film")
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.evaluate("document.querySelector('#fault').getAttribute('role')") == "alert"


def test_a_film_that_is_too_large_is_not_sent(tab: Tab, server: LiveServer, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3 << 20))
    tab.open(server.url)
    tab.wait_for("document.querySelector('#model').textContent !== ''")
    tab.choose("#film", large)
    answered(tab)
    assert shown(tab, "#reason") == "large.mp4 has 3 MB, 1 MB are allowed."
    assert not any(url.endswith("/predict") for url in tab.requested())


def test_waiting_is_seen_and_can_be_ended(tab: Tab, film: Path) -> None:
    with live_server(slow_model(1.5), limits=Limits(workers=1, batch=1)) as server:
        tab.open(server.url)
        tab.choose("#film", film)
        tab.wait_for("document.querySelector('#step').textContent === 'Looking at film.mp4'")
        assert is_seen(tab, "progress")
        assert is_seen(tab, "#cancel")
        tab.evaluate("document.querySelector('#cancel').click()")
        tab.wait_for("document.querySelector('#going').hidden")
        assert not is_seen(tab, "#fault")
        tab.choose("#film", film)  # and another one after it
        answered(tab)
        assert is_seen(tab, "#answer")


def test_a_server_that_has_gone_is_said(tab: Tab, film: Path) -> None:
    with live_server(limits=Limits(workers=1)) as server:
        tab.open(server.url)
    tab.choose("#film", film)
    answered(tab)
    assert shown(tab, "#reason") == "The server cannot be reached, or refused the film while it was sent."


def luminance(colour: str) -> float:
    """Of `rgb(r, g, b)`; WCAG 2.2, relative luminance."""
    parts = [int(each) / 255 for each in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_both_colour_schemes(tab: Tab, server: LiveServer, tmp_path: Path, scheme: str) -> None:
    """Contrast of all text is at least 4.5 : 1 (WCAG 2.2, 1.4.3)."""
    tab.prefer(scheme)
    tab.open(server.url)
    tab.choose("#film", write_numbered_film(tmp_path / "film.mp4"))
    answered(tab)
    grounds = {
        "h1": "body",
        "#model": "body",
        "#allowed": "#drop",
        ".score": "#answer",
        "#took": "#answer",
        "footer a": "body",
    }
    for text, ground in grounds.items():
        colours = [
            luminance(tab.evaluate(f"getComputedStyle(document.querySelector({selector!r})).{which}"))
            for selector, which in ((text, "color"), (ground, "backgroundColor"))
        ]
        dark, bright = sorted(colours)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (scheme, text)
    ground = luminance(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground > 0.5) == (scheme == "light")


def test_the_reference_is_shown_without_complaints(tab: Tab, server: LiveServer) -> None:
    tab.open(f"{server.url}/docs")
    assert "POST /predict" in shown(tab, "main")
    assert tab.complaints() == []
    assert tab.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "10px"  # its style holds
