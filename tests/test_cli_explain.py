"""`zoo explain-prediction`, as its users meet it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.test_main_job import zoo
from tests.zoo.data.films import write_numbered_film
from tests.zoo.explanation.test_explanation import save
from zoo import explain as zoo_explain
from zoo.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:nothing in this clip speaks for the label")  # weights are random

Explain = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder and a film."""
    folder = tmp_path_factory.mktemp("explain")
    save(folder / "model")
    write_numbered_film(folder / "film.mp4", 20, size=(64, 96))
    return folder


def test_it_prints_the_label_and_writes_a_film_and_a_strip(folder: Path) -> None:
    words = ["./model", "film.mp4", "--label", "up", "--start", "0.5", "--out", "why", "--json"]
    done = zoo("explain-prediction", *words, cwd=folder)
    said = json.loads(done.stdout)
    assert (said["video"], said["label"], said["method"]) == ("film.mp4", "up", "grad_cam")
    assert 0 < said["score"] < 1
    assert (said["start"], said["end"]) == (pytest.approx(0.5), pytest.approx(1.2))
    assert said["film"] == str(Path("why", "film.explained.mp4"))
    with av.open(str(folder / said["film"])) as film:
        assert len(list(film.decode(video=0))) == 7
    assert Image.open(folder / said["strip"]).format == "PNG"
    assert sorted(path.name for path in (folder / "why").iterdir()) == ["film.explained.mp4", "film.explained.png"]


@pytest.fixture
def explain(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Runs the command in this process, from the folder; gives its exit code and what it said."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command sets its own

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["explain-prediction", *words])
        return int(end.value.code or 0), *capsys.readouterr()

    return run


def test_without_json_it_prints_the_answer_and_the_files(explain: Explain) -> None:
    code, said, _ = explain("./model", "film.mp4", "--out", "plain")
    lines = said.splitlines()
    assert code == 0
    assert lines[0].split()[0] in ("left", "right", "up")
    assert lines[0].endswith("(by grad_cam)")
    assert lines[1:] == [str(Path("plain", f"film.explained.{ending}")) for ending in ("mp4", "png")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["./model", "film.mp4", "--label", "rigth"], "did you mean 'right'?"),
        (["./model", "film.mp4", "--method", "gradcam"], "did you mean grad_cam"),
        (["./model", "film.mp4", "--method", "attention_rollout"], "these do: grad_cam"),
        (["./model", "nothing.mp4"], "nothing.mp4: there is no such file"),
        (["./model", "film.mp4", "--start", "7"], "there is nothing from 7 s"),
        (["torchvision/r3d_19.k400", "film.mp4"], "did you mean"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(
    explain: Explain, folder: Path, words: list[str], said: str
) -> None:
    code, _, complaint = explain(*words, "--out", "none")
    assert code == 2
    assert said in complaint
    assert not (folder / "none").exists()


def test_a_film_that_is_damaged_between_the_moments_that_the_model_saw_leaves_nothing(
    explain: Explain, folder: Path
) -> None:
    """It sees frames 0, 8, 16 and 24, and 4 is broken: that is met while the film is being written."""
    save(folder / "sparse", stride=8)
    rng = np.random.default_rng(0)
    with av.open(str(folder / "whole.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(25):
            picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    with av.open(str(folder / "whole.mp4")) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place, size = packets[4].pos, packets[4].size
    content = bytearray((folder / "whole.mp4").read_bytes())
    content[place + 20 : place + size] = bytes(size - 20)
    (folder / "damaged.mp4").write_bytes(content)
    assert zoo_explain("./sparse", "damaged.mp4").score > 0
    code, _, complaint = explain("./sparse", "damaged.mp4", "--out", "halfway")
    assert code == 2
    assert "damaged.mp4: its pictures are damaged at 0.40 s" in complaint
    assert not list((folder / "halfway").iterdir())
