"""Damaged films are refused in words, or what is delivered is right; no crash, no hang, no flood of memory."""

from __future__ import annotations

import json
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.zoo.data.damage import CLAIMS, DAMAGES, REPACKINGS, another_films_pictures, repacked
from tests.zoo.data.film_formats import FILMS, write_film

SEED = 300
TIME_LIMIT = 10.0
"""Seconds of work on all reads of one file."""
PATIENCE = 60.0
"""Seconds until the process is taken to hang, on a machine that is busy with other things."""
MEMORY_LIMIT = 2 * 1024**3
ROOT = Path(__file__).resolve().parents[3]

SMALL = {
    "mp4": "H.264 in MP4",
    "fragmented mp4": "H.264 in fragmented MP4",
    "mkv": "H.264 in MKV",
    "ts": "H.264 in MPEG-TS",
    "flv": "H.264 in FLV",
    "h264": "H.264 without a container",
    "h265": "H.265 in MP4",
    "avi": "MPEG-4 in AVI",
    "avi, B-frames": "MPEG-4 in AVI, B-frames",
    "webm": "VP9 in WebM, hidden frames",
    "av1": "AV1 in MP4",
    "mov": "Motion JPEG in MOV, odd size",
    "mpg": "MPEG-2 in a program stream",
    "gif": "GIF",
}


@dataclass(frozen=True)
class Verdict:
    """What became of one damaged file.

    Attributes:
        refused: reads that were refused, with their words.
        delivered: how many reads gave a frame.
        faults: what must not happen.
    """

    refused: tuple[str, ...]
    delivered: int
    faults: tuple[str, ...]


class Reader:
    """The other process; a new one is started when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path, starts: list[float]) -> tuple[dict | None, dict | str]:
        """What plain decoding gives, and what the zoo gives or how the process ended."""
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"path": str(path), "starts": starts}).encode() + b"\n")
        plain = self._answer(PATIENCE)
        if isinstance(plain, str):
            return None, f"plain decoding: {plain}"
        return plain["plain"], self._answer(PATIENCE)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "tests.zoo.data.damaged_film_reader"]
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # `select` sees nothing of what lies in a buffer of ours
            )
            assert self._answer(120) == {"ready": True}
        return self._process

    def _answer(self, seconds: float) -> dict | str:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0]:
            self.close()
            return f"hangs for more than {seconds:g} s"
        line = process.stdout.readline()  # the other side writes whole lines
        return json.loads(line) if line else f"the process died with {process.wait()}"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def verdict(reader: Reader, path: Path, sound: dict, starts: list[float]) -> Verdict:
    """Read a damaged file and judge.

    A frame is right when the undamaged film shows it at that time, or plain decoding of the damaged one from the
    beginning does without reporting an error. Times are compared to one and a half frames: damaged clocks are rounded.
    """
    plain, answer = reader.ask(path, starts)
    if isinstance(answer, str):
        return Verdict((), 0, (answer,))
    assert plain is not None
    faults = [f"{read['start']:.2f} s: {read['failed']}" for read in answer["reads"] if "failed" in read]
    if answer["seconds"] > TIME_LIMIT:
        faults.append(f"takes {answer['seconds']:.0f} s")
    if answer["grown"] > MEMORY_LIMIT:
        faults.append(f"takes {answer['grown'] / 1024**3:.1f} GiB")
    refused = tuple(read["refused"] for read in answer["reads"] if "refused" in read)
    delivered = [read for read in answer["reads"] if "frame" in read]
    for read in delivered:
        fault = judged(read, sound, plain)
        if fault:
            faults.append(f"{read['start']:.2f} s: {fault}")
    faults += [f"no words: {words!r}" for words in refused if len(words) < 20]
    return Verdict(refused, len(delivered), tuple(faults))


def judged(read: dict, sound: dict, plain: dict) -> str | None:
    """What is wrong with a delivered frame."""
    at = read["start"]
    if any(frame == read["frame"] for frame, _ in near(sound, at)):
        return None
    shown = [*near(plain, at), *near(plain, at - plain["late"])]
    flags = [corrupt for frame, corrupt in shown if frame == read["frame"]]
    if not flags:
        elsewhere = [since for since, frame, _ in plain["frames"] if frame == read["frame"]]
        timeless = plain["loose"] or any(since is None for since, *_ in plain["frames"])
        if elsewhere and timeless:
            return None
        return f"the wrong frame, of {elsewhere[0]:.2f} s" if elsewhere else "a frame that plain decoding does not give"
    return "a frame that the decoder reports as damaged" if all(flags) else None


def near(film: dict, at: float) -> list[tuple[str, bool]]:
    """Frames on display within one and a half frames of a time."""
    frames = [entry for entry in film["frames"] if entry[0] is not None]
    found = []
    for number, (since, frame, corrupt) in enumerate(frames):
        until = frames[number + 1][0] if number + 1 < len(frames) else float("inf")
        if since - 0.06 <= at <= max(until, since) + 0.06:
            found.append((frame, corrupt))
    return found


class Originals:
    """Undamaged films, with what they show and when to look."""

    def __init__(self, folder: Path, reader: Reader) -> None:
        self._folder, self._reader = folder, reader
        self._known: dict[str, tuple[Path, dict, list[float]]] = {}

    def get(self, kind: str, path: Path | None = None) -> tuple[Path, dict, list[float]]:
        if kind not in self._known:
            if path is None:
                path = self.write(kind)
            plain, _ = self._reader.ask(path, [])
            assert plain is not None
            end = plain["frames"][-1][0] or len(plain["frames"]) / 25
            draw = random.Random(f"{SEED} {kind}")
            starts = [0.0, *sorted(draw.uniform(0, end) for _ in range(5)), end]
            self._known[kind] = path, plain, [round(start, 3) for start in starts]
        return self._known[kind]

    def write(self, kind: str) -> Path:
        folder = self._folder / kind
        folder.mkdir()
        if kind in SMALL:
            return FILMS[SMALL[kind]](folder).path
        if kind == "mkv, large":
            return write_film(folder / "large.mkv", frames=8, size=(272, 320)).path
        from PIL import Image

        from tests.zoo.data.film_formats import picture

        Image.fromarray(picture(7, 64, 96)).save(folder / f"picture.{kind}")
        return folder / f"picture.{kind}"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory, reader: Reader) -> Originals:
    return Originals(tmp_path_factory.mktemp("originals"), reader)


def check(reader: Reader, path: Path, sound: dict, starts: list[float]) -> None:
    result = verdict(reader, path, sound, starts)
    record(path.name, result)
    assert result.faults == ()
    assert len(result.refused) + result.delivered == len(starts)


def record(name: str, result: Verdict) -> None:
    """Every outcome is in the test's output, shown when it fails or with `-rP`."""
    words = {text.split(": ", 1)[-1].splitlines()[0] for text in result.refused}
    print(f"{name}: {result.delivered} delivered, {len(result.refused)} refused {sorted(words)} {result.faults}")


def damaged_bytes(kind: str, damage: str, number: int, content: bytes) -> bytes:
    return DAMAGES[damage](content, random.Random(f"{SEED} {kind} {damage} {number}"))


QUICK = [(kind, damage) for at, damage in enumerate(DAMAGES) for kind in (list(SMALL)[at % len(SMALL)],)] + [
    ("mp4", "20 bits of the header"),
    ("mp4", "a range zeroed"),
    ("mp4", "200 bits of the pictures"),
    ("avi", "a range zeroed"),
    ("avi", "a range lost"),
    ("avi", "200 bits of the pictures"),
    ("mkv", "a range overwritten"),
    ("webm", "one bit of the pictures"),
    ("ts", "a range lost"),
    ("gif", "20 bits of the header"),
]


@pytest.mark.parametrize(("kind", "damage"), QUICK, ids=lambda value: value)
def test_a_damaged_film(reader: Reader, originals: Originals, tmp_path: Path, kind: str, damage: str) -> None:
    path, sound, starts = originals.get(kind)
    bad = tmp_path / f"bad{path.suffix}"
    bad.write_bytes(damaged_bytes(kind, damage, 0, path.read_bytes()))
    check(reader, bad, sound, starts)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_header_that_lies(reader: Reader, originals: Originals, tmp_path: Path, claim: str) -> None:
    kind, change = CLAIMS[claim]
    kind = "mkv, large" if claim.startswith("MKV of") else kind
    path, sound, starts = originals.get(kind)
    bad = tmp_path / f"bad{path.suffix}"
    bad.write_bytes(change(path.read_bytes()))
    check(reader, bad, sound, starts)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi"])
@pytest.mark.parametrize("change", REPACKINGS)
def test_packets_in_the_wrong_place(
    reader: Reader, originals: Originals, tmp_path: Path, kind: str, change: str
) -> None:
    path, sound, starts = originals.get(kind)
    bad = tmp_path / f"bad{path.suffix}"
    repacked(path, bad, REPACKINGS[change](random.Random(f"{SEED} {kind} {change}")))
    check(reader, bad, sound, starts)


def test_another_films_pictures(reader: Reader, originals: Originals, tmp_path: Path) -> None:
    path, sound, starts = originals.get("mp4")
    other, *_ = originals.get("mkv, large")
    bad = tmp_path / "bad.mp4"
    another_films_pictures(path, other, bad)
    check(reader, bad, sound, starts)


REAL = [
    "clips/ta_chi.mp4",
    "clips/carphone_pristine.mp4",
    "clips/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "clips/RATRACE_wave_f_nm_np1_fr_goo_37.avi",
    "clips/v_SoccerJuggling_g23_c01.avi",
    "decode/av1_video.mkv",
    "decode/h265_video.mp4",
    "decode/h264_10bits.mp4",
]


def three_hundred() -> list[tuple[str, str, int]]:
    """(film, damage, number): a third of real films, the rest of small ones of every container."""
    draw = random.Random(SEED)
    cases = [(name, damage, 0) for damage in DAMAGES for name in draw.sample(REAL, 7)]
    small = [(kind, damage, number) for number in (1, 2) for kind in SMALL for damage in DAMAGES]
    return cases + draw.sample(small, 300 - len(cases))


@pytest.mark.slow
def test_three_hundred_damaged_films(
    reader: Reader, originals: Originals, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    faults: list[str] = []
    counts = {"refused": 0, "delivered": 0, "partly": 0}
    for at, (kind, damage, number) in enumerate(three_hundred()):
        real = request.getfixturevalue("shared") / kind if kind in REAL else None
        path, sound, starts = originals.get(kind, real)
        bad = tmp_path / f"{at:03d}{path.suffix}"
        bad.write_bytes(damaged_bytes(kind, damage, number, path.read_bytes()))
        began = time.monotonic()
        result = verdict(reader, bad, sound, starts)
        record(f"{at:03d} {kind}, {damage}, {time.monotonic() - began:.1f} s", result)
        if result.faults:
            faults.append(f"{at:03d} {kind}, {damage}: {result.faults}")
        counts["refused" if not result.delivered else "delivered" if not result.refused else "partly"] += 1
        bad.unlink()
    print(counts)
    assert sum(counts.values()) == 300
    assert faults == []
