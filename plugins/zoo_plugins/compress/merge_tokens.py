"""Token merging in video transformers: fewer tokens from block to block, without training.

Bolya et al., Token Merging: Your ViT But Faster, ICLR 2023, https://arxiv.org/abs/2210.09461.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import nn

from zoo_plugins.compress.folding import replace
from zoo_plugins.compress.merging_block import FAMILIES, MergingBlock
from zoo_plugins.compress.record import fields, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import CompressionContext, StagedNetwork

WHAT = "merge_tokens"


def merge_tokens(
    model: nn.Module,
    context: CompressionContext,
    *,
    r: Annotated[int, Range(ge=0)] | None = None,
    ratio: Annotated[float, Range(gt=0, le=0.5)] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Merge the most similar tokens in every block, between attention and feed-forward layers.

    Weights and their names stay. Tokens are compared by their keys; merged ones count for as many as they stand for,
    in attention and where all tokens are averaged for the answer. A class token is left alone. Trained further
    (`fine_tune`) the network makes up for some of what it loses.

    Args:
        model: a transformer of the catalogue whose blocks see all tokens: VideoMAE, ViViT, TimeSformer with joint or
            spatial attention. Changed in place.
        context: `example` tells how many tokens there are; multiply-adds and latency are measured.
        r: tokens that each block merges away; never more than half of those it has.
        ratio: the same as a part of the tokens that a block has. One of the two has to be given.

    Returns:
        The model and the record: tokens that enter the first block, how many each block merges away, and multiply-adds
        and latency before and after.

    Raises:
        ParameterError: not exactly one of `r` and `ratio`, or a network whose tokens cannot be merged, with the reason.
    """
    if (r is None) == (ratio is None):
        raise ParameterError("merge_tokens wants either r or ratio", hint="r: 64 merges 64 tokens in each block")
    names = _blocks(model)
    tokens = _tokens(model, names[0], context)
    special = _special(model, tokens)
    schedule, count = [], tokens
    for _ in names:
        wanted = r if r is not None else int((ratio or 0) * count)
        schedule.append(min(wanted, (count - special) // 2))
        count -= schedule[-1]
    before = {"gmacs": context.gmacs(model), "latency_ms": context.latency_ms(model)}
    record = {"tokens": tokens, "class_token": special == 1, "merged": schedule}
    model = _with_merging(model, names, record)
    after = {"gmacs": context.gmacs(model), "latency_ms": context.latency_ms(model)}
    measured = {key: [float(f"{side[key]:.5g}") for side in (before, after)] for key in before}
    return model, {**record, "measured": measured}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Let the freshly built model merge as the record says.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    tokens, class_token, merged, _ = fields(
        record, {"tokens": int, "class_token": bool, "merged": list, "measured": Mapping}, WHAT
    )
    try:
        names = _blocks(model)
    except ParameterError as error:
        raise refuse(WHAT, f"is of another network: {error.problems[0].message}") from error
    if len(names) != len(merged):
        raise refuse(WHAT, f"names {len(merged)} blocks, the model has {len(names)}")
    count = tokens
    for each in merged:
        if type(each) is not int or not 0 <= each <= (count - class_token) // 2:
            raise refuse(WHAT, f"merges {str(each)[:40]} of {count} tokens")
        count -= each
    return _with_merging(model, names, {"tokens": tokens, "class_token": class_token, "merged": merged})


def _with_merging(model: nn.Module, names: Sequence[str], record: Mapping[str, Any]) -> nn.Module:
    sized = False
    for number, (name, merged) in enumerate(zip(names, record["merged"], strict=True), start=1):
        block = MergingBlock(
            model.get_submodule(name), merged, class_token=record["class_token"], sized=sized,
            last=number == len(names), averaged=not record["class_token"],
        )  # fmt: skip
        model = replace(model, model.get_submodule(name), block)
        sized = sized or merged > 0
    return model


def _blocks(model: nn.Module) -> list[str]:
    """Names of the blocks.

    Raises:
        ParameterError: their tokens cannot be merged; says why.
    """
    kind = type(model).__name__
    stages = model.stages() if isinstance(model, StagedNetwork) else ()
    names = [stage.layers[0][0] for stage in stages if stage.name.startswith("block")]
    modules = dict(model.named_modules())
    blocks = [modules.get(name) for name in names]
    if not names or not hasattr(model, "grid"):
        raise ParameterError(
            f"merge_tokens cannot merge in a {kind}: it has no blocks of one width that all see the same tokens",
            hint="MViT pools its tokens as a grid, from which none may be missing; convolutions have no tokens",
        )
    unknown = sorted({type(block).__name__ for block in blocks if type(block).__name__ not in FAMILIES})
    if unknown:
        raise ParameterError(
            f"merge_tokens does not know blocks of type {', '.join(unknown)}",
            hint=f"it knows {', '.join(FAMILIES)}; what places tokens by their number (rotary positions, windows) "
            "cannot lose any",
        )
    if any(getattr(block, "attention_type", None) == "divided_space_time" for block in blocks):
        raise ParameterError(
            "merge_tokens cannot merge where attention is divided into space and time: tokens stay on their grid",
            hint="timesformer_b_joint attends to all of them",
        )
    return names


def _tokens(model: nn.Module, first: str, context: CompressionContext) -> int:
    """How many tokens enter the first block."""
    counts: list[int] = []

    def count(module: nn.Module, args: tuple[Any, ...]) -> None:
        counts.append(args[0].shape[1])

    handle = model.get_submodule(first).register_forward_pre_hook(count)
    try:
        with torch.no_grad():
            model(*(tensor[:1] for tensor in context.example))
    finally:
        handle.remove()
    return counts[0]


def _special(model: nn.Module, tokens: int) -> int:
    """How many tokens are none of the grid: one, if there is a class token.

    Raises:
        ParameterError: the first block gets something else than all tokens.
    """
    grid: tuple[int, int, int] = model.grid  # type: ignore[assignment]
    for patches in (math.prod(grid), math.prod(grid[1:])):  # of the clip, or of one frame
        if tokens - patches in (0, 1):
            return tokens - patches
    raise ParameterError(
        f"merge_tokens wants all tokens in every block: {tokens} of {math.prod(grid)} enter the first",
        hint="pre-training with masked patches cannot be merged; merge in the fine-tuned network",
    )
