"""Post-training quantisation to int8, simulated: values are rounded as int8 would, arithmetic stays in float.

Wu et al., Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation, 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.folding import find_pairs, fold, refold, replace
from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext


def quantize_int8(
    model: nn.Module,
    context: CompressionContext,
    *,
    calibrator: Literal["max", "percentile", "entropy"] = "percentile",
    percentile: Annotated[float, Range(gt=0, le=100)] = 99.99,
    batches: Annotated[int, Range(ge=1)] = 8,
    skip: list[str] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Round weights (per output channel) and inputs (per tensor) of convolutions and linear layers to int8.

    Batch norms are folded into convolutions first. The simulation makes the model neither smaller nor faster here: it
    tells what int8 costs in accuracy, and exports as quantise/dequantise pairs for runtimes that compute in int8.

    Args:
        model: in eval mode; changed in place.
        context: gives the training batches that inputs' ranges are taken from.
        calibrator: what an input's range is: its `max`; the `percentile` of its absolute values; or the range that
            keeps most information (`entropy`, Kullback-Leibler).
        percentile: for the calibrator of that name, in percent.
        batches: how many batches of training data are looked at.
        skip: patterns of module names that stay in float, such as `head.*`.

    Returns:
        The model and the record: folded pairs, and type, bits, axis and shapes of the ranges of each quantised layer.

    Raises:
        ParameterError: no layer is left to quantise.
        RunError: there was no calibration data, or it made a layer's input infinite or NaN.
    """
    from zoo_plugins.compress.calibration import SMALLEST_RANGE, input_ranges
    from zoo_plugins.compress.int8 import kind_of, quantised, weight_range

    with torch.no_grad():
        pairs = find_pairs(model, tuple(tensor[:1] for tensor in context.example))
        model = fold(model, pairs)
        layers = {
            name: module
            for name, module in model.named_modules()
            if kind_of(module) and not any(fnmatchcase(name, pattern) for pattern in skip or ())
        }
        if not layers:
            raise ParameterError("quantize_int8 found no layer to quantise", hint="see its parameter `skip`")
        ranges = input_ranges(model, layers, context.calibration(batches), calibrator, percentile)
        record: dict[str, Any] = {"folded": [list(pair) for pair in pairs], "layers": {}}
        for name, input_amax in ranges.items():
            layer = layers[name]
            weight_amax = weight_range(layer.weight).float().clamp(min=SMALLEST_RANGE)
            record["layers"][name] = _layer_record(kind_of(layer), input_amax, weight_amax)
            model = replace(model, layer, quantised(layer, input_amax, weight_amax))
    return model, record


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give the freshly built model folded batch norms and quantisers with empty ranges, ready for its weights.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    from zoo_plugins.compress.int8 import LAYERS, kind_of, quantised, weight_range

    what = "quantize_int8"
    pairs, layers = fields(record, {"folded": list, "layers": Mapping}, what)
    model = refold(model, pairs, what)
    for name, written in layers.items():
        layer = module_of_type(model, name, tuple(LAYERS), what)
        input_amax = torch.empty((), device=layer.weight.device)
        weight_amax = weight_range(layer.weight).float()
        if written != _layer_record(kind_of(layer), input_amax, weight_amax):
            raise refuse(what, f"describes {name!r} otherwise than the model has it")
        model = replace(model, layer, quantised(layer, input_amax, weight_amax))
    return model


def _layer_record(kind: type[nn.Module] | None, input_amax: Tensor, weight_amax: Tensor) -> dict[str, Any]:
    return {
        "type": kind.__name__ if kind else None,
        "bits": 8,
        "signed": True,
        "input": {"axis": None, "range": list(input_amax.shape)},
        "weight": {"axis": 0, "range": list(weight_amax.shape)},
    }
