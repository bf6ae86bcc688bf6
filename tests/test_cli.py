"""The command line, as its users meet it: in fresh processes, mistakes included."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_main_job import zoo

COMMANDS = [
    "run", "predict", "explain-prediction", "stream", "evaluate", "verify", "models", "show", "convert", "search",
    "pull", "push", "plugins", "recipes", "diff", "runs", "check", "explain", "schema", "doctor",
]  # fmt: skip


def test_help_lists_every_command(tmp_path: Path) -> None:
    said = zoo("--help", cwd=tmp_path).stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in said] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str, tmp_path: Path) -> None:
    assert f"Example:  zoo {command}" in zoo(command, "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("words", [["--help"], ["models"], ["plugins"], ["check", "quickstart"], ["schema"]])
def test_listing_and_checking_import_no_torch(words: list[str], tmp_path: Path) -> None:
    zoo(*words, cwd=tmp_path)  # the second time signatures and families come from the cache
    probe = (
        "import sys; from zoo.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, check=True, capture_output=True, timeout=120)


def test_models_lists_over_1300_names_one_a_line_in_a_pipe(tmp_path: Path) -> None:
    names = [line.split("\t")[0] for line in zoo("models", cwd=tmp_path).stdout.splitlines()]
    assert len(names) > 1300
    assert {"basic/cnn3d", "torchvision/r3d_18", "timm/resnet18", "acme/tiny3d"} <= set(names)


def test_models_takes_a_pattern(tmp_path: Path) -> None:
    found = zoo("models", "torchvision/swin3d_*", cwd=tmp_path).stdout.splitlines()
    assert [line.split("\t")[0] for line in found] == [f"torchvision/swin3d_{size}" for size in "bst"]


def test_models_prints_json_lines(tmp_path: Path) -> None:
    (row,) = map(json.loads, zoo("models", "r3d_18", "--json", cwd=tmp_path).stdout.splitlines())
    assert row["name"] == "torchvision/r3d_18"
    assert "k400" in row["weights"]


def test_show_tells_what_a_model_wants_and_where_its_weights_are(tmp_path: Path) -> None:
    said = zoo("show", "r3d_18", cwd=tmp_path).stdout
    assert "33,371,472" in said  # with 400 classes, as torchvision publishes it
    assert "accuracy 0.632, top5 0.83479 (claimed by torchvision" in said
    assert "16 frames" in said


def test_models_are_sorted_and_limited_by_size(tmp_path: Path) -> None:
    words = ["models", "--sort", "params", "--task", "classification", "--max-gmacs", "10", "--json"]
    said = zoo(*words, cwd=tmp_path)
    rows = [json.loads(line) for line in said.stdout.splitlines()]
    assert {"video/x3d_xs", "video/x3d_s", "video/x3d_m", "basic/cnn3d"} <= {row["name"] for row in rows}
    assert all(row["gmacs"] <= 10 for row in rows)
    sizes = [row["parameters"] for row in rows]
    assert sizes == sorted(sizes)
    assert "models do not declare gmacs and were left out" in said.stderr  # all of timm


def test_models_show_licences_and_mark_those_that_forbid_commercial_use(tmp_path: Path) -> None:
    (line,) = zoo("models", "timm/vit_base_patch16_224", "--license", cwd=tmp_path).stdout.splitlines()
    assert "cc-by-nc-4.0 (no commercial use)" in line  # that of the masked autoencoder's weights
    assert "apache-2.0" in line


def test_show_counts_what_a_model_costs_and_draws_it(tmp_path: Path) -> None:
    said = zoo("show", "x3d_s", "--diagram", "x3d.svg", cwd=tmp_path).stdout
    assert "3,794,274 parameters, 1.96" in said  # as measured on the original
    picture = (tmp_path / "x3d.svg").read_text()
    assert picture.startswith("<?xml")
    assert "3,794,274 parameters" in picture


def test_show_tells_what_it_can_of_a_model_whose_packages_are_missing(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["transformers"] = None
from zoo.cli import main
main(sys.argv[1:])
"""
    environment = {**os.environ, "ZOO_CACHE": str(tmp_path)}

    def show(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, "show", "videomae_s", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    said = show()
    assert (said.returncode, said.stderr) == (0, "")
    assert "16 frames" in said.stdout
    assert 'pip install "videozoo[transformers]"' in said.stdout
    drawn = show("--diagram", "model.svg")
    assert drawn.returncode == 2
    assert 'pip install "videozoo[transformers]"' in drawn.stderr


def test_show_draws_models_only_and_only_as_pictures(tmp_path: Path) -> None:
    assert "draws models" in zoo("show", "l1", "--diagram", "x.svg", cwd=tmp_path, code=2).stderr
    assert "writes .svg or .png" in zoo("show", "x3d_s", "--diagram", "x.pdf", cwd=tmp_path, code=2).stderr


def test_show_lists_the_parameters_of_a_loss(tmp_path: Path) -> None:
    assert "label_smoothing" in zoo("show", "cross_entropy", cwd=tmp_path).stdout


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    assert "'predict'" in zoo("predcit", cwd=tmp_path, code=2).stderr


def test_an_unknown_component_names_the_nearest_and_its_provider(tmp_path: Path) -> None:
    said = zoo("show", "r3d_81", cwd=tmp_path, code=2).stderr
    assert "torchvision/r3d_18" in said
    assert "Traceback" not in said


def test_an_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    assert "quickstart" in zoo("run", "quikstart", cwd=tmp_path, code=2).stderr


def test_all_mistakes_of_a_recipe_are_reported_at_once_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "zoo: 1\n"
        "task: classification\n"
        "model: {name: cnn3e}\n"
        "data:\n"
        "  train: {name: motions, params: {trian: 4}}\n"
        "loss: cross_entropy\n"
        "optim: {name: adamv}\n"
        "run: {epoch: 3, batch: many}\n"
    )
    said = zoo("check", "bad.yaml", cwd=tmp_path, code=2).stderr
    for place, words in {
        "bad.yaml:3:15": "basic/cnn3d",
        "bad.yaml:5:35": "count",
        "bad.yaml:7:15": "adamw",
        "bad.yaml:8:7": "epochs",
        "bad.yaml:8:24": "batch",
    }.items():
        assert place in said, said
        assert words in said


def test_explain_says_where_each_value_comes_from(tmp_path: Path) -> None:
    said = zoo("explain", "quickstart", "--set", "run.epochs=2", cwd=tmp_path).stdout
    (line,) = [line for line in said.splitlines() if line.strip().startswith("epochs:")]
    assert "2" in line
    assert "--set run.epochs=2" in line


def test_schema_is_a_json_schema(tmp_path: Path) -> None:
    schema = json.loads(zoo("schema", cwd=tmp_path).stdout)
    assert {"task", "model", "data", "augment", "loss", "optim", "run"} <= set(schema["properties"])


def test_doctor_finds_torch_and_the_codecs(tmp_path: Path) -> None:
    said = zoo("doctor", cwd=tmp_path).stdout
    assert "torch threads" in said
    assert "h264" in said


def test_plugins_lists_the_third_party_plugin(tmp_path: Path) -> None:
    rows = [line.split("\t") for line in zoo("plugins", cwd=tmp_path).stdout.splitlines()]
    (acme,) = [row for row in rows if row[0] == "acme"]
    assert acme[1:4] == ["zoo-acme", acme[2], "loaded"]


def test_predict_reports_a_bad_film_and_still_predicts_the_others(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "recipe.yaml").write_text(
        "zoo: 1\ntask: classification\nmodel: cnn3d\ndata: {val: motions}\nrun: {epochs: 0}\n"
    )
    zoo("run", "recipe.yaml", "--out", "run", cwd=tmp_path)
    done = zoo("predict", "./run", "empty.mp4", shared / "clips/ta_chi.mp4", "--json", cwd=tmp_path, code=2)
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["video"].endswith("ta_chi.mp4")
    assert "empty.mp4" in done.stderr
    assert "Traceback" not in done.stderr


def test_warnings_of_the_zoo_and_of_plugins_are_said_once_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    import zoo_plugins
    from zoo.cli import _show_warning

    others: list[object] = []
    ours, theirs = Path(zoo_plugins.__file__).parent / "tasks/teacher.py", Path("/elsewhere/library.py")
    for path in (ours, ours, theirs):
        _show_warning(lambda *told: others.append(told), UserWarning("the teacher sleeps"), UserWarning, str(path), 1)
    assert capsys.readouterr().err == "warning: the teacher sleeps\n"
    assert len(others) == 1
