"""`zoo bench` and `zoo export`, as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import moving_texture
from zoo.cli import main
from zoo_registry.errors import ZooError

for _module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_module, reason="the extra videozoo[export] is absent")


def said(capsys, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    found = capsys.readouterr()
    return int(ended.value.code or 0), found.out, found.err


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    moving_texture(path, 0, frames=24)
    return str(path)


def test_rows_are_comparable(film, tmp_path, capsys):
    code, _, error = said(capsys, "export", "basic/cnn3d", "--to", "onnx", "--film", film, "--out", str(tmp_path))
    assert code == 2, "a name without weights has nothing to export"
    assert "weights" in error

    code, out, error = said(
        capsys, "bench", "basic/cnn3d", "--backend", "torch,onnx", "--film", film, "--seconds", "0.2", "--json",
        "--precision", "fp32,bf16",
    )  # fmt: skip

    assert code == 0, error
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["backend"], row["precision"]) for row in rows] == [
        ("torch", "fp32"), ("torch", "bf16"), ("onnx", "fp32"),
    ]  # fmt: skip
    assert (rows[0]["ratio"], rows[0]["difference"], rows[0]["agreement"]) == (1.0, 0.0, 1.0)
    assert 1e-5 < rows[1]["difference"] < 0.1  # bfloat16 has 8 bits
    assert rows[2]["difference"] < 1e-4
    for row in rows:
        assert row["p50_ms"] <= row["p95_ms"]
        assert row["clips_per_s"] == pytest.approx(1000 / row["p50_ms"])
        assert row["ratio"] == pytest.approx(row["clips_per_s"] / rows[0]["clips_per_s"])
        assert row["calls"] >= 10
    assert rows[2]["file_bytes"] > 500_000  # 190,000 weights of 4 bytes


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--backend", "onx"), r"no backend 'onx'\n  there are torch, compile, "),
        (("--backend", "torch:a=1"), "torch takes no parameters"),
        (("--backend", "onnx:int8=statik"), "int8"),
        (("--backend", "onnx:int8=static:keep=[head,stem],onx"), "no backend 'onx'"),
        (("--backend", ""), "--backend: it names nothing"),
        (("--precision", " , "), "--precision: it names nothing"),
        (("--seconds", "nan"), "--seconds: nan is no number"),
        (("--seconds", "inf"), "--seconds: inf is no number"),
        (("--precision", "int4"), "--backend onnx:int8=static"),
        (("--backend", "onnx", "--precision", "bf16"), "none of these backends computes in bf16"),
    ],
)
def test_mistakes_are_said_before_anything_runs(words, complaint, capsys):
    import re

    code, _, error = said(capsys, "bench", "basic/cnn3d", *words)

    assert code == 2
    assert re.search(complaint, error)


def test_a_backend_that_is_not_installed_gives_the_pip_line(monkeypatch, capsys):
    from zoo_registry import listed

    importable = listed._importable
    monkeypatch.setattr(listed, "_importable", lambda module: module != "openvino" and importable(module))

    code, _, error = said(capsys, "bench", "basic/cnn3d", "--backend", "openvino")

    assert code == 2
    assert 'pip install "videozoo[openvino]"' in error


def test_a_file_that_would_run_code_is_not_opened(tmp_path, capsys):
    (tmp_path / "model.pt2").write_bytes(b"PK")

    code, _, error = said(capsys, "bench", str(tmp_path / "model.pt2"))

    assert code == 2
    assert "--trust" in error


def test_an_export_says_how_it_compares(film, tmp_path, capsys, monkeypatch):
    import zoo.model

    model = zoo.model.load("basic/cnn3d", pretrained=False, num_classes=2)
    monkeypatch.setattr(zoo.model, "load", lambda reference: model)

    code, out, error = said(capsys, "export", "mine", "--to", "onnx", "--film", film, "--out", str(tmp_path))

    assert code == 0, error
    assert Path(tmp_path / "model.onnx").is_file()
    assert "model.onnx" in out
    assert "on 1 clips, the same first answer for 100.0%" in out


def test_a_file_is_never_compared_with_another_model(film, tmp_path, capsys):
    import zoo
    from zoo.export import export_model

    for number in (0, 1):
        model = zoo.load("basic/cnn3d", pretrained=False, num_classes=2)
        export_model(model, "onnx", tmp_path / f"{number}.onnx", films=[film])
    files = [str(tmp_path / "0.onnx"), str(tmp_path / "1.onnx")]

    code, out, error = said(capsys, "bench", *files, "--film", film, "--seconds", "0.1", "--json")

    assert code == 0, error
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["backend"], row["difference"], row["agreement"]) for row in rows] == [("file", None, None)] * 2
    assert rows[0]["ratio"] == 1


def test_films_that_cannot_be_decoded_are_not_told_of_recipes(film, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(Path(film).read_bytes()[:200])

    code, _, error = said(capsys, "bench", "basic/cnn3d", "--film", str(bad))

    assert code == 2
    assert "bad.mp4" in error
    assert "--film" in error
    assert "on_bad" not in error


def test_an_error_of_a_process_reaches_the_user():
    from zoo.benchmark import Backend, bench
    from zoo.benchmark.side_by_side import Settings

    with pytest.raises(ZooError, match=r"absent\.mp4"):
        bench(["basic/cnn3d"], [Backend("torch")], settings=Settings(films=("absent.mp4",)))


def test_mistakes_of_an_export_are_said_before_a_model_is_loaded(tmp_path, capsys, monkeypatch):
    import zoo.model

    def never(reference):
        raise AssertionError("it was loaded")

    monkeypatch.setattr(zoo.model, "load", never)
    (tmp_path / "taken").touch()
    (tmp_path / "done.onnx").touch()

    for words, complaint in (
        (("mine", "--out", str(tmp_path / "taken" / "m.onnx")), "m.onnx: Not a directory"),
        (("mine", "--out", str(tmp_path / "m.pt2")), "files of onnx end in .onnx"),
        ((str(tmp_path / "done.onnx"),), "done.onnx is an exported file, and is not written again"),
    ):
        code, _, error = said(capsys, "export", *words, "--to", "onnx", "--noise")
        assert (code, complaint in error) == (2, True), error


def test_a_backend_keeps_its_brackets_together():
    from zoo.benchmark import backend_of

    backend = backend_of("onnx:int8=static:keep=[head,stem]:max_difference=0.5")

    assert backend.params == {"int8": "static", "keep": ["head", "stem"], "max_difference": 0.5}
