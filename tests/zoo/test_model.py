"""`zoo.load` and what it returns: one kind of thing, wherever it came from."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import video

import zoo
from zoo.artefact import save_model
from zoo.artefact.weights import sha256_of
from zoo.build import build
from zoo.pretrained import load_weights
from zoo_registry import ClipSpec, Weights
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import (
    ArtefactError,
    DataError,
    HubError,
    ParameterError,
    PluginError,
    UndecodableMedia,
    UnknownName,
)

LABELS = ("left", "right", "up")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 frames of 64x64 H.264: noise that gets brighter."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    draw = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for index in range(48):
            picture = draw.integers(0, 100, (64, 64, 3), np.uint8) + np.uint8(3 * index)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with a model in it."""
    folder = tmp_path_factory.mktemp("run")
    listed = catalog().resolve("model", "basic/cnn3d")
    clip = listed.entry.clip  # type: ignore[attr-defined]
    torch.manual_seed(5)
    module = build(listed, {}, {"num_classes": 3, "labels": LABELS, "clip": clip})
    task = {"name": "tasks/classification", "params": {}}
    save_model(folder / "model", module, model=listed.name, params={}, clip=clip, labels=LABELS, task=task)
    return folder


# ---------------------------------------------------------------------------------------------------- where from


def test_a_run_and_its_model_folder_and_their_uris_give_the_same_model(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    state = zoo.load(run).state_dict()
    for reference in (str(run), run / "model", f"file:{run}", "file:model", "./model"):
        loaded = zoo.load(reference)
        assert type(loaded) is zoo.ZooModel
        assert all(torch.equal(loaded.state_dict()[key], value) for key, value in state.items())


def test_a_name_without_weights_gives_random_ones_only_when_asked() -> None:
    with pytest.raises(ArtefactError, match="basic/cnn3d has no published weights") as caught:
        zoo.load("basic/cnn3d")
    assert "pretrained=False" in str(caught.value)
    model = zoo.load("basic/cnn3d", pretrained=False, num_classes=4)
    assert type(model) is zoo.ZooModel
    assert not model.training
    assert model(torch.zeros(1, 3, 16, 32, 32)).shape == (1, 4)


def test_a_name_with_weights_is_for_as_many_classes_as_they_are() -> None:
    assert zoo.load("torchvision/r3d_18", pretrained=False).num_classes == 400  # Kinetics-400


def test_a_name_whose_classes_nothing_says_asks_for_them() -> None:
    with pytest.raises(ParameterError, match="basic/cnn3d has to know for how many classes it is") as caught:
        zoo.load("basic/cnn3d", pretrained=False)
    assert "num_classes=" in str(caught.value)


def test_a_folder_whose_path_looks_like_a_name_is_loaded_where_no_model_has_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert zoo.load("model").uri == f"file:{run / 'model'}"


def test_a_name_comes_before_a_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(run / "model", tmp_path / "basic/cnn3d")
    monkeypatch.chdir(tmp_path)
    assert zoo.load("basic/cnn3d", pretrained=False, num_classes=2).uri == ""


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="there is nothing at"):
        zoo.load(tmp_path / "absent")
    with pytest.raises(ArtefactError, match=r"is no model of videozoo: it has no model\.json"):
        zoo.load(tmp_path)
    with pytest.raises(UnknownName):
        zoo.load("s3://bucket/model")


@pytest.mark.parametrize(
    "options", [{"pretrained": False}, {"num_classes": 7}, {"params": {"dropout": 0.1}}, {"clip": {"frames": 8}}]
)
def test_options_for_names_are_refused_for_folders(options: dict[str, Any], run: Path) -> None:
    with pytest.raises(ArtefactError, match="brings its own weights, classes and clip spec"):
        zoo.load(run, **options)


# ---------------------------------------------------------------------------------------------------- predict


def by_hand(model: zoo.ZooModel, film: Path, positions: list[float]) -> Tensor:
    """Mean probabilities over views, from the definition of the clip spec."""
    assert model.clip is not None
    clips = torch.stack([zoo.read_clip(film, model.clip, position=position) for position in positions])
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (model.clip.mean, model.clip.std))
    with torch.inference_mode():
        return model((clips / 255 - mean) / std).softmax(dim=1).mean(dim=0)


@pytest.mark.parametrize(("views", "positions"), [(1, [0.5]), (3, [0.0, 0.5, 1.0])])
def test_predict_gives_the_mean_probability_of_the_views(
    views: int, positions: list[float], run: Path, film: Path
) -> None:
    model = zoo.load(run)
    (row,) = model.predict(film, views=views)
    expected = dict(zip(LABELS, by_hand(model, film, positions).tolist(), strict=True))
    assert {item["label"]: item["score"] for item in row["top5"]} == pytest.approx(expected, abs=1e-5)


def test_three_crops_are_both_ends_and_the_middle(run: Path, tmp_path: Path) -> None:
    film = tmp_path / "wide.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 192, "yuv420p"
        for number in range(20):
            ramp_hwc = np.zeros((64, 192, 3), np.uint8) + (np.arange(192) + number).astype(np.uint8)[:, None]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp_hwc, format="rgb24")))
        container.mux(stream.encode())
    model = zoo.load(run)
    assert model.clip is not None
    side = model.clip.height_width[0]
    wide = zoo.read_clip(film, dataclasses.replace(model.clip, size=(side, 3 * side), resize=(side, 3 * side)))
    clips = torch.stack([wide[..., left : left + side] for left in (0, side, 2 * side)])
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (model.clip.mean, model.clip.std))
    with torch.inference_mode():
        expected = model((clips / 255 - mean) / std).softmax(dim=1).mean(dim=0)
    (row,) = model.predict(film, crops=3)
    scores = dict(zip(LABELS, expected.tolist(), strict=True))
    assert {item["label"]: item["score"] for item in row["top5"]} == pytest.approx(scores, abs=1e-5)
    assert model.predict(film) != [row]
    with pytest.raises(DataError, match="crops is 2"):
        model.predict(film, crops=2)  # type: ignore[arg-type]


def test_predict_takes_several_films_and_keeps_their_order(run: Path, film: Path) -> None:
    model = zoo.load(run)
    single = model.predict(film)
    assert model.predict([film, str(film)]) == single * 2


def test_a_span_is_predicted_by_itself(run: Path, film: Path) -> None:
    model = zoo.load(run)
    assert model.predict(film, start=0, end=0.7) != model.predict(film, start=1.2)


def test_predict_leaves_a_model_in_training_as_it_was(run: Path, film: Path) -> None:
    model = zoo.load(run).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.predict(film)
    assert model.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


class Remembering(nn.Module):
    """Keeps a tensor from its first call, as networks do with position tables."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.table: Tensor | None = None

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        if self.table is None:
            self.table = torch.ones(3)
        return self.layer(clip_bcthw.mean((2, 3, 4)) * self.table)


def test_a_model_that_predicted_can_be_trained(film: Path) -> None:
    clip = ClipSpec(frames=2, size=32)
    task = {"name": "tasks/classification", "params": {}}
    model = zoo.ZooModel(Remembering(), name="basic/cnn3d", num_classes=2, clip=clip, task=task)
    model.predict(film)
    model(torch.ones(1, 3, 2, 32, 32)).sum().backward()
    assert model.network.layer.weight.grad is not None


def test_a_file_that_is_no_film_is_said_without_hints_at_a_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a film")
    with pytest.raises(UndecodableMedia) as caught:
        zoo.load(run).predict(tmp_path / "notes.mp4")
    assert "notes.mp4" in str(caught.value)
    assert "on_bad" not in str(caught.value)


def test_predict_needs_a_view(run: Path, film: Path) -> None:
    with pytest.raises(DataError, match="at least one clip"):
        zoo.load(run).predict(film, views=0)


def test_classes_without_names_are_numbered(film: Path) -> None:
    (row,) = zoo.load("basic/cnn3d", pretrained=False, num_classes=2).predict(film)
    assert {item["label"] for item in row["top5"]} == {"class 0", "class 1"}


def test_a_model_without_a_task_predicts_nothing(film: Path) -> None:
    model = zoo.load("basic/cnn3d", pretrained=False, num_classes=2)
    model.task = None
    with pytest.raises(ArtefactError, match="saved without a task"):
        model.predict(film)


# ---------------------------------------------------------------------------------------------------- weights


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's own network, which stands for published weights."""
    torch.manual_seed(11)
    return video.s3d(num_classes=400).eval()


def s3d(classes: int, weights: tuple[Weights, ...] = ()) -> tuple[nn.Module, Listed]:
    """A fresh network of ours, and its entry with other weights to offer."""
    listed = catalog().resolve("model", "torchvision/s3d")
    torch.manual_seed(12)
    module = build(listed, {}, {"num_classes": classes, "labels": (), "clip": listed.entry.clip})  # type: ignore[attr-defined]
    return module, dataclasses.replace(listed, entry=dataclasses.replace(listed.entry, weights=weights))


@pytest.fixture(scope="module")
def published(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published") / "s3d.pth"
    torch.save({"model_state": theirs.state_dict(), "epoch": 3}, path)
    return path


def equal(ours: nn.Module, theirs: nn.Module, but: tuple[str, ...] = ()) -> bool:
    state = ours.state_dict()
    return all(torch.equal(state[key], value) for key, value in theirs.state_dict().items() if key not in but)


def test_weights_by_tag_give_the_publishers_network(theirs: nn.Module, published: Path) -> None:
    weights = Weights(tag="k400", source=f"file:{published}", sha256=sha256_of(published)[:8], labels=400)
    module, listed = s3d(400, (weights,))
    loaded = load_weights(module, "k400", listed=listed)
    assert equal(module, theirs)
    assert (loaded.sha256, loaded.skipped) == (sha256_of(published), ())


def test_a_pickle_is_converted_once(published: Path, cache: Path) -> None:
    module, listed = s3d(400)
    load_weights(module, f"file:{published}", listed=listed)
    (kept,) = (cache / "weights" / sha256_of(published)).glob("*.safetensors")
    written = kept.stat().st_mtime_ns
    load_weights(module, f"file:{published}", listed=listed)
    assert kept.stat().st_mtime_ns == written


def test_a_converted_file_that_rotted_is_converted_again(theirs: nn.Module, published: Path, cache: Path) -> None:
    module, listed = s3d(400)
    load_weights(module, f"file:{published}", listed=listed)
    (kept,) = (cache / "weights" / sha256_of(published)).glob("*.safetensors")
    kept.write_bytes(kept.read_bytes()[:-8] + b"rotten!!")
    load_weights(module, f"file:{published}", listed=listed)
    assert equal(module, theirs)


def test_another_number_of_classes_keeps_the_new_classifier_and_says_so(theirs: nn.Module, published: Path) -> None:
    module, listed = s3d(10)
    before = module.state_dict()["classifier.1.weight"].clone()
    loaded = load_weights(module, f"file:{published}", listed=listed)
    assert loaded.skipped == ("classifier.1.weight", "classifier.1.bias")
    assert torch.equal(module.state_dict()["classifier.1.weight"], before)
    assert equal(module, theirs, but=loaded.skipped)


def test_weights_that_are_not_what_their_tag_says_are_not_used(published: Path) -> None:
    module, listed = s3d(400, (Weights(tag="k400", source=f"file:{published}", sha256="00000000"),))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(ArtefactError, match="should start with 00000000"):
        load_weights(module, "k400", listed=listed)
    assert all(torch.equal(module.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda state: state.pop("features.0.0.0.weight"), id="a key is missing"),
        pytest.param(lambda state: state.update(extra=torch.zeros(2)), id="a key is unknown"),
        pytest.param(lambda state: state.update({"features.0.0.0.weight": torch.zeros(2)}), id="a trunk shape differs"),
        pytest.param(
            lambda state: state.update({"classifier.1.weight": torch.zeros(400, 7, 1, 1, 1)}), id="features differ"
        ),
        pytest.param(lambda state: state.pop("classifier.1.bias"), id="the classifier has no bias"),
    ],
)
def test_anything_else_that_differs_is_refused(change: Any, theirs: nn.Module, tmp_path: Path) -> None:
    state = dict(theirs.state_dict())
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    module, listed = s3d(400)
    with pytest.raises(ArtefactError, match="the weights do not fit torchvision/s3d"):
        load_weights(module, f"file:{tmp_path}/model.safetensors", listed=listed)


def test_a_model_of_ours_can_be_trained_on(run: Path) -> None:
    listed = catalog().resolve("model", "basic/cnn3d")
    clip = listed.entry.clip  # type: ignore[attr-defined]
    module = build(listed, {}, {"num_classes": 5, "labels": (), "clip": clip})
    loaded = load_weights(module, f"file:{run}", listed=listed)
    assert len(loaded.skipped) == 2
    assert equal(module, zoo.load(run).network, but=loaded.skipped)


def with_their_prefix(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """What a plugin's converter does: keys of the publisher to keys of the module."""
    assert isinstance(module, nn.Module)
    return {key.removeprefix("net."): value for key, value in state.items()}


def foreign(state: Mapping[str, Tensor], folder: Path) -> Weights:
    save_file({f"net.{key}": value for key, value in state.items()}, folder / "model.safetensors")
    return Weights(tag="k400", source=f"file:{folder}/model.safetensors", convert=f"{__name__}:with_their_prefix")


def test_weights_with_the_publishers_keys_are_converted(theirs: nn.Module, tmp_path: Path) -> None:
    module, listed = s3d(400, (foreign(theirs.state_dict(), tmp_path),))
    assert load_weights(module, "k400", listed=listed).skipped == ()
    assert equal(module, theirs)


@pytest.mark.parametrize(
    ("missing", "fits"), [("classifier.1.", True), ("classifier.1.bias", False), ("features.0.0.0.weight", False)]
)
def test_converted_weights_may_lack_the_last_layer_only(
    missing: str, fits: bool, theirs: nn.Module, tmp_path: Path
) -> None:
    state = {key: value for key, value in theirs.state_dict().items() if not key.startswith(missing)}
    module, listed = s3d(10, (foreign(state, tmp_path),))
    if fits:
        loaded = load_weights(module, "k400", listed=listed)
        assert (loaded.skipped, loaded.classes) == (("classifier.1.weight", "classifier.1.bias"), None)
    else:
        with pytest.raises(ArtefactError, match="the weights do not fit torchvision/s3d"):
            load_weights(module, "k400", listed=listed)


def test_a_converter_that_is_not_there_is_named(theirs: nn.Module, tmp_path: Path) -> None:
    weights = dataclasses.replace(foreign(theirs.state_dict(), tmp_path), convert="zoo.model:nothing")
    module, listed = s3d(400, (weights,))
    with pytest.raises(PluginError, match=r"'zoo\.model:nothing' of torchvision/s3d cannot be imported"):
        load_weights(module, "k400", listed=listed)


def test_an_unknown_tag_names_those_there_are(published: Path) -> None:
    module, listed = s3d(400, (Weights(tag="k400", source=f"file:{published}"),))
    with pytest.raises(UnknownName, match="k400"):
        load_weights(module, "k4000", listed=listed)


EXPLODED: list[str] = []


class Bomb:
    """Runs when it is unpickled without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return EXPLODED.append, ("boom",)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    torch.save({"weight": Bomb()}, path)
    module, listed = s3d(400)
    with pytest.raises(ArtefactError, match="not a plain file of weights"):
        load_weights(module, f"file:{path}", listed=listed)
    path.write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(ArtefactError, match="not a plain file of weights"):
        load_weights(module, f"file:{path}", listed=listed)
    assert EXPLODED == []


def test_a_run_without_a_model_is_told_from_a_name_that_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/stopped").mkdir(parents=True)
    (tmp_path / "runs/stopped/recipe.resolved.yaml").touch()
    with pytest.raises(ArtefactError, match="left no model") as caught:
        zoo.load("runs/stopped")
    assert "zoo run --resume runs/stopped" in str(caught.value)
    with pytest.raises(UnknownName, match="there is no folder runs/nowhere"):
        zoo.load("runs/nowhere")


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        (
            "torchvision/r3d_18",
            (2, 1, 16, 112, 112),
            r"clip_bcthw is \(2, 1, 16, 112, 112\), it was made for \(batch, chan",
        ),
        ("torchvision/r3d_18", (16, 3, 112, 112), "frames 16, height 112, width 112"),
        ("video/x3d_s", (1, 13, 3, 160, 160), "channels 3, frames 13"),
        ("basic/cnn2d", (1, 3, 4, 32, 32), "frames 1, "),
        ("timm/test_vit", (1, 3, 8, 100, 100), "height 160, width 160"),
    ],
)
def test_an_input_that_the_network_fails_on_is_held_against_its_spec(
    name: str, shape: tuple[int, ...], said: str
) -> None:
    model = zoo.load(name, pretrained=False, num_classes=3)
    with pytest.raises(DataError, match=said) as caught:
        model(torch.zeros(shape))
    assert "torch says" in str(caught.value)
    with pytest.raises(DataError, match=r"1 inputs \(clip_bcthw\), not 0"):
        model()


def test_another_failure_of_a_network_stays_as_it_is() -> None:
    class Broken(nn.Module):
        def forward(self, clip_bcthw: Tensor) -> Tensor:
            raise RuntimeError("a fault of its own")

    model = zoo.ZooModel(Broken(), name="acme/broken", clip=ClipSpec(frames=2, size=4))
    with pytest.raises(RuntimeError, match=r"^a fault of its own$"):
        model(torch.zeros(1, 3, 2, 4, 4))
