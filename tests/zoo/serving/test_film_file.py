"""Films that are received: in a folder of ours, under names of ours, gone when they are answered or their server is."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from zoo.serving.film_file import FilmFile, FilmFolder
from zoo.serving.refusal import Refusal


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_film_is_there_for_as_long_as_it_is_needed(place: Path) -> None:
    folder = FilmFolder()
    with folder.film(10) as film:
        film.write(b"abc")
        film.write(b"de")
        assert (film.path.read_bytes(), film.size, film.head) == (b"abcde", 5, b"abcde")
        assert stat.S_IMODE(film.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(film.path.stat().st_mode) == 0o600
    assert list(folder.path.iterdir()) == []
    folder.close()
    assert list(place.iterdir()) == []


def test_a_film_never_has_a_byte_more_than_it_may() -> None:
    folder = FilmFolder()
    with folder.film(10) as film:
        film.write(b"x" * 10)
        with pytest.raises(Refusal, match="larger than 10 bytes") as caught:
            film.write(b"x")
        assert film.path.stat().st_size == 10
    assert caught.value.status == 413
    folder.close()


def test_a_full_disk_is_said() -> None:
    full = Path("/dev/full")  # where every byte meets a full disk
    if not full.exists():
        pytest.skip("needs /dev/full")
    with full.open("wb", buffering=0) as file:
        film = FilmFile(full, file, 100)
        with pytest.raises(Refusal, match="no room") as caught:
            film.write(b"x")
    assert caught.value.status == 503


def test_what_a_server_left_that_was_killed_the_next_one_removes(place: Path) -> None:
    program = (
        "from zoo.serving.film_file import FilmFolder as F; import time; print(F().path, flush=True); time.sleep(99)"
    )
    environment = {**os.environ, "TMPDIR": str(place)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as killed:
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().strip())
        (left / "film").write_bytes(b"x")
        other = Path(tempfile.mkdtemp(prefix="other-"))
        first = FilmFolder()
        assert left.is_dir()  # its server runs
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        second = FilmFolder()
        assert not left.exists()
        assert first.path.is_dir()  # another one of this very process
        assert other.is_dir()
        first.close()
        second.close()


def test_a_server_that_starts_at_the_same_time_takes_no_folder_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when our folder is there and not locked yet, or just before the lock."""
    from zoo.serving import film_file

    made, others = tempfile.mkdtemp, []

    def overtaken(*given: object, **named: object) -> str:
        folder = made(*given, **named)
        if not others:
            others.append(None)  # the other one's own folder is not overtaken
            others[0] = FilmFolder()
            assert not Path(folder).exists()
        return folder

    monkeypatch.setattr(film_file.tempfile, "mkdtemp", overtaken)
    folder = FilmFolder()
    with folder.film(10) as film:
        film.write(b"abc")
    third = FilmFolder()
    assert folder.path.is_dir()  # it is locked
    for each in (folder, third, *others):
        each.close()


def test_without_locks_there_is_a_folder_all_the_same(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, or on a network's file system."""
    from zoo.serving import film_file

    monkeypatch.setattr(film_file, "_locked", lambda folder: None)
    folder = FilmFolder()
    assert list(place.iterdir()) == [folder.path]
    folder.close()
    assert list(place.iterdir()) == []
