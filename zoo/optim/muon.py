"""Muon for the matrices inside a network and AdamW for everything else, as Muon's author trains networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from zoo_registry.entries import Range

if TYPE_CHECKING:
    from torch.optim import Optimizer

Fraction = Annotated[float, Range(ge=0, lt=1)]


def muon(
    matrices: Sequence[dict[str, Any]],
    others: Sequence[dict[str, Any]],
    *,
    lr: Annotated[float, Range(ge=0)] = 1e-3,
    weight_decay: Annotated[float, Range(ge=0)] = 0.1,
    momentum: Fraction = 0.95,
    nesterov: bool = True,
    ns_steps: Annotated[int, Range(ge=1, le=99)] = 5,
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = "match_rms_adamw",
    betas: tuple[Fraction, Fraction] = (0.9, 0.95),
    eps: Annotated[float, Range(ge=0)] = 1e-8,
    fused: bool | None = None,
) -> list[Optimizer]:
    """Momentum made orthogonal (Jordan et al. 2024) for matrices, AdamW (Loshchilov & Hutter 2019) for the rest.

    With `match_rms_adamw` an update of a matrix is as large as AdamW's would be (Liu et al. 2025, equation 4), so one
    rate and one decay serve both, and those found for AdamW can be kept.

    Args:
        matrices: parameter groups of two-dimensional parameters between the first layer and the last.
        others: parameter groups of all else: norms, biases, embeddings, convolutions, the head.
        lr: of both.
        weight_decay: of both.
        momentum: Muon's.
        nesterov: whether Muon looks ahead.
        ns_steps: Newton-Schulz iterations.
        adjust_lr_fn: how the rate depends on a matrix's shape.
        betas: AdamW's.
        eps: AdamW's.
        fused: AdamW's kernel.

    Returns:
        One optimiser or two: none for what there is no parameter of.
    """
    import torch

    made: list[Optimizer] = []
    if matrices:
        made.append(
            torch.optim.Muon(
                matrices, lr=lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps,
                adjust_lr_fn=adjust_lr_fn,
            )
        )  # fmt: skip
    if others:
        made.append(torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, betas=betas, eps=eps, fused=fused))
    return made
