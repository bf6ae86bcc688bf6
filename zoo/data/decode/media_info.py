"""What a media file holds."""

from __future__ import annotations

from dataclasses import dataclass

from av.audio.stream import AudioStream
from av.stream import Stream

from zoo.data.decode.film import Decoder, Film, Media, open_film
from zoo.data.decode.frames import frames_at
from zoo.data.decode.orientation import Orientation


@dataclass(frozen=True)
class MediaInfo:
    """What a film or picture is made of.

    Attributes:
        path: as it was asked for.
        codec: of the picture, FFmpeg's name.
        width, height: in pixels, as displayed.
        fps: mean frames per second.
        frames: how many, as the header says, which may be wrong: an edit list can hide some of them; from duration and
            rate where it says nothing. `probe(..., count=True)` counts them instead.
        seconds: from the first frame to the end of the last.
        rotation: clockwise degrees by which the stored frames are turned to be displayed.
        audio: codec, rate and channels of the sound, None without sound.
    """

    path: str
    codec: str
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    rotation: int = 0
    audio: str | None = None

    def __str__(self) -> str:
        turned = f", turned by {self.rotation} degrees" if self.rotation else ""
        time = f"{self.frames} frames, {self.seconds:.2f} s at {self.fps:.4g} fps"
        return f"{self.path}: {self.codec} {self.width}x{self.height}{turned}, {time}, {self.audio or 'no sound'}"


def probe(media: Media, decoder: Decoder = Decoder(), *, count: bool = False) -> MediaInfo:
    """Look into a media file; its first frame is decoded, so what passes can be read.

    Args:
        media: a film or picture: a path, a URI, bytes, or a file object.
        decoder: what decodes it; by name `torchcodec` it is PyAV on the processor all the same.
        count: read the whole film to say how many frames are displayed; nothing more is decoded.

    Raises:
        UndecodableMedia: with the file and the reason.

    Example:
        >>> print(probe("film.mp4"))                                              # doctest: +SKIP
        film.mp4: h264 340x256, 300 frames, 10.00 s at 30 fps, aac 44100 Hz, 2 channels
    """
    with open_film(media, decoder) as film:
        timeline, video = film.timeline, film.video
        frame = next(frames_at(film, [timeline.origin]))
        orientation = Orientation.of(frame)
        height, width = orientation.exchange(frame.height, frame.width)
        return MediaInfo(
            path=film.path,
            codec=video.codec_context.name,
            width=width,
            height=height,
            fps=timeline.fps,
            frames=_counted(film) if count else video.frames or max(1, round(timeline.seconds * timeline.fps)),
            seconds=timeline.seconds,
            rotation=orientation.degrees,
            audio=_sound(film.container.streams.best("audio")),
        )


def _counted(film: Film) -> int:
    """How many frames are displayed: their packets are counted."""
    film.rewind()
    return max(1, sum(not packet.is_discard for packet in film.watched_packets()))


def _sound(stream: Stream | None) -> str | None:
    if not isinstance(stream, AudioStream):
        return None
    return f"{stream.codec_context.name} {stream.rate} Hz, {stream.channels} channels"
