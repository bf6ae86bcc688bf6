"""A convolution or linear layer as two or three thin ones, and how thin they can be.

With W (K, C, ...) unfolded along its outputs, the truncated singular value decomposition is the nearest product of its
rank (Eckart and Young 1936): the layer with r outputs, then r to K (Zhang et al., Accelerating Very Deep Convolutional
Networks, 2015, https://arxiv.org/abs/1505.06798). Tucker-2 truncates inputs as well: C to r1, the kernel from r1 to r2,
r2 to K (Kim et al., Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile Applications, ICLR
2016, https://arxiv.org/abs/1511.06530).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor, nn

from zoo_plugins.compress.cuts import CONVOLUTIONS, sizes

ITERATIONS = 3
"""Of alternating over inputs and outputs, for Tucker-2: the error stops falling after two or three (higher-order
orthogonal iteration, De Lathauwer et al. 2000)."""


@dataclass(frozen=True)
class Ranks:
    """How thin a layer gets.

    Attributes:
        form: `svd`, two layers; `tucker`, three.
        ranks: (r,) or (r1, r2).
    """

    form: str
    ranks: tuple[int, ...]

    def weights(self, layer: nn.Module) -> int:
        """How many weights the thin layers have, biases not counted."""
        out, inside, *kernel = layer.weight.shape
        if self.form == "svd":
            return self.ranks[0] * (inside * prod(kernel) + out)
        first, second = self.ranks
        return inside * first + prod(kernel) * first * second + second * out


@dataclass(frozen=True)
class Spectrum:
    """Squared singular values of a weight, in falling order, as parts of their sum.

    Attributes:
        outputs: of the weight unfolded along its outputs, (K,).
        inputs: along its inputs, (C,).
    """

    outputs: Tensor
    inputs: Tensor


def spectrum(layer: nn.Module) -> Spectrum:
    """The spectrum of a layer's weight."""
    weight = layer.weight.detach().double().cpu()
    return Spectrum(_energies(weight), _energies(weight.transpose(0, 1)))


def ranks_by_energy(layer: nn.Module, known: Spectrum, energy: float, round_to: int) -> Ranks:
    """The form with the fewest weights that keeps a part of the squared weights, between 0 and 1."""
    out, inside, *_ = layer.weight.shape
    choices = [Ranks("svd", (_rounded(_rank(known.outputs, energy), round_to, out),))]
    if _takes_tucker(layer):
        each = 1 - (1 - energy) / 2  # what two truncations lose adds up at most
        ranks = (_rank(known.inputs, each), _rank(known.outputs, each))
        choices.append(Ranks("tucker", (_rounded(ranks[0], round_to, inside), _rounded(ranks[1], round_to, out))))
    return min(choices, key=lambda choice: choice.weights(layer))


def ranks_by_ratio(layer: nn.Module, known: Spectrum, ratio: float, round_to: int) -> Ranks:
    """The form that loses least among those with a part of the layer's weights, between 0 and 1."""
    out, inside, *kernel = layer.weight.shape
    wanted = ratio * layer.weight.numel()
    rank = _rounded(int(wanted / (inside * prod(kernel) + out)), round_to, out)
    choices = [(_lost(known.outputs, rank), Ranks("svd", (rank,)))]
    if _takes_tucker(layer):
        square, line = inside * out * prod(kernel), inside**2 + out**2
        part = (-line + sqrt(line**2 + 4 * square * wanted)) / (2 * square)
        first, second = _rounded(int(part * inside), round_to, inside), _rounded(int(part * out), round_to, out)
        if max(_lost(known.inputs, first), _lost(known.outputs, second)) < choices[0][0]:  # it loses that at least
            weight = layer.weight.detach().double()
            core = _tucker(weight, first, second, iterations=0)[1]
            lost = float(1 - core.square().sum() / weight.square().sum())
            choices.append((lost, Ranks("tucker", (first, second))))
    return min(choices, key=lambda choice: choice[0])[1]


def thin(layer: nn.Module, choice: Ranks) -> nn.Sequential:
    """The thin layers in place of one, of its type, on its device; their values are yet to come."""
    out, inside = layer.weight.shape[:2]
    if choice.form == "svd":
        (rank,) = choice.ranks
        return nn.Sequential(_sized(layer, inside, rank, bias=False), _pointwise(layer, rank, out, bias=True))
    first, second = choice.ranks
    return nn.Sequential(
        _pointwise(layer, inside, first, bias=False),
        _sized(layer, first, second, bias=False),
        _pointwise(layer, second, out, bias=True),
    )


def factorised(layer: nn.Module, choice: Ranks) -> nn.Sequential:
    """The thin layers that together come nearest to one."""
    weight = layer.weight.detach().double()
    values = _svd(weight, *choice.ranks) if choice.form == "svd" else _tucker(weight, *choice.ranks)
    layers = thin(layer, choice)
    with torch.no_grad():
        for thin_layer, value in zip(layers, values, strict=True):
            thin_layer.weight.copy_(value.reshape(thin_layer.weight.shape))
        if layer.bias is not None:
            layers[-1].bias.copy_(layer.bias)
    return layers


def _svd(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    unfolded = weight.flatten(1)
    if len(unfolded) <= unfolded.shape[1]:  # the basis of the shorter side is the cheaper one
        left = _basis(unfolded, rank)
        right = left.T @ unfolded
        share = right.norm(dim=1).clamp(min=1e-30).sqrt()  # of the singular values, half to each side
        first, second = right / share[:, None], left * share
    else:
        right = _basis(unfolded.T, rank).T
        left = unfolded @ right.T
        share = left.norm(dim=0).clamp(min=1e-30).sqrt()
        first, second = right * share[:, None], left / share
    return first.reshape(rank, *weight.shape[1:]), second


def _tucker(weight: Tensor, first: int, second: int, iterations: int = ITERATIONS) -> tuple[Tensor, Tensor, Tensor]:
    """(r1, C), (r2, r1, ...) and (K, r2)."""
    inputs, outputs = _basis(weight.transpose(0, 1), first), _basis(weight, second)
    for _ in range(iterations):
        inputs = _basis(torch.tensordot(weight, outputs, ([0], [0])).movedim(-1, 0).transpose(0, 1), first)
        outputs = _basis(torch.tensordot(weight, inputs, ([1], [0])), second)
    core = torch.tensordot(outputs, torch.tensordot(inputs, weight, ([0], [1])), ([0], [1]))
    return inputs.T, core, outputs


def _basis(tensor: Tensor, rank: int) -> Tensor:
    """The directions of dimension 0 that hold most of a tensor, (N, rank)."""
    unfolded = tensor.flatten(1)
    return torch.linalg.eigh(unfolded @ unfolded.T).eigenvectors.flip(1)[:, :rank]


def _energies(tensor: Tensor) -> Tensor:
    unfolded = tensor.flatten(1)
    unfolded = unfolded if len(unfolded) <= unfolded.shape[1] else unfolded.T
    squares = torch.linalg.eigvalsh(unfolded @ unfolded.T).flip(0).clamp(min=0)
    return squares / squares.sum().clamp(min=1e-300)


def _rank(energies: Tensor, energy: float) -> int:
    return min(len(energies), int((energies.cumsum(0) < energy - 1e-12).sum()) + 1)


def _lost(energies: Tensor, rank: int) -> float:
    return float(energies[rank:].sum())


def _rounded(rank: int, round_to: int, most: int) -> int:
    """To the nearest multiple, at least one of them and at most the full rank."""
    return min(most, max(1, round(rank / round_to)) * round_to)


def _takes_tucker(layer: nn.Module) -> bool:
    """Convolutions with a kernel and without stride: a stride would not spare the first of the thin layers anything."""
    return (
        isinstance(layer, CONVOLUTIONS)
        and max(layer.kernel_size) > 1
        and max(layer.stride) == 1
        and min(layer.weight.shape[:2]) > 1
    )


def _sized(layer: nn.Module, inside: int, out: int, *, bias: bool) -> nn.Module:
    """The same layer with other widths."""
    sized = _twin(layer)
    sized._parameters.update(weight=None, bias=None)
    shape = (out, inside, *layer.weight.shape[2:])
    sized.weight = nn.Parameter(layer.weight.detach().new_zeros(shape))
    if bias and layer.bias is not None:
        sized.bias = nn.Parameter(layer.weight.detach().new_zeros(out))
    for attribute, size in sizes(sized).items():
        setattr(sized, attribute, size)
    return sized


def _pointwise(layer: nn.Module, inside: int, out: int, *, bias: bool) -> nn.Module:
    """A layer of the same type that mixes channels only."""
    single = _twin(layer)
    if isinstance(layer, CONVOLUTIONS):
        ones, zeros = (1,) * len(layer.kernel_size), (0,) * len(layer.kernel_size)
        single.kernel_size = single.stride = single.dilation = ones
        single.padding, single._reversed_padding_repeated_twice = zeros, [*zeros, *zeros]
        single.weight = nn.Parameter(layer.weight.detach().new_zeros((*layer.weight.shape[:2], *ones)))
    return _sized(single, inside, out, bias=bias)


def _twin(layer: nn.Module) -> nn.Module:
    """A layer with the same options and tensors; what is added to one of both is not added to the other."""
    twin = copy.copy(layer)
    vars(twin).update({name: copy.copy(value) for name, value in vars(layer).items() if isinstance(value, dict)})
    return twin
