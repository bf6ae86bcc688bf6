"""Finds the attentions of a network, and which slices each of their heads occupies.

Michel et al., Are Sixteen Heads Really Better than One?, NeurIPS 2019, https://arxiv.org/abs/1905.10650: what heads
give is laid side by side and mixed by one linear layer, so a head can go together with its part of that layer. A graph
of channels does not tell heads apart; the two forms that attentions are usually written in do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from zoo_plugins.compress.cuts import Count, Cut, Group

HEADS = ("num_heads", "num_attention_heads")
HEAD_SIZES = ("head_dim", "attention_head_size")
WIDTHS = ("attn_dim", "output_dim", "all_head_size")
"""Attributes that networks keep the number of heads, the channels of one and of all of them in."""

INPUTS = ("qkv", "query", "q", "q_proj", "in_proj_weight")
"""What makes a module with a number of heads an attention."""


@dataclass(frozen=True)
class Attention:
    """One attention of a network.

    Attributes:
        name: of the module.
        inputs: names of the linear layers that give queries, keys and values: one for all three, or three.
        output: name of the linear layer that mixes the heads.
        heads: how many there are.
        head_size: channels of one.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    heads: int
    head_size: int


def attentions(model: nn.Module) -> list[str]:
    """Names of the modules that are attentions, of whatever form."""
    return [
        name
        for name, module in model.named_modules()
        if any(isinstance(getattr(module, attribute, None), int) for attribute in HEADS)
        and any(getattr(module, part, None) is not None for part in INPUTS)
    ]


def head_groups(model: nn.Module) -> tuple[list[Group], dict[tuple[str, ...], str]]:
    """The heads of each attention that can be removed, and the attentions that keep theirs with the reason."""
    groups, kept = [], {}
    for name in attentions(model):
        form = head_form(model, name)
        if form is None:
            kind = type(model.get_submodule(name)).__name__
            kept[(name,)] = f"the heads of a {kind} are written in a form that is not known here"
        elif form.heads == 1:
            kept[(name,)] = "it has one head"
        else:
            groups.append(_group(model, form))
    return groups, kept


def head_form(model: nn.Module, name: str) -> Attention | None:
    """The attention of that name, None if it is written in a form that is not known."""
    module = model.get_submodule(name)
    heads = next((getattr(module, one) for one in HEADS if hasattr(module, one)), 0)
    size = next((getattr(module, one) for one in HEAD_SIZES if hasattr(module, one)), 0)
    if isinstance(getattr(module, "qkv", None), nn.Linear):
        inputs: tuple[str, ...] = ("qkv",)
    else:
        inputs = ("query", "key", "value")
    found = Attention(name, tuple(_inside(name, part) for part in inputs), _output(model, name) or "", heads, size)
    wanted = heads * size * (3 // len(inputs))
    layers = dict(model.named_modules())
    fit = all(_features(layers.get(layer), "out_features") == wanted for layer in found.inputs)
    return found if fit and _features(layers.get(found.output), "in_features") == heads * size else None


def _output(model: nn.Module, name: str) -> str | None:
    """The layer that mixes the heads: inside the module, or beside it."""
    parent = name.rpartition(".")[0]
    places = [_inside(name, part) for part in ("proj", "project", "project.0")] + [_inside(parent, "output.dense")]
    layers = dict(model.named_modules())
    return next((place for place in places if isinstance(layers.get(place), nn.Linear)), None)


def _group(model: nn.Module, form: Attention) -> Group:
    cuts = [cut for layer in form.inputs for cut in _written(model.get_submodule(layer), layer, form)]
    cuts.append(Cut(form.output, "weight", 1, _places(form, 1), reads=True))
    module = model.get_submodule(form.name)
    counts = [Count(form.name, one, 1) for one in HEADS if hasattr(module, one)]
    whole = form.heads * form.head_size
    counts += [Count(form.name, one, form.head_size) for one in WIDTHS if getattr(module, one, None) == whole]
    return Group(form.name, "heads", form.inputs, form.heads, form.head_size, tuple(cuts), tuple(counts))


def _written(layer: nn.Module, name: str, form: Attention) -> Iterator[Cut]:
    places = _places(form, 3 // len(form.inputs))
    for tensor in ("weight", "bias"):
        if getattr(layer, tensor, None) is not None:
            yield Cut(name, tensor, 0, places)


def _places(form: Attention, parts: int) -> tuple[tuple[int, ...], ...]:
    """Rows of each head in a layer that holds so many parts of all heads, one after the other."""
    whole, size = form.heads * form.head_size, form.head_size
    return tuple(
        tuple(part * whole + head * size + row for part in range(parts) for row in range(size))
        for head in range(form.heads)
    )


def _inside(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _features(layer: nn.Module | None, which: str) -> int | None:
    return getattr(layer, which) if isinstance(layer, nn.Linear) and not hasattr(layer, "parametrizations") else None
