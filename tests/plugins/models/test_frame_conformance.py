"""Inception-I3D and the networks over image backbones go through the kit for models."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tests.plugins.models.parity import randomised
from zoo.build import build
from zoo.testing import ModelConformance


class SmallBackbone(ModelConformance):
    """The tiny build has another backbone than the one the entry's numbers are for."""

    clip: ClassVar = {"frames": 3, "size": 64}
    output = (2, 5)

    def network(self, seed: int = 0, **params: Any) -> nn.Module:
        """timm begins with residual branches that say nothing: their last norm scales by zero."""
        return randomised(super().network(seed, **params))

    def test_has_as_many_parameters_as_it_declares(self) -> None:
        entry = self.entry
        with torch.device("meta"):
            network = build(self.listed, {}, {"num_classes": 400, "clip": entry.clip})
        assert sum(parameter.numel() for parameter in network.parameters()) == entry.parameters


class TestInceptionI3dRgb(ModelConformance):
    name = "video/inception_i3d_rgb"
    clip: ClassVar = {"frames": 8, "size": 32}
    output = (2, 5)


class TestInceptionI3dFlow(TestInceptionI3dRgb):
    name = "video/inception_i3d_flow"

    def example(self, batch: int = 2) -> tuple[Tensor, ...]:
        return (torch.randn(batch, 2, 8, 32, 32, generator=torch.Generator().manual_seed(1)),)


class TestTsn(SmallBackbone):
    name = "video/tsn"
    params: ClassVar = {"backbone": "test_resnet"}


class TestTsm(SmallBackbone):
    name = "video/tsm"
    params: ClassVar = {"backbone": "resnet18"}


class TestTsmMobilenet(ModelConformance):
    name = "video/tsm_mobilenetv2_100"
    clip: ClassVar = {"frames": 3, "size": 64}
    output = (2, 5)


class TestTsnResnet50(SmallBackbone):
    name = "video/tsn_resnet50"


class TestTsmResnet50(SmallBackbone):
    name = "video/tsm_resnet50"


class TestFrameAttention(SmallBackbone):
    name = "video/frame_attention"
    params: ClassVar = {"backbone": "test_resnet", "width": 16, "heads": 2}


class TestFrameTransformer(SmallBackbone):
    name = "video/frame_transformer"
    params: ClassVar = {"backbone": "test_vit", "width": 16, "heads": 2, "depth": 2}
    clip: ClassVar = {"frames": 3, "size": 160}


class TestFrameConvGru(SmallBackbone):
    name = "video/frame_conv_gru"
    params: ClassVar = {"backbone": "test_resnet", "width": 8}


class TestFrameConv1d(SmallBackbone):
    name = "video/frame_conv1d"
    params: ClassVar = {"backbone": "test_resnet", "width": 16}


class TestFrameMultiscale(SmallBackbone):
    name = "video/frame_multiscale"
    params: ClassVar = {"backbone": "test_resnet", "width": 12}
