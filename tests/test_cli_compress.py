"""`zoo compress`: a trained run made smaller, ways searched, wrong words refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import zoo
from tests.zoo.runner.test_compression import RECIPE
from zoo.cli import main
from zoo.compress.search import Trial, grid, pareto_front, tree_parzen
from zoo.compress.strategy_words import parse_strategy
from zoo.recipe import check_recipe, load_recipe


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    longer = {**RECIPE, "run": {"epochs": 4, "batch": 8}}
    return zoo.run(longer, quiet=True, out=tmp_path_factory.mktemp("runs") / "trained").folder


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["compress", *map(str, words)])
    return int(ended.value.code or 0)


def test_a_run_is_compressed_without_being_trained_again(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small"
    assert command(trained, "--with", "prune_magnitude:amount=0.5", "--with", "cast_bf16", "--out", out) == 0
    said = capsys.readouterr().out
    assert "compress/prune_magnitude" in said
    assert "speedup" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["steps"] == 0
    assert summary["val/loss"] == pytest.approx(json.loads((trained / "summary.json").read_text())["val/loss"])
    assert [step["strategy"] for step in zoo.load(out).structure] == ["compress/prune_magnitude", "compress/cast_bf16"]


def test_a_bound_that_is_missed_is_exit_code_2(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cast, erase = ("--with", "cast_bf16"), ("--with", "prune_magnitude:amount=0.9999")
    assert command(trained, *cast, *erase, "--max-drop", 0.01, "--out", tmp_path / "run") == 2
    assert "compress/prune_magnitude cost more than its max_drop of 0.01: accuracy is" in capsys.readouterr().err
    assert [step["strategy"] for step in zoo.load(tmp_path / "run").structure] == ["compress/cast_bf16"]


def test_a_grid_leaves_the_ways_that_none_other_beats_as_recipes(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "search"
    space = ("--with", "?prune_magnitude:amount=0.3|0.99999|0.5", "--with", "?cast_bf16")
    assert command(trained, *space, "--search", "grid", "--cost", "bytes", "--out", out) == 0
    rows = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert {len(row["compress"]) for row in rows} == {0, 1, 2}
    cheapest = yaml.safe_load((out / "front/01.yaml").read_text())
    assert cheapest["compress"][-1]["name"].endswith("cast_bf16")  # nothing else makes the file smaller
    for recipe in (out / "front").glob("*.yaml"):
        loaded = load_recipe(recipe)
        assert check_recipe(loaded) == []
        assert loaded.schema.run.epochs == 0
    assert "No other way beats these" in capsys.readouterr().out
    assert (out / "report.html").is_file()
    best = max(row["quality"] for row in rows)
    front = [row for row in rows if row["quality"] == best]
    assert front


def test_a_search_goes_on_past_a_way_that_fails(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "search"
    space = ("--with", "?cast_bf16", "--with", "?quantize_int8:skip=['*']")
    assert command(trained, *space, "--search", "grid", "--out", out) == 0
    problems = [json.loads(line)["problem"] for line in (out / "trials.jsonl").read_text().splitlines()]
    assert [problem is None for problem in problems] == [False, True, False, True]
    assert "2 of 4 ways failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "say --with what"),
        (("--with", "prune_magnitude:amount=0.1..0.5"), "are for --search"),
        (("--with", "?cast_bf16"), "are for --search"),
        (("--with", "prune_magnitude:amount=1.5"), "amount: expected a number of at least 0 and below 1"),
        (("--with", "prune_magnitud:amount=0.5"), "prune_magnitude"),
        (("--with", "prune_magnitude:amount=0.5|2", "--search", "grid"), "amount: expected a number"),
        (("--with", "no_such:x=1|2", "--search", "tpe"), "no_such"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], complaint: str
) -> None:
    assert command(trained, *words, "--out", tmp_path / "out") == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_front_leaves_out_what_is_beaten() -> None:
    tried = [
        Trial([], quality, cost) for quality, cost in [(0.9, 1.0), (0.95, 0.9), (0.5, 0.2), (0.5, 0.3), (0.4, 0.2)]
    ]
    assert [(trial.quality, trial.cost) for trial in pareto_front([*tried, Trial([], problem="it failed")])] == [
        (0.5, 0.2),
        (0.95, 0.9),
    ]


def test_the_estimator_finds_what_a_grid_finds() -> None:
    """Quality falls above 0.7, cost with the amount: ways near 0.7 are worth most of the trials."""
    pytest.importorskip("optuna", reason="the extra videozoo[search] is absent")
    space = [parse_strategy("prune:amount=0.0..1.0")]

    def attempt(slots: list[dict]) -> Trial:
        amount = slots[0]["params"]["amount"]
        return Trial(slots, 1.0 if amount <= 0.7 else 0.0, 1 - amount)

    found = pareto_front(list(tree_parzen(space, attempt, trials=40)))
    best = max(found, key=lambda trial: (trial.quality, -trial.cost))
    assert best.quality == 1.0
    assert 0.3 <= best.cost <= 0.4
    coarse = pareto_front(list(grid(space, attempt, steps=3)))
    assert [trial.cost for trial in coarse] == [0.0, 0.5]
