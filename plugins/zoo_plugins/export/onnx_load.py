"""Runs an ONNX file in onnxruntime on the CPU, behind the face of the model it was written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_plugins.export.declared_inputs import Declared, check_inputs
from zoo_plugins.export.in_parts import run_in_parts
from zoo_plugins.export.kept_json import KEY, from_text
from zoo_plugins.export.onnx_write import FORM_KEY
from zoo_registry.errors import ExportError

_TYPES = {"float": "float32", "double": "float64", "float16": "float16", "uint8": "uint8", "int8": "int8"}
_TYPES |= {"int32": "int32", "int64": "int64", "bool": "bool"}


def load(path: Path) -> OnnxModel:
    """Open an ONNX file.

    Args:
        path: the file.

    Returns:
        A callable that takes the model's inputs and returns its output, on the CPU.

    Raises:
        ExportError: onnxruntime cannot read the file or has no kernel for an operation in it.
    """
    return OnnxModel(path)


class OnnxModel:
    """An ONNX file as a callable: tensors in, tensors out.

    Attributes:
        inputs: names of what it takes, in order.
        outputs: names of what it returns.
        batch: the batch size the file was written for, None for any; other batches are run in parts where
            we wrote the file.
        metadata: how the file describes its model; None where it does not.
        files: what it consists of; more than one where weights lie beside the graph.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()  # a fair race with torch
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class of their own
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise ExportError(f"onnxruntime cannot run {Path(path).name}: {first[:300]}") from error
        self._name = Path(path).name
        sidecar = Path(path).with_name(f"{self._name}.data")
        self.files = (Path(path), sidecar) if sidecar.is_file() else (Path(path),)
        self._declared = [
            Declared(value.name, _shape(value.shape), _type(value.type)) for value in self._session.get_inputs()
        ]
        self.inputs = [value.name for value in self._declared]
        self.outputs = [value.name for value in self._session.get_outputs()]
        self.batch = next((value.shape[0] for value in self._declared if value.shape), None)
        kept = self._session.get_modelmeta().custom_metadata_map
        self.metadata = from_text(kept.get(KEY))
        self._ours = FORM_KEY in kept or self.metadata is not None
        self._form = kept.get(FORM_KEY, "tensor" if len(self.outputs) == 1 else "sequence")

    def __call__(self, *inputs: Tensor) -> Any:
        """The model's output for inputs of shape (B, ...); of somebody else's file its outputs, untouched.

        Raises:
            DataError: the inputs are not what the file takes.
        """
        # A file of somebody else may have a first axis that is no batch: it gets what it declares, or nothing.
        check_inputs(self._name, self._declared, inputs, any_batch=self._ours)
        tensors = run_in_parts(self._name, self._run, inputs, self.batch if self._ours else None)
        if self._form == "tensor":
            return tensors[0]
        return dict(zip(self.outputs, tensors, strict=True)) if self._form == "mapping" else tuple(tensors)

    def _run(self, *inputs: Tensor) -> list[Tensor]:
        arrays = [tensor.detach().cpu().contiguous().numpy() for tensor in inputs]
        found = self._session.run(None, dict(zip(self.inputs, arrays, strict=True)))
        return [torch.from_numpy(np.asarray(value)) for value in found]


def _shape(shape: Any) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


def _type(text: str) -> str:
    """`tensor(float)` in the words of torch."""
    inner = text.removeprefix("tensor(").removesuffix(")")
    return _TYPES.get(inner, inner)
