"""A model compiled by NVIDIA's TensorRT for one kind of GPU. Written against its documented interface, version 10.

No machine that this was made on has the package: nothing in here has run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.export import onnx_write
from zoo_plugins.export.free_axes import BATCH, axes_of
from zoo_plugins.export.kept_json import read_beside, write_beside
from zoo_registry import Provided, Range, Rounded
from zoo_registry.errors import DataError, ExportError


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    precision: Literal["fp32", "fp16"] = "fp32",
    largest_batch: Annotated[int, Range(ge=1)] = 16,
    workspace_gib: Annotated[float, Range(gt=0)] = 4.0,
) -> Rounded | None:
    """Compile a model, by way of ONNX; what describes it lies beside the engine as `.engine.json`.

    The engine runs on GPUs of this kind, with this release of TensorRT.

    In int8 it computes what symmetric quantisation has marked in the model (compress: quantize_int8); the unsigned
    activations of the ONNX exporter's `int8: static` it does not know.

    Args:
        model: in eval mode, in float32, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file.
        inputs: names of the file's inputs.
        metadata: kept beside the file as JSON, because the format has no place for it.
        precision: `fp16` lets TensorRT compute in half where it is faster.
        largest_batch: the engine takes 1 to this many samples, and is tuned for as many.
        workspace_gib: memory that its kernels may use.

    Raises:
        ExportError: no GPU, or a model that TensorRT cannot compile.
    """
    import tensorrt

    if not torch.cuda.is_available():
        raise ExportError("TensorRT compiles for the GPU of this machine, and there is none")
    names = list(inputs or (f"input_{index}" for index in range(len(example_inputs))))
    with TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        onnx_write.write(model, example_inputs, onnx, inputs=tuple(names))
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        builder = tensorrt.Builder(logger)
        network = builder.create_network()
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(onnx)):
            said = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise ExportError(f"TensorRT cannot read the model's ONNX file: {said[:500]}")
        settings = builder.create_builder_config()
        settings.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, int(workspace_gib * 2**30))
        if precision == "fp16":
            settings.set_flag(tensorrt.BuilderFlag.FP16)
        settings.add_optimization_profile(_profile(builder, names, example_inputs, largest_batch))
        engine = builder.build_serialized_network(network, settings)
        if engine is None:
            raise ExportError("TensorRT cannot compile this model", hint="its log says what it has no kernel for")
        path.write_bytes(bytes(engine))
    write_beside(path, metadata)
    return Rounded(max_difference=1e-2, min_agreement=0.95) if precision == "fp16" else None


def _profile(builder: Any, names: Sequence[str], example: Sequence[Tensor], largest: int) -> Any:
    """Which shapes of each input the engine has to take: the batch is free, all else is as in the example."""
    profile = builder.create_optimization_profile()
    for name, tensor, axes in zip(names, example, axes_of(names, batch=True), strict=True):
        if BATCH in axes:
            one, many = (1, *tensor.shape[1:]), (largest, *tensor.shape[1:])
            profile.set_shape(name, one, many, many)
    return profile


# The entry says `runs`: an engine holds machine code for the GPU, and its plugins may be libraries that it names.
def load(path: Path, *, device: str = "cuda") -> TensorrtEngine:
    """Open an engine. Only one whose author is trusted.

    Raises:
        ExportError: TensorRT cannot read it on this GPU.
    """
    return TensorrtEngine(path, device)


class TensorrtEngine:
    """An engine as a callable.

    Attributes:
        inputs: names of what it takes, in order.
        metadata: what lies beside the file; None where it was moved without it.
    """

    def __init__(self, path: Path, device: str) -> None:
        import tensorrt

        self._device = torch.device("cuda" if torch.device(device).type == "cpu" else device)
        self._name, self.metadata = Path(path).name, read_beside(Path(path))
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        self._engine = runtime.deserialize_cuda_engine(Path(path).read_bytes())
        if self._engine is None:
            raise ExportError(
                f"TensorRT cannot read {self._name}",
                hint="an engine runs on the kind of GPU, and with the release of TensorRT, that it was compiled with",
            )
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        is_input = {name: self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT for name in names}
        self.inputs = [name for name in names if is_input[name]]
        self._outputs = [name for name in names if not is_input[name]]

    def __call__(self, *inputs: Tensor) -> Any:
        """The model's output, on the device of the inputs."""
        where = inputs[0].device
        held = {name: tensor.to(self._device).contiguous() for name, tensor in zip(self.inputs, inputs, strict=True)}
        for name, tensor in held.items():
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                raise DataError(f"{self._name} takes no {name} of {tuple(tensor.shape)}")
            self._context.set_tensor_address(name, tensor.data_ptr())
        outputs = {
            name: torch.empty(tuple(self._context.get_tensor_shape(name)), device=self._device)
            for name in self._outputs
        }
        for name, tensor in outputs.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.current_stream(self._device)
        self._context.execute_async_v3(stream.cuda_stream)
        stream.synchronize()
        found = [tensor.to(where) for tensor in outputs.values()]
        return found[0] if len(found) == 1 else tuple(found)
