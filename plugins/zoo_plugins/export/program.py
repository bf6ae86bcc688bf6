"""Follows a model through one forward pass with torch.export; where that fails, says in which module."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from zoo_plugins.export.free_axes import as_dimensions
from zoo_registry.errors import ExportError


def exported_program(
    model: nn.Module,
    example: Sequence[Tensor],
    axes: Sequence[Mapping[int, str]],
    largest: Mapping[str, int] | None = None,
) -> torch.export.ExportedProgram:
    """The model as a graph of torch's operations.

    Args:
        model: in eval mode.
        example: its inputs, with at least two samples where the batch is free.
        axes: of each input, see `free_axes.axes_of`.
        largest: how long an axis can be, by its name; without, any length.

    Raises:
        ExportError: torch.export cannot follow the model, or an axis cannot be free; names the module.
    """
    shapes: Any = as_dimensions(axes, largest or {})
    if not any(shapes):
        shapes = None
    elif any(each.kind is each.VAR_POSITIONAL for each in inspect.signature(model.forward).parameters.values()):
        shapes = (shapes,)  # torch.export wants the shapes nested as the arguments are
    try:
        with quiet(), torch.no_grad():
            return torch.export.export(model, tuple(example), dynamic_shapes=shapes)
    except Exception as error:  # whatever the traced code raises
        free = sorted({name for one in axes for name in one.values()})
        raise ExportError(
            f"torch.export cannot follow {place_of(error, model) or 'the model'}: {reason(error)}",
            hint="branches on values of tensors have to be written with torch.where or torch.cond; axes of any length "
            f"({', '.join(free) or 'none'}) must not be fixed by the code (dynamic_batch and dynamic_frames fix them)",
        ) from error


def place_of(error: BaseException, model: nn.Module) -> str | None:
    """The innermost module that an exporter was in when it failed, such as `body.1 (Eigenvalues)`; None if unknown.

    Args:
        error: with its causes.
        model: whose modules are named.
    """
    names = {id(module): name for name, module in model.named_modules() if name}
    found = None
    for each in _chain(error):
        trace = each.__traceback__
        while trace is not None:
            for value in trace.tb_frame.f_locals.values():
                if isinstance(value, fx.Node) and value.meta.get("nn_module_stack"):
                    path, kind = list(value.meta["nn_module_stack"].values())[-1]
                    found = _place(path, str(kind).rpartition(".")[2])
            itself = trace.tb_frame.f_locals.get("self")
            if isinstance(itself, nn.Module) and id(itself) in names:
                found = _place(names[id(itself)], type(itself).__name__)
            trace = trace.tb_next
        if found is not None:
            return found
    return None


def _place(path: str, kind: str) -> str | None:
    name = path.removeprefix("model.").removeprefix("model")
    return f"{name} ({kind})" if name else None


def reason(error: BaseException) -> str:
    """What the cause of causes says, in one line: the outer errors tell how to file a bug."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, the innermost first."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    yield from reversed(chain)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters talk to people who debug exporters: hold back prints, warnings and log lines below errors."""
    names = ("torch", "torch.onnx", "torch.export", "torch.fx", "torch._dynamo", "torch._inductor", "onnxscript")
    loggers: list[Callable[..., Any] | Any] = [logging.getLogger(name) for name in (*names, "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
