"""Runs by their folders: whole ones, stopped ones, running ones, and what is left of others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from zoo.cli.runs import runs as command
from zoo.recipe import load_recipe
from zoo.report.run_comparison import overlaid, recipe_differences, short_names
from zoo.runner.folder import RunFolder
from zoo.runner.training_lock import training_lock
from zoo.runs import find_runs, read_run
from zoo_registry.errors import RunError


def make(path: Path, *overrides: str, epochs: int = 2, summary: dict[str, Any] | None = None) -> RunFolder:
    """The folder of a run of three steps an epoch."""
    folder = RunFolder.open(path, load_recipe("quickstart", ["run.epochs=3", *overrides]).data)
    for epoch in range(1, epochs + 1):
        for step in range(3 * epoch - 2, 3 * epoch + 1):
            folder.append(
                {
                    "step": step,
                    "epoch": epoch,
                    "split": "train",
                    "loss": 1 / step,
                    "lr": 0.1,
                    "samples_per_s": 10.0 * step,
                }
            )
        folder.append({"step": 3 * epoch, "epoch": epoch, "split": "val", "accuracy": epoch / 4, "f1/left": 0.1})
    if summary is not None:
        folder.summary.write_text(json.dumps(summary))
    return folder


DONE = {"recipe": "quickstart", "model": "basic/cnn3d", "epochs": 3, "val/accuracy": 0.9, "val/f1/left": 0.2,
        "val/samples": 300, "seconds": 72.5, "energy/kwh": 0.012}  # fmt: skip


def test_a_finished_run_tells_what_it_reached(tmp_path):
    run = read_run(make(tmp_path / "a", epochs=3, summary=DONE).path)
    assert (run.status, run.recipe, run.model) == ("finished", "quickstart", "basic/cnn3d")
    assert (run.epochs, run.epochs_wanted) == (3, 3)
    assert run.metrics == {"val/accuracy": 0.9}
    assert (run.seconds, run.kwh, run.samples_per_s) == (72.5, 0.012, 50.0)
    assert run.notes == ()


def test_a_stopped_run_tells_how_far_it_came(tmp_path):
    folder = make(tmp_path / "a", epochs=2)
    folder.append({"step": 7, "epoch": 3, "split": "train", "loss": 0.1})
    run = read_run(folder.path)
    assert (run.recipe, run.status, run.epochs, run.epochs_wanted) == ("a", "stopped", 2, 3)
    folder.lock.write_text("name: waves\n")
    assert read_run(folder.path).recipe == "waves"
    assert run.metrics == {"val/accuracy": 0.5}


def test_a_run_is_running_while_a_process_trains_in_it(tmp_path):
    folder = make(tmp_path / "a")
    with training_lock(folder.path):
        assert read_run(folder.path).status == "running"
    assert read_run(folder.path).status == "stopped"


def test_the_mark_of_a_killed_process_means_nothing(tmp_path):
    folder = make(tmp_path / "a")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (folder.path / f".training-{socket.gethostname()}-{ended.pid}").touch()
    assert read_run(folder.path).status == "stopped"


def test_runs_are_found_at_any_depth_and_the_newest_comes_first(tmp_path):
    for age, name in enumerate(["new", "sweep/b", "sweep/a"]):
        folder = make(tmp_path / name)
        for file in (folder.recipe, folder.metrics):
            os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "notes").mkdir()
    assert [run.path.relative_to(tmp_path).as_posix() for run in find_runs([tmp_path])] == ["new", "sweep/b", "sweep/a"]
    assert len(find_runs([tmp_path, tmp_path / "new"])) == 3


@pytest.mark.parametrize(
    ("file", "content", "status", "note"),
    [
        ("recipe.resolved.yaml", b"zoo: [1", "damaged", "recipe.resolved.yaml cannot be read"),
        ("recipe.resolved.yaml", b"", "damaged", "recipe.resolved.yaml holds no recipe"),
        ("recipe.resolved.yaml", b"\xff\xfe\x00", "damaged", "recipe.resolved.yaml cannot be read"),
        ("recipe.resolved.yaml", b"{model: 3, run: [x]}", "finished", ""),
        ("summary.json", b'{"epochs": ', "stopped", "summary.json cannot be read"),
        ("summary.json", b'[{"epochs": 3}]', "stopped", "summary.json cannot be read: it holds no JSON object"),
        ("summary.json", b'{"epochs": "three", "val/accuracy": null, "seconds": true}', "finished", ""),
        ("metrics.jsonl", b"\xff\xff\n", "finished", "metrics.jsonl cannot be read"),
        (
            "metrics.jsonl",
            b'3\n{"step": 1, "epoch": "x", "split": "val"}\n',
            "finished",
            "1 lines of metrics.jsonl are no",
        ),
        (
            "metrics.jsonl",
            b'{"step": 1, "epoch": 1, "split": "train", "loss": 2.0}\n{"step": 2, "ep',
            "finished",
            "metrics.jsonl is damaged from line 2 on",
        ),
        ("metrics.jsonl", b'{"ste\n{"step": 2}\n', "finished", "metrics.jsonl is damaged from line 1 on"),
    ],
)
def test_what_is_broken_is_said_in_a_word(tmp_path, file, content, status, note):
    make(tmp_path / "a", summary=DONE)
    make(tmp_path / "b", summary=DONE)
    (tmp_path / "a" / file).write_bytes(content)
    run = next(run for run in find_runs([tmp_path]) if run.path.name == "a")
    assert run.status == status
    assert "; ".join(run.notes).startswith(note)
    for options in ([], ["--json"]):
        done = CliRunner().invoke(command, [str(tmp_path), *options], catch_exceptions=False)
        assert done.exit_code == 0


def test_rows_that_a_finished_run_has_lost_are_said_to_be_missing(tmp_path):
    folder = make(tmp_path / "a", summary=DONE)
    folder.metrics.unlink()
    assert read_run(folder.path).notes == ("metrics.jsonl is missing",)
    folder.summary.write_text(json.dumps({**DONE, "epochs": 0}))  # such a run has no rows
    assert read_run(folder.path).notes == ()


def test_a_run_under_way_may_be_writing_a_line(tmp_path):
    folder = make(tmp_path / "a")
    with folder.metrics.open("a") as file:
        file.write('{"step": 7, "ep')
    with training_lock(folder.path):
        assert read_run(folder.path).notes == ()
    assert read_run(folder.path).notes == ("metrics.jsonl is damaged from line 9 on",)


def test_a_page_of_broken_runs_is_written_all_the_same(tmp_path):
    for name, content in (("a", b"{"), ("b", b"")):
        folder = make(tmp_path / name)
        folder.recipe.write_bytes(content)
        folder.metrics.write_bytes(content)
    page = tmp_path / "page.html"
    assert CliRunner().invoke(command, [str(tmp_path), "--html", str(page)], catch_exceptions=False).exit_code == 0
    assert "recipe.resolved.yaml holds no recipe" in page.read_text()


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RunError, match="there is no folder"):
        find_runs([tmp_path / "none"])


def test_the_command_prints_a_row_or_an_object_for_each_run(tmp_path):
    make(tmp_path / "a", summary=DONE)
    make(tmp_path / "b")
    lines = CliRunner().invoke(command, [str(tmp_path)]).output.splitlines()
    assert len(lines) == 2
    assert any("finished\t3/3\tval/accuracy 0.9" in line for line in lines)
    objects = [json.loads(line) for line in CliRunner().invoke(command, [str(tmp_path), "--json"]).output.splitlines()]
    assert {each["status"]: each["kwh"] for each in objects} == {"finished": 0.012, "stopped": None}


def test_curves_of_a_quantity_lie_over_one_another():
    rows = {
        "a": [{"step": 1, "split": "train", "loss": 2.0}, {"step": 1, "split": "val", "loss": 1.0, "accuracy": 0.5}],
        "b": [{"step": 5, "split": "val", "loss": 3.0}],
    }
    found = {series.title: series.curves for series in overlaid(rows)}
    assert found == {
        "Loss · train": {"a": [(1.0, 2.0)]},
        "Loss · val": {"a": [(1.0, 1.0)], "b": [(5.0, 3.0)]},
        "Accuracy · val": {"a": [(1.0, 0.5)]},
    }


def test_values_that_differ_in_any_recipe_have_a_row():
    recipes = [
        {"run": {"epochs": 3, "batch": 8}},
        {"run": {"epochs": 5, "batch": 8}},
        {"run": {"epochs": 3, "seed": 1}},
    ]
    table = recipe_differences(["a", "b", "c"], recipes)
    assert list(table.rows) == [
        ("run.epochs", "3", "5", "3"),
        ("run.batch", "8", "8", "absent"),
        ("run.seed", "absent", "absent", "1"),
    ]
    assert recipe_differences(["a", "b"], [recipes[0], recipes[0]]).note == "The recipes are the same."


def test_names_are_what_tells_paths_apart(tmp_path):
    assert short_names([tmp_path / "runs/a", tmp_path / "runs/sweep/b"]) == ["a", "sweep/b"]
    assert short_names([tmp_path / "runs/a"]) == ["a"]


def test_the_page_is_one_file_with_a_picture_for_each_quantity(tmp_path):
    class Page(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.sources: list[str] = []
            self.text = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.sources += [str(value) for key, value in attrs if key in ("src", "href")]

        def handle_data(self, data: str) -> None:
            self.text += data

    make(tmp_path / "runs/a", summary=DONE)
    make(tmp_path / "runs/<b>", "run.batch=3")
    page = tmp_path / "out" / "page.html"
    done = CliRunner().invoke(command, [str(tmp_path / "runs"), "--html", str(page)], catch_exceptions=False)
    assert done.output.strip() == str(page)
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    seen = Page()
    seen.feed(page.read_text())
    pictures = [source for source in seen.sources if source.startswith("data:image/png")]
    assert len(pictures) == 4  # the loss, the accuracy, the classes' F1, the learning rate
    assert all(source.startswith(("data:", "#")) for source in seen.sources)
    assert "run.batch" in seen.text
    assert "<b>" in seen.text
