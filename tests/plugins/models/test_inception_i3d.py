"""Inception-I3D against the table of Inception-v1, TensorFlow's definition of SAME, and the published port."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.plugins.models.parity import assert_same_answers, clip_of, randomised
from zoo_plugins.video.inception import InceptionI3D, SameMaxPool3d, Unit3D
from zoo_registry.errors import ParameterError

# Szegedy et al. 2015, table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj, of inception (3a) to (5b).
GOOGLENET = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32), "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64), "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64), "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128), "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def expected_shapes(channels: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Every entry of the state dict, from the table and figure 3 of the I3D paper."""
    convolutions = {
        "Conv3d_1a_7x7": (64, channels, 7), "Conv3d_2b_1x1": (64, 64, 1), "Conv3d_2c_3x3": (192, 64, 3),
    }  # fmt: skip
    before = 192
    for name, (one, reduce3, three, reduce5, five, pool) in GOOGLENET.items():
        convolutions |= {
            f"{name}.b0": (one, before, 1), f"{name}.b1a": (reduce3, before, 1), f"{name}.b1b": (three, reduce3, 3),
            f"{name}.b2a": (reduce5, before, 1), f"{name}.b2b": (five, reduce5, 3), f"{name}.b3b": (pool, before, 1),
        }  # fmt: skip
        before = one + three + five + pool
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (out, inputs, kernel) in convolutions.items():
        shapes[f"{name}.conv3d.weight"] = (out, inputs, kernel, kernel, kernel)
        shapes |= {f"{name}.bn.{part}": (out,) for part in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"{name}.bn.num_batches_tracked"] = ()
    return shapes | {"logits.conv3d.weight": (classes, before, 1, 1, 1), "logits.conv3d.bias": (classes,)}


@pytest.mark.parametrize(("channels", "parameters"), [(3, 12_697_264), (2, 12_675_312)])
def test_names_and_shapes_are_those_of_the_tables(channels, parameters):
    with torch.device("meta"):
        network = InceptionI3D(400, channels)
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert state == expected_shapes(channels, 400)
    assert len(state) == 344
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert list(state)[-2:] == ["logits.conv3d.weight", "logits.conv3d.bias"], "the classifier comes last"


@pytest.mark.parametrize(("length", "sums"), [(5, [2, 3, 2]), (4, [3, 2]), (7, [2, 3, 3, 2]), (1, [1])])
def test_same_padding_puts_the_odd_zero_at_the_end(length, sums):
    """Window 3, step 2: TensorFlow pads max((ceil(n / 2) - 1) * 2 + 3 - n, 0) zeros, the smaller half in front."""
    unit = Unit3D(1, 1, (3, 1, 1), (2, 1, 1)).eval()
    nn.init.ones_(unit.conv3d.weight)
    with torch.no_grad():
        output = unit(torch.ones(1, 1, length, 1, 1))
    torch.testing.assert_close(output.flatten(), torch.tensor(sums, dtype=torch.float) / (1 + 0.001) ** 0.5)


@pytest.mark.parametrize("length", [3, 4, 5, 8])
def test_same_pooling_is_pooling_of_what_zeros_surround(length):
    x = torch.rand(1, 2, length, 6, 7)
    total = max((-(-length // 2) - 1) * 2 + 3 - length, 0)
    before = total // 2
    padded = functional.pad(x, (1, 1, 0, 1, before, total - before))
    assert torch.equal(SameMaxPool3d((3, 3, 3), (2, 2, 2))(x), functional.max_pool3d(padded, 3, 2))


def test_a_clip_without_its_batch_is_refused():
    with pytest.raises(ParameterError, match=r"takes clips of shape \(B, C, T, H, W\), not \(3, 8, 32, 32\)"):
        InceptionI3D(4)(torch.zeros(3, 8, 32, 32))


def test_maps_round_up():
    with torch.device("meta"):
        maps = InceptionI3D(5).forward_pyramid(torch.empty(1, 3, 17, 70, 65))
    assert [tuple(each.shape) for each in maps] == [
        (1, 192, 9, 18, 17), (1, 480, 9, 9, 9), (1, 832, 5, 5, 5), (1, 1024, 3, 3, 3),
    ]  # fmt: skip


def test_the_answer_is_the_mean_of_the_ports_answers_over_time():
    network = InceptionI3D(5).eval()
    moments = torch.randn(2, 1024, 3, generator=torch.Generator().manual_seed(0))
    features = moments[..., None, None].expand(-1, -1, -1, 7, 7)
    windows = torch.stack([(moments[..., 0] + moments[..., 1]) / 2, (moments[..., 1] + moments[..., 2]) / 2])
    with torch.no_grad():
        weight, bias = network.logits["conv3d"].weight.flatten(1), network.logits["conv3d"].bias
        expected = (windows @ weight.T + bias).mean(0)
        torch.testing.assert_close(network.forward_head(features), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "clip"), [(3, (16, 224)), (3, (25, 224)), (2, (17, 224))])
def test_outputs_are_those_of_the_published_port(channels, clip):
    """Peer: piergiaj/pytorch-i3d; ZOO_I3D_PORT is the path of its pytorch_i3d.py."""
    path = os.environ.get("ZOO_I3D_PORT")
    if not path or not Path(path).is_file():
        pytest.skip("ZOO_I3D_PORT does not say where the port's pytorch_i3d.py is")
    spec = importlib.util.spec_from_file_location("pytorch_i3d", path)
    assert spec is not None
    assert spec.loader is not None
    port = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(port)

    class OneAnswer(port.InceptionI3d):
        def forward(self, x):
            return super().forward(x).mean(2)

    torch.manual_seed(0)
    peer = randomised(OneAnswer(400, in_channels=channels))
    nn.init.normal_(peer.logits.conv3d.weight, std=0.1)
    assert_same_answers(InceptionI3D(400, channels), peer, lambda state, _: state, clip_of(*clip, channels=channels))
