"""Quantisation to int8, simulated: values are rounded as int8 would, arithmetic stays in float.

Wu et al., Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation, 2020.
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
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext


def quantize_int8(
    model: nn.Module,
    context: CompressionContext,
    *,
    calibrator: Literal["max", "percentile", "entropy", "mse"] = "mse",
    percentile: Annotated[float, Range(gt=0, le=100)] = 99.99,
    batches: Annotated[int, Range(ge=1)] = 8,
    unsigned: bool = True,
    equalised: bool = True,
    skip: list[str] | None = None,
    keep: Annotated[float, Range(ge=0)] = 0,
    max_drop: Annotated[float, Range(ge=0)] | None = None,
    rank_by: Literal["error", "score"] = "error",
    ranges: Literal["fixed", "learnt"] = "fixed",
) -> tuple[nn.Module, dict[str, Any]]:
    """Round weights (per output channel) and inputs (per tensor) of convolutions and linear layers to int8.

    Batch norms are folded into convolutions first. The simulation makes the model neither smaller nor faster here: it
    tells what int8 costs in accuracy, and exports as quantise/dequantise pairs for runtimes that compute in int8.

    The result can be trained further (quantisation-aware training: follow this with `fine_tune`): gradients pass the
    rounding, ranges of weights follow the weights, those of inputs stay or are learnt.

    Args:
        model: in eval mode; changed in place.
        context: gives the training batches that inputs' ranges are taken from, and the score.
        calibrator: what an input's range is: its `max`; the `percentile` of its absolute values; the range that
            keeps most information (`entropy`, Kullback-Leibler); or that of the least squared error (`mse`).
        percentile: for the calibrator of that name, in percent.
        batches: how many batches of training data are looked at.
        unsigned: inputs that were never negative use all 256 steps for positive values.
        equalised: stretch quiet channels between two layers with a ReLU between them first, and shrink the weights that
            read them: the answers stay, and one range fits all channels better (Nagel et al. 2019, section 4.1).
        skip: patterns of module names that stay in float, such as `head.*`.
        keep: the most sensitive layers that stay in float: a part of all below 1, a number from 1 on.
        max_drop: leave as many of the most sensitive layers in float as it takes to lose at most this much of the
            monitored metric on the validation split; without one, of the answers' squared error on training data, as
            part of their square.
        rank_by: what makes a layer sensitive, measured with it alone in int8: the answers' squared `error`, or the drop
            of the `score`, one pass over the validation split for each layer.
        ranges: whether training moves the ranges of inputs. Optimisers that scale gradients themselves, such as Adam,
            move one by about the learning rate each step, however large it is.

    Returns:
        The model and the record: folded pairs; type, bits, axis and shapes of the ranges of each quantised layer; and
        the sensitivity: ranking, what it was measured by, and which layers were kept.

    Raises:
        ParameterError: no layer is left to quantise.
        RunError: there was no calibration data, the model cannot take it, or it made a layer's input infinite or NaN;
            or `max_drop` cannot be met.
    """
    from zoo_plugins.compress.calibration import SMALLEST_RANGE, input_ranges
    from zoo_plugins.compress.int8 import kind_of, quantised, switch, weight_range
    from zoo_plugins.compress.sensitivity import choose_layers

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
        if equalised:
            chains = find_chains(model, layers, tuple(tensor[:1] for tensor in context.example))
            equalise(model, layers, chains, context.calibration(batches))
        found = input_ranges(model, layers, context.calibration(batches), calibrator, percentile, unsigned)
        twins, layer_records = {}, {}
        for name, seen in found.items():
            amax = weight_range(layers[name].weight).float().clamp(min=SMALLEST_RANGE)
            twins[name] = quantised(layers[name], seen.amax, amax, signed=seen.signed, learnt=ranges == "learnt")
            layer_records[name] = _layer_record(kind_of(layers[name]), seen.amax, amax, seen.signed)
            model = replace(model, layers[name], twins[name])
        sensitivity = choose_layers(
            model, list(twins), lambda name, on: switch(twins[name], on), context,
            batches=batches, keep=keep, max_drop=max_drop, rank_by=rank_by,
        )  # fmt: skip
        for name in sensitivity.kept:
            model = replace(model, twins[name], layers[name])
            del layer_records[name]
    return model, {
        "folded": [list(pair) for pair in pairs],
        "layers": layer_records,
        "ranges": ranges,
        "calibrator": calibrator,
        "sensitivity": sensitivity.record(),
    }


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give the freshly built model folded batch norms and quantisers with empty ranges, ready for its weights.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    from zoo_plugins.compress.int8 import LAYERS, kind_of, quantised, weight_range

    what = "quantize_int8"
    pairs, layers, ranges, *_ = fields(
        record, {"folded": list, "layers": Mapping, "ranges": str, "calibrator": str, "sensitivity": Mapping}, what
    )
    if ranges not in ("fixed", "learnt"):
        raise refuse(what, f"has {ranges[:40]!r} ranges")
    model = refold(model, pairs, what)
    for name, written in layers.items():
        layer = module_of_type(model, name, tuple(LAYERS), what)
        signed = isinstance(written, Mapping) and written.get("signed") is not False
        input_amax = torch.empty((), device=layer.weight.device)
        weight_amax = weight_range(layer.weight).float()
        if written != _layer_record(kind_of(layer), input_amax, weight_amax, signed):
            raise refuse(what, f"describes {name!r} otherwise than the model has it")
        twin = quantised(layer, input_amax, weight_amax, signed=signed, learnt=ranges == "learnt")
        model = replace(model, layer, twin)
    return model


def _layer_record(
    kind: type[nn.Module] | None, input_amax: Tensor, weight_amax: Tensor, signed: bool
) -> dict[str, Any]:
    return {
        "type": kind.__name__ if kind else None,
        "bits": 8,
        "signed": signed,
        "input": {"axis": None, "range": list(input_amax.shape)},
        "weight": {"axis": 0, "range": list(weight_amax.shape)},
    }
