"""The main job: one recipe, real films, from one command to a report."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import zoo as videozoo


def zoo(*words: object, cwd: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a fresh process."""
    import os

    command = [sys.executable, "-m", "zoo.cli", *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True, timeout=600
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished quickstart run."""
    folder = tmp_path_factory.mktemp("quickstart")
    zoo("run", "quickstart", "--out", "run", cwd=folder)
    return folder / "run"


def test_quickstart_learns_to_tell_motions_apart(quickstart: Path) -> None:
    summary = json.loads((quickstart / "summary.json").read_text())
    assert summary["val/samples"] >= 300
    assert summary["val/accuracy"] >= 0.98


def test_one_frame_shows_no_motion(tmp_path: Path) -> None:
    """Six classes: chance is 16.7 %. What the single frame gives away must stay below 25 %."""
    zoo(
        "run",
        "quickstart",
        "--set",
        "data.clip.frames=1",
        "--set",
        "compress=null",
        "--set",
        "export=null",
        "--out",
        "run",
        cwd=tmp_path,
    )
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["val/accuracy"] < 0.25


def test_a_run_leaves_everything_it_promises(quickstart: Path) -> None:
    promised = ["recipe.resolved.yaml", "zoo.lock", "metrics.jsonl", "summary.json", "report.html", "model.onnx"]
    promised += ["model/model.safetensors", "model/model.json", "model/labels.json", "checkpoints", "events"]
    assert [name for name in promised if not (quickstart / name).exists()] == []
    assert len(list((quickstart / "figures").glob("*.png"))) >= 4


def test_compression_is_measured_before_and_after(quickstart: Path) -> None:
    summary = json.loads((quickstart / "summary.json").read_text())
    assert summary["compressed/accuracy"] >= 0.9
    assert "prune_magnitude" in (quickstart / "report.html").read_text()


def test_the_exported_file_answers_like_the_model(quickstart: Path) -> None:
    summary = json.loads((quickstart / "summary.json").read_text())
    assert summary["export/onnx/max_difference"] < 1e-3


def test_a_finished_run_predicts_what_a_film_shows(quickstart: Path, cache: Path) -> None:
    films = [
        film
        for motion in ("left", "up", "counter_clockwise")
        for film in sorted(cache.glob(f"motions/*/*_{motion}.mp4"))[:2]
    ]
    done = zoo("predict", quickstart, "--json", *films, cwd=quickstart)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    said = [row["top5"][0]["label"] for row in rows]
    assert said == ["left", "left", "up", "up", "counter_clockwise", "counter_clockwise"]


def test_an_explanation_marks_what_moves_while_it_moves(quickstart: Path, tmp_path: Path) -> None:
    """A square of noise on still ground, half a film high, drifts to the left from 0.33 s to 0.8 s and rests else."""
    square, frames = (slice(60, 132), slice(60, 132)), 16
    rng = np.random.default_rng(0)
    ground, noise = (rng.integers(0, 256, (12, side, 3), np.uint8) for side in (12, 24))
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 144, 144, "yuv420p"
        for number in range(frames):
            picture = np.asarray(
                Image.fromarray(ground // 3 + 80).convert("L").resize((144, 144)).convert("RGB")
            ).copy()
            shift = 4 * min(max(number - 5, 0), 7)
            picture[square] = np.asarray(Image.fromarray(noise).resize((144, 72)))[:, shift : shift + 72]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    explanation = videozoo.explain(quickstart, tmp_path / "film.mp4")
    assert explanation.label == "left"
    frame, row, column = np.unravel_index(explanation.map_thw.argmax(), explanation.map_thw.shape)
    assert 5 <= frame <= 12
    assert 60 <= row * 144 / 32 <= 132
    assert 60 <= column * 144 / 32 <= 132


def test_evaluating_a_run_again_gives_its_numbers(quickstart: Path) -> None:
    summary = json.loads((quickstart / "summary.json").read_text())
    measured = json.loads(zoo("evaluate", quickstart, "--json", cwd=quickstart).stdout)
    assert measured["accuracy"] == pytest.approx(summary["compressed/accuracy"], abs=1e-6)


def test_the_resolved_recipe_can_be_run_again(quickstart: Path, tmp_path: Path) -> None:
    zoo("check", quickstart / "recipe.resolved.yaml", cwd=tmp_path)


def test_the_textbook_case_learns_from_a_thousand_pictures(tmp_path: Path) -> None:
    zoo("run", "textbook", "--out", "run", cwd=tmp_path)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["val/samples"] + summary["test/samples"] == 300
    assert summary["test/accuracy"] > 0.5  # ten classes: chance is 10 %
    assert {"test/recall", "test/f1"} <= set(summary)
