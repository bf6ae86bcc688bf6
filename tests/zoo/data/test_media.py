"""Films that are not files: bytes, file objects, films on a server; and what a decoder may take."""

from __future__ import annotations

import gc
import io
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest
import torch
from av.codec.hwaccel import hwdevices_available

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import probe, read_clip
from zoo.data.decode.film import Decoder, open_film
from zoo.data.decode.frames import frames_at
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, RunError, UndecodableMedia

SPEC = ClipSpec(frames=4, stride=3, size=64)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi"])
def test_bytes_and_file_objects_give_the_same_clip_as_the_file(numbered_film: WriteFilm, name: str) -> None:
    path = numbered_film(name, codec="mpeg4" if name == "film.avi" else "libx264")
    expected = read_clip(path, SPEC, position=1.0)
    assert torch.equal(read_clip(path.read_bytes(), SPEC, position=1.0), expected)
    with path.open("rb") as file:
        assert torch.equal(read_clip(file, SPEC, position=1.0), expected)
        assert torch.equal(read_clip(file, SPEC, position=1.0), expected), "it stays open, and is read from its start"


def test_what_is_wrong_with_bytes_is_said() -> None:
    with pytest.raises(UndecodableMedia, match=r"12 bytes in memory: no film or picture that can be decoded"):
        read_clip(b"not a film, ", SPEC)
    with pytest.raises(UndecodableMedia, match="there are no bytes in it"):
        read_clip(b"", SPEC)
    with pytest.raises(UndecodableMedia, match="no film or picture"):
        read_clip(io.BytesIO(b"neither"), SPEC)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the test's folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_a_film_on_a_server(numbered_film: WriteFilm, server: str) -> None:
    path = numbered_film("film.mp4")
    assert torch.equal(read_clip(f"{server}/film.mp4", SPEC), read_clip(path, SPEC))
    assert probe(f"{server}/film.mp4").frames == probe(path).frames


def test_a_film_that_a_server_has_not(server: str) -> None:
    with pytest.raises(UndecodableMedia, match=r"none\.mp4: it cannot be read from its server"):
        read_clip(f"{server}/none.mp4", SPEC)


def test_a_playlist_on_a_server_leads_nowhere(numbered_film: WriteFilm, server: str, tmp_path: Path) -> None:
    numbered_film("film.mp4")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{server}/film.mp4\n")
    with pytest.raises(UndecodableMedia):
        read_clip(f"{server}/list.m3u8", SPEC)


def test_a_film_that_takes_too_long_is_given_up(numbered_film: WriteFilm) -> None:
    with pytest.raises(UndecodableMedia, match=r"decoding it takes longer than 1e-09 s\n +`data\.decoder\.time_limit`"):
        read_clip(numbered_film(), SPEC, decoder=Decoder(time_limit=1e-9))


def test_an_unknown_device_or_decoder_is_refused() -> None:
    with pytest.raises(DataError, match="pyav decodes on no device called 'abacus'"):
        Decoder(hardware="abacus")
    with pytest.raises(DataError, match="torchcodec decodes on no device called 'vaapi'"):
        Decoder("torchcodec", hardware="vaapi")
    with pytest.raises(DataError, match="no decoder is called 'opencv'"):
        Decoder("opencv")  # type: ignore[arg-type]
    for nothing in (0.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="the time limit of a decoder is"):
            Decoder(time_limit=nothing)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
@pytest.mark.parametrize("decoder", ["pyav", "torchcodec"])
def test_a_device_that_is_not_there_is_no_fault_of_a_film(
    numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch, decoder: Literal["pyav", "torchcodec"]
) -> None:
    module = ModuleType("torchcodec.decoders")
    module.VideoDecoder = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", ModuleType("torchcodec"))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)
    if decoder == "pyav" and "cuda" not in hwdevices_available():
        pytest.skip("FFmpeg was built without it")
    with pytest.raises(RunError, match="no device of kind 'cuda' can decode here"):
        read_clip(numbered_film(), SPEC, decoder=Decoder(decoder, hardware="cuda"))


def test_the_stream_that_ffmpeg_thinks_best_is_read(shared: Path) -> None:
    # Six streams, two of them films of 320 x 180 and 480 x 270.
    with open_film(shared / "decode" / "nasa_13013.mp4") as film:
        assert (film.video.width, film.video.height) == (480, 270)


def test_far_apart_frames_are_looked_up_not_decoded_up_to(
    numbered_film: WriteFilm, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.data.decode import frames

    film = numbered_film(frames=200, rate=25, options={"g": "10"}, level=lambda number: number)
    fed = []
    decode = frames._decode
    monkeypatch.setattr(
        frames, "_decode", lambda film, packets, wanted: fed.append(len(packets)) or decode(film, packets, wanted)
    )
    clip = read_clip(film, ClipSpec(frames=4, stride=60, size=64), position=0.0)
    levels = [round(level) for level in clip.float().mean(dim=(0, 2, 3)).tolist()]
    assert all(abs(level - number) <= 2 for level, number in zip(levels, (0, 60, 120, 180), strict=True))
    assert sum(fed) < 4 * 10, f"{sum(fed)} of 200 packets were decoded"


def test_frames_near_each_other_are_decoded_in_one_go(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, options={"g": "100"})
    assert numbers(read_clip(film, ClipSpec(frames=4, stride=6, size=64), position=0.0)) == [0, 6, 12, 18]


@pytest.mark.parametrize("media", [None, 5, ["film.mp4"], "", "film\0.mp4"])
def test_what_is_no_film_is_refused(media: object) -> None:
    with pytest.raises(DataError, match=r"a film (should be|needs) a path"):
        read_clip(media, SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"start": float("nan")}, "there is nothing from nan s"),
        ({"end": float("nan")}, "there is nothing from 0 s to nan s"),
        ({"position": float("nan")}, "position is nan"),
        ({"position": 1.5}, "position is 1.5"),
        ({"crop": (0.5, -1.0)}, "crop is -1"),
        ({"decoder": "torchcodec"}, "a decoder should be a zoo.data.Decoder"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(numbered_film: WriteFilm, given: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_clip(numbered_film(), SPEC, **given)


@pytest.mark.parametrize("name", ["film.mp4", "film.avi"])
def test_a_closed_film_is_freed_at_once(numbered_film: WriteFilm, name: str) -> None:
    """A film that referred to itself would keep its decoder's memory until Python looks for such circles: rarely."""
    path = numbered_film(name, codec="mpeg4" if name == "film.avi" else "libx264")
    gc.disable()
    try:
        with open_film(path) as film:
            list(frames_at(film, [film.timeline.origin, film.timeline.origin + 0.2]))
            watched = weakref.ref(film)
        del film
        assert watched() is None
    finally:
        gc.enable()
