"""Stores the weights of a quantised ONNX graph as the int8 values that they are rounded to."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def store_int8_weights(graph: onnx.GraphProto) -> int:
    """Replace every constant that is quantised at each run by its quantised values: a quarter of the bytes.

    Runtimes would do this sum themselves whenever they open the file; the result is the same.

    Args:
        graph: changed in place.

    Returns:
        How many weights were stored so.
    """
    constants = {value.name: value for value in graph.initializer}
    given = {name: numpy_helper.to_array(value) for name, value in constants.items()}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            given[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    stored = 0
    for node in [node for node in graph.node if node.op_type == "QuantizeLinear"]:
        if node.input[0] not in constants or any(name not in given for name in node.input):
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        values = _quantise(*(given[name] for name in node.input), axis=axis)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
        stored += 1
    _drop_unused(graph)
    return stored


def _quantise(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX's QuantizeLinear: divide, round half to even, shift, saturate."""
    shape = [-1 if dimension == axis else 1 for dimension in range(values.ndim)]
    if scale.ndim:
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    limits = np.iinfo(zero_point.dtype)
    shifted = np.rint(values / scale) + zero_point.astype(values.dtype)
    return np.clip(shifted, limits.min, limits.max).astype(zero_point.dtype)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for value in [value for value in graph.initializer if value.name not in used]:
        graph.initializer.remove(value)
