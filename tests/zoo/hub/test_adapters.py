"""What other libraries put on the Hub: recognised by the plugin that owns it, and answering as its own library does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from torch import Tensor, nn
from transformers import (
    TimesformerConfig,
    TimesformerForVideoClassification,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    VivitConfig,
    VivitForVideoClassification,
)
from zoo_acme.tiny3d import Tiny3D

import zoo
from zoo_registry.errors import ArtefactError, ParameterError

from .conftest import Client
from .server import HubServer

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
NAMED = {"id2label": {0: "cut", 1: "stir"}, "label2id": {"cut": 0, "stir": 1}}
Publisher = Callable[[Path], nn.Module]


class Published(Tiny3D, PyTorchModelHubMixin, library_name="acme", license="mit"):  # type: ignore[call-arg,misc]
    """Acme's network as its authors put it on the Hub."""


def timm_model(name: str, **arguments: Any) -> Publisher:
    def save(folder: Path) -> nn.Module:
        model: nn.Module = timm.create_model(name, num_classes=5, **arguments).eval()
        save_for_hf(model, str(folder), safe_serialization=True)
        return model

    return save


def transformers_model(cls: Any, config: Any) -> Publisher:
    def save(folder: Path) -> nn.Module:
        model: nn.Module = cls(config).eval()
        model.save_pretrained(folder)  # type: ignore[operator]
        return model

    return save


def mixin_model(folder: Path) -> nn.Module:
    model = Published(num_classes=3, width=4).eval()
    model.save_pretrained(folder)
    return model


VIDEOMAE = transformers_model(
    VideoMAEForVideoClassification,
    VideoMAEConfig(image_size=32, num_frames=4, use_mean_pooling=True, num_labels=5, **SMALL),
)
TIMESFORMER = transformers_model(
    TimesformerForVideoClassification, TimesformerConfig(image_size=32, num_frames=2, **SMALL, **NAMED)
)
VIVIT = transformers_model(VivitForVideoClassification, VivitConfig(image_size=32, num_frames=4, **SMALL, **NAMED))


def of_frames(model: nn.Module, clip_bcthw: Tensor) -> Tensor:
    logits: Tensor = model(clip_bcthw[:, :, 0])
    return logits


def of_pixel_values(model: nn.Module, clip_bcthw: Tensor) -> Tensor:
    logits: Tensor = model(clip_bcthw.transpose(1, 2)).logits
    return logits


def of_clips(model: nn.Module, clip_bcthw: Tensor) -> Tensor:
    logits: Tensor = model(clip_bcthw)
    return logits


CASES = [
    pytest.param(timm_model("test_resnet"), of_frames, "timm/test_resnet", 1, id="timm-resnet"),
    pytest.param(timm_model("test_vit", img_size=64), of_frames, "timm/test_vit", 1, id="timm-vit-of-64"),
    pytest.param(VIDEOMAE, of_pixel_values, "transformers/videomae_b", 4, id="videomae"),
    pytest.param(TIMESFORMER, of_pixel_values, "transformers/timesformer_b", 2, id="timesformer"),
    pytest.param(VIVIT, of_pixel_values, "transformers/vivit_b_16x2", 4, id="vivit"),
    pytest.param(mixin_model, of_clips, "acme/tiny3d", 8, id="mixin"),
]


@pytest.mark.parametrize(("publish", "answer", "name", "frames"), CASES)
def test_it_answers_as_its_own_library_does(
    publish: Publisher, answer: Callable[[nn.Module, Tensor], Tensor], name: str, frames: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = publish(tmp_path / "repo")
    ours = zoo.load(tmp_path / "repo")
    assert ours.name == name
    clip_bcthw = torch.randn(2, 3, frames, *ours.clip.height_width)  # type: ignore[union-attr]
    with torch.no_grad():
        torch.testing.assert_close(ours(clip_bcthw), answer(theirs, clip_bcthw), rtol=0, atol=1e-5)


def test_from_the_hub_it_loads_by_one_line_and_asks_nothing_the_second_time(
    hub: HubServer, stranger: Client, tmp_path: Path
) -> None:
    theirs = {"timm/net": timm_model("test_resnet"), "org/videomae": VIDEOMAE, "acme/tiny": mixin_model}
    seen = {
        "timm/net": ((1, 3, 1, 96, 96), of_frames),
        "org/videomae": ((1, 3, 4, 32, 32), of_pixel_values),
        "acme/tiny": ((1, 3, 8, 32, 32), of_clips),
    }
    expected, orders = {}, []
    for name, publish in theirs.items():
        folder = tmp_path / name
        model = publish(folder)
        commit = hub.put(name, {path.name: path.read_bytes() for path in folder.iterdir()})
        shape, answer = seen[name]
        clip_bcthw = torch.randn(shape)
        save_file({"clip_bcthw": clip_bcthw}, folder / "clip")
        with torch.no_grad():
            expected[name] = answer(model, clip_bcthw)
        orders.append((f"hf://{name}@{commit}", str(folder / "clip"), str(folder / "output")))
    answer_all = stranger(":forward_each", orders)
    assert answer_all.error is None, answer_all.error
    for name in theirs:
        torch.testing.assert_close(load_file(tmp_path / name / "output")["output"], expected[name], rtol=0, atol=1e-5)
    hub.requests.clear()
    assert stranger(":forward_each", orders[:1]).error is None
    assert hub.requests == []


def test_names_of_classes_clip_and_licence_come_along(tmp_path: Path) -> None:
    TIMESFORMER(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    processor = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5], "do_normalize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.warns(UserWarning, match="cc-by-nc-4.0: no commercial use"):
        model = zoo.load(tmp_path)
    assert (model.labels, model.licence) == (("cut", "stir"), "cc-by-nc-4.0")
    assert model.clip is not None
    assert (model.clip.frames, model.clip.size, model.clip.mean) == (2, 32, (0.1, 0.2, 0.3))


def test_features_need_no_classifier(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=0).eval()
    save_for_hf(model, str(tmp_path), safe_serialization=True)
    with pytest.raises(ArtefactError, match="has no classifier"):
        zoo.load(tmp_path)
    maps = zoo.load(tmp_path, features_only=True)(torch.randn(1, 3, 2, 64, 64))
    with torch.no_grad():
        expected = model.forward_intermediates(torch.randn(1, 3, 64, 64), intermediates_only=True)
    assert [each.shape[1] for each in maps] == [each.shape[1] for each in expected]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "relu"}, "hidden_act is 'relu', not 'gelu'"),
        ({"tubelet_size": 4}, "tubelet_size is 4, not 2"),
        ({"architectures": ["VideoMAEForPreTraining"]}, "those of VideoMAEForPreTraining"),
        ({"hidden_size": "wide"}, "config.json"),
        ({"num_labels": 10**12}, "says 1000000000000 classes"),
        ({"num_hidden_layers": 10**9}, "blocks"),
        ({"num_frames": 10**9}, "describes no clip"),
        ({"architectures": -1}, "architectures of its config.json is -1, no list"),
    ],
)
def test_a_model_that_the_catalogue_does_not_have_is_refused_in_words(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    VIDEOMAE(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ParameterError, match=words):
        zoo.load(tmp_path)


def test_weights_of_pre_training_are_told_apart(tmp_path: Path) -> None:
    config = VideoMAEConfig(image_size=32, num_frames=4, decoder_hidden_size=16, decoder_num_attention_heads=2,
                            decoder_num_hidden_layers=1, decoder_intermediate_size=32, **SMALL)  # fmt: skip
    VideoMAEForPreTraining(config).save_pretrained(tmp_path)
    with pytest.raises(ParameterError, match="those of VideoMAEForPreTraining"):
        zoo.load(tmp_path)


def test_other_arguments_of_timm_are_refused(tmp_path: Path) -> None:
    timm_model("test_vit", qkv_bias=False)(tmp_path)
    with pytest.raises(ParameterError, match=r"built with other arguments than timm's: .*qkv_bias"):
        zoo.load(tmp_path)


def test_arguments_of_timm_that_are_none_are_refused(tmp_path: Path) -> None:
    timm_model("test_vit")(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"model_args": -1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ParameterError, match=r"model_args of its config.json is -1, no mapping"):
        zoo.load(tmp_path)


def test_packages_that_one_adapter_lacks_do_not_keep_another_from_its_own(tmp_path: Path) -> None:
    timm_model("test_resnet")(tmp_path / "timm")
    VIDEOMAE(tmp_path / "videomae")
    program = """
import sys
sys.modules["transformers"] = None
import zoo
print(zoo.load(sys.argv[1]).name)
zoo.load(sys.argv[2])
"""
    command = [sys.executable, "-c", program, f"file:{tmp_path}/timm", f"file:{tmp_path}/videomae"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout == "timm/test_resnet\n", done.stderr
    assert "MissingExtra" in done.stderr
    assert "videozoo[transformers]" in done.stderr


def test_other_pooling_of_timm_is_refused(tmp_path: Path) -> None:
    timm_model("test_vit", global_pool="avg")(tmp_path)
    with pytest.raises(ParameterError, match="pools by 'avg'"):
        zoo.load(tmp_path)


def test_what_no_plugin_recognises_is_said(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ArtefactError, match="no library that is known here wrote it") as caught:
        zoo.load(tmp_path)
    assert "timm/timm" in str(caught.value)


# ---------------------------------------------------------------------------------------------------- pickles


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """The same model with its weights as a pickle, as older repositories have them."""
    folder = tmp_path / "pickled"
    VIDEOMAE(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_pickle_is_refused_without_a_word_from_the_user(pickled: Path) -> None:
    with pytest.raises(ArtefactError, match=r"as a pickle only \(pytorch_model.bin\)") as caught:
        zoo.load(pickled)
    assert "allow_pickle=True" in str(caught.value)


def test_an_allowed_pickle_is_read_with_a_warning(pickled: Path) -> None:
    with pytest.warns(UserWarning, match=r"\(pytorch_model.bin\) were read from a pickle"):
        model = zoo.load(pickled, allow_pickle=True)
    assert model.num_classes == 5


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


def test_an_allowed_pickle_still_runs_no_code(pickled: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Evil()}, pickled / "pytorch_model.bin")
    with pytest.raises(ArtefactError, match="it asks for code"):
        zoo.load(pickled, allow_pickle=True)
    assert not (tmp_path / "owned").exists()


def test_a_pickle_is_fetched_only_when_it_is_allowed(hub: HubServer, stranger: Client, pickled: Path) -> None:
    hub.put("org/old", {path.name: path.read_bytes() for path in pickled.iterdir()})
    refused = stranger("zoo.model:load", "hf://org/old")
    assert "offers its weights as a pickle only (pytorch_model.bin)" in refused.error
    assert not any("pytorch_model.bin" in request for request in hub.requests)
    allowed = stranger(":described", "hf://org/old", allow_pickle=True)
    assert allowed.error is None, allowed.error
    assert any("read from a pickle" in warning for warning in allowed.warnings)


def test_a_run_that_starts_from_a_pickle_says_so_in_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.recipe import read_lock
    from zoo.runner.stages import run

    monkeypatch.chdir(tmp_path)
    network = zoo.load("basic/cnn3d", pretrained=False, num_classes=4).network
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    data = {name: {"name": "motions", "params": {"count": 8}} for name in ("train", "val")}
    recipe = {
        "zoo": 1, "task": "classification", "model": {"name": "cnn3d", "weights": f"file:{tmp_path}/weights.pth"},
        "data": {**data, "clip": {"frames": 4}}, "loss": "cross_entropy",
        "optim": {"name": "sgd", "params": {"lr": 0.1}}, "run": {"epochs": 1, "batch": 4},
    }  # fmt: skip
    result = run(recipe, out=tmp_path / "run", quiet=True)
    (said,) = read_lock(result.folder / "zoo.lock")["warnings"]
    assert said["weights"] == f"file:{tmp_path}/weights.pth"
    assert said["warning"].startswith("read from a pickle")
    assert read_lock(result.folder / "model" / "zoo.lock")["warnings"][0]["weights"] == "file:weights.pth"
