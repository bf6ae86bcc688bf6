"""Slow, C2D, I3D, CSN and R(2+1)D against PyTorchVideo's, with its random weights and our converter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.plugins.models.parity import assert_same_answers, assert_same_training, clip_of, randomised
from zoo_plugins.clip_limits import check_clip
from zoo_plugins.video.layouts.mmaction2 import mmaction2, mmaction2_csn
from zoo_plugins.video.layouts.pyslowfast import pyslowfast
from zoo_plugins.video.layouts.pytorchvideo import pytorchvideo, pytorchvideo_bgr
from zoo_plugins.video.resnet import resnet
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError

pytest.importorskip("pytorchvideo.models.resnet", reason="the peer of these networks is not installed")
from pytorchvideo.models.csn import create_csn
from pytorchvideo.models.r2plus1d import create_r2plus1d
from pytorchvideo.models.resnet import create_resnet

_FLAT = ((1, 1, 1),) * 4
_INFLATED = ((3, 1, 1), [(3, 1, 1), (1, 1, 1)], [(3, 1, 1), (1, 1, 1)], [(1, 1, 1), (3, 1, 1)])

PEERS = {
    "slow_r50": lambda **head: create_resnet(
        stem_conv_kernel_size=(1, 7, 7), **({"head_pool_kernel_size": (8, 7, 7)} | head)
    ),
    "c2d_r50": lambda **head: create_resnet(
        stem_conv_kernel_size=(1, 7, 7), stage1_pool=nn.MaxPool3d, stage_conv_a_kernel_size=_FLAT, **head
    ),
    "i3d_r50": lambda **head: create_resnet(
        stem_conv_kernel_size=(5, 7, 7), stage1_pool=nn.MaxPool3d, stage_conv_a_kernel_size=_INFLATED, **head
    ),
    "i3d_r50_32x2": lambda **head: create_resnet(
        stem_conv_kernel_size=(5, 7, 7), stem_conv_stride=(2, 2, 2), stem_pool_stride=(2, 2, 2),
        stage1_pool=nn.MaxPool3d, stage_conv_a_kernel_size=_INFLATED, **head,
    ),
    "csn_r101": lambda **head: create_csn(
        model_depth=101, stem_pool=nn.MaxPool3d, **({"head_pool_kernel_size": (4, 7, 7)} | head)
    ),
    "r2plus1d_r50": lambda **head: create_r2plus1d(head_activation=None, **head),
}  # fmt: skip
"""As PyTorchVideo's hub builds them (the one for 32x2 as mmaction2's settings say)."""

FRAMES = {"slow_r50": 8, "c2d_r50": 8, "i3d_r50": 8, "i3d_r50_32x2": 32, "csn_r101": 32, "r2plus1d_r50": 16}
SMALL = {"slow_r50": 2, "c2d_r50": 2, "i3d_r50": 2, "i3d_r50_32x2": 8, "csn_r101": 8, "r2plus1d_r50": 4}


def peer_of(name: str, **head: object) -> nn.Module:
    torch.manual_seed(0)
    return randomised(PEERS[name](**head))


def small_peer(name: str, **head: object) -> nn.Module:
    """With a head for maps of any size."""
    return peer_of(name, head_pool=nn.AdaptiveAvgPool3d, **head)


@pytest.mark.parametrize("name", PEERS)
def test_answers_are_those_of_the_peer(name):
    clip_bcthw = clip_of(SMALL[name], 64)
    assert_same_answers(resnet(architecture=name, num_classes=400), small_peer(name), pytorchvideo, clip_bcthw)


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_answers_to_full_clips_are_those_of_the_peer(name):
    """256 pixels make two by two windows of seven by seven cells."""
    clip_bcthw = clip_of(FRAMES[name], 256)
    assert_same_answers(resnet(architecture=name, num_classes=400), peer_of(name), pytorchvideo, clip_bcthw)


@pytest.mark.parametrize("name", ["slow_r50", "i3d_r50", "r2plus1d_r50"])
def test_training_is_that_of_the_peer(name):
    own = resnet(architecture=name, num_classes=7, dropout=0.0)
    peer = small_peer(name, dropout_rate=0.0, model_num_class=7)
    assert_same_training(own, peer, pytorchvideo, clip_of(SMALL[name], 48, batch=2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c2d_r50", "csn_r101"])
def test_training_of_the_others_is_that_of_the_peer(name):
    own = resnet(architecture=name, num_classes=7, dropout=0.0)
    peer = small_peer(name, dropout_rate=0.0, model_num_class=7)
    assert_same_training(own, peer, pytorchvideo, clip_of(SMALL[name], 48, batch=2))


def test_maps_larger_than_the_heads_window_are_seen_through_several():
    """256 pixels make eight cells a side, of which windows of seven start in two by two places."""
    peer = peer_of("slow_r50", head_pool_kernel_size=(1, 7, 7))
    assert_same_answers(resnet(architecture="slow_r50", num_classes=400), peer, pytorchvideo, clip_of(1, 256))


def test_a_file_without_counters_and_one_of_pyslowfast_give_the_same_weights():
    own = resnet(architecture="i3d_r50", num_classes=400)
    state = small_peer("i3d_r50").state_dict()
    bare = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    expected = pytorchvideo(state, own)
    assert_same_state(pytorchvideo(bare, own), expected)
    theirs = {_as_pyslowfast(key): value for key, value in bare.items()}
    assert {"s1.pathway0_stem.bn.weight", "s2.pathway0_res0.branch1_bn.bias", "s4.pathway0_res5.branch2.c_bn.weight",
            "s5.pathway0_res2.branch2.b.weight", "head.projection.bias"} <= theirs.keys()  # fmt: skip
    assert_same_state(pyslowfast(theirs, own), expected)
    assert_same_state(pyslowfast({f"model.{key}": value for key, value in bare.items()}, own), expected)


def test_files_of_mmaction2_give_the_same_weights():
    own = resnet(architecture="slow_r50", num_classes=400)
    state = small_peer("slow_r50").state_dict()
    theirs = {_as_mmaction2(key): value for key, value in state.items()}
    assert {"backbone.conv1.conv.weight", "backbone.layer1.0.downsample.bn.bias", "backbone.layer3.5.conv2.bn.weight",
            "backbone.layer4.2.conv3.conv.weight", "cls_head.fc_cls.weight"} <= theirs.keys()  # fmt: skip
    assert_same_state(mmaction2(theirs, own), pytorchvideo(state, own))


def test_files_of_mmaction2s_csn_answer_as_with_its_larger_eps():
    own = resnet(architecture="csn_r101", num_classes=400)
    peer = small_peer("csn_r101")
    theirs = {_as_mmaction2(key).replace("conv2.", "conv2.0."): value for key, value in peer.state_dict().items()}
    assert "backbone.layer2.3.conv2.0.bn.running_var" in theirs
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-3
    assert_same_answers(own, peer, lambda _, module: mmaction2_csn(theirs, module), clip_of(8, 64))


def test_weights_for_blue_green_red_are_turned_round():
    own = resnet(architecture="slow_r50", num_classes=400)
    peer, clip_bcthw = small_peer("slow_r50"), clip_of(2, 64)
    assert_same_answers(own, peer, pytorchvideo_bgr, clip_bcthw, given=clip_bcthw.flip(1))


def test_what_a_file_has_besides_stays_in_sight():
    state = {**small_peer("slow_r50").state_dict(), "ema.decay": torch.ones(())}
    own = resnet(architecture="slow_r50", num_classes=400)
    assert set(pytorchvideo(state, own)) - set(own.state_dict()) == {"ema.decay"}


@pytest.mark.parametrize("name", PEERS)
def test_stages_give_maps_of_the_size_they_say(name):
    own = resnet(architecture=name, num_classes=4, in_channels=2).eval()
    frames = 16
    with torch.no_grad():
        pyramid = own.forward_pyramid(clip_of(frames, 64, channels=2))
    described = [(stage.channels, stage.stride) for stage in own.stages() if stage.stride]
    assert [stage.name for stage in own.stages()] == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
    for features, (channels, (time, height, width)) in zip(pyramid, described, strict=True):
        assert features.shape == (1, channels, frames // time, 64 // height, 64 // width)


def test_blocks_are_left_out_more_often_the_deeper_they_are():
    own = resnet(architecture="slow_r50", num_classes=4, drop_path=0.3)
    rates = [module.rate for name, module in own.named_modules() if name.endswith("drop_path")]
    assert rates == pytest.approx([0.02 * block for block in range(16)])


def test_a_whole_network_is_saved_by_torch(tmp_path):
    network = randomised(resnet(architecture="csn_r101", num_classes=2)).eval()
    torch.save(network, tmp_path / "whole.pt")
    saved = torch.load(tmp_path / "whole.pt", weights_only=False)
    clip = clip_of(8, 32)
    with torch.no_grad():
        assert torch.equal(saved(clip), network(clip))


def test_clips_that_are_too_short_or_small_are_refused_in_words():
    with pytest.raises(ParameterError, match="i3d_r50 needs at least 2 frames of 32x32, the clip has 1 of 224x224"):
        resnet(architecture="i3d_r50", num_classes=4, clip=ClipSpec(frames=1, size=224))
    own = resnet(architecture="csn_r101", num_classes=4)
    with pytest.raises(ParameterError, match="csn_r101 needs at least 8 frames of 32x32, the clip has 8 of 32x16"):
        own(torch.zeros(1, 3, 8, 32, 16))
    with pytest.raises(ParameterError, match=r"takes clips of shape \(B, C, T, H, W\), not \(3, 8, 32, 32\)"):
        check_clip("slow_r50", torch.zeros(3, 8, 32, 32))


@pytest.mark.parametrize("name", ["slow_r50", "c2d_r50", "i3d_r50", "csn_r101", "r2plus1d_r50"])
def test_entries_say_what_the_model_zoos_table_says(name):
    listed = catalog().resolve("model", f"video/{name}")
    weights = listed.model.weights[0]
    frames, stride = {"csn_r101": (32, 2), "r2plus1d_r50": (16, 4)}.get(name, (8, 8))
    assert (listed.model.clip.frames, listed.model.clip.stride) == (frames, stride)
    assert weights.source.startswith("https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/")
    assert f"{frames}x{stride}" in weights.source


def assert_same_state(state, expected):
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in state.items())


def _as_pyslowfast(key: str) -> str:
    """PyTorchVideo's key of an I3D as PySlowFast spells it: block 2 is a pooling, blocks 3 to 5 are s3 to s5."""
    first, number, *rest = key.split(".")
    assert first == "blocks"
    path = ".".join(rest)
    if number == "0":
        return f"s1.pathway0_stem.{path.replace('norm', 'bn')}"
    if number == "6":
        return f"head.{path.replace('proj', 'projection')}"
    stage = {"1": 2, "3": 3, "4": 4, "5": 5}[number]
    path = path.replace("res_blocks.", "pathway0_res").replace("branch1_conv", "branch1")
    path = path.replace("branch1_norm", "branch1_bn")
    for letter in "abc":
        path = path.replace(f"conv_{letter}", letter).replace(f"norm_{letter}", f"{letter}_bn")
    return f"s{stage}.{path}"


def _as_mmaction2(key: str) -> str:
    """PyTorchVideo's key of a Slow or CSN as mmaction2 spells it."""
    _, number, *rest = key.split(".")
    path = ".".join(rest)
    if number == "0":
        return f"backbone.conv1.{path.replace('norm', 'bn')}"
    if number == "5":
        return f"cls_head.{path.replace('proj', 'fc_cls')}"
    path = path.replace("res_blocks.", "").replace("branch1_conv", "downsample.conv")
    path = path.replace("branch1_norm", "downsample.bn").replace("branch2.", "")
    for place, letter in enumerate("abc", 1):
        path = path.replace(f"conv_{letter}", f"conv{place}.conv").replace(f"norm_{letter}", f"conv{place}.bn")
    return f"backbone.layer{number}.{path}"
