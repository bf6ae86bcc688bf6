"""The networks of our own go through the kit for models."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from torch import nn

from tests.plugins.models.parity import randomised
from zoo.testing import ModelConformance


class ResidualNetwork(ModelConformance):
    """Fresh ones are their shortcuts: the last norm of every block scales by zero."""

    clip: ClassVar = {"frames": 4, "size": 32}
    output = (2, 5)

    def network(self, seed: int = 0, **params: Any) -> nn.Module:
        return randomised(super().network(seed, **params))


class TestSlowR50(ResidualNetwork):
    name = "video/slow_r50"


@pytest.mark.slow
class TestC2dR50(ResidualNetwork):
    name = "video/c2d_r50"


@pytest.mark.slow
class TestI3dR50(ResidualNetwork):
    name = "video/i3d_r50"


@pytest.mark.slow
class TestI3dR5032x2(ResidualNetwork):
    name = "video/i3d_r50_32x2"
    clip: ClassVar = {"frames": 8, "size": 32}


class TestCsnR101(ResidualNetwork):
    name = "video/csn_r101"
    clip: ClassVar = {"frames": 8, "size": 32}


class TestR2plus1dR50(ResidualNetwork):
    name = "video/r2plus1d_r50"


@pytest.mark.slow
class TestSlowfast4x16R50(ResidualNetwork):
    name = "video/slowfast_4x16_r50"
    clip: ClassVar = {"frames": 8, "size": 32}


class TestSlowfastR50(ResidualNetwork):
    name = "video/slowfast_r50"


@pytest.mark.slow
class TestSlowfastR101(ResidualNetwork):
    name = "video/slowfast_r101"


@pytest.mark.slow
class TestSlowfast16x8R1015050(ResidualNetwork):
    name = "video/slowfast_16x8_r101_50_50"


@pytest.mark.slow
class TestX3dXs(ResidualNetwork):
    name = "video/x3d_xs"


class TestX3dS(ResidualNetwork):
    name = "video/x3d_s"


@pytest.mark.slow
class TestX3dM(ResidualNetwork):
    name = "video/x3d_m"


@pytest.mark.slow
class TestX3dL(ResidualNetwork):
    name = "video/x3d_l"
