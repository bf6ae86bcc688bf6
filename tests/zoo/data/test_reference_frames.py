"""Decoded frames against reference outputs and against plain decoding of whole real films."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from zoo.data import probe, read_clip
from zoo_registry import ClipSpec

NASA_FPS = 30000 / 1001


@pytest.mark.parametrize("number", [0, 1, 8, 15, 35])
def test_nasa_frames_equal_torchcodecs_references(shared: Path, number: int) -> None:
    path = shared / "decode" / "nasa_13013.mp4"
    expected = torch.load(f"{path}.stream3.frame{number:06d}.pt", weights_only=True)  # (H, W, 3)
    clip = read_clip(path, ClipSpec(frames=1, size=(270, 480)), start=number / NASA_FPS, position=0.0)
    assert torch.equal(clip[:, 0].permute(1, 2, 0), expected)


@pytest.mark.parametrize(("name", "number", "fps"), [("av1_video.mkv", 10, 25), ("h265_video.mp4", 5, 10)])
def test_av1_and_h265_frames_equal_torchcodecs_references(shared: Path, name: str, number: int, fps: int) -> None:
    path = shared / "decode" / name
    expected = torch.load(f"{path}.stream0.frame{number:06d}.pt", weights_only=True)
    spec = ClipSpec(frames=1, size=tuple(expected.shape[:2]))
    clip = read_clip(path, spec, start=number / fps, position=0.0)
    assert torch.equal(clip[:, 0].permute(1, 2, 0), expected)


REAL_FILMS = [
    "clips/arm_wrestling.mp4",
    "clips/bikes.mp4",
    "clips/test.avi",
    "clips/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "clips/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "clips/v_SoccerJuggling_g23_c01.avi",
    "decode/h264_10bits.mp4",
    "decode/h265_10bits.mp4",
    "decode/bt709_full_range.mp4",
]


@pytest.mark.parametrize("name", REAL_FILMS)
def test_seeking_and_skipping_return_the_frames_of_plain_decoding(shared: Path, name: str) -> None:
    path, frames, stride = shared / name, 6, 5
    everything = decode_everything(path)
    info = probe(path)
    spec = ClipSpec(frames=frames, stride=stride, size=(info.height, info.width))
    for position in (0.0, 0.6, 1.0):
        first = round(position * max(0, info.frames - (frames - 1) * stride - 1))
        chosen = [min(first + step * stride, len(everything) - 1) for step in range(frames)]
        expected = np.stack([everything[number].to_ndarray(format="rgb24") for number in chosen])
        clip = read_clip(path, spec, position=position)
        assert np.array_equal(clip.permute(1, 2, 3, 0).numpy(), expected)


def decode_everything(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        return list(container.decode(stream))


def test_every_shared_film_can_be_probed_and_read(shared: Path) -> None:
    films = [path for path in sorted((shared / "clips").iterdir()) if path.suffix in {".mp4", ".avi"}]
    assert len(films) == 21
    for path in films:
        assert read_clip(path, ClipSpec(frames=2, stride=4, size=32)).shape == (3, 2, 32, 32), path


def test_probe_says_what_a_film_holds(shared: Path) -> None:
    info = probe(shared / "clips" / "R6llTwEh07w.mp4")
    assert (info.codec, info.width, info.height, info.fps, info.frames) == ("h264", 340, 256, 30, 303)
    assert info.seconds == pytest.approx(10.1)
    assert info.audio == "aac 44100 Hz, 1 channels"
    assert str(info).endswith("h264 340x256, 303 frames, 10.10 s at 30 fps, aac 44100 Hz, 1 channels")


def test_pixels_equal_torchcodecs(shared: Path) -> None:
    try:
        from torchcodec.decoders import VideoDecoder

        path = shared / "clips" / "bikes.mp4"
        decoder = VideoDecoder(str(path), num_ffmpeg_threads=1)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchcodec does not load here: {str(error).splitlines()[0]}")
    expected = decoder.get_frames_at([100, 104, 108]).data  # (T, 3, H, W)
    clip = read_clip(path, ClipSpec(frames=3, stride=4, size=(272, 640)), start=100 / 25, position=0.0)
    assert (clip.permute(1, 0, 2, 3).int() - expected.int()).abs().max() <= 2  # other builds of swscale round otherwise
