"""Files that cannot be decoded: each says in words what is wrong with it."""

from __future__ import annotations

import struct
import wave
import zlib
from pathlib import Path

import av
import pytest

from tests.zoo.data.films import WriteFilm
from zoo.data import probe, read_clip
from zoo_registry import ClipSpec
from zoo_registry.errors import UndecodableMedia

SPEC = ClipSpec(frames=4, size=32)


def reason(path: Path) -> str:
    with pytest.raises(UndecodableMedia) as caught:
        read_clip(path, SPEC)
    (problem,) = caught.value.problems
    assert problem.where is not None
    assert problem.where.file == str(path)
    return problem.message


def test_a_missing_file(tmp_path: Path) -> None:
    assert reason(tmp_path / "nowhere.mp4") == "there is no such file"


def test_a_folder(tmp_path: Path) -> None:
    assert reason(tmp_path) == "it is a folder"


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert reason(tmp_path / "empty.mp4") == "the file is empty"


def test_text_that_calls_itself_a_film(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("once upon a time\n" * 100)
    assert "no film or picture that can be decoded" in reason(tmp_path / "text.mp4")


def test_a_playlist_cannot_send_the_decoder_elsewhere(tmp_path: Path, numbered_film: WriteFilm) -> None:
    film = numbered_film()
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/{film.name}\n#EXT-X-ENDLIST\n")
    assert reason(tmp_path / "list.m3u8")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile {film}\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{film}\n#EXT-X-ENDLIST\n"),
    ],
)
def test_a_list_of_other_files_is_no_film(name: str, text: str, tmp_path: Path, numbered_film: WriteFilm) -> None:
    film = numbered_film()
    assert film.parent == tmp_path
    (tmp_path / name).write_text(text.format(film=film.name))
    assert "leads to other files, which are not opened" in reason(tmp_path / name)
    with pytest.raises(UndecodableMedia, match="leads to other files"):
        probe(tmp_path / name)


def cut(path: Path, keep: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def test_an_mp4_cut_off_before_its_index(numbered_film: WriteFilm) -> None:
    assert "cut off before its index" in reason(cut(numbered_film(), 0.5))


def test_an_mp4_whose_index_is_in_front_is_noticed_when_cut_off(numbered_film: WriteFilm, tmp_path: Path) -> None:
    with (
        av.open(str(numbered_film())) as whole,
        av.open(str(tmp_path / "f.mp4"), "w", options={"movflags": "faststart"}) as fast,
    ):
        stream = fast.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                fast.mux(packet)
    size = (tmp_path / "f.mp4").stat().st_size
    assert reason(cut(tmp_path / "f.mp4", 0.8)) == f"it is cut off: {int(size * 0.8):,} bytes, of at least {size:,}"


def test_a_cut_off_mkv(numbered_film: WriteFilm) -> None:
    noisy = numbered_film("film.mkv", frames=60, rate=10, level=lambda number: (number * 97) % 256)
    assert "it is cut off" in reason(cut(noisy, 0.5))


def test_a_cut_off_avi(shared: Path, tmp_path: Path) -> None:
    film = shared / "clips" / "v_SoccerJuggling_g23_c01.avi"
    (tmp_path / "cut.avi").write_bytes(film.read_bytes()[:250_000])
    assert reason(tmp_path / "cut.avi").startswith("it is cut off: ")


def test_a_sound_file_has_no_picture(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    assert reason(tmp_path / "sound.wav") == "it has sound but no picture"


def test_a_stream_without_frames(tmp_path: Path, numbered_film: WriteFilm) -> None:
    film = numbered_film("film.avi", codec="mpeg4")
    content = bytearray(film.read_bytes())
    start = content.index(b"movi") + 4
    end = content.index(b"idx1")
    # Keep the headers, drop every frame: the list `movi` becomes empty and the index goes.
    struct.pack_into("<I", content, start - 8, 4)
    del content[start:]
    assert end > start
    film.write_bytes(content)
    assert reason(film) == "its video stream has no frames"


def test_a_header_that_claims_an_absurd_size(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 100, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes((20_000 * 3 + 1) * 100))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(png)
    assert reason(tmp_path / "huge.png") == "its header claims 20000 x 100 pixels, more than 16384 on a side"


def test_a_clip_of_absurd_size(numbered_film: WriteFilm) -> None:
    film = numbered_film(size=(16, 4096), frames=2)
    with pytest.raises(UndecodableMedia, match="more than 2 GiB"):
        read_clip(film, ClipSpec(frames=64, size=224))


def test_damage_in_the_middle(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=20, options={"g": "1"})
    content = bytearray(film.read_bytes())
    begin = content.index(b"mdat") + 4
    third = begin + (content.index(b"moov") - begin) // 3
    content[third : third * 2 - begin] = b"\xff" * (third - begin)
    film.write_bytes(content)
    with pytest.raises(UndecodableMedia, match="damaged or cut off"):
        read_clip(film, ClipSpec(frames=20, size=32))


def test_metadata_that_is_not_utf8_does_no_harm(shared: Path) -> None:
    name = "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"
    with pytest.raises(UnicodeDecodeError):
        av.open(str(shared / "clips" / name))
    assert probe(shared / "clips" / name).frames == 84


def test_files_are_closed_when_reading_fails(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    open_files = Path("/proc/self/fd")
    if not open_files.is_dir():
        pytest.skip("needs /proc to count open files")
    before = len(list(open_files.iterdir()))
    for _ in range(5):
        reason(tmp_path / "text.mp4")
    assert len(list(open_files.iterdir())) == before
