"""Export keeps a file only if it says what its model says."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.export import export, table
from zoo_registry import Exporter
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ExportError, ParameterError
from zoo_registry.plugins import PluginRecord
from zoo_registry.protocols import Batch

SAVES = """
    import torch

    def write(model, inputs, path):
        torch.save(model.state_dict(), path)

    def load(path):
        weights = torch.load(path)
        return lambda x: torch.nn.functional.linear(x, weights["weight"], weights["bias"]){change}
"""


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(6, 3).eval()


def batches(count: int = 2, size: int = 4) -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    return [
        Batch({"x": torch.randn(size, 6, generator=generator)}, {}, torch.arange(size), torch.zeros(size).long())
        for _ in range(count)
    ]


def predict(model, batch: Batch):
    return {"logits_bk": model(*batch.inputs.values())}


def exported(model, listed, path, data=None, **options):
    data = batches() if data is None else data
    return export(model, listed, {}, example=[torch.zeros(2, 6)], path=path, batches=data, predict=predict, **options)


@pytest.fixture
def exporter(tmp_path, monkeypatch):
    """Somebody's exporter, from its source."""

    def make(source: str) -> Listed:
        folder = tmp_path / "plugin"
        folder.mkdir()
        (folder / "acme_exporter.py").write_text(textwrap.dedent(source))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(__import__("sys").modules, "acme_exporter", raising=False)
        entry = Exporter("raw", builder="acme_exporter:write", load="acme_exporter:load", suffix=".raw")
        return Listed(entry, "acme", PluginRecord("acme", "acme", "zoo-acme", "0.3", "loaded"))

    return make


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "model.raw"


def test_a_file_that_says_the_same_gets_its_name(model, exporter, path):
    result = exported(model, exporter(SAVES.format(change="")), path)

    assert [file.name for file in path.parent.iterdir()] == ["model.raw"]
    assert (result.path, result.format, result.bytes) == (path, "raw", path.stat().st_size)
    assert (result.max_difference, result.agreement, result.samples) == (0.0, 1.0, 8)
    assert result.latency_ms > 0
    (row,) = table([result]).rows
    assert row == ("model.raw", "raw", result.bytes, 0.0, result.allowed, 1.0, 8, result.latency_ms, None, None)


def test_a_file_that_differs_is_not_kept(model, exporter, path):
    with pytest.raises(ExportError, match=r"acme/raw: the file differs from the model by 0\.0[12]\d* on 8 samples"):
        exported(model, exporter(SAVES.format(change=" + 0.02")), path)

    assert list(path.parent.iterdir()) == []


def test_a_failed_export_leaves_the_earlier_file(model, exporter, path):
    path.parent.mkdir()
    path.write_text("earlier")

    with pytest.raises(ExportError):
        exported(model, exporter(SAVES.format(change=" + 0.02")), path)

    assert path.read_text() == "earlier"
    assert [file.name for file in path.parent.iterdir()] == ["model.raw"]


def test_the_tolerance_can_be_chosen(model, exporter, path):
    result = exported(model, exporter(SAVES.format(change=" + 0.02")), path, tolerance=0.05)

    assert 0.01 < result.max_difference < 0.0201
    assert result.allowed == 0.05


def test_a_file_that_is_wrong_for_a_single_sample_is_not_kept(model, exporter, path):
    with pytest.raises(ExportError, match="differs from the model"):
        exported(model, exporter(SAVES.format(change=" * (1.0 if len(x) > 1 else 0.5)")), path)


def test_a_model_that_rounds_inside_may_differ_by_what_it_differs_from_itself(exporter, path):
    class Rounds(nn.Linear):
        def forward(self, x):
            return super().forward(x).mul(256).round().div(256)

    torch.manual_seed(0)
    data = batches(count=32, size=256)
    source = SAVES.format(change="").replace('weights["bias"])', 'weights["bias"]).mul(256).add(1e-3).round().div(256)')

    result = exported(Rounds(6, 3).eval(), exporter(source), path, data)

    assert 1e-3 < result.max_difference <= result.allowed


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def write(model, inputs, path):\n    1 / 0\n", r"acme/raw failed: ZeroDivisionError.*\n.*zoo-acme 0\.3"),
        ("def write(model, inputs, path):\n    pass\n", "wrote no file"),
        (
            "def write(model, inputs, path):\n    path.touch()\n\ndef load(path):\n    raise OSError('truncated')\n",
            "acme/raw failed: OSError: truncated",
        ),
    ],
)
def test_an_exporter_that_fails_is_named_and_leaves_nothing(model, exporter, path, source, complaint):
    with pytest.raises(ExportError, match=complaint):
        exported(model, exporter(source), path)

    assert list(path.parent.iterdir()) == []


def test_without_data_nothing_can_be_compared(model, exporter, path):
    with pytest.raises(ExportError, match="no data to compare"):
        exported(model, exporter(SAVES.format(change="")), path, data=[])


class TestOnnx:
    @pytest.fixture
    def onnx(self) -> Listed:
        for module in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(module, reason="the extra videozoo[export] is absent")
        return catalog().resolve("exporter", "onnx")

    def test_a_model_becomes_one_file_whose_inputs_have_the_models_names(self, model, onnx, tmp_path):
        path = tmp_path / "model.onnx"

        result = exported(model, onnx, path, inputs=("x",))

        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_inputs()] == ["x"]
        assert result.max_difference < 1e-5
        assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]

    def test_a_wrong_parameter_is_found_first(self, model, onnx, tmp_path):
        with pytest.raises(ParameterError, match="opset"):
            export(
                model, onnx, {"opset": 3}, example=[torch.zeros(2, 6)], path=tmp_path / "model.onnx",
                batches=batches(), predict=predict,
            )  # fmt: skip


def test_a_file_with_as_many_rows_as_it_finds_is_held_to_the_models(exporter, path):
    """The bias is the threshold: the last bits of the input decide how many rows there are."""

    class Finds(nn.Linear):
        def forward(self, x):
            found = super().forward(x).flatten()
            return found[found >= 0]

    finder = Finds(6, 64).eval()
    with torch.no_grad():
        finder.weight.zero_()
        finder.bias.zero_()
        finder.weight[:, 0], finder.weight[:, 1] = -1, 1
    data = [Batch({"x": torch.ones(4, 6)}, {}, torch.arange(4), torch.zeros(4).long())]
    nonsense = """
        import torch

        def write(model, inputs, path):
            path.touch()

        def load(path):
            return lambda x: torch.zeros(len(x), 7, 7)
    """

    with pytest.raises(ExportError, match=r"acme/raw: logits_bk of the file has another shape"):
        exported(finder, exporter(nonsense), path, data, tolerance=float("inf"))

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("taken/model.raw", "Not a directory"), ("folder", "Is a directory"), ("/proc/nobody/model.raw", "cannot write")],
)
def test_a_place_that_cannot_be_written_is_found_before_anything_runs(model, exporter, tmp_path, place, complaint):
    (tmp_path / "taken").touch()
    (tmp_path / "folder").mkdir()
    if place.startswith("/") and not Path("/proc/self").exists():
        pytest.skip("a place where nobody can write is only known on Linux")
    never = exporter("def write(model, inputs, path):\n    raise AssertionError('it ran')\n")

    with pytest.raises(ExportError, match=rf"cannot write .*{complaint}|{complaint} "):
        exported(model, never, tmp_path / place)
