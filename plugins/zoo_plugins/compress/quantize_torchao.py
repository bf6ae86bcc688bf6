"""Weights in int8 through torchao, saved as plain tensors: the file is a quarter as large.

Dettmers et al., LLM.int8(), NeurIPS 2022, https://arxiv.org/abs/2208.07339, section 2: rows of weights and inputs have
a scale each, and the product is made of whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.answers import answers
from zoo_plugins.compress.folding import computes_like, replace
from zoo_plugins.compress.int8_weight import CONVOLUTIONS, with_int8_weight
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_plugins.compress.sensitivity import choose_layers
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

WHAT = "quantize_torchao"
_BORROWERS = (nn.TransformerEncoderLayer, nn.MultiheadAttention)
_MODES = ("int8_dynamic", "int8_weight")


def quantize_torchao(
    model: nn.Module,
    context: CompressionContext,
    *,
    mode: Literal["int8_dynamic", "int8_weight"] = "int8_dynamic",
    batches: Annotated[int, Range(ge=1)] = 8,
    skip: list[str] | None = None,
    keep: Annotated[float, Range(ge=0)] = 0,
    max_drop: Annotated[float, Range(ge=0)] | None = None,
    rank_by: Literal["error", "score"] = "error",
) -> tuple[nn.Module, dict[str, Any]]:
    """Hold weights as int8, with a scale for each output channel. Needs no calibration data unless layers are ranked.

    For inference: put it last, what is rounded does not learn. torchao's int4 and fp8 layers exist on GPUs only and
    in its own tensor types, and are not offered.

    Args:
        model: in eval mode; changed in place.
        context: `example` tells which layers are called; calibration data and score rank them.
        mode: `int8_dynamic`: linear layers, whose inputs are rounded token by token while the model runs, and that
            multiply in int8; faster where the processor has instructions for it. `int8_weight`: linear layers and
            convolutions, that multiply in float as before; smaller, not faster.
        batches: as in `quantize_int8`, like the parameters that follow.
        skip: patterns of module names that stay in float.
        keep: the most sensitive layers that stay in float.
        max_drop: leave as many in float as it takes to lose at most this much.
        rank_by: what makes a layer sensitive.

    Returns:
        The model and the record: type and shape of each layer, and the sensitivity.

    Raises:
        ParameterError: no layer is left to quantise.
        RunError: layers are to be ranked without data, or `max_drop` cannot be met.
    """
    layers = {
        name: layer
        for name, layer in _called(model, context).items()
        if _fits(layer, mode) and not any(fnmatchcase(name, pattern) for pattern in skip or ())
    }
    if not layers:
        raise ParameterError(
            f"{WHAT} found no layer for {mode}",
            hint="int8_dynamic wants linear layers, int8_weight takes convolutions too; see its parameter `skip`",
        )
    made = {name: with_int8_weight(layer, *_rounded(layer.weight), mode) for name, layer in layers.items()}
    placed = dict(layers)

    def switch(name: str, on: bool) -> None:
        wanted = made[name] if on else layers[name]
        if placed[name] is not wanted:
            replace(model, placed[name], wanted)
            placed[name] = wanted

    if list(layers) == [""]:
        model = made[""]
    else:
        for name in layers:
            switch(name, True)
    sensitivity = choose_layers(
        model, list(layers), switch, context, batches=batches, keep=keep, max_drop=max_drop, rank_by=rank_by
    )
    return model, {
        "mode": mode,
        "layers": {name: _layer_record(layer) for name, layer in layers.items() if name not in sensitivity.kept},
        "sensitivity": sensitivity.record(),
    }


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give the freshly built model layers with int8 weights, ready for them. Needs no torchao.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    mode, layers, _ = fields(record, {"mode": str, "layers": Mapping, "sensitivity": Mapping}, WHAT)
    if mode not in _MODES:
        raise refuse(WHAT, f"has the mode {mode[:40]!r}")
    for name, written in layers.items():
        layer = module_of_type(model, name, (nn.Linear, *CONVOLUTIONS), WHAT)
        if written != _layer_record(layer) or not _fits(layer, mode):
            raise refuse(WHAT, f"describes {name!r} otherwise than the model has it")
        weight = torch.empty_like(layer.weight, dtype=torch.int8)
        scale = torch.empty(len(weight), device=weight.device)
        model = replace(model, layer, with_int8_weight(layer, weight, scale, mode))
    return model


def _rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Int8 values of a weight and the scale of each output channel, as torchao rounds them."""
    from torchao.quantization import Int8Tensor
    from torchao.quantization.granularity import PerRow

    rounded = Int8Tensor.from_hp(weight.detach().flatten(1).float(), PerRow())
    return rounded.qdata.reshape(weight.shape).contiguous(), rounded.scale.float().flatten()


def _called(model: nn.Module, context: CompressionContext) -> dict[str, Any]:
    """The layers that are called when the model runs; the weight of others is only borrowed, and has to stay.

    Torch's own transformer layers read all their weights themselves as long as nobody watches.
    """
    called: set[nn.Module] = set()
    handles = [module.register_forward_pre_hook(lambda module, args: called.add(module)) for module in model.modules()]
    try:
        for _ in answers(model, [tuple(tensor[:1] for tensor in context.example)]):
            pass
    finally:
        for handle in handles:
            handle.remove()
    borrowed = {part for module in model.modules() if isinstance(module, _BORROWERS) for part in module.modules()}
    return {name: module for name, module in model.named_modules() if module in called - borrowed}


def _fits(layer: nn.Module, mode: str) -> bool:
    if computes_like(layer, nn.Linear):
        return True
    plain = getattr(layer, "padding_mode", "zeros") == "zeros"
    return mode == "int8_weight" and plain and computes_like(layer, *CONVOLUTIONS)


def _layer_record(layer: Any) -> dict[str, Any]:
    kind = next(kind for kind in (nn.Linear, *CONVOLUTIONS) if isinstance(layer, kind))
    return {"type": kind.__name__, "bits": 8, "signed": True, "weight": {"axis": 0, "shape": list(layer.weight.shape)}}
