"""A model for Intel's OpenVINO: an .xml graph with its weights in a .bin beside it, made from the ONNX file."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.export import onnx_write
from zoo_plugins.export.declared_inputs import Declared, check_inputs
from zoo_plugins.export.in_parts import run_in_parts
from zoo_plugins.export.kept_json import from_text, to_text
from zoo_registry import Provided, Range, Rounded
from zoo_registry.errors import DataError, ExportError

_PLACE = "videozoo"
_SOURCE = re.compile(r"^(Caught exception: )?Exception from |Check '.*' failed at ")
_TYPES = {"f32": "float32", "f16": "float16", "f64": "float64", "u8": "uint8", "i8": "int8", "i32": "int32"}
_TYPES |= {"i64": "int64", "boolean": "bool"}


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    calibration: Provided[Callable[[int], Iterator[tuple[Tensor, ...]]] | None] = None,
    free_axes: Provided[Mapping[str, Sequence[int]] | None] = None,
    dynamic_batch: bool = True,
    dynamic_frames: bool = False,
    half: bool = False,
    int8: Literal["none", "static"] = "none",
    calibration_batches: Annotated[int, Range(ge=1)] = 8,
    keep: tuple[str, ...] = (),
    max_difference: Annotated[float, Range(gt=0)] = 0.3,
    min_agreement: Annotated[float, Range(ge=0, le=1)] = 0.95,
) -> Rounded | None:
    """Write a model for OpenVINO, by way of ONNX.

    Args:
        model: in eval mode, in float32, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: of the `.xml`; the `.bin` lies beside it.
        inputs: names of the file's inputs.
        metadata: kept in the file's `rt_info` as JSON.
        calibration: `(batches) -> inputs of the model`, for `int8: static`.
        free_axes: axes that may have any length, such as height and width of pictures.
        dynamic_batch: the file takes batches of any size, else exactly one sample.
        dynamic_frames: the file takes clips of any number of frames, where the network does.
        half: weights in float16: half the bytes, computed in float32.
        int8: `static` as in the ONNX exporter: its Q/DQ operations are what OpenVINO computes in int8 by.
        calibration_batches: batches of training data to measure on.
        keep: modules that stay in float32.
        max_difference: how far an int8 file may be from the model, in parts of its largest answer.
        min_agreement: part of the samples that an int8 file has to give the model's first answer.

    Raises:
        ExportError: the model cannot be written as ONNX, or OpenVINO cannot read that.
    """
    import openvino

    with TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        rounded = onnx_write.write(
            model, example_inputs, onnx, inputs=inputs, calibration=calibration, free_axes=free_axes,
            dynamic_batch=dynamic_batch, dynamic_frames=dynamic_frames, int8=int8, keep=keep,
            calibration_batches=calibration_batches, max_difference=max_difference, min_agreement=min_agreement,
        )  # fmt: skip
        form = _form_of(onnx)
        try:
            converted = openvino.convert_model(onnx)
        except Exception as error:  # openvino's errors share no base class of their own
            raise ExportError(f"OpenVINO cannot read the model's ONNX file: {_telling_line(error)}") from error
        converted.set_rt_info(form, [_PLACE, "output"])
        if text := to_text(metadata):
            converted.set_rt_info(text, [_PLACE, "json"])
        openvino.save_model(converted, path, compress_to_fp16=half)
    if half and rounded is None:
        return Rounded(max_difference=1e-2, min_agreement=min_agreement)
    return rounded


def _form_of(path: Path) -> str:
    import onnx

    props = onnx.load(path, load_external_data=False).metadata_props
    return next(prop.value for prop in props if prop.key == onnx_write.FORM_KEY)


def load(path: Path, *, precision: str = "fp32") -> OpenVinoModel:
    """Open an .xml file, whose .bin lies beside it, for the CPU.

    Args:
        path: of the `.xml`.
        precision: `fp32`, or `bf16` where the processor computes in it.

    Raises:
        ExportError: OpenVINO cannot read it, or the .bin is missing.
    """
    return OpenVinoModel(path, precision)


class OpenVinoModel:
    """An OpenVINO file as a callable.

    Attributes:
        inputs: names of what it takes, in order.
        metadata: how the file describes its model; None where it does not.
        files: the two that it consists of.
    """

    def __init__(self, path: Path, precision: str) -> None:
        import openvino

        path = Path(path)
        if not path.with_suffix(".bin").is_file():
            raise ExportError(
                f"the weights of {path.name} are missing: there is no {path.with_suffix('.bin').name} beside it",
                hint="an OpenVINO model is two files, copy both",
            )
        settings = {
            # OpenVINO computes in bfloat16 on processors that have it unless it is told otherwise.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            model = _read(path)
            compiled = openvino.Core().compile_model(model, "CPU", settings)
            self._request = compiled.create_infer_request()
        except Exception as error:
            raise ExportError(f"OpenVINO cannot run {path.name}: {_telling_line(error)}") from error
        self._one_at_a_time = threading.Lock()
        self._name, self.files = path.name, (path, path.with_suffix(".bin"))
        self._declared = [Declared(_name(port), _shape(port), _type(port)) for port in compiled.inputs]
        self._outputs = [_name(port) for port in compiled.outputs]
        self.inputs = [value.name for value in self._declared]
        self.metadata = from_text(_kept(model, "json"))
        form = _kept(model, "output")
        self._ours = form is not None or self.metadata is not None
        self._batch = next((value.shape[0] for value in self._declared if value.shape), None)
        self._form = form or ("tensor" if len(self._outputs) == 1 else "sequence")

    def __call__(self, *inputs: Tensor) -> Any:
        """The model's output for inputs of shape (B, ...).

        Raises:
            DataError: the inputs are not what the file takes, or OpenVINO cannot compute with them.
        """
        check_inputs(self._name, self._declared, inputs, any_batch=self._ours)
        tensors = run_in_parts(self._name, self._run, inputs, self._batch if self._ours else None)
        if self._form == "tensor":
            return tensors[0]
        return dict(zip(self._outputs, tensors, strict=True)) if self._form == "mapping" else tuple(tensors)

    def _run(self, *inputs: Tensor) -> list[Tensor]:
        arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in inputs]
        with self._one_at_a_time:  # threads share the request
            try:
                # With one thread `infer` swallows errors and leaves the last answer standing (2026.4); this does not.
                self._request.start_async(arrays, share_inputs=True)
                self._request.wait()
            except RuntimeError as error:
                given = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
                raise DataError(f"{self._name} cannot compute tensors of {given}: {_telling_line(error)}") from error
            # A copy: the next call writes into the same memory.
            return [
                torch.from_numpy(self._request.get_output_tensor(index).data.copy())
                for index in range(len(self._outputs))
            ]


def _read(path: Path) -> Any:
    """The graph in an .xml file. `Core.read_model` would offer a stranger's file to the readers of all formats."""
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework("ir")
    model = reader.convert(reader.load(str(path)))
    if not model.outputs:
        raise ValueError("it holds no network")  # to the reader any XML is a network, if an empty one
    return model


def _kept(model: Any, key: str) -> str | None:
    path = [_PLACE, key]
    return str(model.get_rt_info(path).value) if model.has_rt_info(path) else None


def _name(port: Any) -> str:
    return min(port.names, default="input", key=len)


def _shape(port: Any) -> tuple[int | None, ...]:
    return tuple(None if side.is_dynamic else side.get_length() for side in port.partial_shape)


def _type(port: Any) -> str:
    name = port.element_type.get_type_name()
    return _TYPES.get(name, name)


def _telling_line(error: Exception) -> str:
    """The first line that says more than a place in OpenVINO's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not _SOURCE.search(line)]
    return (telling or lines or [type(error).__name__])[0][:300]
