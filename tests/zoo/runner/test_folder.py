from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.zoo.runner.in_memory import recipe
from zoo.runner.folder import RunFolder
from zoo_registry.errors import RunError


def data(**run):
    return recipe(**run).model_dump(mode="json")


def test_a_new_folder_holds_the_recipe(tmp_path):
    folder = RunFolder.open(tmp_path / "deep" / "run", data())
    assert "epochs: 2" in folder.recipe.read_text()


def test_a_run_is_gone_back_to_with_its_own_recipe(tmp_path):
    RunFolder.open(tmp_path / "run", data())
    assert RunFolder.open(tmp_path / "run", data(), resume=True).path == tmp_path / "run"


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_of_another_recipe_is_refused_and_the_first_differences_named(tmp_path, resume):
    RunFolder.open(tmp_path / "run", data())
    with pytest.raises(RunError, match="belongs to a run of another recipe: ") as caught:
        RunFolder.open(tmp_path / "run", data(epochs=7, batch=2), resume=resume)
    assert "run.epochs is 2 there and 7 here; run.batch is 4 there and 2 here" in str(caught.value)


def test_a_run_is_not_written_over(tmp_path):
    folder = RunFolder.open(tmp_path / "run", data())
    folder.append({"step": 1})
    with pytest.raises(RunError, match="already holds this run"):
        RunFolder.open(tmp_path / "run", data())


def test_a_run_that_failed_before_its_first_step_may_be_started_again(tmp_path):
    folder = RunFolder.open(tmp_path / "run", data())
    folder.lock.touch()
    assert RunFolder.open(tmp_path / "run", data()).path == tmp_path / "run"


def test_a_run_that_failed_before_its_first_step_still_belongs_to_its_recipe(tmp_path):
    RunFolder.open(tmp_path / "run", data())
    with pytest.raises(RunError, match="belongs to a run of another recipe"):
        RunFolder.open(tmp_path / "run", data(epochs=7))


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(RunError, match=r"there is no run in .* to resume"):
        RunFolder.open(tmp_path / "run", data(), resume=True)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(RunError, match="is not empty and holds no run"):
        RunFolder.open(tmp_path, data())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write to .*file/run: Not a directory"):
        RunFolder.open(tmp_path / "file" / "run", data())


def test_fresh_folders_are_numbered(tmp_path):
    assert RunFolder.fresh("mine", tmp_path) == tmp_path / "mine"
    assert RunFolder.fresh("mine", tmp_path) == tmp_path / "mine-2"
    assert RunFolder.fresh("mine", tmp_path) == tmp_path / "mine-3"


def test_runs_that_start_together_get_a_folder_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: RunFolder.fresh("mine", tmp_path), range(8)))
    assert len(set(folders)) == 8
    assert RunFolder.open(folders[0], data()).recipe.is_file()


def test_a_place_for_runs_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(RunError, match=r"cannot write to .*runs/mine: File exists"):
        RunFolder.fresh("mine", tmp_path / "runs")


def test_rows_come_back_and_what_is_not_finite_is_null(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append({"step": 1, "loss": 0.5, "f1/wave": float("nan")})
    (row,) = folder.history()
    assert (row["step"], row["loss"], row["f1/wave"]) == (1, 0.5, None)
    json.loads(folder.metrics.read_text(), parse_constant=pytest.fail)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said_in_words(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write .*metrics\.jsonl: no space left on device") as caught:
        folder.append({"step": 1})
    assert "free some space" in str(caught.value)


def test_metrics_are_cut_back_to_where_they_were(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append({"step": 1})
    size = folder.metrics_bytes()
    folder.append({"step": 2})
    folder.cut_back(size)
    folder.append({"step": 3})
    assert [row["step"] for row in folder.history()] == [1, 3]


def test_a_line_that_a_killed_run_left_half_written_is_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append({"step": 1})
    with folder.metrics.open("a") as file:
        file.write('{"step": 2, "lo')
    assert [row["step"] for row in folder.history()] == [1]


def test_importing_the_runner_imports_no_torch():
    code = "import zoo.runner, zoo.runner.folder, zoo.runner.progress, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
