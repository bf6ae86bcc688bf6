"""What of a card was written by hand, and stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from zoo.artefact import read_manifest
from zoo.hub import model_card
from zoo.hub.card_parts import BEGIN, END, LARGEST, split_card
from zoo_registry.errors import HubError


def head_of(card: str) -> dict[str, object]:
    head: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return head


def test_text_around_the_generated_part_stays(saved: Path) -> None:
    manifest = read_manifest(saved).model_copy(update={"licence": "mit"})
    first = model_card(manifest, "hf://me/waves")
    edited = first.replace(BEGIN, f"Read me first.\n\n{BEGIN}").replace(END, f"{END}\n\nFilmed on a rainy day.\n")
    second = model_card(manifest.model_copy(update={"licence": "apache-2.0"}), "hf://me/waves", earlier=edited)
    assert second.index("Read me first.") < second.index(BEGIN) < second.index("# waves") < second.index(END)
    assert second.index(END) < second.index("Filmed on a rainy day.")
    assert head_of(second)["license"] == "apache-2.0"
    assert second.count("# waves") == 1


def test_a_card_without_a_generated_part_was_all_written_by_hand(saved: Path) -> None:
    earlier = "---\nlicense: mit\nlanguage: en\ntags: [football, video]\n---\n# My model\nSee [us](x).\n"
    card = model_card(read_manifest(saved), "hf://me/waves", earlier=earlier)
    assert card.endswith(f"{END}\n\n# My model\nSee [us](x).\n")
    assert head_of(card)["language"] == "en"
    assert head_of(card)["tags"] == ["videozoo", "video", "cnn3d", "football"]


def test_the_same_card_again_is_the_same(saved: Path) -> None:
    once = model_card(read_manifest(saved), "hf://me/waves", earlier="By hand.\n")
    assert model_card(read_manifest(saved), "hf://me/waves", earlier=once) == once


def test_html_written_by_hand_is_text_to_us(saved: Path) -> None:
    earlier = "<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n"
    card = model_card(read_manifest(saved), "hf://me/waves", earlier=earlier)
    assert card.endswith(earlier)
    assert "script" not in yaml.safe_dump(head_of(card))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("---\nlicense: [mit\n---\n", "cannot be read"),
        ("---\nlicense: !!python/object/apply:os.system ['touch /tmp/owned']\n---\n", "cannot be read"),
        ("---\n- a\n---\n", "is no mapping"),
        ("x" * (LARGEST + 1), "longer than a mebibyte"),
    ],
)
def test_a_head_that_cannot_be_kept_is_said(text: str, words: str) -> None:
    with pytest.raises(HubError, match=words):
        split_card(text)
