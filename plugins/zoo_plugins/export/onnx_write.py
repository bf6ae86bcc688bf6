"""Writes a model as one ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_registry import Provided, Range
from zoo_registry.errors import ExportError

FORM_KEY = "videozoo.output"
"""Metadata of the file: whether the model returns one tensor, a mapping or a sequence of them."""
_SIDECAR_FROM = 2**31 - 2**20  # protobuf ends at 2 GiB; beyond, weights go to a file beside the graph

Form = Literal["tensor", "mapping", "sequence"]


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    opset: Annotated[int, Range(ge=13)] | None = None,
    exporter: Literal["auto", "dynamo", "torchscript"] = "auto",
    dynamic_batch: bool = True,
) -> None:
    """Write a model as an ONNX file that any runtime can load without this library.

    Args:
        model: in eval mode, in float32, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file; weights of 2 GiB and more go to `<path>.data`.
        inputs: names of the file's inputs; `input_0`, `input_1`, ... without.
        opset: version of the operator set, None for the exporter's own.
        exporter: `dynamo` follows torch.export; `torchscript` records one forward pass, and is the only one that knows
            simulated quantisation; `auto` tries them in this order.
        dynamic_batch: the file takes batches of any size, else exactly one sample.

    Raises:
        ExportError: neither exporter can write the model, or it is not in float32.
    """
    if any(parameter.dtype is torch.bfloat16 for parameter in model.parameters()):
        raise ExportError(
            "a bfloat16 model cannot be exported to ONNX: its convolutions take no bfloat16 in the runtimes",
            hint="leave cast_bf16 out of `compress`, and let the runtime choose its precision",
        )
    example = _batch_of(2 if dynamic_batch else 1, example_inputs)
    names = list(inputs or (f"input_{index}" for index in range(len(example))))
    with torch.no_grad():
        output_names, form = _outputs(model(*example))
    attempts = {"dynamo": _by_dynamo, "torchscript": _by_torchscript}
    chosen = list(attempts) if exporter == "auto" else [exporter]
    flat = _Flat(model, form).eval()  # an exporter puts all modules back into the mode of the outermost
    failures = []
    for name in chosen:
        try:
            with _quiet(), torch.no_grad():
                attempts[name](flat, example, path, names, output_names, opset, dynamic_batch)
                _finish(path, form)
            return
        except Exception as error:  # exporters raise whatever the traced code and their own passes raise
            failures.append(f"{name}: {_reason(error)}")
    raise ExportError(
        "the model cannot be written as ONNX\n  " + "\n  ".join(failures),
        hint="exporter: dynamo needs code that torch.export follows, torchscript an operation that ONNX has",
    )


class _Flat(nn.Module):
    """Returns the model's tensors as a tuple, whatever holds them, so that all exporters see the same thing."""

    def __init__(self, model: nn.Module, form: Form) -> None:
        super().__init__()
        self.model, self.form = model, form

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        output = self.model(*inputs)
        if self.form == "tensor":
            return (output,)
        return tuple(output.values()) if self.form == "mapping" else tuple(output)


def _outputs(output: Any) -> tuple[list[str], Form]:
    """Names of the file's outputs, and in what the model returns them."""
    if isinstance(output, Tensor):
        return ["output"], "tensor"
    form: Form = "mapping" if isinstance(output, Mapping) else "sequence"
    values = list(output.values()) if isinstance(output, Mapping) else output
    if not isinstance(values, list | tuple) or not all(isinstance(value, Tensor) for value in values):
        raise ExportError("only a tensor, or a mapping or sequence of tensors, can be the output of an ONNX file")
    names = list(output) if isinstance(output, Mapping) else [f"output_{index}" for index in range(len(values))]
    return names, form


def _batch_of(size: int, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The first `size` samples, repeated if there are fewer: a batch of one would be taken for a constant."""
    return tuple(torch.cat([tensor[:size]] * size)[:size].contiguous() for tensor in inputs)


def _by_dynamo(
    model: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str],
    opset: int | None, dynamic_batch: bool,
) -> None:  # fmt: skip
    batch = {0: torch.export.Dim("batch")} if dynamic_batch else None
    program = torch.onnx.export(
        model, example, dynamo=True, input_names=inputs, output_names=outputs, opset_version=opset, verbose=False,
        dynamic_shapes=(tuple(batch for _ in example),) if batch else None,
    )  # fmt: skip
    program.save(path, external_data=_bytes(model) >= _SIDECAR_FROM)


def _by_torchscript(
    model: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str],
    opset: int | None, dynamic_batch: bool,
) -> None:  # fmt: skip
    torch.onnx.export(
        model, example, str(path), dynamo=False, input_names=inputs, output_names=outputs, opset_version=opset,
        dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)} if dynamic_batch else None,
    )  # fmt: skip


def _finish(path: Path, form: Form) -> None:
    """Shrink quantised weights, note in the file how its outputs belong together, and check it."""
    import onnx

    from zoo_plugins.export.int8_weights import store_int8_weights

    sidecar = path.with_name(f"{path.name}.data").exists()
    file = onnx.load(path, load_external_data=False)
    if not sidecar:
        store_int8_weights(file.graph)
    onnx.helper.set_model_props(file, {FORM_KEY: form})
    onnx.save(file, path)
    onnx.checker.check_model(path)


def _bytes(model: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _reason(error: Exception) -> str:
    """What the exporter's cause of causes says, in one line: the outer errors tell how to file a bug."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Both exporters talk to people who debug exporters: hold back prints, warnings and log lines below errors."""
    loggers: list[Callable[..., Any] | Any] = [
        logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
