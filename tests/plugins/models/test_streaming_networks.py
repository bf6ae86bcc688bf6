"""Networks that look at each frame once: a stream in pieces gives what the whole clip gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from tests.plugins.models.parity import randomised
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import StreamingNetwork

TINY = {"backbone": "test_resnet"}
FRAMES = 6


def network(name: str, **params: Any) -> Any:
    torch.manual_seed(0)
    loaded = zoo.load(
        name, pretrained=False, num_classes=5, params={**TINY, **params}, clip={"frames": FRAMES, "size": 32}
    )
    return randomised(loaded.network)  # a fresh ResNet's residual branches give nothing


def film(frames: int) -> Tensor:
    return torch.randn(1, 3, frames, 32, 32, generator=torch.Generator().manual_seed(1))


def in_pieces(streaming: StreamingNetwork, clip_bcthw: Tensor, *lengths: int) -> Tensor:
    state, features = None, []
    for piece_bcthw in clip_bcthw.split(lengths, dim=2):
        piece, state = streaming.forward_frames(piece_bcthw, state)
        features.append(piece)
    return torch.cat(features, 1)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("video/tsn", {}),
        ("video/frame_attention", {"width": 16, "heads": 2}),
        ("video/frame_transformer", {"width": 16, "heads": 2, "depth": 1}),
        ("video/frame_conv1d", {"width": 16}),
        ("video/frame_multiscale", {"width": 18}),
        ("video/frame_conv_gru", {"width": 16}),
        ("video/tsm", {"online": True, "backbone": "resnet18"}),
    ],
)
@torch.no_grad()
def test_frames_in_pieces_answer_as_the_clip_does(name: str, params: dict[str, Any]) -> None:
    streaming, clip_bcthw = network(name, **params), film(FRAMES)
    assert isinstance(streaming, StreamingNetwork)
    assert streaming.streams
    for lengths in ((FRAMES,), (1,) * FRAMES, (4, 2)):
        answer = streaming.forward_time(in_pieces(streaming, clip_bcthw, *lengths))
        torch.testing.assert_close(answer, streaming(clip_bcthw), atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_online_shift_remembers_all_that_came_before() -> None:
    """Sixteen frames in pieces of one are those of one clip of sixteen frames, though the network was built for six."""
    streaming, sixteen = network("video/tsm", online=True, backbone="resnet18"), film(16)
    at_once = streaming.forward_frames(sixteen)[0]
    torch.testing.assert_close(in_pieces(streaming, sixteen, *(1,) * 16), at_once, atol=1e-5, rtol=0)
    forgetful = streaming.forward_frames(sixteen[:, :, 10:])[0]
    assert (forgetful[:, 0] - at_once[:, 10]).abs().max() > 1e-3


@torch.no_grad()
def test_no_frame_of_an_online_shift_sees_a_later_one() -> None:
    streaming, clip_bcthw = network("video/tsm", online=True, backbone="resnet18"), film(FRAMES)
    other = clip_bcthw.clone()
    other[:, :, 3:] = 0
    assert torch.equal(streaming.forward_features(clip_bcthw)[:, :3], streaming.forward_features(other)[:, :3])


def test_a_shift_in_both_directions_cannot_be_taken_frame_by_frame() -> None:
    both = network("video/tsm", backbone="resnet18")
    assert not both.streams
    with pytest.raises(ParameterError, match="shifts channels back in time too"):
        both.forward_frames(film(2))
