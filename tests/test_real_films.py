"""Real footage: Kinetics, UCF-101 and HMDB-51 films as they come, none converted or left out by hand."""

import json
from pathlib import Path

import pytest

from tests.test_main_job import zoo


@pytest.fixture(scope="module")
def finetuned(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    films = shared / "clips/labels.csv"
    small = ["model.weights=null", "data.clip.size=64", "data.clip.frames=8", "run.epochs=2", "data.views=1"]
    paths = [f"data.{split}.params.path={films}" for split in ("train", "val")]
    words = [word for change in small + paths for word in ("--set", change)]
    zoo("run", "finetune", *words, "--out", "run", cwd=folder)
    return folder / "run"


def test_finetuning_reads_every_film(finetuned: Path, shared: Path) -> None:
    summary = json.loads((finetuned / "summary.json").read_text())
    assert summary["val/samples"] == 3
    assert summary["steps"] == 2 * 3  # twelve training films in batches of four, twice
    assert summary["quarantined"] == 0
    assert (finetuned / "report.html").stat().st_size > 50_000


def test_every_film_can_be_predicted(finetuned: Path, shared: Path) -> None:
    films = sorted(path for path in (shared / "clips").iterdir() if path.suffix in {".mp4", ".avi"})
    done = zoo("predict", finetuned, "--json", *films, cwd=finetuned)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["video"]).name for row in rows] == [film.name for film in films]
    assert all(row["top5"][0]["score"] > 0 for row in rows)
