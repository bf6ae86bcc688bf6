"""`zoo.load` of names: other channels and clips, features only, class names, licences, weights of somebody else."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import video

import zoo
from zoo.artefact import save_model
from zoo.build import build
from zoo.pretrained import load_weights
from zoo_registry import Weights
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ArtefactError, ParameterError, PluginError, UnknownName


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """torchvision's own network with random weights, which stand for published ones."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = video.r3d_18(num_classes=400).eval()
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm3d):
                nn.init.normal_(norm.running_mean, std=0.1)
                nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return network


@pytest.fixture
def publish(theirs: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a state dict where the tag `k400` of r3d_18 is fetched from."""

    def put(state: dict[str, Tensor] | None = None, **fields: Any) -> None:
        save_file(dict(theirs.state_dict()) if state is None else state, tmp_path / "model.safetensors")
        published = {"labels": 400, "licence": "bsd-3-clause", **fields}
        weights = Weights(tag="k400", source=f"file:{tmp_path}/model.safetensors", **published)
        monkeypatch.setattr(Listed, "weights", lambda _, __: weights)

    return put


@pytest.fixture
def clip_bcthw() -> Tensor:
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


def test_published_weights_give_the_publishers_answers(publish: Any, theirs: nn.Module, clip_bcthw: Tensor) -> None:
    publish()
    with torch.no_grad():
        assert torch.equal(zoo.load("torchvision/r3d_18.k400")(clip_bcthw), theirs(clip_bcthw))


def test_a_network_that_will_be_filled_is_not_given_random_values_first(publish: Any) -> None:
    publish()
    before = torch.random.get_rng_state()
    zoo.load("torchvision/r3d_18.k400")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_half_precision_weights_become_the_networks_type(publish: Any, theirs: nn.Module) -> None:
    publish({key: value.half() if value.is_floating_point() else value for key, value in theirs.state_dict().items()})
    assert {value.dtype for value in zoo.load("torchvision/r3d_18.k400").parameters()} == {torch.float32}


def test_a_grey_network_answers_grey_clips_as_the_published_one_answers_three_equal_channels(
    publish: Any, theirs: nn.Module, clip_bcthw: Tensor
) -> None:
    publish()
    with pytest.warns(UserWarning, match=r"stem\.0\.weight is folded from 3 input channels to 1"):
        grey = zoo.load("torchvision/r3d_18.k400", params={"in_channels": 1})
    one = clip_bcthw[:, :1]
    with torch.no_grad():
        torch.testing.assert_close(grey(one), theirs(one.expand(-1, 3, -1, -1, -1)), rtol=1e-4, atol=1e-5)
    assert grey.clip is not None
    assert len(grey.clip.mean) == len(grey.clip.std) == 1


def test_more_channels_repeat_the_published_ones_and_keep_their_sum(publish: Any, theirs: nn.Module) -> None:
    publish()
    with pytest.warns(UserWarning, match="from 3 input channels to 6"):
        six = zoo.load("torchvision/r3d_18.k400", params={"in_channels": 6})
    published = theirs.state_dict()["stem.0.weight"]
    folded = six.network.state_dict()["stem.0.weight"]
    torch.testing.assert_close(folded.sum(1), published.sum(1))
    torch.testing.assert_close(folded[:, 3:], published / 2)


def test_features_only_gives_a_map_of_every_stage(publish: Any, theirs: nn.Module, clip_bcthw: Tensor) -> None:
    publish()
    backbone = zoo.load("torchvision/r3d_18.k400", features_only=True)
    with torch.no_grad():
        maps = backbone(clip_bcthw)
        expected = [theirs.stem(clip_bcthw)]
        for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            expected.append(layer(expected[-1]))
    assert len(maps) == 5
    assert torch.equal(backbone.forward_features(clip_bcthw), maps[-1])
    assert all(torch.equal(*pair) for pair in zip(maps, expected, strict=True))
    stages = backbone.network.stages
    assert [stage.channels for stage in stages] == [given.shape[1] for given in maps]
    for stage, given in zip(stages, maps, strict=True):
        covered = [cells * stride for cells, stride in zip(given.shape[2:], stage.stride, strict=True)]
        assert covered == [8, 32, 32]
    assert not any(name.startswith("network.network.fc.") for name, _ in backbone.named_parameters())
    assert (backbone.num_classes, backbone.labels, backbone.task) == (None, (), None)


def test_features_of_a_model_folder(tmp_path: Path, publish: Any, clip_bcthw: Tensor) -> None:
    from zoo.artefact import save_model

    publish()
    model = zoo.load("torchvision/r3d_18.k400")
    save_model(tmp_path / "saved", model.network, model=model.name, params={}, clip=model.clip, num_classes=400)
    maps = zoo.load(tmp_path / "saved", features_only=True)(clip_bcthw)
    with torch.no_grad():
        assert torch.equal(maps[-1], model.forward_features(clip_bcthw))


def test_features_of_a_network_without_stages_are_refused() -> None:
    with pytest.raises(PluginError, match="acme/tiny3d gives no feature maps: it has no stages"):
        zoo.load("acme/tiny3d", pretrained=False, num_classes=2, features_only=True)


def test_the_clip_is_changed_as_a_recipe_would() -> None:
    model = zoo.load("torchvision/r3d_18", pretrained=False, clip={"frames": 4, "size": 56})
    assert model.clip is not None
    assert (model.clip.frames, model.clip.size, model.clip.resize) == (4, 56, (64, 86))  # 128 x 171, halved


def test_a_parameter_that_the_builder_does_not_take_is_refused() -> None:
    with pytest.raises(ParameterError, match="in_chans"):
        zoo.load("torchvision/r3d_18", pretrained=False, params={"in_chans": 1})
    with pytest.raises(ParameterError, match="in_channels"):
        zoo.load("torchvision/r3d_18", pretrained=False, params={"in_channels": 0})


@pytest.mark.parametrize("classes", [0, -3, 2.5, True, "6"])
def test_a_network_has_at_least_one_class(classes: Any) -> None:
    with pytest.raises(ParameterError, match=f"num_classes is {classes!r}"):
        zoo.load("torchvision/r3d_18", pretrained=False, num_classes=classes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"clip": {"framez": 4}}, r"clip: there is no 'framez'\n  there is frames"),
        ({"clip": {"frames": 0}}, "frames must be a whole number"),
        ({"clip": "4"}, "clip is '4', not a mapping"),
        ({"params": ["in_channels"]}, "params is .* not a mapping"),
        ({"device": "gpu"}, r"'gpu' is no device of this machine: .*\n  device is cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, "'cuda:99' is no device of this machine"),
    ],
)
def test_options_that_nothing_can_be_loaded_with_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        zoo.load("torchvision/r3d_18", pretrained=False, **options)


def test_weights_by_path_are_read_in_any_layout_of_the_model(tmp_path: Path) -> None:
    image = timm.create_model("resnet18", pretrained=False, num_classes=1000).eval()
    save_file(image.state_dict(), tmp_path / "model.safetensors")
    listed = catalog().resolve("model", "video/tsn")
    network = build(listed, {"backbone": "resnet18"}, {"num_classes": 7, "clip": listed.model.clip}).eval()
    loaded = load_weights(network, f"file:{tmp_path}", listed=listed)
    assert loaded.classes == 1000
    frames_bchw = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.forward_pyramid(frames_bchw[:, :, None])
        torch.testing.assert_close(maps[-1][:, :, 0], image.forward_features(frames_bchw), rtol=1e-4, atol=1e-4)


def test_a_network_says_what_its_weights_saw(tmp_path: Path) -> None:
    listed = catalog().resolve("model", "basic/cnn3d")
    small = replace(listed.model.clip, frames=4, size=48)
    first, again, other = (build(listed, {}, {"num_classes": 3}) for _ in range(3))
    save_model(tmp_path / "model", first, model=listed.name, params={}, clip=small, labels=("a", "b", "c"))
    save_file(first.state_dict(), tmp_path / "bare.safetensors")
    loaded = load_weights(again, f"file:{tmp_path / 'model'}", listed=listed)
    assert loaded.clip == small
    assert again.loaded_weights is loaded
    assert load_weights(other, f"file:{tmp_path / 'bare.safetensors'}", listed=listed).clip == listed.model.clip


def test_weights_that_a_converter_cannot_read_are_refused(publish: Any) -> None:
    publish({"weight": torch.zeros(3)}, convert="operator:add")
    with pytest.raises(ArtefactError, match="cannot read these weights as operator:add: TypeError"):
        zoo.load("torchvision/r3d_18.k400")


# ------------------------------------------------------------------------------------------------------------- labels


def test_class_names_come_with_the_weights(publish: Any) -> None:
    publish(label_file="zoo_plugins:labels/kinetics400.txt")
    labels = zoo.load("torchvision/r3d_18.k400").labels
    assert labels == tuple(video.R3D_18_Weights.DEFAULT.meta["categories"])


def test_a_new_head_has_no_published_names(publish: Any) -> None:
    publish(label_file="zoo_plugins:labels/kinetics400.txt")
    with pytest.warns(UserWarning, match="start from random values"):
        assert zoo.load("torchvision/r3d_18.k400", num_classes=5).labels == ()


def test_a_label_file_of_another_data_set_is_the_plugins_fault(publish: Any) -> None:
    publish(label_file="zoo_plugins:labels/kinetics600.txt")
    with pytest.raises(PluginError, match="cannot be used: 600 names for 400 classes"):
        zoo.load("torchvision/r3d_18.k400")


# ------------------------------------------------------------------------------------------------------------ licences


def test_a_licence_that_forbids_commercial_use_is_said(publish: Any) -> None:
    publish(licence="cc-by-nc-4.0")
    with pytest.warns(UserWarning, match=r"torchvision/r3d_18\.k400 are licensed cc-by-nc-4\.0: no commercial use"):
        zoo.load("torchvision/r3d_18.k400")


def test_other_licences_are_not(publish: Any) -> None:
    publish()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo.load("torchvision/r3d_18.k400")


# --------------------------------------------------------------------------------------------- whose weights they are


def test_weights_of_another_architecture_are_called_by_its_name(publish: Any) -> None:
    publish(dict(video.mc3_18(num_classes=400).state_dict()))
    with pytest.raises(ArtefactError) as caught:
        zoo.load("torchvision/r3d_18.k400")
    said = str(caught.value)
    assert "the weights do not fit torchvision/r3d_18" in said
    assert "their keys are those of torchvision/mc3_18" in said
    assert "'layer2.0.conv1.0.weight' is (128, 64, 1, 3, 3) in the file, (128, 64, 3, 3, 3) in the model" in said


def test_weights_of_nobody_are_said_to_be_nobodys(publish: Any) -> None:
    publish({"weight": torch.zeros(33_000_000)})
    with pytest.raises(ArtefactError, match="they belong to another architecture"):
        zoo.load("torchvision/r3d_18.k400")


def test_a_truncated_file_is_refused(publish: Any, tmp_path: Path) -> None:
    publish()
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ArtefactError, match="not a safetensors file"):
        zoo.load("torchvision/r3d_18.k400")


def test_a_wrong_checksum_is_refused(publish: Any) -> None:
    publish(sha256="00000000")
    with pytest.raises(ArtefactError, match="should start with 00000000"):
        zoo.load("torchvision/r3d_18.k400")


def test_an_unknown_tag_has_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"has no weights 'k40'\n  there is k400"):
        zoo.load("torchvision/r3d_18.k40")
