"""Exported files predict like the models they were written from, and mistakes with them are said in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from tests.zoo.data.faulty_films import moving_texture
from zoo.export import description_of, export_model, format_of
from zoo.export.description import parse
from zoo_registry.errors import ArtefactError, DataError, ExportError, ParameterError

for _module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_module, reason="the extra videozoo[export] is absent")


@pytest.fixture(scope="module")
def model() -> zoo.ZooModel:
    torch.manual_seed(0)
    model = zoo.load("basic/cnn3d", pretrained=False, num_classes=3, clip={"frames": 4, "resize": 40})
    model.labels, model.licence = ("left", "right", "aufwärts"), "cc-by-4.0"
    return model


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("films")
    for seed in range(2):
        moving_texture(folder / f"{seed}.mp4", seed, frames=12)
    return [str(folder / f"{seed}.mp4") for seed in range(2)]


@pytest.fixture(scope="module")
def onnx(model, films, tmp_path_factory) -> Path:
    return export_model(model, "onnx", tmp_path_factory.mktemp("onnx"), films=films).path


@pytest.fixture(scope="module")
def preparing(model, films, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("preparing") / "whole.onnx"
    written = export_model(model, "onnx", path, films=films, preprocess=True)
    assert written.grey_levels < 8
    return path


def scores(rows):
    return {item["label"]: item["score"] for item in rows[0]["top5"]}


def test_a_file_predicts_what_its_model_predicts(model, onnx, films):
    loaded = zoo.load(onnx)

    assert scores(loaded.predict(films[0], views=3)) == pytest.approx(
        scores(model.predict(films[0], views=3)), abs=1e-5
    )
    assert (loaded.labels, loaded.clip, loaded.licence, loaded.name) == (
        model.labels, model.clip, "cc-by-4.0", "basic/cnn3d",
    )  # fmt: skip
    assert "model.onnx" in repr(loaded)
    assert "4 frames" in repr(loaded)
    assert "aufwärts" in repr(loaded)


def test_a_file_is_found_by_path_text_and_uri(onnx, monkeypatch):
    monkeypatch.chdir(onnx.parent)

    for reference in (onnx, str(onnx), f"file:{onnx}", "model.onnx", "./model.onnx", Path("model.onnx")):
        assert zoo.load(reference).path.samefile(onnx)


def test_any_onnx_runtime_sees_what_the_file_is(onnx):
    import onnx as package

    props = {prop.key: prop.value for prop in package.load(onnx).metadata_props}
    assert json.loads(props["videozoo.json"])["labels"] == ["left", "right", "aufwärts"]


def test_a_file_that_prepares_pixels_takes_films_of_any_size(model, preparing, films, tmp_path):
    loaded = zoo.load(preparing)

    assert scores(loaded.predict(films[0])) == pytest.approx(scores(model.predict(films[0])), abs=0.02)
    for height, width in ((48, 80), (90, 41)):
        clip = torch.randint(0, 256, (2, 3, 4, height, width), dtype=torch.uint8)
        assert loaded(clip).shape == (2, 3)
    assert "prepares pixels itself" in repr(loaded)


def test_what_a_file_that_prepares_pixels_does_not_take(preparing, films):
    loaded = zoo.load(preparing)

    with pytest.raises(DataError, match=r"takes clips as uint8 \(B, C, T, H, W\)"):
        loaded(torch.zeros(1, 3, 4, 32, 32))
    with pytest.raises(DataError, match="no crops=3"):
        loaded.predict(films[0], crops=3)


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        (
            (torch.zeros(1, 3, 4, 31, 32),),
            r"clip_bcthw is float32 \(1, 3, 4, 31, 32\), model\.onnx takes float32 \(any",
        ),
        ((torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8),), r"clip_bcthw is uint8"),
        ((), r"takes 1 input, not 0"),
        ((torch.zeros(3),), r"clip_bcthw is float32 \(3\)"),
    ],
)
def test_wrong_inputs_are_said_in_words(onnx, inputs, complaint):
    with pytest.raises(DataError, match=complaint):
        zoo.load(onnx)(*inputs)


@pytest.fixture(scope="module")
def program(model, films, tmp_path_factory) -> Path:
    return export_model(model, "torch_export", tmp_path_factory.mktemp("pt2"), films=films).path


class TestTrust:
    def test_a_format_that_unpickles_is_not_opened_without_trust(self, program):
        with pytest.raises(ArtefactError, match=r"runs what is pickled in it.*not opened\n.*trust=True"):
            zoo.load(program)

    def test_it_is_opened_with_trust(self, model, program, films):
        loaded = zoo.load(program, trust=True)

        assert scores(loaded.predict(films[0])) == pytest.approx(scores(model.predict(films[0])), abs=1e-5)

    def test_a_pickle_that_calls_itself_a_program_runs_nothing(self, tmp_path):
        """What a hostile file would do is not done: it is not even looked at."""

        class Hostile:
            def __reduce__(self):
                return (Path(tmp_path / "ran").touch, ())

        torch.save(Hostile(), tmp_path / "model.pt2")
        with pytest.raises(ArtefactError, match="not opened"):
            zoo.load(tmp_path / "model.pt2")
        assert not (tmp_path / "ran").exists()


class TestBroken:
    def test_a_damaged_file(self, onnx, tmp_path):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(onnx.read_bytes()[:5000])

        with pytest.raises(ExportError, match=r"onnxruntime cannot run cut\.onnx"):
            zoo.load(cut)

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(ArtefactError, match=r"there is no file .*absent\.onnx"):
            zoo.load(tmp_path / "absent.onnx")

    def test_a_name_that_only_looks_like_a_file(self):
        with pytest.raises(zoo.ZooError, match="nothing_such"):
            zoo.load("nothing_such.onnx")

    def test_a_damaged_program(self, tmp_path):
        (tmp_path / "model.pt2").write_bytes(b"PK nonsense")
        with pytest.raises(ExportError, match=r"torch cannot read model\.pt2"):
            zoo.load(tmp_path / "model.pt2", trust=True)

    def test_a_description_that_is_none(self):
        with pytest.raises(ArtefactError, match=r"(?s)a\.onnx: its description: model.*clip\.frames"):
            parse({"format": 1, "clip": {"frames": "many", "size": 4}}, "a.onnx")

    def test_a_description_from_the_future(self):
        with pytest.raises(ArtefactError, match=r"format 7.*\n.*upgrade videozoo"):
            parse({"format": 7}, "a.onnx")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the shortest way to a file that is not ours
def test_somebody_elses_file_is_a_callable_and_says_what_is_missing(tmp_path):
    layer = nn.Linear(3, 2).eval()
    torch.onnx.export(layer, (torch.zeros(1, 3),), tmp_path / "theirs.onnx", dynamo=False, input_names=["x"])

    loaded = zoo.load(tmp_path / "theirs.onnx")

    x = torch.randn(1, 3)
    torch.testing.assert_close(loaded(x), layer(x), rtol=0, atol=1e-6)
    assert loaded.inputs == ("x",)
    assert "says nothing of itself" in repr(loaded)
    with pytest.raises(ArtefactError, match=r"says nothing of its clip spec.*\n.*call it with tensors \(x\)"):
        loaded.predict("film.mp4")


def test_a_file_is_what_it_is(onnx):
    with pytest.raises(ArtefactError, match="cannot be changed any more"):
        zoo.load(onnx, num_classes=4)
    with pytest.raises(ArtefactError, match="gives nothing but its answer"):
        zoo.load(onnx).forward_features(torch.zeros(1, 3, 4, 32, 32))


def test_a_format_without_a_device_says_so(onnx, monkeypatch):
    from zoo.export.file_model import load_file

    with pytest.raises(ParameterError, match=r"export/onnx has no precision 'bf16'"):
        load_file(onnx, format_of(onnx), precision="bf16")


def test_without_films_there_is_nothing_to_compare_on(model, tmp_path):
    with pytest.raises(ExportError, match=r"no films to compare.*\n.*--film"):
        export_model(model, "onnx", tmp_path)


def test_a_file_that_is_not_there_is_no_unknown_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ArtefactError, match=r"there is no file deploy/none\.onnx"):
        zoo.load("deploy/none.onnx")


def test_a_file_is_not_written_again(onnx, tmp_path):
    with pytest.raises(ExportError, match=r"model\.onnx is an exported file.*\n.*model folder"):
        export_model(zoo.load(onnx), "torch_export", tmp_path, noise=True)


def test_a_description_is_plain_data(model):
    assert parse(json.loads(json.dumps(description_of(model))), "x").clip == model.clip


def test_the_longest_suffix_counts():
    assert format_of("a/model.aoti.pt2").name == "export/aot_inductor"
    assert format_of("a/MODEL.PT2").name == "export/torch_export"
    assert format_of("a/model.safetensors") is None
