"""Quantisation through NVIDIA's modelopt, the successor of pytorch-quantization: int8 anywhere, fp8 on Hopper.

Wu et al. 2020, https://arxiv.org/abs/2004.09602; Micikevicius et al., FP8 Formats for Deep Learning, 2022,
https://arxiv.org/abs/2209.05433.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.equalisation import equalise, find_chains
from zoo_plugins.compress.folding import find_pairs, fold, refold, replace
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_plugins.compress.sensitivity import choose_layers
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

WHAT = "quantize_modelopt"
_FORMATS = ("int8", "fp8")
_FIRST_WITH_FP8 = (8, 9)  # compute capability of Ada; Hopper is 9.0


def quantize_modelopt(
    model: nn.Module,
    context: CompressionContext,
    *,
    format: Literal["int8", "fp8"] = "int8",
    calibrator: Literal["max", "percentile", "entropy", "mse"] = "mse",
    percentile: Annotated[float, Range(gt=0, le=100)] = 99.99,
    batches: Annotated[int, Range(ge=1)] = 8,
    unsigned: bool = True,
    equalised: bool = True,
    skip: list[str] | None = None,
    keep: Annotated[float, Range(ge=0)] = 0,
    max_drop: Annotated[float, Range(ge=0)] | None = None,
    rank_by: Literal["error", "score"] = "error",
) -> tuple[nn.Module, dict[str, Any]]:
    """Round weights and inputs of convolutions and linear layers, simulated by modelopt's quantisers.

    Batch norms are folded into convolutions first. Ranges are found as `quantize_int8` finds them; the library's
    pickles are neither written nor read.

    Args:
        model: in eval mode; changed in place.
        context: gives calibration data, device and score.
        format: `int8`: weights by output channel; `fp8`: E4M3, one range for all of a weight.
        calibrator: as in `quantize_int8`, like the parameters that follow; fp8 takes `max` whatever is said here: its
            steps grow with the values, so that nothing is won by clipping.
        percentile: for the calibrator of that name, in percent.
        batches: how many batches of training data are looked at.
        unsigned: inputs that were never negative use all 256 steps of int8.
        equalised: stretch quiet channels between two layers first.
        skip: patterns of module names that stay in float.
        keep: the most sensitive layers that stay in float.
        max_drop: leave as many in float as it takes to lose at most this much.
        rank_by: what makes a layer sensitive.

    Returns:
        The model and the record: folded pairs, type, bits and shapes of the ranges of each layer, the sensitivity.

    Raises:
        ParameterError: fp8 where the model's device has none, or no layer is left to quantise.
        RunError: there was no calibration data, the model cannot take it, or it made a layer's input infinite or NaN;
            or `max_drop` cannot be met.
    """
    if format == "fp8":
        _check_fp8(context.device)
    from zoo_plugins.compress.calibration import SMALLEST_RANGE, input_ranges
    from zoo_plugins.compress.modelopt_layers import kind_of, plain, quantise, switch

    with torch.no_grad():
        pairs = find_pairs(model, tuple(tensor[:1] for tensor in context.example))
        model = fold(model, pairs)
        layers: dict[str, nn.Module] = {
            name: module
            for name, module in model.named_modules()
            if kind_of(module) and not any(fnmatchcase(name, pattern) for pattern in skip or ())
        }
        if not layers:
            raise ParameterError(f"{WHAT} found no layer to quantise", hint="see its parameter `skip`")
        if equalised:
            chains = find_chains(model, layers, tuple(tensor[:1] for tensor in context.example))
            equalise(model, layers, chains, context.calibration(batches))
        method = "max" if format == "fp8" else calibrator
        found = input_ranges(model, layers, context.calibration(batches), method, percentile, unsigned)
        written: dict[str, Any] = {}
        for name, seen in found.items():
            written[name] = _layer_record(layers[name], format, seen.signed)
            amax = _weight_range(layers[name].weight, format).clamp(min=SMALLEST_RANGE)
            quantise(layers[name], seen.amax, amax, format, signed=seen.signed)
        sensitivity = choose_layers(
            model, list(found), lambda name, on: switch(layers[name], on), context,
            batches=batches, keep=keep, max_drop=max_drop, rank_by=rank_by,
        )  # fmt: skip
        for name in sensitivity.kept:
            model = replace(model, layers[name], plain(layers[name]))
            del written[name]
    return model, {
        "format": format,
        "folded": [list(pair) for pair in pairs],
        "layers": written,
        "calibrator": method,
        "sensitivity": sensitivity.record(),
    }


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give the freshly built model folded batch norms and quantisers with empty ranges, ready for its weights.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    from zoo_plugins.compress.modelopt_layers import LAYERS, kind_of, quantise, weight_range_shape

    types = {"format": str, "folded": list, "layers": Mapping, "calibrator": str, "sensitivity": Mapping}
    format, pairs, layers, *_ = fields(record, types, WHAT)
    if format not in _FORMATS:
        raise refuse(WHAT, f"has the format {format[:40]!r}")
    model = refold(model, pairs, WHAT)
    for name, written in layers.items():
        layer = module_of_type(model, name, LAYERS, WHAT)
        signed = isinstance(written, Mapping) and written.get("signed") is not False
        if kind_of(layer) is None or written != _layer_record(layer, format, signed):
            raise refuse(WHAT, f"describes {name!r} otherwise than the model has it")
        with torch.device(layer.weight.device):
            ranges = torch.empty(()), torch.empty(weight_range_shape(layer.weight, format))
        quantise(layer, *ranges, format, signed=signed)
    return model


def _check_fp8(device: torch.device) -> None:
    """Refuse fp8 where it has no kernels: simulated it would only be slower and less exact.

    Raises:
        ParameterError: the device has none.
    """
    if device.type != "cuda":
        raise ParameterError(
            f"fp8 needs a GPU of compute capability 8.9 or more (Ada, Hopper), and the model is on the {device.type}",
            hint="format: int8 runs everywhere",
        )
    found = torch.cuda.get_device_capability(device)
    if found < _FIRST_WITH_FP8:
        name = torch.cuda.get_device_name(device)
        raise ParameterError(
            f"fp8 needs a GPU of compute capability 8.9 or more (Ada, Hopper), and {name} has {found[0]}.{found[1]}",
            hint="format: int8 runs everywhere",
        )


def _weight_range(weight: Tensor, format: str) -> Tensor:
    """Largest absolute value, of each output channel in int8."""
    values = weight.detach().float().abs()
    return values.amax(dim=tuple(range(1, weight.dim())), keepdim=True) if format == "int8" else values.amax()


def _layer_record(layer: Any, format: Any, signed: bool) -> dict[str, Any]:
    from zoo_plugins.compress.modelopt_layers import kind_of, weight_range_shape

    kind = kind_of(layer)
    return {
        "type": kind.__name__ if kind else None,
        "bits": 8,
        "signed": signed,
        "input": {"axis": None, "range": []},
        "weight": {"axis": 0 if format == "int8" else None, "range": weight_range_shape(layer.weight, format)},
    }
