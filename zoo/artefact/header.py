"""What the first bytes of a weights file say, before anything is read from it. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from zoo_registry.errors import ArtefactError, Location

PICKLE = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How files begin that `torch.save` writes."""


def first_bytes(path: Path) -> bytes:
    """The first two."""
    with path.open("rb") as file:
        return file.read(2)


def pickle_error(path: Path) -> ArtefactError:
    """The error of a pickle that calls itself something else."""
    return ArtefactError(
        "this is a pickle, which can run code when it is opened; it was not opened",
        where=Location(str(path)),
        hint="ask its author for a safetensors file",
    )


def check_header(path: Path) -> None:
    """Make sure that a file is safetensors, with a header that describes what is in it.

    Raises:
        ArtefactError: a pickle, or a damaged or hostile header.
    """
    from safetensors import SafetensorError, safe_open

    if first_bytes(path) in PICKLE:
        raise pickle_error(path)
    try:
        with safe_open(str(path), framework="numpy"):
            pass
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(
            f"not a safetensors file: {error}", where=Location(str(path)), hint="fetch it again"
        ) from None
