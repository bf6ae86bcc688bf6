"""Media that lies inside other files, fetched for the decoder."""

from __future__ import annotations

from dataclasses import replace

from zoo.data.decode.film import undecodable
from zoo_registry.protocols import Media, Sample


def at_hand(sample: Sample) -> Sample:
    """The sample with media that decoders take: a path or bytes.

    Raises:
        UndecodableMedia: what holds it cannot be read.

    Example:
        >>> at_hand(Sample("a.mp4")).media
        'a.mp4'
    """
    media = sample.media
    if isinstance(media, str | bytes):
        return sample
    try:
        return replace(sample, media=media.read())
    except OSError as error:
        raise undecodable(sample.name, f"it cannot be read: {error.strerror or error}") from error


def decodable(media: Media) -> str | bytes:
    """The same for media alone, after `at_hand`."""
    assert isinstance(media, str | bytes)
    return media
