"""Runs an ONNX file in onnxruntime on the CPU, behind the face of the model it was written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_plugins.export.onnx_write import FORM_KEY
from zoo_registry.errors import ExportError


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
        batch: the batch size the file was written for, None for any; larger batches are run in parts.
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
        self.inputs = [value.name for value in self._session.get_inputs()]
        self.outputs = [value.name for value in self._session.get_outputs()]
        sizes = [value.shape[0] for value in self._session.get_inputs() if value.shape]
        self.batch = sizes[0] if sizes and isinstance(sizes[0], int) else None
        self._form = self._session.get_modelmeta().custom_metadata_map.get(FORM_KEY, "sequence")

    def __call__(self, *inputs: Tensor) -> Any:
        """The model's output for inputs of shape (B, ...)."""
        if len(inputs) != len(self.inputs):
            raise ExportError(f"the ONNX file takes {len(self.inputs)} inputs ({self.inputs}), not {len(inputs)}")
        arrays = [tensor.detach().cpu().numpy() for tensor in inputs]
        size = self.batch or max(1, len(arrays[0]))
        parts = [
            self._session.run(None, dict(zip(self.inputs, (a[start : start + size] for a in arrays), strict=True)))
            for start in range(0, len(arrays[0]), size)
        ]
        tensors = [torch.from_numpy(np.concatenate(values)) for values in zip(*parts, strict=True)]
        if self._form == "tensor":
            return tensors[0]
        return dict(zip(self.outputs, tensors, strict=True)) if self._form == "mapping" else tuple(tensors)
