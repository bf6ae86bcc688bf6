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
            "prune_n_m",
            builder="zoo_plugins.compress.prune_n_m:prune_n_m",
            restore="zoo_plugins.compress.prune_n_m:restore",
            summary="Sets all but n of every m weights to zero (2:4 by default), for GPUs that skip those.",
            source="Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, https://arxiv.org/abs/2104.08378",
            licence="apache-2.0",
        ),
        Compression(
            "low_rank",
            builder="zoo_plugins.compress.low_rank:low_rank",
            restore="zoo_plugins.compress.low_rank:restore",
            summary="Replaces layers by thin ones whose product comes nearest: fewer weights and multiply-adds.",
            source="Kim et al., Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile "
            "Applications, ICLR 2016, https://arxiv.org/abs/1511.06530",
            licence="apache-2.0",
        ),
        Compression(
            "cluster_weights",
            builder="zoo_plugins.compress.cluster_weights:cluster_weights",
            restore="zoo_plugins.compress.cluster_weights:restore",
            summary="Shares a few values among all weights of a layer and stores which: a file a quarter as large.",
            source="Han et al., Deep Compression, ICLR 2016, https://arxiv.org/abs/1510.00149",
            licence="apache-2.0",
        ),
        Compression(
            "cast_bf16",
            builder="zoo_plugins.compress.half_precision:cast",
            restore="zoo_plugins.compress.half_precision:restore",
            summary="Keeps weights and computes in bfloat16; the file is half as large.",
            fixed={"dtype": "bfloat16"},
            version=2,
            licence="apache-2.0",
        ),
        Compression(
            "cast_fp16",
            builder="zoo_plugins.compress.half_precision:cast",
            restore="zoo_plugins.compress.half_precision:restore",
            summary="Keeps weights and computes in float16; the file is half as large.",
            fixed={"dtype": "float16"},
            version=2,
            licence="apache-2.0",
        ),
        Compression(
            "early_exit",
            builder="zoo_plugins.compress.early_exit:early_exit",
            restore="zoo_plugins.compress.early_exit:restore",
            summary="Answers easy clips from a stage in the middle of the network.",
            source="Teerapittayanon et al., BranchyNet, ICPR 2016, https://arxiv.org/abs/1709.01686",
            licence="apache-2.0",
        ),
        Compression(
            "merge_tokens",
            builder="zoo_plugins.compress.merge_tokens:merge_tokens",
            restore="zoo_plugins.compress.merge_tokens:restore",
            summary="Merges the most similar tokens of video transformers from block to block, without training.",
            source="Bolya et al., Token Merging: Your ViT But Faster, ICLR 2023, https://arxiv.org/abs/2210.09461",
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
            "quantize_modelopt",
            builder="zoo_plugins.compress.quantize_modelopt:quantize_modelopt",
            restore="zoo_plugins.compress.quantize_modelopt:restore",
            summary="Simulates int8, or fp8 on GPUs that have it, with NVIDIA's modelopt.",
            source="Wu et al. 2020, https://arxiv.org/abs/2004.09602; Micikevicius et al., FP8 Formats for Deep "
            "Learning, 2022, https://arxiv.org/abs/2209.05433",
            requires=("modelopt", "requests", "pytorch_quantization"),
            extra="videozoo[quantization]",
            licence="apache-2.0",
        ),
        Compression(
            "quantize_torchao",
            builder="zoo_plugins.compress.quantize_torchao:quantize_torchao",
            restore="zoo_plugins.compress.quantize_torchao:restore",
            summary="Holds weights in int8, a quarter of the bytes; linear layers can multiply in int8 too.",
            source="Dettmers et al., LLM.int8(), NeurIPS 2022, https://arxiv.org/abs/2208.07339",
            requires=("torchao",),
            extra="videozoo[quantization]",
            licence="apache-2.0",
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
