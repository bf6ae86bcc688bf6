"""Weights and arithmetic in bfloat16: half the bytes, the range of float32, 8 bits of precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.record import fields, refuse
from zoo_registry.protocols import CompressionContext


def cast_bf16(model: nn.Module, context: CompressionContext) -> tuple[nn.Module, dict[str, Any]]:
    """Cast floating-point parameters and buffers to bfloat16; callers go on giving and getting float32.

    Inputs are cast on the way in and outputs on the way out by hooks on the model, so names in its state dict stay.

    Args:
        model: changed in place.
        context: not used.

    Returns:
        The model and the record: the type.

    Example:
        >>> model, record = cast_bf16(nn.Linear(4, 2), None)
        >>> model.weight.dtype, model(torch.zeros(1, 4)).dtype, record
        (torch.bfloat16, torch.float32, {'dtype': 'bfloat16'})
    """
    model.to(torch.bfloat16)
    model.register_forward_pre_hook(_cast_in, with_kwargs=True)
    model.register_forward_hook(_cast_out)
    return model, {"dtype": "bfloat16"}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Make the freshly built model a bfloat16 one, ready for its weights.

    Raises:
        ArtefactError: the record names another type.
    """
    (dtype,) = fields(record, {"dtype": str}, "cast_bf16")
    if dtype != "bfloat16":
        raise refuse("cast_bf16", f"names the type {dtype[:40]!r}, not 'bfloat16'")
    return cast_bf16(model, None)[0]  # type: ignore[arg-type]  # the context is not used


def _cast_in(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _cast(args, torch.bfloat16), _cast(kwargs, torch.bfloat16)


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
