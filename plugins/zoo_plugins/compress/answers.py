"""Runs a model over calibration batches, and says whose fault it is when that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from zoo_registry.errors import RunError


def answers(model: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> Iterator[Any]:
    """What a model says about each calibration batch, without gradients.

    Raises:
        RunError: there was no batch, or the model cannot take one; says its shape.
    """
    seen = 0
    for inputs in batches:
        try:
            with torch.no_grad():
                answer = model(*inputs)
        except (RuntimeError, ValueError, TypeError) as error:  # what torch and networks say to a wrong shape
            if isinstance(error, torch.OutOfMemoryError):
                raise
            shapes = ", ".join("x".join(map(str, tensor.shape)) for tensor in inputs)
            raise RunError(
                f"the model cannot take calibration data of shape {shapes}: {str(error).splitlines()[0][:200]}",
                hint="calibrate on clips like those that the model was built for: see data.clip and data.train",
            ) from error
        seen += 1
        yield answer
    if not seen:
        raise RunError("there was no batch to calibrate on", hint="give the recipe training data (`data.train`)")
