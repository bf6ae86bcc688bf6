"""The sound that goes with a clip."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import av
import numpy as np
import torch
from av.audio.stream import AudioStream

from zoo.data.decode.film import (
    Decoder,
    Media,
    decoder_errors_in_words,
    media_name,
    open_container,
    refuse_after,
    undecodable,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from torch import Tensor

    from zoo_registry.entries import AudioSpec

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""FFmpeg's names of channel layouts by the number of channels that a spec may ask for."""


def read_audio(
    path: Media,
    spec: AudioSpec,
    *,
    start: float | None = None,
    end: float | None = None,
    decoder: Decoder = Decoder(),
) -> Tensor:
    """Decode the sound of a span, mixed and resampled.

    Args:
        path: a film with sound, or a sound file; its content as bytes, or a file object.
        spec: rate, number of samples and channels that the model wants.
        start: in seconds from the film's first frame (from the first sample, where there is no picture); None for 0.
        end: where silence sets in, in seconds; None for as long as there is sound.
        decoder: its time limit counts; sound is always decoded by PyAV on the processor.

    Returns:
        float32 (C, N) in -1..1, cut to `spec.samples` or padded with silence.

    Raises:
        UndecodableMedia: the file has no sound, or it cannot be decoded, or not in time.

    Example:
        >>> from zoo_registry import AudioSpec
        >>> read_audio("film.mp4", AudioSpec(rate=16000, samples=32000)).shape     # doctest: +SKIP
        torch.Size([1, 32000])
    """
    name = media_name(path)
    deadline = time.monotonic() + decoder.time_limit
    begin = start or 0.0
    wanted = spec.samples if end is None else min(spec.samples, max(0, round((end - begin) * spec.rate)))
    audio_cn = np.zeros((spec.channels, spec.samples), np.float32)
    with decoder_errors_in_words(path), closing(open_container(path)) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            raise undecodable(name, "it has no sound")
        stream.codec_context.thread_count = 1
        zero = _origin(container, stream)
        for seconds, piece_cn in _pieces(container, stream, spec, zero + begin):
            refuse_after(deadline, name, decoder)
            at = round((seconds - zero - begin) * spec.rate)
            if at >= wanted:
                break
            piece_cn = piece_cn[:, max(0, -at) : wanted - at]
            audio_cn[:, max(0, at) : max(0, at) + piece_cn.shape[1]] = piece_cn
    return torch.from_numpy(audio_cn)


def _origin(container: InputContainer, stream: AudioStream) -> float:
    """When the picture begins, on the clock that picture and sound share; else when the sound does."""
    leading = container.streams.best("video") or stream
    return float((leading.start_time or 0) * leading.time_base) if leading.time_base else 0.0


def _pieces(
    container: InputContainer, stream: AudioStream, spec: AudioSpec, first: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Resampled sound with its time, from a little before `first` on."""
    resampler = av.AudioResampler(format="fltp", layout=LAYOUTS[spec.channels], rate=spec.rate)
    # Codecs need some sound before they are in tune, the resampler's filter too.
    early = first - 0.25
    if early > 0 and stream.time_base:
        container.seek(int(early / stream.time_base), stream=stream)
    seconds: float | None = None
    for frame in _frames_then_end(container, stream):
        if seconds is None and frame is not None:
            seconds = 0.0 if frame.time is None else frame.time
        for piece in resampler.resample(frame):
            assert seconds is not None
            piece_cn = piece.to_ndarray()
            yield seconds, piece_cn
            seconds += piece_cn.shape[1] / spec.rate


def _frames_then_end(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame | None]:
    yield from container.decode(stream)
    yield None  # flushes the resampler
