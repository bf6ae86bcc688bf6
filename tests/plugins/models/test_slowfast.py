"""SlowFast against PyTorchVideo's, with its random weights and our converter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.models.parity import assert_same_answers, assert_same_training, clip_of, randomised
from zoo_plugins.video.layouts.mmaction2 import mmaction2_slowfast
from zoo_plugins.video.layouts.pyslowfast import pyslowfast
from zoo_plugins.video.layouts.pytorchvideo import pytorchvideo
from zoo_plugins.video.slowfast import PLANS, slow_frames, slowfast
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

pytest.importorskip("pytorchvideo.models.slowfast", reason="the peer of these networks is not installed")
from pytorchvideo.models.slowfast import create_slowfast

_SIX_OF_23 = ((3, 1, 1),) * 6 + ((1, 1, 1),) * 17

PEERS = {
    "slowfast_4x16_r50": {
        "slowfast_fusion_conv_kernel_size": (5, 1, 1),
        "slowfast_fusion_conv_stride": (8, 1, 1),
        "head_pool_kernel_sizes": ((4, 7, 7), (32, 7, 7)),
    },
    "slowfast_r50": {"slowfast_fusion_conv_kernel_size": (7, 1, 1)},
    "slowfast_r101": {"model_depth": 101, "slowfast_fusion_conv_kernel_size": (5, 1, 1)},
    "slowfast_16x8_r101_50_50": {
        "model_depth": 101,
        "slowfast_fusion_conv_kernel_size": (5, 1, 1),
        "stage_conv_a_kernel_sizes": (
            ((1, 1, 1), (1, 1, 1), _SIX_OF_23, (3, 1, 1)),
            ((3, 1, 1), (3, 1, 1), _SIX_OF_23, (3, 1, 1)),
        ),
        "head_pool_kernel_sizes": ((16, 7, 7), (64, 7, 7)),
    },
}
"""As PyTorchVideo's hub builds them; the first as PySlowFast's configuration of that name says."""

FRAMES = {"slowfast_16x8_r101_50_50": 64}


def peer_of(name: str, **head: object) -> nn.Module:
    torch.manual_seed(0)
    return randomised(create_slowfast(**{**PEERS[name], **head}))


def small_peer(name: str, **head: object) -> nn.Module:
    """With a head for maps of any size."""
    return peer_of(name, head_pool=nn.AdaptiveAvgPool3d, head_output_size=((1, 1, 1), (1, 1, 1)), **head)


def pathways(name: str, clip_bcthw: Tensor) -> list[Tensor]:
    """What PyTorchVideo's `PackPathway` gives."""
    frames = clip_bcthw.shape[2]
    index = torch.linspace(0, frames - 1, frames // PLANS[name].alpha).long()
    return [clip_bcthw.index_select(2, index), clip_bcthw]


@pytest.mark.parametrize("name", PEERS)
def test_answers_are_those_of_the_peer(name):
    clip_bcthw = clip_of(2 * PLANS[name].alpha, 64)
    own = slowfast(architecture=name, num_classes=400)
    assert_same_answers(own, small_peer(name), pytorchvideo, clip_bcthw, given=pathways(name, clip_bcthw))


@pytest.mark.slow
@pytest.mark.parametrize("name", PEERS)
def test_answers_to_full_clips_are_those_of_the_peer(name):
    """256 pixels make two by two windows of seven by seven cells."""
    clip_bcthw = clip_of(FRAMES.get(name, 32), 256)
    own = slowfast(architecture=name, num_classes=400)
    assert_same_answers(own, peer_of(name), pytorchvideo, clip_bcthw, given=pathways(name, clip_bcthw))


def test_training_is_that_of_the_peer():
    name = "slowfast_r50"
    own = slowfast(architecture=name, num_classes=7, dropout=0.0)
    peer = small_peer(name, dropout_rate=0.0, model_num_class=7)
    clip_bcthw = clip_of(8, 48, batch=2)
    assert_same_training(own, peer, pytorchvideo, clip_bcthw, given=lambda clip: pathways(name, clip))


@pytest.mark.parametrize("alpha", [4, 8])
@pytest.mark.parametrize("count", range(1, 33))
def test_the_slow_pathway_sees_the_frames_that_the_authors_take(alpha, count):
    frames = alpha * count
    assert slow_frames(frames, alpha) == torch.linspace(0, frames - 1, count).long().tolist()


def test_maps_hold_both_pathways_and_the_head_pools_the_last():
    own = slowfast(architecture="slowfast_r50", num_classes=4, in_channels=1).eval()
    clip_bcthw = clip_of(8, 64, channels=1)
    with torch.no_grad():
        pyramid = own.forward_pyramid(clip_bcthw)
        assert torch.equal(own.forward_head(pyramid[-1]), own(clip_bcthw))
    sizes = [(72, 2, 16, 16), (288, 2, 16, 16), (576, 2, 8, 8), (1152, 2, 4, 4), (2304, 2, 2, 2)]
    assert [tuple(features.shape[1:]) for features in pyramid] == sizes
    strides = [(stage.channels, stage.stride) for stage in own.stages()]
    assert strides == [*((size[0], (4, 64 // size[2], 64 // size[2])) for size in sizes), (None, None)]


def test_files_of_pyslowfast_give_the_same_weights():
    own = slowfast(architecture="slowfast_r50", num_classes=400)
    state = small_peer("slowfast_r50").state_dict()
    theirs = {_as_pyslowfast(key): value for key, value in state.items()}
    some = {"s1.pathway1_stem.conv.weight", "s1_fuse.conv_f2s.weight", "s4_fuse.bn.bias", "head.projection.weight",
            "s3.pathway1_res3.branch2.b_bn.running_mean", "s2.pathway0_res0.branch1_bn.weight"}  # fmt: skip
    assert some <= theirs.keys()
    assert_same_state(pyslowfast(theirs, own), pytorchvideo(state, own))


def test_files_of_mmaction2_give_the_same_weights_with_the_classifiers_columns_in_our_order():
    own = slowfast(architecture="slowfast_r50", num_classes=400)
    state = small_peer("slowfast_r50").state_dict()
    theirs = {_as_mmaction2(key): value for key, value in state.items()}
    some = {"backbone.slow_path.conv1_lateral.bn.weight", "backbone.slow_path.layer3_lateral.conv.weight",
            "backbone.fast_path.layer1.0.downsample.conv.weight", "cls_head.fc_cls.weight"}  # fmt: skip
    assert some <= theirs.keys()
    weight = theirs["cls_head.fc_cls.weight"]
    theirs["cls_head.fc_cls.weight"] = torch.cat((weight[:, 2048:], weight[:, :2048]), 1)
    assert_same_state(mmaction2_slowfast(theirs, own), pytorchvideo(state, own))


def test_a_network_of_mmaction2_without_norms_between_the_pathways_is_another_one():
    own = slowfast(architecture="slowfast_r50", num_classes=400)
    state = small_peer("slowfast_r50").state_dict()
    theirs = {_as_mmaction2(key): value for key, value in state.items()}
    bare = {key: value for key, value in theirs.items() if "lateral.bn" not in key}
    with pytest.warns(UserWarning, match="no norm and no ReLU between its pathways"):
        converted = mmaction2_slowfast(bare, own)
    missing = own.state_dict().keys() - converted.keys()
    assert {key.rpartition(".")[0] for key in missing} == {f"stage{stage}.fuse.norm" for stage in (1, 2, 3, 4)}


def test_frames_that_do_not_divide_are_refused_in_words():
    with pytest.raises(
        ParameterError, match="slowfast_r50 needs a multiple of 4 frames, the clip has 30 of 224x224"
    ) as caught:
        slowfast(architecture="slowfast_r50", num_classes=4, clip=ClipSpec(frames=30, size=224))
    assert "data.clip.frames: 28" in str(caught.value)
    own = slowfast(architecture="slowfast_4x16_r50", num_classes=4)
    with pytest.raises(ParameterError, match="needs at least 8 frames of 32x32, the clip has 4 of 32x32"):
        own(torch.zeros(1, 3, 4, 32, 32))


def assert_same_state(state, expected):
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in state.items())


def _as_pyslowfast(key: str) -> str:
    """PyTorchVideo's key as PySlowFast spells it: its block n is stage s(n + 1)."""
    _, number, *rest = key.split(".")
    stage, path = int(number) + 1, ".".join(rest)
    if path.startswith("proj."):
        return f"head.{path.replace('proj', 'projection')}"
    if path.startswith("multipathway_fusion."):
        path = path.removeprefix("multipathway_fusion.").replace("conv_fast_to_slow", "conv_f2s").replace("norm", "bn")
        return f"s{stage}_fuse.{path}"
    _, pathway, *rest = rest
    path = ".".join(rest)
    if stage == 1:
        return f"s1.pathway{pathway}_stem.{path.replace('norm', 'bn')}"
    path = path.replace("res_blocks.", f"pathway{pathway}_res").replace("branch1_conv", "branch1")
    path = path.replace("branch1_norm", "branch1_bn")
    for letter in "abc":
        path = path.replace(f"conv_{letter}", letter).replace(f"norm_{letter}", f"{letter}_bn")
    return f"s{stage}.{path}"


def _as_mmaction2(key: str) -> str:
    """PyTorchVideo's key as mmaction2 spells it where it is built with norms between the pathways."""
    _, number, *rest = key.split(".")
    path = ".".join(rest)
    if path.startswith("proj."):
        return f"cls_head.{path.replace('proj', 'fc_cls')}"
    layer = "conv1" if number == "0" else f"layer{number}"
    if path.startswith("multipathway_fusion."):
        path = path.removeprefix("multipathway_fusion.").replace("conv_fast_to_slow", "conv").replace("norm", "bn")
        return f"backbone.slow_path.{layer}_lateral.{path}"
    _, pathway, *rest = rest
    path = ".".join(rest)
    if number == "0":
        path = path.replace("norm", "bn")
    path = path.replace("res_blocks.", "").replace("branch1_conv", "downsample.conv")
    path = path.replace("branch1_norm", "downsample.bn").replace("branch2.", "")
    for place, letter in enumerate("abc", 1):
        path = path.replace(f"conv_{letter}", f"conv{place}.conv").replace(f"norm_{letter}", f"conv{place}.bn")
    return f"backbone.{('slow', 'fast')[int(pathway)]}_path.{layer}.{path}"
