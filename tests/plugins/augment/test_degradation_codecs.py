"""Degradations by codecs against the codecs themselves, used directly."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio
from torchvision.io import decode_jpeg, encode_jpeg

import zoo
from zoo_plugins.augment.degradation.jpeg import jpeg, random_jpeg
from zoo_plugins.augment.degradation.video_codec import Rate, random_video_codec, video_codec
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch


@pytest.fixture(scope="module")
def film(shared: Path) -> Tensor:
    """Twelve frames of a moving picture, (3, 12, 96, 128) bytes."""
    return zoo.read_clip(shared / "clips" / "bikes.mp4", ClipSpec(frames=12, stride=1, size=(96, 128)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    count = len(clips)
    return Batch({"clip_bcthw": clips}, targets, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def psnr(film: Tensor, original: Tensor) -> float:
    return float(peak_signal_noise_ratio(film.float(), original.float(), data_range=255.0))


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities of TorchVision:DeprecationWarning")
@pytest.mark.parametrize("quality", [1, 30, 95, 100])
def test_jpeg_is_what_torchvision_writes_and_reads_bit_by_bit(film, quality):
    frames = film.transpose(0, 1)
    expected = torch.stack([decode_jpeg(encode_jpeg(frame, quality=quality)) for frame in frames])
    assert torch.equal(jpeg(film, quality), expected.transpose(0, 1))


def test_jpeg_of_floats_is_that_of_bytes(film):
    assert torch.equal(jpeg(film.float() / 255, 50), jpeg(film, 50).float() / 255)


def test_qualities_are_whole_and_as_likely_each():
    clips = torch.zeros(3000, 3, 1, 1, 1, dtype=torch.uint8)
    drawn = torch.tensor(random_jpeg(quality=(41, 45)).draw(clips, seeded()))
    counts = drawn.bincount()[41:]
    assert len(counts) == 5
    assert (counts - 600).abs().max() < 4 * (3000 * 0.2 * 0.8) ** 0.5


def by_file(film: Tensor, codec: str, options: dict[str, str], bit_rate: int | None = None) -> Tensor:
    """The same with a file around it, as PyAV's documentation does it."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = film.shape[-2:]
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        if bit_rate:
            stream.bit_rate = bit_rate
            stream.codec_context.bit_rate_tolerance = 4_000_000  # FFmpeg's default, which add_stream changes
        for picture in film.permute(1, 2, 3, 0).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)


@pytest.mark.parametrize("crf", [18, 40])
def test_a_film_is_what_comes_out_of_a_file(film, crf):
    assert torch.equal(
        video_codec(film, Rate(crf=crf)),
        by_file(film, "libx264", {"crf": str(crf), "preset": "veryfast", "mbtree": "0"}),
    )


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_a_film_of_a_bitrate_is_what_comes_out_of_a_file(film, codec):
    assert torch.equal(video_codec(film, Rate(bitrate=200), codec), by_file(film, codec, {}, bit_rate=200_000))


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_quality_falls_with_the_rate_factor(film, encoder):
    qualities = [psnr(video_codec(film, Rate(crf=crf), encoder), film) for crf in (10, 25, 35, 45)]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] > 30 > qualities[-1]


@pytest.mark.parametrize("encoder", ["libx264", "mpeg4"])
def test_quality_rises_with_the_bitrate(film, encoder):
    low, high = (psnr(video_codec(film, Rate(bitrate=rate), encoder), film) for rate in (5, 5000))
    assert high > low + 1


def test_frames_keep_their_order_and_number(film):
    """Frame by frame, no other original frame is closer."""
    coded = video_codec(film, Rate(crf=20)).float()
    errors = (coded.unsqueeze(2) - film.float().unsqueeze(1)).square().mean((0, 3, 4))
    assert errors.argmin(1).tolist() == list(range(12))


@pytest.mark.parametrize("size", [(95, 127), (7, 9), (96, 127)])
def test_odd_sizes_come_out_as_they_went_in(film, size):
    odd = film[..., : size[0], : size[1]]
    coded = video_codec(odd, Rate(crf=15))
    assert coded.shape == odd.shape
    assert psnr(coded, odd) > 25


def test_rates_are_drawn_from_their_ranges():
    clips = torch.zeros(2000, 3, 1, 2, 2, dtype=torch.uint8)
    factors = [rate.crf for rate in random_video_codec(crf=(20, 23)).draw(clips, seeded())]
    assert {*factors} == {20, 21, 22, 23}
    rates = torch.tensor([rate.bitrate for rate in random_video_codec(bitrate=(10, 1000)).draw(clips, seeded())])
    assert 10 <= rates.min() < 11
    assert 900 < rates.max() <= 1000
    assert abs(float((rates < 100).float().mean()) - 0.5) < 0.04  # the middle of the logarithms


def test_small_films_come_out_the_same_every_time():
    """x264's macroblock tree does not keep to this: of some hundred such calls with it several differ."""
    noise = torch.randint(0, 256, (3, 4, 48, 64), dtype=torch.uint8, generator=seeded(3))
    outcomes = {video_codec(noise, Rate(crf=crf)).numpy().tobytes() for _ in range(60) for crf in (18, 30, 39)}
    assert len(outcomes) == 3


@pytest.mark.parametrize("build", [random_jpeg, random_video_codec])
def test_the_target_stays_clean(film, build):
    after = build()(batch_of(film[None], clip_bcthw=film[None]), seeded())
    assert torch.equal(after.targets["clip_bcthw"][0], film)
    assert psnr(after.inputs["clip_bcthw"][0], film) < 50


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"crf": (20, 30), "bitrate": (100, 200)}, r"both a crf and a bitrate\n.*leave one"),
        ({"codec": "mpeg4"}, r"mpeg4 has no constant rate factor\n.*bitrate: \[100, 1000\]"),
        ({"crf": (30, 20)}, r"crf goes from 30 down to 20\n.*\[20, 30\]"),
    ],
)
def test_wrong_rates_say_what_to_write(params, message):
    with pytest.raises(ParameterError, match=message):
        random_video_codec(**params)


def test_an_encoder_that_ffmpeg_lacks_is_named(monkeypatch):
    monkeypatch.setattr(av.codec, "codecs_available", {"mpeg4"})
    with pytest.raises(ParameterError, match=r"has no encoder libx265\n.*another codec"):
        random_video_codec(codec="libx265")


@pytest.mark.parametrize("fps", [7.0, 12.3, 1000.0])
def test_rates_that_mpeg_2_cannot_write_are_said_when_it_is_built(fps):
    with pytest.raises(ParameterError, match=rf"mpeg2video cannot write .* at {fps:g} frames a second.*\n.*25"):
        random_video_codec(codec="mpeg2video", bitrate=(100, 100), fps=fps)


@pytest.mark.parametrize("fps", [24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0])
def test_rates_of_the_standard_can_be_written(fps):
    """ISO/IEC 13818-2, table 6-4."""
    random_video_codec(codec="mpeg2video", bitrate=(100, 100), fps=fps)


@pytest.mark.parametrize("size", [(2, 2), (15, 40), (32, 48)])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "mpeg2video"])
def test_tiny_films_are_encoded_too(film, codec, size):
    """x265 refused sides of less than 16 pixels, and ended the process for some of less than 64."""
    tiny = film[:, :4, : size[0], : size[1]]
    coded = video_codec(tiny, Rate(bitrate=1000), codec)
    assert coded.shape == tiny.shape
    assert (coded.float() - tiny.float()).abs().mean() < 40


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "mpeg2video"])
def test_the_greatest_bitrate_is_one_that_can_be_written(film, codec):
    small = film[:, :2, :64, :64]
    assert video_codec(small, Rate(bitrate=1_000_000), codec).shape == small.shape
