"""Films are told from other files by what they begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.film_formats import FILMS
from zoo.serving.film_kind import HEAD, film_kind, refuse_other_kinds
from zoo.serving.refusal import Refusal

KINDS = {
    "H.264 in MP4": "mp4",
    "H.264 in fragmented MP4": "mp4",
    "H.264 in MKV": "matroska",
    "VP9 in WebM, hidden frames": "matroska",
    "H.264 in MPEG-TS": "mpegts",
    "H.264 in FLV": "flv",
    "MPEG-4 in AVI": "avi",
    "Motion JPEG in MOV, odd size": "mp4",
    "MPEG-2 in a program stream": "mpeg",
    "GIF": "gif",
}


@pytest.mark.parametrize("name", KINDS)
def test_what_ffmpeg_writes(name: str, tmp_path: Path) -> None:
    head = FILMS[name](tmp_path).path.read_bytes()[:HEAD]
    assert film_kind(head) == KINDS[name]
    refuse_other_kinds(head)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_what_pillow_writes(kind: str, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "picture", format=kind)
    assert film_kind((tmp_path / "picture").read_bytes()[:HEAD]) == kind.lower()


def test_real_films(shared: Path) -> None:
    films = [path for path in (shared / "clips").iterdir() if path.suffix in (".mp4", ".avi", ".mkv", ".webm", ".mov")]
    assert len(films) > 5
    for path in films:
        with path.open("rb") as file:
            assert film_kind(file.read(HEAD)) is not None, path


def test_sound_is_for_models_that_hear_alone() -> None:
    wave = b"RIFF\x24\x00\x00\x00WAVEfmt "
    refuse_other_kinds(wave, sound=True)
    with pytest.raises(Refusal) as caught:
        refuse_other_kinds(wave)
    assert caught.value.status == 415


def test_text_is_called_text_in_every_language() -> None:
    for text in ("once", "once\r\n\tupon", "Es war einmal\n" * 30, "曾经" * 100, "🎬" * 100):
        with pytest.raises(Refusal, match="it is text"):
            refuse_other_kinds(text.encode()[:HEAD])
