"""TorchCodec as the decoder, and as the judge of ours: the same frames by time. Needs FFmpeg's shared libraries."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import Loader, Split, read_clip
from zoo.data.decode.film import Decoder, open_film
from zoo.data.decode.frames import frames_at
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, MissingExtra, UndecodableMedia

# Packed B-frames have scrambled time stamps, which TorchCodec goes by (see test_mpeg4_in_avi.py).
PACKED = {
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
    "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi",
    "TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
    "test.avi",
}


@pytest.fixture
def video_decoder() -> type:
    """TorchCodec's decoder, where it loads."""
    try:
        from torchcodec.decoders import VideoDecoder
    except Exception as error:
        pytest.skip(f"TorchCodec does not load: {str(error).splitlines()[0]}")
    return VideoDecoder


def test_our_frames_are_torchcodecs_by_index_and_time(shared: Path, video_decoder: type) -> None:
    films = [path for path in sorted((shared / "clips").iterdir()) if path.suffix in {".mp4", ".avi"}]
    films = [path for path in films if path.name not in PACKED]
    assert len(films) == 16
    for path in films:
        peer = video_decoder(str(path), seek_mode="exact")
        chosen = sorted(random.Random(3).sample(range(peer.metadata.num_frames), 12))
        theirs = peer.get_frames_at(chosen)
        with open_film(path) as film:
            half = 0.5 / film.timeline.fps
            times = [film.timeline.origin + float(seconds) + half for seconds in theirs.pts_seconds]
            for index, frame, other_chw in zip(chosen, frames_at(film, times), theirs.data, strict=True):
                ours_hwc = torch.from_numpy(frame.to_ndarray(format="rgb24"))
                apart = (ours_hwc.permute(2, 0, 1).int() - other_chw.int()).abs().max()
                assert apart <= 2, f"{path.name}, frame {index}: {apart} of 255 apart"


def test_it_reads_clips_through_the_same_interface(numbered_film: WriteFilm, video_decoder: type) -> None:
    film, spec = numbered_film(), ClipSpec(frames=4, stride=3, size=64)
    clip = read_clip(film, spec, position=1.0, decoder=Decoder("torchcodec"))
    assert clip.shape == (3, 4, 64, 64)
    assert clip.dtype == torch.uint8
    assert numbers(clip) == [10, 13, 16, 19]
    assert numbers(read_clip(film.read_bytes(), spec, decoder=Decoder("torchcodec"))) == [5, 8, 11, 14]


def test_rotation_and_crops_are_the_same(numbered_film: WriteFilm, video_decoder: type) -> None:
    film = numbered_film(size=(48, 96), rotate=90)
    spec = ClipSpec(frames=2, size=(80, 32), resize=(96, 48))
    ours, theirs = (read_clip(film, spec, decoder=Decoder(name)) for name in ("pyav", "torchcodec"))
    assert ours.shape == theirs.shape == (3, 2, 80, 32)
    assert (ours.int() - theirs.int()).abs().max() <= 2


def test_a_bad_file_is_bad_there_too(tmp_path: Path, numbered_film: WriteFilm, video_decoder: type) -> None:
    whole = numbered_film().read_bytes()
    with pytest.raises(UndecodableMedia):
        read_clip(whole[: len(whole) // 2], ClipSpec(frames=2, size=32), decoder=Decoder("torchcodec"))


def test_without_torchcodec_the_extra_is_named(numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(MissingExtra, match=r"torchcodec is not installed\n.*pip install \"videozoo\[torchcodec\]\""):
        read_clip(numbered_film(), ClipSpec(frames=2, size=32), decoder=Decoder("torchcodec"))


def test_clips_on_a_gpu_are_decoded_by_the_process_that_trains(split_of_eight: Split) -> None:
    with pytest.raises(DataError, match=r"cannot come from 2 other processes\n.*data\.workers: 0"):
        Loader(
            split_of_eight,
            inputs=("clip_bcthw",),
            clip=ClipSpec(frames=2, size=32),
            batch=2,
            train=True,
            workers=2,
            decoder=Decoder("torchcodec", hardware="cuda"),
        )


def test_a_loader_reads_through_it(split_of_eight: Split, video_decoder: type) -> None:
    batches = [
        [
            batch.inputs["clip_bcthw"]
            for batch in Loader(
                split_of_eight,
                inputs=("clip_bcthw",),
                clip=ClipSpec(frames=2, size=32),
                batch=4,
                train=True,
                workers=0,
                decoder=Decoder(name),
            ).epoch(0)
        ]
        for name in ("pyav", "torchcodec")
    ]
    for ours, theirs in zip(*batches, strict=True):
        assert (ours.int() - theirs.int()).abs().max() <= 2
