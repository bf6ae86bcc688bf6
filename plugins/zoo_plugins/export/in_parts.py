"""Runs a file that was written for a fixed number of samples on any number of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_registry.errors import DataError


def run_in_parts(file: str, run: Callable[..., Any], inputs: Sequence[Tensor], size: int | None) -> Any:
    """Call a file once, or where it takes `size` samples and was given others, part by part.

    The last part is filled up with the first sample. What the file says of those is left out.

    Args:
        file: its name, for errors.
        run: takes the inputs and returns tensors, or a mapping or sequence of them.
        inputs: each of shape (B, ...).
        size: samples that the file takes; None for any number.

    Raises:
        DataError: no sample, not as many of each input, or an answer that is not sample by sample.

    Example:
        >>> run_in_parts("a.onnx", lambda x: x.reshape(2, 1) * 10, [torch.tensor([1, 2, 3])], 2).tolist()
        [[10], [20], [30]]
    """
    counts = [tensor.shape[0] if tensor.dim() else None for tensor in inputs]
    if size is None or all(count == size for count in counts):
        return run(*inputs)
    count = counts[0]
    if not count or any(other != count for other in counts):
        given = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise DataError(f"{file} takes batches of at least one sample, as many of each input, not {given}")
    parts = [
        run(*(_filled(tensor[start : start + size], tensor[:1], size) for tensor in inputs))
        for start in range(0, count, size)
    ]
    return _joined(file, parts, size, count)


def _filled(part: Tensor, filling: Tensor, size: int) -> Tensor:
    missing = size - len(part)
    return torch.cat([part, *[filling] * missing]) if missing else part


def _joined(file: str, parts: Sequence[Any], size: int, count: int) -> Any:
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: _joined(file, [part[key] for part in parts], size, count) for key in first}
    if isinstance(first, list | tuple):
        together = [_joined(file, values, size, count) for values in zip(*parts, strict=True)]
        return together if isinstance(first, list) else tuple(together)
    if not isinstance(first, Tensor) or any(part.shape[:1] != (size,) for part in parts):
        shape = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
        raise DataError(
            f"{file} takes {size} sample{'s' if size > 1 else ''} at a time, and its answer {shape} is not one for "
            "each sample",
            hint=f"give it {size} at a time",
        )
    return torch.cat(list(parts))[:count]
