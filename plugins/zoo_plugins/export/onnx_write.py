"""Writes a model as one ONNX file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.export.free_axes import axes_of, batch_of
from zoo_plugins.export.kept_json import KEY, to_text
from zoo_plugins.export.program import exported_program, place_of, quiet, reason
from zoo_registry import Provided, Range, Rounded
from zoo_registry.errors import ExportError

FORM_KEY = "videozoo.output"
"""Metadata of the file: whether the model returns one tensor, a mapping or a sequence of them."""
_SIDECAR_FROM = 2**31 - 2**20  # protobuf ends at 2 GiB; beyond, weights go to a file beside the graph
_OPERATION = re.compile(r"aten(?:\.|::)\w+")

_CASTS = {"bfloat16": "cast_bf16", "float16": "cast_fp16"}

Form = Literal["tensor", "mapping", "sequence"]
Calibration = Callable[[int], Iterator[tuple[Tensor, ...]]]


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    calibration: Provided[Calibration | None] = None,
    free_axes: Provided[Mapping[str, Sequence[int]] | None] = None,
    opset: Annotated[int, Range(ge=13)] | None = None,
    exporter: Literal["auto", "dynamo", "torchscript"] = "auto",
    dynamic_batch: bool = True,
    dynamic_frames: bool = False,
    int8: Literal["none", "static", "dynamic"] = "none",
    calibration_batches: Annotated[int, Range(ge=1)] = 8,
    calibration_method: Literal["minmax", "percentile", "entropy"] = "minmax",
    reduce_range: bool = False,
    keep: tuple[str, ...] = (),
    max_difference: Annotated[float, Range(gt=0)] = 0.3,
    min_agreement: Annotated[float, Range(ge=0, le=1)] = 0.95,
) -> Rounded | None:
    """Write a model as an ONNX file that any runtime can load without this library.

    Args:
        model: in eval mode, in float32, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file; weights of 2 GiB and more go to `<path>.data`.
        inputs: names of the file's inputs; `input_0`, `input_1`, ... without.
        metadata: kept in the file's `metadata_props` as JSON.
        calibration: `(batches) -> inputs of the model`, for `int8: static`.
        free_axes: axes that may have any length, such as height and width of pictures.
        opset: version of the operator set, None for the exporter's own; one that it does not write is an error, and
            simulated quantisation needs 17 or less.
        exporter: `dynamo` follows torch.export; `torchscript` records one forward pass, and is the only one that knows
            simulated quantisation; `auto` tries them in this order.
        dynamic_batch: the file takes batches of any size, else exactly one sample.
        dynamic_frames: the file takes clips of any number of frames, where the network does.
        int8: `static` measures activations on training data and computes convolutions and products in int8;
            `dynamic` measures them at each call, for matrix products alone (transformers, heads).
        calibration_batches: batches of training data to measure on.
        calibration_method: how the range of an activation is taken from what was measured.
        reduce_range: weights in 7 bits: needed on x86 processors without VNNI, whose sums of int8 overflow.
        keep: modules that stay in float32, such as `head` or `stages.0`.
        max_difference: how far an int8 file may be from the model, in parts of its largest answer.
        min_agreement: part of the samples that an int8 file has to give the model's first answer.

    Returns:
        For int8 how far the file may differ.

    Raises:
        ExportError: neither exporter can write the model, it is not in float32, or there is nothing to calibrate on.
    """
    _refuse_types(model)
    _refuse_opset(opset)
    names = list(inputs or (f"input_{index}" for index in range(len(example_inputs))))
    example = batch_of(2 if dynamic_batch else 1, example_inputs)
    with torch.no_grad():
        output_names, form = _outputs(model(*example))
    graph = _Graph(
        # An exporter puts all modules back into the mode of the outermost.
        _Flat(model, form).eval(), example, names, output_names,
        axes_of(names, batch=dynamic_batch, frames=dynamic_frames, more=free_axes), opset,
    )  # fmt: skip
    _write_float(graph, path, exporter)
    _finish(path, form, to_text(metadata))
    if int8 == "none":
        return None
    from zoo_plugins.export.onnx_int8 import Calibrated, quantize

    quantize(
        path, int8, keep=keep, exact=_exact_modules(model),
        calibrated=Calibrated(calibration, calibration_batches, calibration_method, reduce_range),
    )  # fmt: skip
    return Rounded(max_difference=max_difference, min_agreement=min_agreement)


def _exact_modules(model: nn.Module) -> list[str]:
    """Modules that say `keeps_float`: their numbers lose their meaning when they are rounded."""
    return [name for name, module in model.named_modules() if getattr(module, "keeps_float", False)]


@dataclass(frozen=True)
class _Graph:
    """What is written, whichever exporter does it."""

    model: nn.Module
    example: tuple[Tensor, ...]
    inputs: list[str]
    outputs: list[str]
    axes: list[dict[int, str]]
    opset: int | None


def _write_float(graph: _Graph, path: Path, exporter: str) -> None:
    attempts = {"dynamo": _by_dynamo, "torchscript": _by_torchscript}
    failures = []
    for name in attempts if exporter == "auto" else [exporter]:
        try:
            attempts[name](graph, path)
            _check_opset(path, graph.opset)
            return
        except Exception as error:  # exporters raise whatever the traced code and their own passes raise
            failures.append(f"{name}: {_failure(error, graph.model)}")
    raise ExportError(
        "the model cannot be written as ONNX\n  " + "\n  ".join(failures),
        hint="write the named module with operations that ONNX has, or choose a format that keeps all of torch's "
        "(export: torch_export)",
    )


def _refuse_opset(asked: int | None) -> None:
    """Said before an exporter prints the whole graph over it."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if asked is not None and asked > newest:
        raise ExportError(f"there is no operator set {asked}: the installed onnx knows up to {newest}")


def _check_opset(path: Path, asked: int | None) -> None:
    """An exporter that does not have an operator set may write another without a word."""
    import onnx

    written = onnx.load(path, load_external_data=False).opset_import
    found = next((each.version for each in written if each.domain in ("", "ai.onnx")), None)
    if asked is not None and found != asked:
        raise ExportError(
            f"operator set {asked} was asked for, and the file has {found}",
            hint="leave `opset` out, or ask for another",
        )


def _failure(error: Exception, model: nn.Module) -> str:
    """Which operation of which module an exporter cannot write."""
    if isinstance(error, ExportError):
        problem = error.problems[0]
        return f"{problem.message}\n    {problem.hint}" if problem.hint else problem.message
    said = reason(error)
    operation, place = _OPERATION.search(said), place_of(error, model)
    where = f" in {place}" if place else ""
    return f"there is no {operation[0].replace('::', '.')}{where} in ONNX: {said}" if operation else f"{said}{where}"


def _refuse_types(model: nn.Module) -> None:
    types = {str(value.dtype).removeprefix("torch.") for value in model.parameters() if value.is_floating_point()}
    if others := sorted(types - {"float32"}):
        raise ExportError(
            f"a {others[0]} model cannot be exported to ONNX: its convolutions take no {others[0]} in the runtimes",
            hint=f"leave {_CASTS.get(others[0], 'the cast')} out of `compress`, and let the runtime choose its "
            "precision; torch_export keeps any type",
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


def _by_dynamo(graph: _Graph, path: Path) -> None:
    program = exported_program(graph.model, graph.example, [*graph.axes])
    with quiet(), torch.no_grad():
        written = torch.onnx.export(
            program, dynamo=True, input_names=graph.inputs, output_names=graph.outputs, opset_version=graph.opset,
            verbose=False,
        )  # fmt: skip
        written.save(path, external_data=_bytes(graph.model) >= _SIDECAR_FROM)


def _by_torchscript(graph: _Graph, path: Path) -> None:
    axes = dict(zip(graph.inputs, graph.axes, strict=True))
    if "batch" in {name for one in graph.axes for name in one.values()}:
        axes |= {name: {0: "batch"} for name in graph.outputs}
    with quiet(), torch.no_grad():
        torch.onnx.export(
            graph.model, graph.example, str(path), dynamo=False, input_names=graph.inputs, output_names=graph.outputs,
            opset_version=graph.opset or 17, dynamic_axes=axes,
        )  # fmt: skip


def _finish(path: Path, form: Form, description: str | None) -> None:
    """Shrink quantised weights, note in the file what it is and how its outputs belong together, and check it."""
    import onnx

    from zoo_plugins.export.int8_weights import store_int8_weights

    sidecar = path.with_name(f"{path.name}.data").exists()
    file = onnx.load(path, load_external_data=False)
    if not sidecar:
        store_int8_weights(file.graph)
    onnx.helper.set_model_props(file, {FORM_KEY: form} | ({KEY: description} if description else {}))
    onnx.save(file, path)
    onnx.checker.check_model(path)


def _bytes(model: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
