"""Declares the file formats of deployed models; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Exporter, hookimpl


@hookimpl
def zoo_exporters() -> Iterable[Exporter]:
    """ONNX, torch's own formats, OpenVINO, ExecuTorch, TensorRT."""
    return [
        Exporter(
            "onnx",
            builder="zoo_plugins.export.onnx_write:write",
            load="zoo_plugins.export.onnx_load:load",
            suffix=".onnx",
            summary="One .onnx file for onnxruntime, TensorRT, OpenVINO and others, in float32 or int8.",
            requires=("onnx", "onnxscript", "onnxruntime"),
            extra="videozoo[export]",
            source="https://onnx.ai",
            licence="apache-2.0",
        ),
        Exporter(
            "torch_export",
            builder="zoo_plugins.export.torch_program:write",
            load="zoo_plugins.export.torch_program:load",
            suffix=".pt2",
            summary="One .pt2 file: torch's own graph of the model, for Python without the model's code.",
            runs="what is pickled in it, as torch.export.load does",
            source="https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html",
            licence="bsd-3-clause",
        ),
        Exporter(
            "aot_inductor",
            builder="zoo_plugins.export.inductor_package:write",
            load="zoo_plugins.export.inductor_package:load",
            suffix=".aoti.pt2",
            summary="Machine code for this processor by torch's compiler; needs a C++ compiler to be written.",
            runs="the machine code in it",
            source="https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/torch.compiler_aot_inductor.html",
            licence="bsd-3-clause",
        ),
        Exporter(
            "openvino",
            builder="zoo_plugins.export.openvino_ir:write",
            load="zoo_plugins.export.openvino_ir:load",
            suffix=".xml",
            summary="An .xml and a .bin file for OpenVINO on Intel and AMD processors, by way of ONNX.",
            requires=("onnx", "onnxscript", "onnxruntime", "openvino"),
            extra="videozoo[openvino]",
            source="https://docs.openvino.ai",
            licence="apache-2.0",
        ),
        Exporter(
            "executorch",
            builder="zoo_plugins.export.executorch_program:write",
            load="zoo_plugins.export.executorch_program:load",
            suffix=".pte",
            summary="A .pte file for phones and small boards; networks over frames only, it has no 3-D convolution.",
            requires=("executorch",),
            extra="executorch",
            source="https://docs.pytorch.org/executorch",
            licence="bsd-3-clause",
        ),
        Exporter(
            "tensorrt",
            builder="zoo_plugins.export.tensorrt_engine:write",
            load="zoo_plugins.export.tensorrt_engine:load",
            suffix=".engine",
            summary="An engine compiled for this machine's NVIDIA GPU; written by its documentation, never run here.",
            runs="the machine code in it",
            requires=("tensorrt", "onnx", "onnxscript", "onnxruntime"),
            extra="tensorrt",
            source="https://docs.nvidia.com/deeplearning/tensorrt",
            licence="apache-2.0",
        ),
    ]
