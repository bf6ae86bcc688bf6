"""Declares the file formats of deployed models; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Exporter, hookimpl


@hookimpl
def zoo_exporters() -> Iterable[Exporter]:
    """ONNX."""
    return [
        Exporter(
            "onnx",
            builder="zoo_plugins.export.onnx_write:write",
            load="zoo_plugins.export.onnx_load:load",
            suffix=".onnx",
            summary="One .onnx file for onnxruntime, TensorRT, OpenVINO and others; checked in onnxruntime.",
            requires=("onnx", "onnxscript", "onnxruntime"),
            extra="videozoo[export]",
            source="https://onnx.ai",
            licence="apache-2.0",
        )
    ]
