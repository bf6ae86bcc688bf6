"""What a run exports: calibrated on its training data, compared on its films, and usable by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
from tests.zoo.test_stages import run
from zoo.report.wording import number
from zoo_registry.errors import RunError

for _module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_module, reason="the extra videozoo[export] is absent")

FILES = [
    "onnx",
    {
        "name": "onnx",
        "params": {"int8": "static", "calibration_batches": 2, "max_difference": 0.5, "min_agreement": 0.5},
    },
    {"name": "onnx", "preprocess": True},
]


def test_every_file_of_a_recipe_is_written_compared_and_told(tmp_path: Path) -> None:
    result = run(tmp_path / "run", export=FILES)

    names = ("model.onnx", "model-2.onnx", "model-3.onnx")
    sizes = [(tmp_path / "run" / name).stat().st_size for name in names]
    assert sizes[1] < 0.5 * sizes[0]  # int8
    for key, size in zip(("onnx", "onnx-2", "onnx-3"), sizes, strict=True):
        assert result.summary[f"export/{key}/bytes"] == size
    assert result.summary["export/onnx/max_difference"] < 1e-4
    assert 1e-4 < result.summary["export/onnx-2/max_difference"] < 0.5
    (table,) = [table for table in result.tables if table.title == "Exported files"]
    assert [row[0] for row in table.rows] == list(names)
    grey_levels = table.rows[2][table.columns.index("grey levels")]
    assert 0 < grey_levels < 20, number(grey_levels)

    labels = zoo.load(tmp_path / "run").labels
    for name in names:
        loaded = zoo.load(tmp_path / "run" / name)
        assert (loaded.labels, loaded.name, loaded.clip.frames) == (labels, "basic/cnn3d", 4)
    assert zoo.load(tmp_path / "run/model-3.onnx").prepares


def test_quantising_without_training_data_is_an_error_that_keeps_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"needs calibration data.*\n.*data\.train"):
        run(
            tmp_path / "run",
            data={"val": {"name": "motions", "params": {"count": 6}}, "clip": {"frames": 4, "size": 16}, "workers": 0},
            optim=None,
            export=[{"name": "onnx", "params": {"int8": "static"}}],
        )
    assert not (tmp_path / "run/model.onnx").exists()
    assert (tmp_path / "run/report.html").is_file()
