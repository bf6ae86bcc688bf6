"""Heads over time and temporal convolutions against their equations, written out another way."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor
from torch.nn import functional

from zoo.pretrained.fitting import fitted
from zoo.pretrained.state_dicts import Published
from zoo_plugins.video.frame_models import (
    frame_attention,
    frame_conv1d,
    frame_conv_gru,
    frame_multiscale,
    frame_transformer,
)
from zoo_plugins.video.temporal_convolution import MultiScaleTemporalConv, TemporalConv, TemporalResidualBlock
from zoo_plugins.video.temporal_heads import (
    ConvGRU,
    MultiScaleConvolutions,
    TemporalAttentionPooling,
    TemporalConvolutions,
    TemporalTransformer,
)
from zoo_registry import ClipSpec, Weights
from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError

RESNET50 = 23_508_032
"""Parameters of a ResNet-50 without classifier: 25,557,032 with the 2048 x 1000 + 1000 of ImageNet's."""


def classifier(width: int) -> int:
    return 400 * width + 400


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


@pytest.mark.parametrize(
    ("builder", "head"),
    [
        # projection, query, norm, attention (queries, keys, values and output)
        (frame_attention, linear(2048, 512) + 512 + 2 * 512 + 4 * linear(512, 512) + classifier(512)),
        # projection, class token and 8 + 1 positions, 4 blocks (two norms, attention, two layers), norm
        (frame_transformer, linear(2048, 512) + 10 * 512 + classifier(512) + 2 * 512
         + 4 * (4 * 512 + 4 * linear(512, 512) + linear(512, 2048) + linear(2048, 512))),
        # projection, three products with the input, three with the state
        (frame_conv_gru, linear(2048, 256) + linear(9 * 256, 3 * 256) + 9 * 256 * 3 * 256 + classifier(256)),
        # projection, 3 blocks of three frames and of one
        (frame_conv1d, linear(2048, 512) + 3 * (linear(3 * 512, 512) + linear(512, 512)) + classifier(512)),
        # projection, 2 layers: three branches of 170 channels, one frame and then 3, 5, 7 of each by itself; the mix
        (frame_multiscale, linear(2048, 510) + classifier(510)
         + 2 * (linear(510, 510) + 170 * (3 + 5 + 7) + 510 + linear(510, 510))),
    ],
)  # fmt: skip
def test_parameters_are_what_arithmetic_says(builder, head):
    with torch.device("meta"):
        network = builder(num_classes=400)
    assert sum(parameter.numel() for parameter in network.parameters()) == RESNET50 + head


# -------------------------------------------------------------------------------------------------------- attention


def test_attention_pooling_weighs_frames_by_the_query():
    torch.manual_seed(0)
    pooling, features_btd = TemporalAttentionPooling(12, width=8, heads=2).eval(), torch.randn(3, 5, 12)
    with torch.no_grad():
        frames = functional.layer_norm(features_btd @ pooling.project.weight.T + pooling.project.bias, (8,))
        weight, bias = pooling.attention.in_proj_weight, pooling.attention.in_proj_bias
        query = pooling.query[0, 0] @ weight[:8].T + bias[:8]
        keys, values = frames @ weight[8:16].T + bias[8:16], frames @ weight[16:].T + bias[16:]
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            share = torch.softmax(keys[..., head] @ query[head] / 4**0.5, dim=1)
            heads.append((share[..., None] * values[..., head]).sum(1))
        expected = pooling.attention.out_proj(torch.cat(heads, 1))
        torch.testing.assert_close(pooling(features_btd), expected)
        torch.testing.assert_close(pooling(features_btd.flip(1)), expected, msg="it does not see the order")


def test_the_transformer_sees_the_order_of_frames():
    torch.manual_seed(0)
    transformer, features_btd = TemporalTransformer(6, frames=4, width=8, depth=1, heads=2).eval(), torch.randn(2, 4, 6)
    with torch.no_grad():
        forwards = transformer(features_btd)
        assert not torch.allclose(forwards, transformer(features_btd.flip(1)), atol=1e-4)
        torch.nn.init.zeros_(transformer.positions)
        alike = transformer(features_btd), transformer(features_btd.flip(1))
    torch.testing.assert_close(*alike, msg="without positions it does not")


def test_a_clip_of_another_length_than_the_positions_is_refused_in_words():
    with pytest.raises(ParameterError, match=r"positions for 4 frames, the clip has 6\n.*data\.clip\.frames: 6"):
        TemporalTransformer(6, frames=4, width=8, heads=2)(torch.randn(1, 6, 6))


@pytest.mark.parametrize(
    "head", [TemporalAttentionPooling, lambda features, **rest: TemporalTransformer(features, 4, **rest)]
)
def test_a_width_that_heads_cannot_share_is_refused_in_words(head):
    with pytest.raises(ParameterError, match=r"width 10 cannot be divided among 4 heads"):
        head(6, width=10, heads=4)


# ----------------------------------------------------------------------------------------------------------- ConvGRU


def test_the_conv_gru_follows_its_equations():
    """Ballas et al. 2016, equations 4 to 7, one frame after the other."""
    torch.manual_seed(0)
    unit, map_bdthw = ConvGRU(5, width=4).eval(), torch.randn(2, 5, 3, 6, 7)
    of_input = unit.input.weight.split(4), unit.input.bias.split(4)
    of_state = (*unit.gates.weight.split(4), unit.candidate.weight)

    def products(gate: int, x: Tensor, state: Tensor) -> Tensor:
        return functional.conv2d(x, of_input[0][gate], of_input[1][gate], padding=1) + functional.conv2d(
            state, of_state[gate], padding=1
        )

    state = torch.zeros(2, 4, 6, 7)
    with torch.no_grad():
        for moment in range(3):
            x = unit.project(map_bdthw[:, :, moment])
            update, reset = torch.sigmoid(products(0, x, state)), torch.sigmoid(products(1, x, state))
            candidate = torch.tanh(products(2, x, reset * state))
            state = (1 - update) * state + update * candidate
        torch.testing.assert_close(unit(map_bdthw), state.mean((2, 3)))


@pytest.mark.parametrize("backbone", ["test_vit", "crossvit_9_240"])
def test_a_conv_gru_over_a_backbone_without_maps_is_refused_in_words(backbone):
    with (
        torch.device("meta"),
        pytest.raises(ParameterError, match=rf"ConvGRU needs maps, and {backbone}.*\n.*resnet50"),
    ):
        frame_conv_gru(num_classes=5, backbone=backbone)


@pytest.mark.parametrize(("backbone", "channels"), [("resnet18", 512), ("swin_tiny_patch4_window7_224", 768)])
def test_a_conv_gru_gets_the_last_map(backbone, channels):
    with torch.device("meta"):
        network = frame_conv_gru(num_classes=5, backbone=backbone, width=8, clip=ClipSpec(frames=2, size=224)).eval()
        clip_bcthw = torch.empty(3, 3, 2, 224, 224)
        assert network.forward_features(clip_bcthw).shape == (3, channels, 2, 7, 7)
        assert network(clip_bcthw).shape == (3, 5)


# ------------------------------------------------------------------------------------------------------- convolutions


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 2)])
def test_a_temporal_convolution_is_that_of_one_dimension(kernel, dilation):
    layer, features_bct = TemporalConv(4, 6, kernel, dilation=dilation), torch.randn(2, 4, 9)
    expected = functional.conv1d(
        features_bct, layer.weight[..., 0, 0], layer.bias, padding=dilation * (kernel // 2), dilation=dilation
    )
    torch.testing.assert_close(layer(features_bct), expected)


@pytest.mark.parametrize("part", [TemporalResidualBlock(6, dilation=2), MultiScaleTemporalConv(6, (3, 5), (1, 2))])
def test_places_of_a_map_are_sequences_of_their_own(part):
    map_bcthw = torch.randn(2, 6, 8, 2, 3)
    with torch.no_grad():
        together = part(map_bcthw)
        apart = [[part(map_bcthw[..., y, x]) for x in range(3)] for y in range(2)]
    assert together.shape == map_bcthw.shape
    for y in range(2):
        for x in range(3):
            torch.testing.assert_close(together[..., y, x], apart[y][x])


def test_stacked_dilations_see_as_far_as_the_paper_says():
    """MS-TCN, equation 3: n layers of three frames with dilations 1, 2, 4, ... see 2 ** (n + 1) - 1 frames."""
    stack = torch.nn.Sequential(*(TemporalResidualBlock(1, dilation=2**level) for level in range(3)))
    for parameter in stack.parameters():
        torch.nn.init.ones_(parameter)
    signal = torch.zeros(1, 1, 41)
    silence = stack(signal)
    signal[0, 0, 20] = 1
    assert (stack(signal) != silence).sum() == 2**4 - 1


def test_branches_of_several_time_spans_lie_side_by_side():
    """Timeception, section 3.3: narrowed, then every channel by itself."""
    layer, features_bct = MultiScaleTemporalConv(4, kernels=(3, 5), dilations=(1, 2)), torch.randn(2, 4, 9)
    found = []
    for (narrow, along), reach in zip(layer.branches, (1, 4), strict=True):
        channels = functional.conv1d(features_bct, narrow.weight[..., 0, 0], narrow.bias)
        step = along.dilation[0]
        each = [
            functional.conv1d(
                channels[:, n : n + 1],
                along.weight[n : n + 1, ..., 0, 0],
                along.bias[n : n + 1],
                padding=reach,
                dilation=step,
            )
            for n in range(2)
        ]
        found += each
    expected = functional.conv1d(torch.cat(found, 1).relu(), layer.mix.weight[..., 0, 0], layer.mix.bias)
    torch.testing.assert_close(layer(features_bct), expected)


def test_parts_that_cannot_be_are_refused_in_words():
    with pytest.raises(ParameterError, match="a temporal convolution of 4 frames has no middle"):
        TemporalConv(4, 4, 4)
    with pytest.raises(ParameterError, match=r"10 channels, kernels \[3, 5, 7\] and dilations \[1, 1, 1\] do not go"):
        MultiScaleTemporalConv(10)


@pytest.mark.parametrize("head", [TemporalConvolutions(6, width=4), MultiScaleConvolutions(6, width=6)])
def test_convolutions_take_clips_of_any_length(head):
    assert head(torch.randn(2, 3, 6)).shape == head(torch.randn(2, 11, 6)).shape


@pytest.mark.parametrize(
    "builder", [frame_attention, frame_transformer, frame_conv_gru, frame_conv1d, frame_multiscale]
)
def test_every_head_is_exported_for_any_number_of_clips(builder):
    network = builder(num_classes=5, backbone="test_resnet", clip=ClipSpec(frames=3, size=64), width=24).eval()
    clip_bcthw = torch.randn(2, 3, 3, 64, 64)
    clips = torch.export.Dim("clips", min=1, max=64)
    exported = torch.export.export(network, (clip_bcthw,), dynamic_shapes=({0: clips},))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(clip_bcthw[:1]), network(clip_bcthw[:1]))


def test_a_head_over_time_starts_from_random_values_behind_published_image_weights():
    image = timm.create_model("test_resnet", num_classes=1000).eval()
    listed = catalog().resolve("model", "video/frame_attention")
    network = frame_attention(num_classes=5, backbone="test_resnet", width=8, heads=2)
    before = network.temporal.query.clone()
    timm_weights = Weights(tag="image", source="https://example.org/image.safetensors", labels=1000, convert="timm")
    published = Published(image.state_dict(), timm_weights.source, "")
    fit = fitted(network, published, listed, timm_weights)
    network.load_state_dict(fit.state, strict=False)
    assert {key.partition(".")[0] for key in fit.loaded.skipped} == {"temporal", "head"}
    assert torch.equal(network.temporal.query, before)
    for key, value in image.state_dict().items():
        if key in network.backbone.state_dict():
            assert torch.equal(network.backbone.state_dict()[key], value)
