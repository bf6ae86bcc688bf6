"""Evening out the channels between two layers."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_plugins.compress.equalisation import equalise, find_chains


class Chained(nn.Module):
    """Two convolutions with something between them."""

    def __init__(self, between: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv3d(3, 4, 1), nn.Conv3d(4, 2, 3, groups=1)
        self.relu = nn.ReLU(inplace=between == "inplace")
        self.between = between

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.first(x)
        match self.between:
            case "function":
                z = F.relu(y)
            case "method":
                z = y.relu()
            case "sigmoid":
                z = y.sigmoid()
            case "nothing":
                z = y
            case _:
                z = self.relu(y)
        answer = self.second(z)
        if self.between == "also read":
            return answer + z.mean()
        if self.between == "also read before":
            return answer + y.mean()
        if self.between == "also returned":
            return answer, z
        return self.second(F.pad(answer, (2,) * 6)[:, :1].repeat(1, 4, 1, 1, 1)) if self.between == "twice" else answer


def clip() -> Tensor:
    return torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def layers(network: nn.Module) -> dict[str, nn.Module]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv3d | nn.Linear)}


@pytest.mark.parametrize("between", ["module", "inplace", "function", "method"])
def test_finds_layers_with_a_relu_between_them(between):
    network = Chained(between).eval()
    assert find_chains(network, layers(network), (clip(),)) == [("first", "second")]


@pytest.mark.parametrize(
    "between", ["sigmoid", "nothing", "also read", "also read before", "also returned", "twice"]
)  # fmt: skip
def test_leaves_layers_that_something_else_depends_on(between):
    network = Chained(between).eval()
    assert find_chains(network, layers(network), (clip(),)) == []


def test_leaves_layers_that_share_a_weight():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    example = (torch.ones(1, 3),)
    assert find_chains(network, layers(network), example) == [("0", "2")]

    network[2].weight = network[0].weight

    assert find_chains(network, layers(network), example) == []


@pytest.mark.parametrize("groups", [1, 4])
def test_changes_no_answer_and_evens_out_the_channels(groups):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(3, 4, 1), nn.ReLU(), nn.Conv3d(4, 4, 3, groups=groups)).eval()
    with torch.no_grad():
        network[0].weight[1] *= 10  # one channel is ten times as loud
        network[0].bias[1] *= 10
    network.requires_grad_(False)
    expected, before = network(clip()), copy.deepcopy(network)

    equalise(network, layers(network), [("0", "2")], [(clip(),)], strength=1.0)

    torch.testing.assert_close(network(clip()), expected, rtol=1e-4, atol=1e-5)
    loud = network[:2](clip()).movedim(1, 0).flatten(1).amax(1)
    assert before[:2](clip()).movedim(1, 0).flatten(1).amax(1).max() == pytest.approx(loud.max().item())
    torch.testing.assert_close(loud, loud.max().expand(4), rtol=1e-4, atol=0)


def test_stretches_a_silent_channel_no_further_than_twentyfold():
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        network[0].bias.copy_(torch.tensor([0.0, 1e-6]))
    weight = network[2].weight.clone()

    equalise(network, layers(network), [("0", "2")], [(torch.ones(1, 2),)], strength=1.0)

    torch.testing.assert_close(network[2].weight, weight / torch.tensor([1.0, 20.0]))
