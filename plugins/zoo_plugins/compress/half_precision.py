"""Weights and arithmetic of 16 bits: half the bytes.

bfloat16 has the range of float32 and 8 bits of precision; float16 has 11 bits, and nothing beyond 65504.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.record import fields, refuse
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def cast(
    model: nn.Module, context: CompressionContext, *, dtype: Literal["bfloat16", "float16"]
) -> tuple[nn.Module, dict[str, Any]]:
    """Cast floating-point parameters and buffers; callers go on giving and getting float32.

    Inputs are cast on the way in and outputs on the way out by hooks on the model, so names in its state dict stay.

    Args:
        model: changed in place.
        context: not used.
        dtype: the type.

    Returns:
        The model and the record: the type.

    Raises:
        ParameterError: a weight is too large for the type; all that are, by name.

    Example:
        >>> model, record = cast(nn.Linear(4, 2), None, dtype="bfloat16")
        >>> model.weight.dtype, model(torch.zeros(1, 4)).dtype, record
        (torch.bfloat16, torch.float32, {'dtype': 'bfloat16'})
    """
    largest = torch.finfo(TYPES[dtype]).max
    too_large = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not tensor.is_meta and bool((tensor.abs() > largest).any())
    ]
    if too_large:
        raise ParameterError(
            f"{dtype} ends at {largest:g}, and these go beyond: {', '.join(too_large[:8])}",
            hint="cast_bf16 has the range of float32",
        )
    model.to(TYPES[dtype])
    model.register_forward_pre_hook(partial(_cast_in, dtype=TYPES[dtype]), with_kwargs=True)
    model.register_forward_hook(_cast_out)
    return model, {"dtype": dtype}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Make the freshly built model one of 16 bits, ready for its weights.

    Raises:
        ArtefactError: the record names another type.
    """
    (dtype,) = fields(record, {"dtype": str}, "a cast")
    if dtype not in TYPES:
        raise refuse("a cast", f"names the type {dtype[:40]!r}, not {' or '.join(TYPES)}")
    return cast(model, None, dtype=dtype)[0]  # type: ignore[arg-type]  # the context is not used


def _cast_in(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: torch.dtype
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _cast(args, dtype), _cast(kwargs, dtype)


def _cast_out(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    return _cast(output, torch.float32)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _cast(item, dtype) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_cast(item, dtype) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(_cast(item, dtype) for item in value)
    return value
