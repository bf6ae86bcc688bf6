"""Recipes on the Hub: pushed alone, run, extended and copied by their address, and repeated under their lock."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_main_job import zoo

from .server import HubServer

TINY = (
    "# six tones, told apart\nzoo: 1\nmodel: basic/cnn3d\ntask: classification\nloss: cross_entropy\n"
    "data:\n  train: {name: acme/tones, params: {films: 6}}\n  val: {name: acme/tones, params: {films: 6}}\n"
    "  workers: 0\noptim: adam\nrun: {epochs: 1, device: cpu}\n"
)


@pytest.fixture
def place(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recipe, and an environment in which the loopback server is the Hub."""
    for name, value in hub.environment(tmp_path / "home", "hf_writer").items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


def test_a_recipe_alone_is_pushed_as_it_was_written_and_travels(place: Path) -> None:
    planned = zoo("push", "tiny.yaml", "--to", "me/tones", "--licence", "apache-2.0", "--dry-run", cwd=place).stdout
    assert "recipe.resolved.yaml" in planned
    assert "zoo run hf://me/tones" in planned
    assert "| model | `basic/cnn3d` |" in planned
    uri = zoo("push", "tiny.yaml", "--to", "me/tones", "--licence", "apache-2.0", cwd=place).stdout.strip()
    assert uri.startswith("hf://me/tones@")
    zoo("recipe", "copy", uri, "--to", "copied.yaml", cwd=place)
    assert (place / "copied.yaml").read_text() == f"# Copied from {uri}\n{TINY}"
    (place / "more.yaml").write_text(f"zoo: 1\nextends: {uri}\nrun: {{epochs: 2}}\n")
    assert "run.epochs" in zoo("diff", "more.yaml", uri, cwd=place).stdout
    assert "fine" in zoo("check", "hf://me/tones", cwd=place).stdout


def test_what_only_this_machine_has_is_left_out(place: Path) -> None:
    (place / "more.yaml").write_text("zoo: 1\nextends: ./tiny.yaml\nrun: {epochs: 2}\n")
    planned = zoo("push", "more.yaml", "--to", "file:shared", "--licence", "mit", "--dry-run", cwd=place).stdout
    assert "extends" not in planned
    assert "epochs: 2" in planned


def test_a_recipe_needs_a_licence_and_takes_the_place_of_no_model(
    place: Path, hub: HubServer, files: dict[str, bytes]
) -> None:
    said = zoo("push", "tiny.yaml", "--to", "me/tones", cwd=place, code=2).stderr
    assert "under which licence the recipe is published" in said
    hub.put("me/model", files)
    said = zoo("push", "tiny.yaml", "--to", "me/model", "--licence", "mit", cwd=place, code=2).stderr
    assert "me/model holds a model, and would lose it" in said
    (place / "shared").mkdir()
    (place / "shared" / "model.json").write_text("{}")
    said = zoo("push", "tiny.yaml", "--to", "file:shared", "--licence", "mit", cwd=place, code=2).stderr
    assert "holds a model" in said
    assert [path.name for path in (place / "shared").iterdir()] == ["model.json"]


def test_a_pushed_run_is_repeated_from_its_repository_under_its_lock(place: Path) -> None:
    zoo("run", "tiny.yaml", "--out", "first", cwd=place)
    uri = zoo("push", "first", "--to", "me/model", "--licence", "mit", cwd=place).stdout.strip()
    zoo("run", uri, "--locked", "--out", "again", cwd=place)
    rows = [json.loads(line) for line in zoo("diff", "first", "again", "--json", cwd=place).stdout.splitlines()]
    reached = {row["name"] for row in rows if row["section"] == "reached"}
    assert {name for name in reached if not name.startswith("energy/")} <= {"recipe", "seconds"}
    said = zoo("run", uri, "--locked", "--set", "data.train.params.films=9", cwd=place, code=2).stderr
    assert "data.train was" in said


@pytest.mark.parametrize(
    ("publishing", "token", "said"),
    [
        ("{repo: me/x, licence: mit, tag: v 1}", "hf_writer", "'v 1' cannot be a tag"),
        ("{repo: me/x, licence: mit}", "hf_wrong", "does not accept this token"),
        ("{repo: me/there, licence: mit, tag: v1}", "hf_writer", "has a tag 'v1' already"),
        ("{repo: 'file:full', licence: mit}", "hf_writer", "holds other things than a model"),
        ("{repo: me/x, licence: apche-2.0}", "hf_writer", "did you mean apache-2.0"),
    ],
)
def test_what_publishing_would_refuse_is_said_before_the_first_step(
    publishing: str, token: str, said: str, place: Path, hub: HubServer, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/there", files)
    hub.repositories["me/there"].tags["v1"] = commit
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    (place / "tiny.yaml").write_text(f"{TINY}publish: {publishing}\n")
    done = zoo("run", "tiny.yaml", "--out", "first", cwd=place, code=2, HF_TOKEN=token)
    assert said in done.stderr
    assert "tiny.yaml:12:" in done.stderr
    assert not (place / "first").exists()
