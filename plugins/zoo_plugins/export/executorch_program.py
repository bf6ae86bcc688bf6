"""A model for phones and small boards: an ExecuTorch program, with XNNPACK for what that can compute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor, nn

from zoo_plugins.export.free_axes import axes_of, batch_of
from zoo_plugins.export.in_parts import run_in_parts
from zoo_plugins.export.kept_json import read_beside, write_beside
from zoo_plugins.export.program import exported_program, quiet, reason
from zoo_registry import Provided, Range
from zoo_registry.errors import DataError, ExportError


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    dynamic_batch: bool = False,
    largest_batch: Annotated[int, Range(ge=2)] = 16,
) -> None:
    """Write a model as a `.pte` file; what describes it lies beside it as `.pte.json`.

    ExecuTorch has no 3-D convolution: this is for networks that look at frames one by one.

    Args:
        model: in eval mode, in float32, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file.
        inputs: names of the inputs, which say what axes are.
        metadata: kept beside the file as JSON, because the format has no place for it.
        dynamic_batch: the file takes batches up to `largest_batch`, for which it sets memory aside; else one sample.
        largest_batch: see there.

    Raises:
        ExportError: a 3-D convolution, or something else that ExecuTorch does not have.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    _refuse_volumes(model)
    example = batch_of(2 if dynamic_batch else 1, example_inputs)
    names = inputs or tuple(f"input_{index}" for index in range(len(example)))
    program = exported_program(model, example, axes_of(names, batch=dynamic_batch), largest={"batch": largest_batch})
    try:
        with quiet():
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            path.write_bytes(lowered.to_executorch().buffer)
    except Exception as error:  # its passes raise what they like
        raise ExportError(f"ExecuTorch cannot write this model: {reason(error)}") from error
    write_beside(path, metadata)


def _refuse_volumes(model: nn.Module) -> None:
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv3d | nn.ConvTranspose3d)]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ExportError(
            f"ExecuTorch has no 3-D convolution, and {names[0]}{more} is one",
            hint="a network over frames (tsn, tsm) can be written, or export to onnx or openvino",
        )


def load(path: Path) -> ExecutorchProgram:
    """Open a `.pte` file.

    Raises:
        ExportError: ExecuTorch cannot read it.
    """
    return ExecutorchProgram(path)


class ExecutorchProgram:
    """A `.pte` file as a callable.

    Attributes:
        metadata: what lies beside the file; None where it was moved without it.
        files: the file and its description.
    """

    def __init__(self, path: Path) -> None:
        from executorch.runtime import Runtime

        path = Path(path)
        try:
            self._program = Runtime.get().load_program(str(path))  # the method lives no longer than this
            self._method = self._program.load_method("forward")
        except Exception as error:
            raise ExportError(f"ExecuTorch cannot read {path.name}: {reason(error)}") from error
        if self._method is None:
            raise ExportError(f"{path.name} has no method `forward`")
        self._name, self.metadata = path.name, read_beside(path)
        self.files = [file for file in (path, path.with_name(f"{path.name}.json")) if file.is_file()]
        self._batch = _batch_of(self._method)

    def __call__(self, *inputs: Tensor) -> Any:
        """The model's outputs; a program for one sample runs once for each."""
        outputs = run_in_parts(self._name, self._run, inputs, 1 if self._batch == 1 else None)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run(self, *inputs: Tensor) -> list[Tensor]:
        try:
            return [output.clone() for output in self._method.execute([tensor.contiguous() for tensor in inputs])]
        except RuntimeError as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise DataError(f"{self._name} cannot take tensors of {shapes}: {error}") from error


def _batch_of(method: Any) -> int | None:
    """Samples that the program was written for; None where it does not say."""
    try:
        return int(method.metadata.input_tensor_meta(0).sizes()[0])
    except (AttributeError, RuntimeError, IndexError):
        return None
