"""The experiment loggers of docs/observers.md: whole plugins, and where MLflow or W&B is installed they really log."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.test_docs import blocks
from zoo.build.signature import read_signature
from zoo.testing import ObserverConformance
from zoo_registry import Observer
from zoo_registry.protocols import RunObserver

FILES = {
    block.note.removeprefix("file:").strip().removesuffix(".py"): block.text
    for block in blocks("python")
    if block.page == "observers.md" and block.note.startswith("file:")
}


@pytest.fixture(params=sorted(FILES))
def module(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModuleType]:
    yield from imported(request.param, tmp_path)


def imported(name: str, folder: Path) -> Iterator[ModuleType]:
    """A module as it stands on the page."""
    path = folder / f"{name}.py"
    path.write_text(FILES[name], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    yield made
    del sys.modules[name]


def built(module: ModuleType, **params: Any) -> Any:
    (entry,) = module.zoo_observers()
    assert isinstance(entry, Observer)
    return getattr(module, entry.builder.partition(":")[2])(**params)


def test_the_page_shows_two_loggers() -> None:
    assert sorted(FILES) == ["zoo_mlflow", "zoo_wandb"]


def test_a_plugin_of_the_page_declares_an_observer_that_a_recipe_can_name(module: ModuleType) -> None:
    (entry,) = module.zoo_observers()
    where, _, function = entry.builder.partition(":")
    assert where == module.__name__
    assert read_signature(getattr(module, function), entry.builder).positional == 0
    assert entry.requires == (module.__name__.removeprefix("zoo_"),)


def test_its_methods_take_what_a_run_tells(module: ModuleType) -> None:
    observer = built(module)
    offered = {name for name, _ in inspect.getmembers(observer, inspect.ismethod) if not name.startswith("_")}
    assert offered == {"run_start", "step_end", "epoch_end", "run_end"}
    for name in offered:
        asked = list(inspect.signature(getattr(RunObserver, name)).parameters)[1:]
        assert list(inspect.signature(getattr(observer, name)).parameters) == asked


def tell(observer: Any, run: Path) -> None:
    """Two runs in one folder, the second one resumed, as every run tells its observers."""
    run.mkdir(exist_ok=True)
    (run / "report.html").write_text("<p>a report</p>")
    for _ in range(2):
        for event, arguments in ObserverConformance().calls(run):
            if method := getattr(observer, event, None):
                method(*arguments)


def test_mlflow_has_the_recipe_the_curves_and_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # artefacts of a local database go into the working directory
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for module in imported("zoo_mlflow", tmp_path):
        tell(built(module, uri=uri), tmp_path / "run")
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("videozoo").experiment_id])
    assert run.data.params["run.epochs"] == "2"
    assert {point.value for point in client.get_metric_history(run.info.run_id, "train/loss")} == {0.7}
    assert [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val/accuracy")] == [
        (1, 0.75),
        (1, 0.75),
    ]  # of epoch 2 it is NaN
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.html"]
    assert run.info.status == "KILLED"  # the summary of these calls has no seconds


def test_wandb_writes_a_run_that_can_be_sent_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for module in imported("zoo_wandb", tmp_path):
        tell(built(module, mode="offline"), tmp_path / "run")
    identity = (tmp_path / "run" / "wandb.txt").read_text()
    written = list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))
    assert written
    assert all(b"train/loss" in file.read_bytes() for file in written)
