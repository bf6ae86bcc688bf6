"""Declares the compression strategies; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Compression, hookimpl


@hookimpl
def zoo_compressions() -> Iterable[Compression]:
    """Pruning, half-precision weights and simulated int8."""
    return [
        Compression(
            "prune_magnitude",
            builder="zoo_plugins.compress.prune:prune_magnitude",
            restore="zoo_plugins.compress.prune:restore",
            summary="Sets the smallest weights of convolutions and linear layers to zero.",
            source="Han et al., Learning both Weights and Connections, NeurIPS 2015, https://arxiv.org/abs/1506.02626",
            licence="apache-2.0",
        ),
        Compression(
            "prune_channels",
            builder="zoo_plugins.compress.prune_channels:prune_channels",
            restore="zoo_plugins.compress.prune_channels:restore",
            summary="Removes whole channels, attention heads and MLP widths: smaller and faster everywhere.",
            source="Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023, https://arxiv.org/abs/2301.12900",
            requires=("torch_pruning",),
            extra="videozoo[prune]",
            licence="apache-2.0",
        ),
        Compression(
            "cast_bf16",
            builder="zoo_plugins.compress.bfloat16:cast_bf16",
            restore="zoo_plugins.compress.bfloat16:restore",
            summary="Keeps weights and computes in bfloat16; the file is half as large.",
            licence="apache-2.0",
        ),
        Compression(
            "quantize_int8",
            builder="zoo_plugins.compress.quantize:quantize_int8",
            restore="zoo_plugins.compress.quantize:restore",
            summary="Simulates int8 in convolutions and linear layers, with ranges calibrated on training data.",
            source="Wu et al., Integer Quantization for Deep Learning Inference, 2020, https://arxiv.org/abs/2004.09602",
            requires=("pytorch_quantization",),
            extra="videozoo[quantization]",
            licence="apache-2.0",
            version=2,
        ),
        Compression(
            "fine_tune",
            builder="zoo_plugins.compress.fine_tune:fine_tune",
            restore="zoo_plugins.compress.fine_tune:restore",
            summary="Trains a compressed model further, on labels or on what the original answers.",
            source="Han et al. 2015, https://arxiv.org/abs/1506.02626; Hinton et al. 2015, "
            "https://arxiv.org/abs/1503.02531",
            licence="apache-2.0",
        ),
    ]
