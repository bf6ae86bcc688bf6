"""Which kind of film a file is by its first bytes: only kinds of films and pictures get as far as a decoder.

FFmpeg opens hundreds of formats, among them lists that lead to other files. Whatever a server hands to it is one of a
few that cameras, editors and browsers write.
"""

from __future__ import annotations

import codecs

from zoo.serving.refusal import Refusal

HEAD = 189 + 1
"""Bytes that decide: a transport stream repeats its mark after 188."""

_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "mp4"),
    (4, b"moov", "mp4"),
    (4, b"mdat", "mp4"),
    (4, b"wide", "mp4"),
    (4, b"skip", "mp4"),
    (4, b"styp", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"FLV\x01", "flv"),
    (0, b"OggS", "ogg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
)

_SOUNDS: tuple[tuple[int, bytes], ...] = (
    (8, b"WAVE"),
    (0, b"ID3"),
    (0, b"\xff\xfb"),
    (0, b"\xff\xf3"),
    (0, b"fLaC"),
)
"""Of files without a picture: WAV, MP3 with and without a tag, FLAC."""

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def film_kind(head: bytes) -> str | None:
    """The kind of film or picture that begins like this, None for everything else.

    Example:
        >>> film_kind(bytes([0, 0, 0, 24]) + b"ftypmp42"), film_kind(b"#EXTM3U")
        ('mp4', None)
    """
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return "avi" if head[8:12] == b"AVI " else "webp"
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return "mpegts"
    return next((kind for at, mark, kind in _MARKS if head[at : at + len(mark)] == mark), None)


def refuse_other_kinds(head: bytes, *, sound: bool = False) -> None:
    """See that a file begins like a film or a picture.

    Args:
        head: its first `HEAD` bytes, or all.
        sound: it may also be one of sound alone.

    Raises:
        Refusal: 415, it does not; 422, there is nothing.
    """
    if not head:
        raise Refusal(422, "the file is empty")
    if sound and any(head[at : at + len(mark)] == mark for at, mark in _SOUNDS):
        return
    if film_kind(head) is None:
        raise Refusal(415, f"it is {_in_words(head)}, no film of a kind that is served (mp4, mov, mkv, webm, avi, ...)")


def _in_words(head: bytes) -> str:
    for mark, name in _OTHERS:
        if head.startswith(mark):
            return name
    return "text" if _is_text(head) else "of an unknown kind"


def _is_text(head: bytes) -> bool:
    """Whether it is UTF-8 without control characters; its last character may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n" for character in text)
