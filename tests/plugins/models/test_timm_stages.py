"""The stages of timm's backbones, against the papers' tables and what the backbones really give."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

from zoo_plugins.timm.backbone import frame_backbone, frame_pyramid
from zoo_plugins.timm.frame_encoder import FrameEncoder, frame_encoder
from zoo_plugins.timm.stages import backbone_stages
from zoo_registry.errors import ParameterError

FAMILIES = ["resnet18", "efficientnet_b0", "mobilenetv3_small_100", "convnext_atto", "vgg11", "densenet121",
            "swin_tiny_patch4_window7_224", "mvitv2_tiny", "twins_svt_small", "hiera_tiny_224", "test_vit"]  # fmt: skip


def on_meta(architecture: str) -> FrameEncoder:
    with torch.device("meta"):
        return frame_encoder(architecture=architecture, num_classes=5)


def named_by(network: FrameEncoder) -> list[str]:
    """Every parameter that a stage names, as often as it is named."""
    parts = [part for stage in network.stages() for layer in stage.layers for part in layer]
    names = [name for name, _ in network.named_parameters()]
    return [name for part in parts for name in names if name == part or name.startswith(f"{part}.")]


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        # He et al. 2016, table 1: the stem before its pooling, then four stages.
        ("resnet50", [("stem", 64, 2), ("stage1", 256, 4), ("stage2", 512, 8), ("stage3", 1024, 16),
                      ("stage4", 2048, 32), ("head", None, None)]),
        # Liu et al. 2022, ConvNeXt-T: patches of 4 pixels, then four stages.
        ("convnext_tiny", [("stem", None, None), ("stage1", 96, 4), ("stage2", 192, 8), ("stage3", 384, 16),
                           ("stage4", 768, 32), ("head", None, None)]),
        # Dosovitskiy et al. 2021, ViT-Ti/16: twelve blocks of one width.
        ("vit_tiny_patch16_224", [("stem", None, None), *((f"block{n}", 192, 16) for n in range(1, 13)),
                                  ("head", None, None)]),
    ],
)  # fmt: skip
def test_stages_are_those_of_the_papers(architecture, expected):
    stages = on_meta(architecture).stages()
    assert [(stage.name, stage.channels, stage.stride and stage.stride[1]) for stage in stages] == expected
    assert all(stage.stride is None or stage.stride[::2] == (1, stage.stride[1]) for stage in stages)


def test_layers_of_a_stage_are_its_blocks_in_order():
    stages = {stage.name: stage.layers for stage in on_meta("resnet18").stages()}
    assert stages["stem"] == (("backbone.conv1", "backbone.bn1"),)
    assert stages["stage2"] == (("backbone.layer2.0",), ("backbone.layer2.1",))
    assert stages["head"] == (("head",),)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_stages_name_every_parameter_once_and_say_what_maps_come(architecture):
    network = on_meta(architecture)
    assert sorted(named_by(network)) == sorted(name for name, _ in network.named_parameters())
    side = get_pretrained_cfg(architecture).input_size[1]
    maps = network.eval().forward_pyramid(torch.empty(2, 3, 3, side, side, device="meta"))
    told = [(2, stage.channels, 3, side // stage.stride[1]) for stage in network.stages() if stage.stride]
    assert [tuple(each.shape[:4]) for each in maps] == told


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(timm.list_modules()))
def test_every_family_of_timm_has_stages(family):
    architecture = min(timm.list_models(module=family), default=None)
    if architecture is None:
        pytest.skip(f"timm lists no model of {family}")
    network = on_meta(architecture)
    assert sorted(named_by(network)) == sorted(name for name, _ in network.named_parameters())


def test_maps_are_timms_own():
    network = frame_encoder(architecture="test_resnet", num_classes=5).eval()
    clip_bcthw = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        maps = network.forward_pyramid(clip_bcthw)
        theirs = [
            network.backbone.forward_intermediates(clip_bcthw[:, :, moment], intermediates_only=True)
            for moment in range(3)
        ]
    for level, map_bcthw in enumerate(maps):
        for moment in range(3):
            torch.testing.assert_close(map_bcthw[:, :, moment], theirs[moment][level], atol=1e-5, rtol=1e-5)


def test_a_backbone_without_ordered_maps_is_built_and_says_so_when_asked():
    """CrossViT has two branches of different patches."""
    network = on_meta("crossvit_9_240")
    assert sorted(named_by(network)) == sorted(name for name, _ in network.named_parameters())
    assert not any(stage.stride for stage in network.stages())
    with pytest.raises(ParameterError, match=r"timm offers no maps of CrossVit that follow one another\n.*resnet50"):
        network.forward_pyramid(torch.empty(1, 3, 1, 240, 240, device="meta"))


def test_gradient_checkpointing_that_timm_does_not_have_is_refused_in_words():
    network = on_meta("vgg11")
    with pytest.raises(ParameterError, match=r"timm has no gradient checkpointing for VGG\n.*leave it off"):
        network.set_grad_checkpointing()


def test_gradient_checkpointing_reaches_timm():
    network = on_meta("resnet18")
    network.set_grad_checkpointing()
    assert network.backbone.grad_checkpointing


@pytest.mark.parametrize("channels", [1, 4])
def test_frames_may_have_other_channels(channels):
    network = frame_encoder(architecture="test_resnet", num_classes=5, in_channels=channels)
    assert network(torch.randn(1, channels, 2, 64, 64)).shape == (1, 5)


def test_the_prefix_is_that_of_the_network():
    with torch.device("meta"):
        backbone, _ = frame_backbone("resnet18", clip=None)
    assert backbone_stages(backbone, "")[0].layers == (("conv1", "bn1"),)
    assert len(frame_pyramid(backbone.eval(), torch.empty(1, 3, 2, 64, 64, device="meta"))) == 5
