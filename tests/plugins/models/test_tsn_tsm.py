"""TSN and TSM against the papers' definitions, and torchvision's networks with shifts put in by hand."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import mobilenet_v2, resnet18, resnet50
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck

from tests.plugins.models.parity import assert_same_answers, assert_same_training, clip_of, randomised
from zoo_plugins.timm.backbone import frame_backbone
from zoo_plugins.video.layouts.mmaction2_tsn import of_segment_network
from zoo_plugins.video.segment_networks import of_image_weights, tsm, tsn
from zoo_plugins.video.temporal_shift import ShiftedLayer, insert_temporal_shift, temporal_shift
from zoo_registry import ClipSpec
from zoo_registry.errors import ParameterError

# -------------------------------------------------------------------------------------------------------- the shift


def shifted_by_definition(x: Tensor, div: int) -> Tensor:
    """Section 3.2 of the paper: 1/div of the channels from the next frame, 1/div from the one before, zeros outside."""
    result, fold = torch.zeros_like(x), x.shape[2] // div
    for moment in range(x.shape[1]):
        for channel in range(x.shape[2]):
            source = moment + 1 if channel < fold else moment - 1 if channel < 2 * fold else moment
            if 0 <= source < x.shape[1]:
                result[:, moment, channel] = x[:, source, channel]
    return result


@pytest.mark.parametrize(
    ("shape", "div"), [((2, 4, 16, 3, 3), 8), ((1, 1, 8, 2, 2), 8), ((2, 3, 7), 3), ((1, 3, 4), 8)]
)
def test_the_shift_is_that_of_the_paper(shape, div):
    x = torch.randn(shape)
    assert torch.equal(temporal_shift(x, div), shifted_by_definition(x, div))


def test_the_gradient_of_the_shift_is_exact():
    x = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, 4), x)
    assert torch.autograd.gradgradcheck(lambda x: temporal_shift(x, 4), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_shift_keeps_dtype_and_memory_format(dtype):
    x = torch.randn(8, 16, 5, 5, dtype=dtype).to(memory_format=torch.channels_last)
    layer = ShiftedLayer(nn.Identity(), frames=4, div=8)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(layer(x), shifted_by_definition(x.unflatten(0, (2, 4)), 8).flatten(0, 1))


def test_the_shift_makes_one_tensor():
    class Calls(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = Counter()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.names[function.overloadpacket.__name__] += 1
            return function(*args, **(kwargs or {}))

    x = torch.randn(2, 4, 16, 3, 3)
    with Calls() as calls:
        temporal_shift(x)
    assert calls.names["empty_like"] == 1
    views_and_writes = {"empty_like", "slice", "select", "copy_", "zero_", "fill_", "detach", "alias", "view"}
    assert set(calls.names) <= views_and_writes, "nothing else makes a tensor"


def test_a_network_that_shifts_is_exported_for_any_number_of_clips():
    network, clip_bcthw = (
        tsm(num_classes=5, backbone="resnet18", clip=ClipSpec(frames=4, size=32)).eval(),
        clip_of(4, 32, 2),
    )
    exported = torch.export.export(
        network, (clip_bcthw,), dynamic_shapes=({0: torch.export.Dim("clips", min=1, max=64)},)
    )
    with torch.no_grad():
        for clips in (clip_bcthw[:1], clip_bcthw, clip_bcthw.repeat(2, 1, 1, 1, 1)):
            torch.testing.assert_close(exported.module()(clips), network(clips))


@pytest.mark.slow
def test_the_compiled_shift_has_the_same_gradient():
    layer, x = ShiftedLayer(nn.Conv2d(16, 4, 1), frames=4, div=8), torch.randn(8, 16, 3, 3)
    layer(x).square().sum().backward()
    gradient = layer.net.weight.grad.clone()
    layer.zero_grad()
    torch.compile(layer, fullgraph=True, backend="aot_eager")(x).square().sum().backward()
    torch.testing.assert_close(layer.net.weight.grad, gradient)


# ----------------------------------------------------------------------------------------------- where it is put in


@pytest.mark.parametrize(
    ("backbone", "blocks"),
    [("resnet50", 3 + 4 + 6 + 3), ("resnet101", 2 + 2 + 12 + 2), ("mobilenetv2_100", 1 + 2 + 3 + 2 + 2)],
)
def test_shifts_are_where_the_authors_put_them(backbone, blocks):
    with torch.device("meta"):
        assert insert_temporal_shift(timm.create_model(backbone, num_classes=0), frames=8) == blocks


@pytest.mark.parametrize(
    "backbone",
    ["mobilenetv3_small_100", "efficientnet_b0", "efficientnetv2_rw_t", "resnext50_32x4d", "mobilenetv4_conv_small",
     "res2net50_14w_8s", "resnest14d"],
)  # fmt: skip
def test_shifts_go_into_other_convolutional_backbones(backbone):
    with torch.device("meta"):
        network = tsm(num_classes=5, backbone=backbone, clip=ClipSpec(frames=4, size=64)).eval()
        assert network(torch.empty(1, 3, 4, 64, 64)).shape == (1, 5)
    assert any(isinstance(module, ShiftedLayer) for module in network.modules())


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "convnext_atto"])
def test_backbones_without_such_blocks_are_refused_in_words(backbone):
    with (
        torch.device("meta"),
        pytest.raises(ParameterError, match=r"residual blocks of convolutions.*has none\n.*resnet50"),
    ):
        tsm(num_classes=5, backbone=backbone)


def test_clips_of_another_length_are_refused_in_words():
    network = tsm(num_classes=5, backbone="resnet18", clip=ClipSpec(frames=4, size=32))
    with pytest.raises(ParameterError, match=r"clips of 4 frames, this one has 8\n.*data\.clip\.frames: 8"):
        network(torch.randn(1, 3, 8, 32, 32))


def test_an_unknown_backbone_is_named_with_the_nearest():
    with pytest.raises(ParameterError, match=r"timm has no backbone 'resnet5'\n.*resnet5"):
        tsn(num_classes=5, backbone="resnet5")


# ------------------------------------------------------------------------------------------------------- MMAction2


class Shifted(nn.Module):
    """A peer's shift: three parts and their sum, written another way than ours."""

    def __init__(self, net: nn.Module, frames: int) -> None:
        super().__init__()
        self.net, self.frames = net, frames

    def forward(self, x: Tensor) -> Tensor:
        clips = x.unflatten(0, (-1, self.frames))
        fold = x.shape[1] // 8
        none = torch.zeros_like(clips[:, :1, :fold])
        earlier = torch.cat([clips[:, 1:, :fold], none], 1)
        later = torch.cat([none, clips[:, :-1, fold : 2 * fold]], 1)
        return self.net(torch.cat([earlier, later, clips[:, :, 2 * fold :]], 2).flatten(0, 1))


class FrameByFrame(nn.Module):
    """A network of torchvision on every frame, its answers averaged; shifted where the authors of TSM do it."""

    def __init__(self, net: nn.Module, frames: int, *, shift: bool) -> None:
        super().__init__()
        self.net, self.frames = net, frames
        for block in list(net.modules()) if shift else ():
            if isinstance(block, BasicBlock | Bottleneck):
                block.conv1 = Shifted(block.conv1, frames)
            elif isinstance(block, InvertedResidual) and block.use_res_connect and len(block.conv) == 4:
                block.conv[0] = Shifted(block.conv[0], frames)

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return self.net(clip_bcthw.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, self.frames)).mean(1)


def resnet_keys_of_mmaction2(key: str) -> str:
    """torchvision's key of a ResNet as MMAction2 writes it: its `ConvModule` holds convolution and norm."""
    key = re.sub(r"^net\.", "backbone.", key).replace("backbone.fc.", "cls_head.fc_cls.")
    key = key.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.bn.")
    key = re.sub(r"\.bn(\d)\.", r".conv\1.bn.", key)
    key = re.sub(r"\.conv(\d)\.net\.", r".conv\1.conv.net.", key)
    return re.sub(r"\.conv(\d)\.(weight)", r".conv\1.conv.\2", key)


def mobilenet_keys_of_mmaction2(key: str) -> str:
    """The same of a MobileNetV2; MMAction2 counts its blocks by stage."""
    stages = [(stage, place) for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1), start=1) for place in range(count)]
    key = key.removeprefix("net.")
    if key.startswith("classifier.1."):
        return key.replace("classifier.1.", "cls_head.fc_cls.")
    number, rest = re.fullmatch(r"features\.(\d+)\.(.*)", key).groups()
    parts = {"0": "conv", "1": "bn"}
    if number in ("0", "18"):
        return f"backbone.conv{1 if number == '0' else 2}.{parts[rest[0]]}.{rest[2:]}"
    stage, place = stages[int(number) - 1]
    rest = rest.removeprefix("conv.")
    wrapped = ".net" if ".net." in rest else ""
    layer, inner, value = re.fullmatch(r"(\d)(?:\.net)?\.(?:(\d)\.)?(\w+)", rest).groups()
    if inner is None:  # the last convolution and its norm lie beside the others
        last = 1 if stage == 1 else 2
        inner, layer = ("0", str(last)) if int(layer) == last else ("1", str(last))
    return f"backbone.layer{stage}.{place}.conv.{layer}{wrapped}.{parts[inner]}.{value}"


def from_mmaction2(rename):
    return lambda state, network: of_segment_network({rename(key): value for key, value in state.items()}, network)


@pytest.mark.parametrize(("builder", "shift"), [(tsn, False), (tsm, True)])
def test_resnet50_of_mmaction2_answers_the_same(builder, shift):
    """Peer: torchvision's ResNet-50 with shifts put in by hand, weights under MMAction2's names."""
    peer = FrameByFrame(randomised(resnet50(num_classes=7)), 8, shift=shift)
    nn.init.normal_(peer.net.fc.weight, std=0.05)
    own = builder(num_classes=7, clip=ClipSpec(frames=8, size=64))
    assert_same_answers(own, peer, from_mmaction2(resnet_keys_of_mmaction2), clip_of(8, 64, batch=2))


def test_resnet18_of_mmaction2_trains_the_same():
    peer = FrameByFrame(randomised(resnet18(num_classes=7)), 4, shift=True)
    own = tsm(num_classes=7, backbone="resnet18", clip=ClipSpec(frames=4, size=32), dropout=0.0)
    assert_same_training(own, peer, from_mmaction2(resnet_keys_of_mmaction2), clip_of(4, 32, batch=2))


def test_mobilenetv2_of_mmaction2_answers_the_same():
    """Peer: torchvision's MobileNetV2 with shifts put in by hand, weights under MMAction2's names."""
    peer = FrameByFrame(randomised(mobilenet_v2(num_classes=7)), 4, shift=True)
    nn.init.normal_(peer.net.classifier[1].weight, std=1.0)
    own = tsm(num_classes=7, backbone="mobilenetv2_100", clip=ClipSpec(frames=4, size=64))
    assert_same_answers(own, peer, from_mmaction2(mobilenet_keys_of_mmaction2), clip_of(4, 64, batch=2))


def test_keys_that_nobody_knows_keep_their_names():
    """So that `zoo convert` reports them."""
    own = nn.Identity()
    assert list(of_segment_network({"backbone.non_local.g.weight": torch.zeros(1)}, own)) == [
        "backbone.non_local.g.weight"
    ]


# ----------------------------------------------------------------------------------------------------- image weights


def test_a_segment_of_one_frame_gets_timms_own_logits():
    image = randomised(timm.create_model("resnet18", num_classes=6)).eval()
    own = tsn(num_classes=6, backbone="resnet18").eval()
    own.load_state_dict(of_image_weights(image.state_dict(), own), strict=True)
    frames_bchw = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(own(frames_bchw[:, :, None]), image(frames_bchw), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv2_100", "mobilenetv4_conv_small"])
def test_image_weights_fit_a_backbone_that_shifts(backbone):
    image = timm.create_model(backbone, num_classes=6)
    own = tsm(num_classes=6, backbone=backbone)
    fitting = of_image_weights(image.state_dict(), own)
    missing, unexpected = own.load_state_dict(fitting, strict=False)
    assert not unexpected
    assert not [key for key in missing if not key.startswith("head.")]
    plain, _ = frame_backbone(backbone, clip=None)
    assert len(own.backbone.state_dict()) == len(plain.state_dict())


def test_the_averaged_answer_is_the_answer_to_the_average():
    own = tsn(num_classes=6, backbone="test_resnet").eval()
    clip_bcthw = torch.randn(2, 3, 5, 64, 64)
    with torch.no_grad():
        answers = torch.stack([own(clip_bcthw[:, :, moment : moment + 1]) for moment in range(5)])
        torch.testing.assert_close(own(clip_bcthw), answers.mean(0), atol=1e-6, rtol=1e-5)
