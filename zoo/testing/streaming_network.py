"""What holds for a model whose module is a `StreamingNetwork`; for any other this check is skipped, and says so."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.testing.network import NetworkConformance, tensors
from zoo_registry.protocols import StreamingNetwork


class StreamingNetworkConformance(NetworkConformance):
    """Checks of `zoo_registry.protocols.StreamingNetwork`."""

    def test_frames_in_pieces_answer_as_the_clip_does(self) -> None:
        network = self.network()
        if not isinstance(network, StreamingNetwork) or not network.streams:
            pytest.skip(f"{self.name} is no StreamingNetwork: on streams it is asked about whole clips")
        (clip_bcthw,) = self.example()
        with torch.no_grad():
            expected = list(tensors(network(clip_bcthw)))
            for length in (1, 3, clip_bcthw.shape[2]):
                pairs = zip(expected, tensors(_in_pieces(network, clip_bcthw, length)), strict=True)
                assert all(torch.allclose(whole, pieces, rtol=1e-4, atol=1e-5) for whole, pieces in pairs), (
                    f"{self.name} answers otherwise when it is shown {length} of {clip_bcthw.shape[2]} frames at a time"
                )


def _in_pieces(network: StreamingNetwork, clip_bcthw: Tensor, length: int) -> Tensor:
    state, features = None, []
    for piece_bcthw in torch.split(clip_bcthw, length, dim=2):
        piece_bt, state = network.forward_frames(piece_bcthw, state)
        features.append(piece_bt)
    return network.forward_time(torch.cat(features, 1))
