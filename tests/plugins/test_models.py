"""Built-in models against the libraries and papers they come from."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate
from torchvision.models import get_model, get_model_weights

import zoo
from zoo.build import build
from zoo.pretrained import clip_of
from zoo_plugins.timm.index import clip_spec
from zoo_registry import ClipSpec, Model
from zoo_registry.catalog import catalog
from zoo_registry.errors import ArtefactError, ParameterError
from zoo_registry.names import BARE, TAG
from zoo_registry.protocols import Fetched

TORCHVISION = torchvision.models.list_models(module=torchvision.models.video)
each_torchvision_model = pytest.mark.parametrize("name", TORCHVISION)


def entry_of(name: str) -> Model:
    entry = catalog().resolve("model", name).entry
    assert isinstance(entry, Model)
    return entry


def built(
    name: str, num_classes: int = 400, *, clip: ClipSpec | None = None, device: str = "cpu", **params
) -> nn.Module:
    with torch.device(device):
        listed = catalog().resolve("model", name)
        return build(listed, params, {"num_classes": num_classes, "clip": clip or entry_of(name).clip})


# ------------------------------------------------------------------------------------------------------- torchvision


def test_all_of_torchvisions_video_models_are_listed():
    assert sorted(listed.entry.name for listed in catalog().list("model", "torchvision/*")) == sorted(TORCHVISION)


@each_torchvision_model
def test_parameters_are_as_many_as_torchvision_publishes(name):
    published = get_model_weights(name).DEFAULT.meta["num_params"]
    assert sum(parameter.numel() for parameter in built(f"torchvision/{name}", device="meta").parameters()) == published
    assert entry_of(f"torchvision/{name}").parameters == published


@each_torchvision_model
def test_state_dict_keys_are_torchvisions_own(name):
    with torch.device("meta"):
        theirs = {key: value.shape for key, value in get_model(name).state_dict().items()}
    ours = {key: value.shape for key, value in built(f"torchvision/{name}", device="meta").state_dict().items()}
    assert ours == theirs


@each_torchvision_model
def test_published_weights_are_those_of_torchvision(name):
    ours = {weights.source: weights for weights in entry_of(f"torchvision/{name}").weights}
    theirs = {weights.url: weights.meta for weights in get_model_weights(name)}
    assert ours.keys() == theirs.keys()
    for url, meta in theirs.items():
        claimed = meta["_metrics"]["Kinetics-400"]
        assert ours[url].metrics == pytest.approx(
            {"accuracy": claimed["acc@1"] / 100, "top5": claimed["acc@5"] / 100}, abs=1e-9
        )
        assert ours[url].labels == len(meta["categories"])
        assert ours[url].sha256 == re.search(r"-([0-9a-f]{8})\.pth$", url)[1]


@each_torchvision_model
def test_clip_specs_say_what_torchvisions_transforms_do(name):
    weights = get_model_weights(name).DEFAULT
    transforms, clip = weights.transforms(), entry_of(f"torchvision/{name}").clip
    assert list(clip.height_width) == transforms.crop_size
    assert clip.resize == (
        transforms.resize_size[0] if len(transforms.resize_size) == 1 else tuple(transforms.resize_size)
    )
    assert (list(clip.mean), list(clip.std)) == (transforms.mean, transforms.std)
    assert clip.interpolation == transforms.interpolation.value
    measured_at = re.search(r"`frame_rate=([\d.]+)`.*`clip_len=(\d+)`", weights.meta["_docs"])
    assert (clip.fps, clip.frames, clip.stride) == (float(measured_at[1]), int(measured_at[2]), 1)


def test_r3d_18_with_torchvisions_weights_gives_torchvisions_logits():
    theirs = get_model("r3d_18", num_classes=7).eval()
    ours = built("torchvision/r3d_18", 7).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    clip_bcthw = torch.randn(1, 3, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(clip_bcthw), theirs(clip_bcthw))


@pytest.mark.parametrize("name", ["torchvision/mvit_v1_b", "torchvision/mvit_v2_s", "torchvision/s3d"])
def test_a_clip_that_an_architecture_cannot_take_is_refused_when_it_is_built(name):
    with pytest.raises(ParameterError, match=r"the clip has 3 of 112x112\n.*data\.clip"):
        built(name, clip=replace(entry_of(name).clip, frames=3, size=112), device="meta")


# -------------------------------------------------------------------------------------------------------------- timm


def test_all_of_timm_is_listed_under_names_and_tags_that_recipes_can_write():
    entries = [listed.entry for listed in catalog().list("model", "timm/*")]
    assert [entry.name for entry in entries] == sorted(timm.list_models(pretrained=False))
    assert all(BARE.fullmatch(entry.name) for entry in entries)
    tags = {f"{entry.name}.{weights.tag}" for entry in entries for weights in entry.weights}
    assert tags == {name for name in timm.list_pretrained() if "." in name}
    assert all(TAG.fullmatch(name.partition(".")[2]) for name in tags)


@pytest.mark.parametrize(
    ("name", "tag", "licence"),
    [("resnet18", "a1_in1k", "apache-2.0"), ("swin_tiny_patch4_window7_224", "ms_in1k", "mit"),
     ("vit_base_patch16_224", "mae", "cc-by-nc-4.0")],
)  # fmt: skip
def test_published_image_weights_have_their_repository_and_licence(name, tag, licence):
    weights = catalog().resolve("model", f"timm/{name}.{tag}").weights(tag)
    assert weights.source == f"hf://timm/{name}.{tag}"
    assert weights.licence == licence


@pytest.mark.parametrize(
    "name", ["resnet18.a1_in1k", "efficientnet_b0.ra_in1k", "vit_small_patch14_dinov2.lvd142m", "hiera_base_224.mae",
             "vit_base_patch16_siglip_224.webli", "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384"],
)  # fmt: skip
def test_clip_specs_say_what_timms_transforms_do(name):
    config = timm.models.get_pretrained_cfg(name)
    data = timm.data.resolve_data_config(pretrained_cfg=config.to_dict())
    resize, crop, *_, normalise = timm.data.create_transform(**data).transforms
    clip = clip_spec(config)
    short_side = resize.size if isinstance(resize.size, int) else tuple(resize.size)
    assert clip.resize == short_side or (clip.resize is None and short_side == clip.size)
    assert clip.height_width == tuple(crop.size)
    assert clip.interpolation == resize.interpolation.value
    assert torch.allclose(torch.tensor(clip.mean), normalise.mean)
    assert torch.allclose(torch.tensor(clip.std), normalise.std)


def test_a_frame_encoder_is_the_mean_of_timms_features():
    model = built("timm/test_resnet", 5, clip=ClipSpec(frames=3, size=64)).eval()
    theirs = timm.create_model("test_resnet", pretrained=False, num_classes=0).eval()
    theirs.load_state_dict(model.backbone.state_dict(), strict=True)
    clip_bcthw = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        by_frame = torch.stack([theirs(clip_bcthw[:, :, frame]) for frame in range(3)])
        assert torch.allclose(model(clip_bcthw), model.head(by_frame.mean(0)), atol=1e-6)
        backwards = model(clip_bcthw.flip(2))
        assert torch.allclose(model(clip_bcthw), backwards, atol=1e-6)


def published(name: str, tag: str, classes: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """timm's own network with random weights, put where the tag's published ones would be fetched from."""
    theirs = timm.create_model(name, pretrained=False, num_classes=classes).eval()
    save_file(theirs.state_dict(), folder / "model.safetensors")

    def fetch(uri: str, *, files: object = None) -> Fetched:
        assert uri == f"hf://timm/{name}.{tag}"
        return Fetched(folder, uri)

    monkeypatch.setattr("zoo.pretrained.state_dicts.fetch", fetch)
    return theirs


images = pytest.mark.parametrize(("name", "tag"), [("test_resnet", "r160_in1k"), ("test_vit", "r160_in1k")])


@images
def test_a_clip_of_one_frame_gets_timms_own_logits(name, tag, tmp_path, monkeypatch):
    theirs = published(name, tag, 1000, tmp_path, monkeypatch)
    ours = zoo.load(f"timm/{name}.{tag}")
    frames_bchw = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(ours(frames_bchw[:, :, None]), theirs(frames_bchw), atol=1e-5)


@images
def test_image_weights_for_other_classes_leave_only_the_head_random(name, tag, tmp_path, monkeypatch):
    theirs = published(name, tag, 1000, tmp_path, monkeypatch)
    with pytest.warns(UserWarning, match=r"head\.weight, head\.bias start from random .* 1000 classes, not for 5"):
        ours = zoo.load(f"timm/{name}.{tag}", num_classes=5)
    frames_bchw = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        features = theirs.forward_head(theirs.forward_features(frames_bchw), pre_logits=True)
        assert torch.allclose(ours.network.backbone(frames_bchw), features, atol=1e-5)


def test_image_weights_without_a_classifier_leave_only_the_head_random(tmp_path, monkeypatch):
    published("test_resnet", "r160_in1k", 0, tmp_path, monkeypatch)
    with pytest.warns(UserWarning, match="the weights are without a classifier, not for 5"):
        zoo.load("timm/test_resnet.r160_in1k", num_classes=5)


def test_image_weights_of_another_backbone_are_refused(tmp_path, monkeypatch):
    theirs = published("test_resnet", "r160_in1k", 1000, tmp_path, monkeypatch)
    state = theirs.state_dict()
    del state["conv1.0.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ArtefactError, match=r"'backbone\.conv1\.0\.weight' .* is missing from the file"):
        zoo.load("timm/test_resnet.r160_in1k")


def test_weights_of_a_tag_are_seen_as_timm_prepares_images_for_them():
    name = "convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384"
    config = timm.models.get_pretrained_cfg(name)
    clip = clip_of(catalog().resolve("model", "timm/convnext_base"), name.partition(".")[2])
    assert (clip.height_width, clip.mean, clip.std) == ((384, 384), config.mean, config.std)
    assert clip.mean != entry_of("timm/convnext_base").clip.mean


def test_a_backbone_for_one_size_is_built_for_the_clips_size():
    model = built("timm/test_vit", 5, clip=ClipSpec(frames=2, size=(64, 96)))
    assert model(torch.randn(1, 3, 2, 64, 96)).shape == (1, 5)


@pytest.mark.parametrize("name", ["mobilenetv5_300m_enc", "gemma4_vit_167m_enc"])
def test_encoders_that_do_not_pool_are_averaged(name):
    listed = catalog().list("model", f"timm/{name}")
    if not listed:
        pytest.skip(f"timm {timm.__version__} has no {name}")
    model = built(f"timm/{name}", 5, device="meta")
    height, width = listed[0].entry.clip.height_width
    assert model(torch.empty(2, 3, 2, height, width, device="meta")).shape == (2, 5)


def test_a_backbone_without_stochastic_depth_says_so():
    with pytest.raises(ParameterError, match=r"timm/vgg11 cannot be built with drop_path_rate=0\.2"):
        built("timm/vgg11", 5, device="meta", drop_path=0.2)


@pytest.mark.slow
def test_every_timm_model_builds_and_answers():
    """About six minutes; on the meta device, so nothing is computed."""
    wrong = []
    for listed in catalog().list("model", "timm/*"):
        height, width = listed.entry.clip.height_width
        try:
            model = built(listed.name, 5, device="meta").eval()
            shape = tuple(model(torch.empty(2, 3, 2, height, width, device="meta")).shape)
        except Exception as error:
            wrong.append(f"{listed.name}: {error!r}")
        else:
            wrong += [f"{listed.name}: {shape}"] if shape != (2, 5) else []
    assert not wrong


# ------------------------------------------------------------------------------------------------------------- basic


def test_cnn2d_is_the_textbooks_network():
    """Counted by hand for 10 classes: 896 + 18,496 for the convolutions, 524,416 + 1,290 for the layers after."""
    model = built("basic/cnn2d", 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 896 + 18_496 + 524_416 + 1_290
    layers = [type(layer).__name__ for layer in model.modules() if not list(layer.children())]
    assert [layer for layer in layers if layer not in ("ReLU", "Flatten", "Dropout")] == [
        "Conv2d", "MaxPool2d", "Conv2d", "MaxPool2d", "Linear", "Linear",
    ]  # fmt: skip


def test_cnn2d_refuses_clips_of_several_frames():
    with pytest.raises(ParameterError, match=r"looks at one frame, the clip has 8\n.*basic/cnn3d"):
        built("basic/cnn2d", clip=ClipSpec(frames=8, size=32))


def test_cnn2d_fits_other_sizes():
    assert built("basic/cnn2d", 3, clip=ClipSpec(frames=1, size=(48, 64)))(torch.zeros(1, 3, 1, 48, 64)).shape == (1, 3)


@pytest.mark.parametrize("shape", [(16, 32, 32), (1, 32, 32), (8, 112, 64), (5, 33, 17)])
def test_cnn3d_takes_clips_of_any_length_and_size(shape):
    assert built("basic/cnn3d", 6).eval()(torch.zeros(2, 3, *shape)).shape == (2, 6)


def test_cnn3d_learns_motions_that_no_single_frame_shows():
    clips, labels = moving_textures(240, seed=0)
    unseen_clips, unseen_labels = moving_textures(120, seed=1)
    assert _accuracy_after_training(clips, labels, unseen_clips, unseen_labels) > 0.9
    middle = slice(4, 5)
    # Chance is 1/6; 0.3 lies four standard deviations of 120 guesses above it.
    assert _accuracy_after_training(clips[:, :, middle], labels, unseen_clips[:, :, middle], unseen_labels) < 0.3


def _accuracy_after_training(clips, labels, unseen_clips, unseen_labels) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = built("basic/cnn3d", 6)
        optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(4):
            for rows in torch.randperm(len(clips)).split(20):
                optimiser.zero_grad()
                cross_entropy(model(clips[rows]), labels[rows]).backward()
                optimiser.step()
    with torch.no_grad():
        return (model.eval()(unseen_clips).argmax(1) == unseen_labels).float().mean().item()


def moving_textures(count: int, seed: int, frames: int = 8, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of random textures, turned at random, that move along an axis by a pixel a frame or go on turning."""
    generator = torch.Generator().manual_seed(seed)
    noise = [torch.randn(count, 3, 64 // grain, 64 // grain, generator=generator) for grain in (2, 4, 8)]
    texture = sum(interpolate(layer, size=(64, 64), mode="bilinear") for layer in noise)
    labels = torch.arange(count) % 6
    time = torch.arange(frames) - frames // 2
    turn = 0.08 * time * ((labels == 4).float() - (labels == 5).float())[:, None]
    angle = 2 * torch.pi * torch.rand(count, generator=generator)[:, None] + turn
    across = 2 * time / size * ((labels == 0).float() - (labels == 1).float())[:, None]
    along = 2 * time / size * ((labels == 2).float() - (labels == 3).float())[:, None]
    cos, sin = angle.cos() / 2, angle.sin() / 2  # the window is half as wide as the texture
    x_row = torch.stack([cos, -sin, cos * across - sin * along], -1)
    y_row = torch.stack([sin, cos, sin * across + cos * along], -1)
    theta = torch.stack([x_row, y_row], -2)
    grid = affine_grid(theta.flatten(0, 1), [count * frames, 3, size, size], align_corners=False)
    pictures = grid_sample(texture.repeat_interleave(frames, 0), grid, align_corners=False)
    return pictures.unflatten(0, (count, frames)).transpose(1, 2), labels
