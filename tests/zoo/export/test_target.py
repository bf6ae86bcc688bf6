"""Which file a path means for an exporter."""

from __future__ import annotations

import os

import pytest

from zoo.export.target import target_of
from zoo_registry.catalog import catalog
from zoo_registry.errors import ExportError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "taken").touch()


@pytest.mark.parametrize(
    ("path", "format", "meant"),
    [
        (None, "onnx", "model.onnx"),
        ("there", "onnx", "there/model.onnx"),
        ("new/deep/", "onnx", "new/deep/model.onnx"),
        ("new/small.onnx", "onnx", "new/small.onnx"),
        ("new/SMALL.ONNX", "onnx", "new/SMALL.ONNX"),
        ("there/", "aot_inductor", "there/model.aoti.pt2"),
        ("m.xml", "openvino", "m.xml"),
    ],
)
def test_a_file_or_a_folder(path, format, meant):
    assert target_of(path, catalog().resolve("exporter", format)).as_posix() == meant
    assert sorted(os.listdir()) == ["taken", "there"]


@pytest.mark.parametrize(
    ("path", "format", "complaint"),
    [
        ("new", "onnx", r"files of onnx end in \.onnx, and 'new' does not\n.*new\.onnx, or a folder: new/"),
        ("m.pt2", "onnx", r"files of onnx end in \.onnx"),
        ("m.aoti.pt2", "torch_export", r"m\.aoti\.pt2 would be read as a file of aot_inductor"),
        ("taken/m.onnx", "onnx", r"cannot write taken/m\.onnx: Not a directory"),
        ("taken/deep/m.onnx", "onnx", r"cannot write taken/deep/m\.onnx: Not a directory"),
    ],
)
def test_a_place_that_is_none(path, format, complaint):
    with pytest.raises(ExportError, match=complaint):
        target_of(path, catalog().resolve("exporter", format))


def test_a_folder_without_the_right_to_write(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "there")  # root may write anywhere

    with pytest.raises(ExportError, match=r"cannot write there/m\.onnx: Permission denied"):
        target_of("there/m.onnx", catalog().resolve("exporter", "onnx"))
