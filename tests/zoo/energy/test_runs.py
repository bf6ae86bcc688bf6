"""The energy of a whole run: in its summary, its report and nowhere that it does not belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.artefact import read_manifest
from zoo.runs import read_run

RECIPE: dict[str, Any] = {
    "zoo": 1,
    "task": "classification",
    "model": "basic/cnn3d",
    "data": {
        "train": {"name": "motions", "params": {"count": 12, "size": 32, "frames": 8}},
        "val": {"name": "motions", "params": {"count": 6, "size": 32, "frames": 8}},
        "clip": {"frames": 8, "size": 32},
        "workers": 0,
    },
    "loss": "cross_entropy",
    "optim": "adamw",
}
RUN = {"epochs": 2, "batch": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("energy") / "run"
    zoo.run({**RECIPE, "run": {**RUN, "carbon_intensity": 400}}, out=out, quiet=True)
    return out


def test_a_run_says_what_its_training_drew(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["energy/kwh"] > 0
    assert summary["energy/kwh_per_1000_clips"] == pytest.approx(summary["energy/kwh"] / 24 * 1000)  # 2 epochs of 12
    assert summary["energy/co2_g"] == pytest.approx(summary["energy/kwh"] * 400)
    assert summary["energy/method"] in ("measured", "estimated")
    assert read_run(folder).kwh == summary["energy/kwh"]


def test_the_report_shows_it_and_the_model_does_not_claim_it(folder: Path) -> None:
    assert "Energy" in (folder / "report.html").read_text()
    assert not any(name.startswith("energy") for name in read_manifest(folder / "model").metrics)


def test_a_run_that_is_told_not_to_says_nothing(tmp_path: Path) -> None:
    result = zoo.run({**RECIPE, "run": {**RUN, "epochs": 1, "energy": "off"}}, out=tmp_path / "run", quiet=True)
    assert not any(name.startswith("energy") for name in result.summary)
    assert not (tmp_path / "run" / "energy.jsonl").exists()
