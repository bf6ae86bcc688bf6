"""torchvision's video models, as they come out of the zoo, against torchvision's own functions."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import get_model, get_model_weights
from torchvision.models.video.mvit import _interpolate

from zoo.artefact.weights import sha256_of
from zoo.build import build
from zoo.pretrained import load_weights
from zoo_plugins.torchvision.mvit import fit_positions
from zoo_registry import Weights
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import StagedNetwork

SMALL = {"r3d_18": (4, 32), "mc3_18": (4, 32), "r2plus1d_18": (4, 32), "swin3d_t": (4, 64)}
"""Frames and size that torchvision's own network takes, and takes quickly."""
LARGE = {"s3d": (14, 224), "mvit_v1_b": (16, 224), "mvit_v2_s": (16, 224)}
"""The least that the others take."""
MVIT = ("mvit_v1_b", "mvit_v2_s")
NAMES = [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]


def listed(name: str) -> Listed:
    return catalog().resolve("model", f"torchvision/{name}")


def ours(name: str, classes: int = 7, frames: int | None = None, size: int | None = None, **params: float) -> nn.Module:
    """Built for a clip of that length and size, the model's own where they are not said."""
    entry = listed(name)
    clip = replace(entry.model.clip, frames=frames or entry.model.clip.frames, size=size or entry.model.clip.size)
    torch.manual_seed(0)
    return build(entry, params, {"num_classes": classes, "clip": clip})


def example(name: str, batch: int = 2, channels: int = 3) -> Tensor:
    frames, size = (SMALL | LARGE)[name]
    return torch.randn(batch, channels, frames, size, size, generator=torch.Generator().manual_seed(1))


def gradients(network: nn.Module, clip_bcthw: Tensor, seed: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of a training step, its random numbers from a seed."""
    torch.manual_seed(seed)
    loss = cross_entropy(network.train()(clip_bcthw), torch.arange(len(clip_bcthw)))
    network.zero_grad()
    loss.backward()
    return loss.detach(), {name: value.grad.clone() for name, value in network.named_parameters()}


# ------------------------------------------------------------------------------------------------- the same network


@pytest.mark.parametrize("name", [*SMALL, *LARGE])
def test_a_seed_gives_torchvisions_own_random_weights(name):
    mine = ours(name).state_dict()
    torch.manual_seed(0)
    theirs = get_model(name, num_classes=7).state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[key], value) for key, value in theirs.items())


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_torchvisions_bit_for_bit(name):
    mine, clip_bcthw = ours(name, frames=(SMALL | LARGE)[name][0]).eval(), example(name)
    theirs = get_model(name, num_classes=7).eval()
    theirs.load_state_dict(mine.state_dict())
    with torch.no_grad():
        assert torch.equal(mine(clip_bcthw), theirs(clip_bcthw))


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_is_torchvisions(name):
    mine, clip_bcthw = ours(name, frames=(SMALL | LARGE)[name][0]), example(name)
    theirs = get_model(name, num_classes=7)
    theirs.load_state_dict(mine.state_dict())
    loss, mine_by_name = gradients(mine, clip_bcthw)
    their_loss, theirs_by_name = gradients(theirs, clip_bcthw)
    assert torch.equal(loss, their_loss)
    for key, gradient in theirs_by_name.items():
        torch.testing.assert_close(mine_by_name[key], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_map_is_what_torchvision_pools(name):
    mine, clip_bcthw = ours(name, frames=(SMALL | LARGE)[name][0]).eval(), example(name, batch=1)
    theirs = get_model(name, num_classes=7).eval()
    theirs.load_state_dict(mine.state_dict())
    seen: list[Tensor] = []
    if name in MVIT:
        theirs.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    else:
        theirs.avgpool.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        theirs(clip_bcthw)
        last = mine.forward_pyramid(clip_bcthw)[-1]
        assert torch.equal(mine.forward_features(clip_bcthw), seen[0])
    if name in MVIT:
        assert torch.equal(last.flatten(2).transpose(1, 2), seen[0][:, 1:])
    else:
        assert torch.equal(last, seen[0])


# ------------------------------------------------------------------------------------------------------- its stages


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "swin3d_s", "swin3d_b"])
def test_stages_name_every_parameter_once_and_their_maps_are_as_they_say(name):
    clip = listed(name).model.clip
    with torch.device("meta"):
        network = ours(name)
        maps = network.forward_pyramid(torch.empty(1, 3, clip.frames, *clip.height_width))
    assert isinstance(network, StagedNetwork)
    stages = network.stages()
    assert [stage.name for stage in stages] == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
    names = [each for stage in stages for layer in stage.layers for each in layer]
    for key, _ in network.named_parameters():
        assert len([each for each in names if key == each or key.startswith(f"{each}.")]) == 1, key
    assert len(maps) == 5
    for stage, found in zip(stages, maps, strict=False):
        whole = (clip.frames, *clip.height_width)
        assert found.shape[1] == stage.channels
        assert tuple(found.shape[2:]) == tuple(side // step for side, step in zip(whole, stage.stride, strict=True))


@pytest.mark.parametrize("name", ["r3d_18", "swin3d_t", pytest.param("mvit_v2_s", marks=pytest.mark.slow)])
def test_checkpointing_changes_no_gradient(name):
    network, clip_bcthw = ours(name), example(name)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.0  # checkpointing sees every batch twice
    loss, plain = gradients(network, clip_bcthw)
    network.set_grad_checkpointing()
    again, checkpointed = gradients(network, clip_bcthw)
    assert torch.equal(loss, again)
    assert all(torch.equal(plain[key], checkpointed[key]) for key in plain)


@pytest.mark.parametrize("name", [*SMALL, pytest.param("s3d", marks=pytest.mark.slow)])
def test_other_channels_change_the_first_convolution_alone(name):
    frames = (SMALL | LARGE)[name][0]
    rgb, five = ours(name, frames=frames).state_dict(), ours(name, frames=frames, in_channels=5)
    differing = {key: tuple(value.shape) for key, value in five.state_dict().items() if value.shape != rgb[key].shape}
    (key,) = differing
    assert differing[key] == (rgb[key].shape[0], 5, *rgb[key].shape[2:])
    assert key.startswith(five.stages()[0].layers[0][0])
    with torch.no_grad():
        assert five.eval()(example(name, channels=5)).shape == (2, 7)


@pytest.mark.parametrize("name", MVIT)
def test_other_channels_of_a_multiscale_transformer(name):
    network = ours(name, frames=4, size=32, in_channels=1).eval()
    assert network.conv_proj.weight.shape == (96, 1, 3, 7, 7)
    with torch.no_grad():
        assert network(torch.randn(1, 1, 4, 32, 32)).shape == (1, 7)


# -------------------------------------------------------------------------------------------------------- other clips


def test_a_small_clip_of_s3d_is_pooled_as_a_whole():
    network = ours("s3d", frames=8, size=64).eval()
    clip_bcthw = torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        last = network.classifier[1]
        pooled = network.forward_features(clip_bcthw).mean((2, 3, 4))
        expected = pooled @ last.weight.flatten(1).T + last.bias
        assert torch.allclose(network(clip_bcthw), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 17, 17), (14, 224, 224), (13, 223, 100), (33, 256, 320)])
def test_s3d_answers_clips_of_any_length_and_size(shape):
    with torch.device("meta"):
        assert ours("s3d", classes=3).eval()(torch.empty(1, 3, *shape)).shape == (1, 3)


def test_clips_of_which_s3d_leaves_nothing_are_refused():
    with pytest.raises(ParameterError, match=r"at least 5 frames of 17x17, the clip has 4 of 224x224\n.*other model"):
        ours("s3d", frames=4)
    with torch.device("meta"), pytest.raises(ParameterError, match="the clip has 8 of 16x16"):
        ours("s3d")(torch.empty(1, 3, 8, 16, 16))


@pytest.mark.parametrize(("frames", "size"), [(15, 224), (16, 226), (16, 28)])
def test_clips_that_a_multiscale_transformer_cannot_cut_into_patches_are_refused(frames, size):
    with pytest.raises(ParameterError, match=rf"the clip has {frames} of {size}x{size}\n.*swin3d_t"):
        ours("mvit_v2_s", frames=frames, size=size)


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
@pytest.mark.parametrize("shape", [(8, 224, 224), (16, 112, 112)])
def test_a_multiscale_transformer_takes_the_clips_it_was_built_for(name, shape):
    frames, height, width = shape
    said = rf"{name} was built for clips of 16 frames of 224x224, this one has {frames} of {height}x{width}"
    with torch.device("meta"), pytest.raises(ParameterError, match=said):
        ours(name)(torch.empty(1, 3, *shape))


def test_mvit_for_32_frames_has_as_many_parameters_as_pytorchvideo_counts():
    with torch.device("meta"):
        network = ours("mvit_v1_b", classes=400, frames=32)
    assert sum(value.numel() for value in network.parameters()) == 36_611_440


def test_absolute_positions_are_interpolated_in_space_and_in_time():
    """A table that grows evenly along an axis still does, away from its edges, on a grid of another length."""
    small = ours("mvit_v1_b", frames=8, size=(112))
    state = get_model("mvit_v1_b", num_classes=7).state_dict()
    rows = torch.arange(56.0).view(56, 1, 1).expand(56, 56, 96)
    state["pos_encoding.spatial_pos"] = rows.reshape(56 * 56, 96)
    state["pos_encoding.temporal_pos"] = torch.arange(8.0)[:, None].expand(8, 96)
    with pytest.warns(UserWarning, match=r"spatial_pos from 3136 to 784, temporal_pos from 8 to 4"):
        fitted = fit_positions(state, small)
    small.load_state_dict(fitted)
    spatial = fitted["pos_encoding.spatial_pos"].view(28, 28, 96)
    expected = (torch.arange(28.0) * 2 + 0.5).view(28, 1, 1).expand(28, 28, 96)
    assert torch.allclose(spatial[2:-2], expected[2:-2], atol=1e-4)
    expected = (torch.arange(4.0) * 2 + 0.5)[:, None].expand(4, 96)
    assert torch.allclose(fitted["pos_encoding.temporal_pos"], expected, atol=1e-5)


def test_relative_positions_are_interpolated_as_torchvision_does():
    small = ours("mvit_v2_s", frames=8, size=128)
    state = get_model("mvit_v2_s", num_classes=7).state_dict()
    with pytest.warns(UserWarning, match=r"rel_pos_h from 111 to 63, rel_pos_t from 15 to 7"):
        fitted = fit_positions(state, small)
    small.load_state_dict(fitted)
    for key in ("blocks.0.attn.rel_pos_h", "blocks.15.attn.rel_pos_w", "blocks.7.attn.rel_pos_t"):
        assert torch.equal(fitted[key], _interpolate(state[key], len(fitted[key])))


def test_positions_that_fit_are_left_alone():
    state = get_model("mvit_v2_s", num_classes=7).state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit_positions(state, ours("mvit_v2_s"))
    assert all(fitted[key] is value for key, value in state.items())


# --------------------------------------------------------------------------------------------------------- weights


def published(name: str, folder: Path) -> tuple[nn.Module, Listed]:
    """torchvision's network in a `.pth` file as torchvision publishes it, and an entry whose first weights it is."""
    torch.manual_seed(5)
    theirs = get_model(name, num_classes=400).eval()
    first = listed(name).model.weights[0]
    path = folder / first.source.rpartition("/")[2]
    torch.save(theirs.state_dict(), path)
    there = replace(first, source=f"file:{path}", sha256=sha256_of(path)[:8])
    return theirs, replace(listed(name), entry=replace(listed(name).entry, weights=(there,)))


@pytest.mark.parametrize("name", ["r2plus1d_18", "mvit_v2_s"])
def test_a_published_file_is_loaded_key_by_key(name, tmp_path):
    theirs, entry = published(name, tmp_path)
    network = ours(name, classes=400)
    loaded = load_weights(network, "k400", listed=entry)
    assert loaded.skipped == ()
    state = network.state_dict()
    assert list(state) == list(theirs.state_dict())
    assert all(torch.equal(state[key], value) for key, value in theirs.state_dict().items())


def test_a_published_file_is_fitted_to_another_clip(tmp_path):
    _, entry = published("mvit_v1_b", tmp_path)
    network = ours("mvit_v1_b", classes=400, frames=8, size=128)
    with pytest.warns(UserWarning, match="positions interpolated for the clip: spatial_pos from 3136 to 1024"):
        load_weights(network, "k400", listed=entry)
    with torch.no_grad():
        assert network.eval()(torch.randn(1, 3, 8, 128, 128)).isfinite().all()


@pytest.mark.parametrize("name", [*SMALL, *LARGE, "swin3d_s", "swin3d_b"])
def test_labels_are_in_the_order_of_torchvisions_outputs(name):
    import zoo_plugins

    for weights, theirs in zip(listed(name).model.weights, get_model_weights(name), strict=True):
        assert isinstance(weights, Weights)
        package, _, inside = weights.label_file.partition(":")
        assert package == zoo_plugins.__name__
        lines = (Path(zoo_plugins.__file__).parent / inside).read_text(encoding="utf-8").splitlines()
        assert lines == theirs.meta["categories"]
