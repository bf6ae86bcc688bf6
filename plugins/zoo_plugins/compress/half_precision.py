"""Weights and arithmetic of 16 bits: half the bytes.

bfloat16 has the range of float32 and 8 bits of precision; float16 has 11 bits, and nothing beyond 65504.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.record import fields, module_of_type, refuse
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext

TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def cast(
    model: nn.Module, context: CompressionContext, *, dtype: Literal["bfloat16", "float16"]
) -> tuple[nn.Module, dict[str, Any]]:
    """Cast floating-point parameters and buffers; callers go on giving and getting float32.

    Inputs are cast on the way in and outputs on the way out by hooks on the model, so names in its state dict stay.
    Layers for which the device has no kernel of the type, such as pooling over three dimensions on processors, stay in
    float32; the model is run once on the context's example to find them.

    Args:
        model: changed in place.
        context: gives an example, and the device.
        dtype: the type.

    Returns:
        The model and the record: the type, and the layers that stay in float32.

    Raises:
        ParameterError: a weight is too large for the type; all that are, by name.

    Example:
        >>> from zoo.testing.compression import RandomContext
        >>> layer = nn.Linear(4, 2)
        >>> model, record = cast(layer, RandomContext((torch.zeros(1, 4),), layer), dtype="bfloat16")
        >>> model.weight.dtype, model(torch.zeros(1, 4)).dtype, record
        (torch.bfloat16, torch.float32, {'dtype': 'bfloat16', 'float32': []})
    """
    largest = torch.finfo(TYPES[dtype]).max
    too_large = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and bool((tensor.abs() > largest).any())
    ]
    if too_large:
        raise ParameterError(
            f"{dtype} ends at {largest:g}, and these go beyond: {', '.join(too_large[:8])}",
            hint="cast_bf16 has the range of float32",
        )
    inputs = tuple(tensor[:1] for tensor in context.example)
    _cast_all(model, TYPES[dtype])
    kept: list[str] = []
    while (name := _without_kernel(model, inputs)) is not None:
        _keep(model.get_submodule(name), TYPES[dtype])
        kept.append(name)
    return model, {"dtype": dtype, "float32": kept}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Make the freshly built model one of 16 bits, ready for its weights.

    Raises:
        ArtefactError: the record names another type, or layers that the model does not have.
    """
    dtype, kept = fields(record, {"dtype": str, "float32": list}, "a cast")
    if dtype not in TYPES:
        raise refuse("a cast", f"names the type {dtype[:40]!r}, not {' or '.join(TYPES)}")
    _cast_all(model, TYPES[dtype])
    for name in kept:
        _keep(module_of_type(model, name, (nn.Module,), "a cast"), TYPES[dtype])
    return model


def _cast_all(model: nn.Module, dtype: torch.dtype) -> None:
    model.to(dtype)
    model.register_forward_pre_hook(partial(_cast_in, dtype=dtype), with_kwargs=True)
    model.register_forward_hook(partial(_cast_out, dtype=torch.float32))


def _keep(layer: nn.Module, dtype: torch.dtype) -> None:
    """Have a layer of a cast model compute in float32."""
    layer.float()
    layer.register_forward_pre_hook(partial(_cast_in, dtype=torch.float32), with_kwargs=True)
    layer.register_forward_hook(partial(_cast_out, dtype=dtype))


def _without_kernel(model: nn.Module, inputs: tuple[Tensor, ...]) -> str | None:
    """The name of the first layer whose operation the device does not have in its type; None where all run.

    Raises:
        ParameterError: it is the model itself, which has to be of one type.
    """
    running: list[str] = []
    handles = []

    def ended(*_: Any) -> None:
        running.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        handles.append(module.register_forward_hook(ended))
    try:
        with torch.no_grad():
            model(*inputs)
    except NotImplementedError as error:  # what torch raises where a kernel is missing
        if not running[-1]:
            raise ParameterError(
                f"the device computes an operation of this model in float32 only: {error}",
                hint="no layer of it could be left in float32 by itself",
            ) from error
        return running[-1]
    finally:
        for handle in handles:
            handle.remove()
    return None


def _cast_in(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dtype: torch.dtype
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return _cast(args, dtype), _cast(kwargs, dtype)


def _cast_out(module: nn.Module, args: tuple[Any, ...], output: Any, dtype: torch.dtype) -> Any:
    return _cast(output, dtype)


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
