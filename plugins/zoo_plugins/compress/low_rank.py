"""Low-rank factorisation: layers whose weights repeat themselves become two or three thin ones; see `factors`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves

from zoo_plugins.compress.cost_target import least_strength, read_target
from zoo_plugins.compress.culprits import culprits
from zoo_plugins.compress.cuts import CONVOLUTIONS
from zoo_plugins.compress.factors import (
    Ranks,
    Spectrum,
    factorised,
    ranks_by_energy,
    ranks_by_ratio,
    spectrum,
    thin,
)  # fmt: skip
from zoo_plugins.compress.folding import replace
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

WHAT = "low_rank"
FACTORED = (*CONVOLUTIONS, nn.Linear)
Part = Annotated[float, Range(gt=0, lt=1)]


def low_rank(
    model: nn.Module,
    context: CompressionContext,
    *,
    ratio: Part | None = None,
    energy: Part | None = None,
    target: dict[str, Part] | None = None,
    skip: list[str] | None = None,
    round_to: Annotated[int, Range(ge=1)] = 8,
    epochs: Annotated[int, Range(ge=0)] = 0,
    lr: Annotated[float, Range(gt=0)] = 1e-3,
) -> tuple[nn.Module, dict[str, Any]]:
    """Replace convolutions and linear layers by thin ones whose product comes nearest to them.

    Parameters, multiply-adds and the file get smaller by the same part. Of the two forms (truncated singular values,
    Tucker-2) each layer gets the better one. A layer that would not get smaller stays. Exactly one of `ratio`, `energy`
    and `target` is given.

    Args:
        model: in eval mode; changed in place.
        context: gives example inputs; costs for `target`, training for `epochs`.
        ratio: part of each layer's weights that is left.
        energy: part of each layer's squared weights that the thin layers keep at least, such as 0.95; layers that
            repeat themselves more get thinner.
        target: what is to be left of the original's cost, `{gmacs: 0.5}` or `{latency: 0.6}`: the highest energy that
            reaches it is found.
        skip: patterns of names of layers that stay as they are.
        round_to: ranks are multiples of this where the layer is wide enough.
        epochs: training afterwards.
        lr: learning rate of that training.

    Returns:
        The model and the record: form and ranks of each layer, the layers that stayed with the reason.

    Raises:
        ParameterError: not one of the three, a target that cannot be reached, or no layer that would get smaller.
        RunError: `epochs` without training data.

    Example:
        >>> from types import SimpleNamespace
        >>> layer = nn.Linear(8, 8)
        >>> _ = layer.weight.data.copy_(torch.ones(8, 8))                          # of rank one
        >>> x = torch.randn(1, 8)
        >>> thin_layers, record = low_rank(copy.deepcopy(layer), SimpleNamespace(example=(x,)), energy=0.9, round_to=1)
        >>> record["layers"], bool(torch.allclose(thin_layers(x), layer(x), atol=1e-5))
        ({'': {'form': 'svd', 'ranks': [1]}}, True)
    """
    if sum(strength is not None for strength in (ratio, energy, target)) != 1:
        raise ParameterError(
            f"{WHAT} takes exactly one of `ratio`, `energy` and `target`", hint="such as target: {gmacs: 0.5}"
        )
    layers, kept = _layers(model, context.example, skip or [])
    known = {name: spectrum(layer) for name, layer in layers.items()}
    cost = None if target is None else read_target(target, context, model, WHAT)
    if ratio is not None:
        chosen = {name: ranks_by_ratio(layer, known[name], ratio, round_to) for name, layer in layers.items()}
    elif energy is not None:
        chosen = _by_energy(layers, known, energy, round_to)
    elif cost is not None:

        def attempt(strength: float) -> nn.Module:
            return _thinned(copy.deepcopy(model), _smaller(layers, _by_energy(layers, known, 1 - strength, round_to)))

        lost = least_strength(attempt, cost, cost.part, WHAT)
        chosen = _by_energy(layers, known, 1 - lost, round_to)
    smaller = _smaller(layers, chosen)
    kept |= {name: "it would not get smaller" for name in layers if name not in smaller}
    if not smaller:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(kept.items())[:4])
        raise ParameterError(f"{WHAT} makes no layer smaller{f': {reasons}' if reasons else ''}")
    for name, ranks in smaller.items():
        model = replace(model, layers[name], factorised(layers[name], ranks))
    if epochs:
        context.train(model, epochs=epochs, lr=lr)
    left = {} if cost is None else {cost.kind: round(cost.left(model), 4)}
    written = {name: {"form": ranks.form, "ranks": list(ranks.ranks)} for name, ranks in smaller.items()}
    return model, {"layers": written, "kept": kept, "left": left}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give a freshly built model the thin layers, ready for their weights.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    layers, _, _ = fields(record, {"layers": Mapping, "kept": Mapping, "left": Mapping}, WHAT)
    for name, written in layers.items():
        layer = module_of_type(model, name, FACTORED, WHAT)
        model = replace(model, layer, thin(layer, _ranks(layer, name, written)))
    return model


def _ranks(layer: nn.Module, name: str, written: object) -> Ranks:
    form, ranks = fields(written, {"form": str, "ranks": list}, WHAT)
    length = {"svd": 1, "tucker": 2}.get(form)
    if length is None or len(ranks) != length or any(type(rank) is not int or rank < 1 for rank in ranks):
        raise refuse(WHAT, f"gives {name!r} a form or ranks that there are not")
    found = Ranks(form, tuple(ranks))
    whole = getattr(layer, "groups", 1) == 1 and (form == "svd" or isinstance(layer, CONVOLUTIONS))
    if not whole or found.weights(layer) >= layer.weight.numel():
        raise refuse(WHAT, f"gives {name!r} ranks that would not make it smaller")
    return found


def _by_energy(
    layers: Mapping[str, nn.Module], known: Mapping[str, Spectrum], energy: float, round_to: int
) -> dict[str, Ranks]:
    return {name: ranks_by_energy(layer, known[name], energy, round_to) for name, layer in layers.items()}


def _smaller(layers: Mapping[str, nn.Module], chosen: Mapping[str, Ranks]) -> dict[str, Ranks]:
    return {name: ranks for name, ranks in chosen.items() if ranks.weights(layers[name]) < layers[name].weight.numel()}


def _thinned(model: nn.Module, chosen: Mapping[str, Ranks]) -> nn.Module:
    """The model with thin layers of zeros, which cost what those with values cost."""
    for name, ranks in chosen.items():
        layer = model.get_submodule(name)
        model = replace(model, layer, thin(layer, ranks))
    return model


def _layers(
    model: nn.Module, example: Sequence[Tensor], skip: list[str]
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The layers that could be replaced, and those that cannot with the reason."""
    layers, kept = {}, {}
    for name, layer in model.named_modules():
        if not isinstance(layer, FACTORED):
            continue
        if any(fnmatchcase(name, pattern) for pattern in skip):
            kept[name] = "`skip` keeps it"
        elif getattr(layer, "groups", 1) > 1:
            kept[name] = "it is a convolution in groups"
        elif not _computes_plainly(layer):
            kept[name] = f"a {type(layer).__name__} computes more than its weight says"
        else:
            layers[name] = layer
    expected = _answers(model, example)
    fixed = culprits(list(layers), lambda some: _survives(model, example, some, expected))
    kept |= dict.fromkeys(fixed, "the network reads its weight, or fails without it")
    return {name: layer for name, layer in layers.items() if name not in fixed}, kept


def _computes_plainly(layer: nn.Module) -> bool:
    """Whether a layer, of whatever subclass, gives what torch computes with its weight and bias."""
    if hasattr(layer, "parametrizations"):
        return False
    if type(layer) in FACTORED:
        return getattr(layer, "padding_mode", "zeros") == "zeros"
    weight, bias = layer.weight, layer.bias
    generator = torch.Generator().manual_seed(0)
    shape = (1, weight.shape[1], *(size + 4 for size in weight.shape[2:]))
    values = torch.randn(shape, generator=generator).to(weight)
    with torch.no_grad():
        found = layer(values)
        if isinstance(layer, nn.Linear):
            expected = F.linear(values, weight, bias)
        else:
            convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[weight.dim()]
            expected = convolve(values, weight, bias, layer.stride, layer.padding, layer.dilation)
    close = found.shape == expected.shape and (found - expected).norm() <= 1e-2 * expected.norm()
    return bool(close)


def _survives(model: nn.Module, example: Sequence[Tensor], names: Sequence[str], expected: list[torch.Size]) -> bool:
    one = {name: Ranks("svd", (1,)) for name in names}  # what else reads a layer fails at any rank
    try:
        return _answers(_thinned(copy.deepcopy(model), one), example) == expected
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return False


def _answers(model: nn.Module, example: Sequence[Tensor]) -> list[torch.Size]:
    with torch.no_grad():
        output = model(*(tensor[:1] for tensor in example))
    return [leaf.shape for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
