"""`zoo stream`, as its users meet it: JSON lines, mistakes in words, an end in good order whatever ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest

import zoo
from tests.test_main_job import zoo as run_zoo
from tests.zoo.data.films import write_numbered_film
from zoo.artefact import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder `model`, one with other labels, one whose task tells none, and a film of ten seconds."""
    folder = tmp_path_factory.mktemp("stream")
    for name, labels in (("model", ("dark", "bright")), ("other", ("cat", "dog")), ("features", ())):
        made = zoo.load("basic/cnn3d", pretrained=False, num_classes=2, clip={"frames": 4, "stride": 2})
        save_model(
            folder / name, made.network, model=made.name, params=made.params, clip=made.clip, labels=labels,
            task={"name": "tasks/contrastive", "params": {}} if name == "features" else made.task, num_classes=2,
        )  # fmt: skip
    write_numbered_film(folder / "film.mp4", 250, rate=25, size=(64, 64), level=lambda number: number)
    return folder


def test_answers_are_json_lines_and_the_summary_goes_to_standard_error(folder: Path) -> None:
    said = run_zoo("stream", "./model", "film.mp4", "--fast", "--stride", "25", "--seconds", "4", cwd=folder)
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert [line["start"] for line in lines] == [0.0, 1.0, 2.0, 3.0]
    assert [line["end"] for line in lines] == pytest.approx([0.28, 1.28, 2.28, 3.28])
    assert all(set(line) == {"start", "end", "top5", "latency_ms", "dropped"} for line in lines)
    assert {row["label"] for row in lines[0]["top5"]} == {"dark", "bright"}
    assert "windows of 4 frames over 0.28 s, 32x32, every 25 frames (1.00 s)" in said.stderr
    assert "4 windows in" in said.stderr
    assert "0 dropped" in said.stderr


def test_a_fallback_is_called_what_it_was_given_as(folder: Path) -> None:
    """It may be of the same architecture as the model."""
    shutil.copytree(folder / "model", folder / "again")
    words = ["./model", "film.mp4", "--fast", "--stride", "1", "--budget", "0.1", "--fallback", "./again"]
    said = run_zoo("stream", *words, cwd=folder)
    assert "; now the fallback ./again instead of ./model" in said.stderr
    assert " of 0.1 ms; now" in said.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: signal.Signals, folder: Path) -> None:
    """The film that is being written can be played, and the summary is there."""
    words = ["stream", "./model", "film.mp4", "--stride", "2", "--out", f"{number.name}.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(5):
        json.loads(process.stdout.readline())
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "windows in" in said
    assert f"stopped by {number.name} after" in said
    assert f"{number.name}.mp4 is whole" in said
    with av.open(str(folder / f"{number.name}.mp4")) as film:
        frames = sum(1 for _ in film.decode(video=0))
    assert 5 < frames < 250
    assert [path.name for path in folder.iterdir() if "partial" in path.name] == []


def test_it_ends_quietly_when_nobody_reads_on(folder: Path) -> None:
    command = f"{sys.executable} -m zoo.cli stream ./model film.mp4 --fast | head -n 1"
    done = subprocess.run(command, shell=True, cwd=folder, text=True, capture_output=True, timeout=60)
    assert json.loads(done.stdout)["start"] == 0.0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["./model", "nowhere.mp4"], "nowhere.mp4: there is no such file"),
        (["./model", "camera:77"], "there is no camera '77'"),
        (["./model", "udp://127.0.0.1:1"], "is no address that can be streamed"),
        (["./model", "http://127.0.0.1:1/x"], "http://127.0.0.1:1/x: connection refused"),
        (["./nothing", "film.mp4"], "nothing"),
        (["./features", "film.mp4"], "cannot answer to a stream: the contrastive task reads features"),
        (["./model", "film.mp4", "--out", "seen.txt"], "is no name of a film"),
        (["./model", "film.mp4", "--out", "film.mp4"], "is what is read"),
        (["./model", "film.mp4", "--budget", "0"], "Invalid value for '--budget'"),
        (["./model", "film.mp4", "--stride", "0"], "Invalid value for '--stride'"),
        (["./model", "film.mp4", "--fallback", "./model"], "--fallback is for when"),
        (["./model", "film.mp4", "--budget", "100", "--fallback", "./other"], "./other has other labels than ./model"),
        (["./model", "film.mp4", "--window", "2"], "basic/cnn3d does not spread its frames over one"),
    ],
)
def test_mistakes_are_said_in_words(
    words: list[str], reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # the command sets it, and torch's threads unless they are given:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what runs in this process would stay behind
    with pytest.raises(SystemExit) as ended:
        main(["stream", *words])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert reason in said.err
    assert said.out == ""


@pytest.mark.skipif("DISPLAY" in os.environ, reason="there is a screen here")
def test_a_machine_without_a_screen_is_told_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # the command sets it, and torch's threads unless they are given:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what runs in this process would stay behind
    with pytest.raises(SystemExit):
        main(["stream", "./model", "film.mp4", "--show"])
    assert "no window can be shown" in capsys.readouterr().err
