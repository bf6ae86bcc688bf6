"""Every model of the namespace `transformers` goes through the kit that plugin authors use."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import pytest

from zoo.testing import ModelConformance

pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")


class TestVideomaeS(ModelConformance):
    name = "transformers/videomae_s"
    clip = {"frames": 4, "size": 32}
    output = (2, 5)


@pytest.mark.slow
class TestVideomaeB(TestVideomaeS):
    name = "transformers/videomae_b"


@pytest.mark.slow
class TestVideomaeL(TestVideomaeS):
    name = "transformers/videomae_l"


class TestVideomaeSPretraining(ModelConformance):
    """Three of four patches of a frame are masked."""

    name = "transformers/videomae_s_pretraining"
    clip = {"frames": 4, "size": 32}
    output = (2, 6, 2 * 16 * 16 * 3)


@pytest.mark.slow
class TestVideomaeBPretraining(TestVideomaeSPretraining):
    name = "transformers/videomae_b_pretraining"


@pytest.mark.slow
class TestVideomaeLPretraining(TestVideomaeSPretraining):
    name = "transformers/videomae_l_pretraining"


@pytest.mark.slow
class TestTimesformerB(ModelConformance):
    name = "transformers/timesformer_b"
    clip = {"frames": 2, "size": 32}
    output = (2, 5)


@pytest.mark.slow
class TestTimesformerBJoint(TestTimesformerB):
    name = "transformers/timesformer_b_joint"


@pytest.mark.slow
class TestTimesformerBSpace(TestTimesformerB):
    name = "transformers/timesformer_b_space"


@pytest.mark.slow
class TestVivitB16x2(ModelConformance):
    name = "transformers/vivit_b_16x2"
    clip = {"frames": 4, "size": 32}
    output = (2, 5)


@pytest.mark.slow
class TestVjepa2L(ModelConformance):
    name = "transformers/vjepa2_l"
    clip = {"frames": 4, "size": 32}
    output = (2, 5)


@pytest.mark.slow
class TestVjepa2LAttentive(TestVjepa2L):
    name = "transformers/vjepa2_l_attentive"


@pytest.mark.slow
class TestVideoprismB(ModelConformance):
    name = "transformers/videoprism_b"
    clip = {"frames": 2, "size": 36}
    output = (2, 5)


@pytest.mark.slow
class TestXclipB32(ModelConformance):
    name = "transformers/xclip_b_32"
    clip = {"frames": 2, "size": 64}
    output = (2, 5)
