"""Attention roll-out: which tokens of the clip have, through all blocks, gone into the answer.

No network offers its attention weights: they are taken where torch computes them. So this works for every transformer
whose tokens all see each other, whatever library its blocks are from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zoo.explanation.question import Question, Unsuitable
from zoo.explanation.stage_outputs import Pass, StageOutput, pass_through

MOST_BYTES = 2 * 1024**3
"""Of attention weights that are kept at once; their gradients take as much again."""

_SOFTMAX: tuple[Callable[..., Tensor], ...] = (torch.softmax, functional.softmax, Tensor.softmax)


def attention_rollout(question: Question) -> Tensor:
    """Attention roll-out (Abnar and Zuidema 2020, equation 1): what flows along attention and residual branches.

    It does not depend on the label. Heads are averaged. What the answer is read from (the class token, or all tokens
    by how strongly it hangs on each) is followed back to the patches.

    Args:
        question: what is asked.

    Returns:
        (T', H', W'), the share of each patch.

    Raises:
        Unsuitable: the network is no transformer whose tokens all see each other, or too large a one.

    Source:
        https://arxiv.org/abs/2005.00928
    """
    gone, attention = _recorded(question, averaged=True)
    last = _last_tokens(question, gone, attention)
    (gradient_bnc,) = torch.autograd.grad(gone.answer, last.raw)
    steps = [rolled(weights_bnn) for weights_bnn in attention[: last.time]]
    return _followed_back(last, gradient_bnc.norm(dim=2), steps)


def gradient_rollout(question: Question) -> Tensor:
    """Roll-out of attention that speaks for the label (Chefer et al. 2021, equations 5 and 6).

    Attention weights count by how strongly the answer would grow with them, and only where it would.

    Args, returns and raises as `attention_rollout`.

    Source:
        https://arxiv.org/abs/2103.15679
    """
    gone, attention = _recorded(question, averaged=False)
    last = _last_tokens(question, gone, attention)
    weights = attention[: last.time]
    gradient_bnc, *gradients = torch.autograd.grad(gone.answer, [last.raw, *weights], allow_unused=True)
    steps = [
        relevant(weight_bhnn.detach(), gradient_bhnn)
        for weight_bhnn, gradient_bhnn in zip(weights, gradients, strict=True)
        if gradient_bhnn is not None
    ]
    speaks_bn = (last.raw.detach() * gradient_bnc).sum(2).clamp(min=0)
    return _followed_back(last, speaks_bn if speaks_bn.any() else gradient_bnc.norm(dim=2), steps)


def rolled(attention_bnn: Tensor) -> Tensor:
    """A block's step of attention roll-out: half of what a token says is itself, half is what it looks at."""
    return 0.5 * attention_bnn + 0.5 * torch.eye(attention_bnn.shape[-1], device=attention_bnn.device)


def relevant(attention_bhnn: Tensor, gradient_bhnn: Tensor) -> Tensor:
    """A block's step of gradient roll-out: the token itself, and what it looks at to the label's good."""
    cam_bnn = (attention_bhnn * gradient_bhnn).clamp(min=0).mean(1)
    return cam_bnn + torch.eye(cam_bnn.shape[-1], device=cam_bnn.device)


def _followed_back(last: StageOutput, strength_bn: Tensor, steps: list[Tensor]) -> Tensor:
    """What has gone into the last tokens, each by its strength, on the map: the product of all steps, last one left."""
    row_b1n = (strength_bn / strength_bn.sum().clamp(min=torch.finfo(strength_bn.dtype).tiny))[:, None]
    for step_bnn in reversed(steps):
        row_b1n = row_b1n @ step_bnn
    of_tokens = row_b1n.transpose(1, 2).expand_as(last.raw)
    return last.on_map(of_tokens)[0].detach()


def _last_tokens(question: Question, gone: Pass, attention: list[Tensor]) -> StageOutput:
    """The last block's tokens (B, N, C), if every attention before them was among all of these.

    Raises:
        Unsuitable: it was not.
    """
    last = gone.outputs[0] if gone.outputs else None
    if last is not None and last.raw.ndim == 3 and last.time:
        batch, tokens, _ = last.raw.shape
        seen = attention[: last.time]
        if all(each.shape[0] == batch and each.shape[-2:] == (tokens, tokens) for each in seen):
            return last
    raise Unsuitable(f"{question.name} has no attention of all tokens to all, which roll-out follows")


def _recorded(question: Question, *, averaged: bool) -> tuple[Pass, list[Tensor]]:
    recorder = AttentionRecorder(averaged=averaged)
    try:
        gone = pass_through(question, whole=not averaged, within=recorder, count=lambda: len(recorder.attention))
    except _TooLargeToKeep:
        raise Unsuitable(
            f"the attention weights of {question.name} take more than {MOST_BYTES // 1024**3} GiB to keep"
        ) from None
    return gone, recorder.attention


class _TooLargeToKeep(Exception):
    """There are more attention weights than may be kept."""


class AttentionRecorder(TorchFunctionMode):
    """While it is active, attention is computed by the book and its weights are kept.

    Args:
        averaged: keep the mean of the heads (B, N, N) without gradients, not each (B, h, N, N) with them.

    Attributes:
        attention: what was kept, in the order in which it was computed; N is the number of keys, queries may be others.

    Example:
        >>> tokens_bhnd = torch.zeros(1, 1, 4, 8)
        >>> with AttentionRecorder(averaged=True) as recorder:
        ...     _ = functional.scaled_dot_product_attention(tokens_bhnd, tokens_bhnd, tokens_bhnd)
        >>> recorder.attention[0][0, 0].tolist()
        [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, *, averaged: bool) -> None:
        super().__init__()
        self.averaged = averaged
        self.attention: list[Tensor] = []
        self._bytes = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        output = func(*args, **kwargs)
        if func in _SOFTMAX:
            self._keep(output)
        return output

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """In place of `scaled_dot_product_attention`; without dropout, as networks are in eval mode."""
        if enable_gqa:
            key, value = (each.repeat_interleave(query.shape[-3] // each.shape[-3], -3) for each in (key, value))
        if self.averaged:
            with torch.no_grad():
                self._keep(_weights(query, key, attn_mask, is_causal, scale))
            return functional.scaled_dot_product_attention(query, key, value, attn_mask, 0.0, is_causal, scale=scale)
        weights = _weights(query, key, attn_mask, is_causal, scale)
        self._keep(weights)
        return weights @ value

    def _keep(self, weights_bhnn: Tensor) -> None:
        if weights_bhnn.ndim != 4:
            return
        if not (self.averaged or weights_bhnn.requires_grad):
            weights_bhnn.requires_grad_(torch.is_grad_enabled())  # such as those of learnt queries and keys alone
        kept = weights_bhnn.detach().mean(1) if self.averaged else weights_bhnn
        self._bytes += kept.numel() * kept.element_size()
        if self._bytes > MOST_BYTES:
            raise _TooLargeToKeep
        self.attention.append(kept)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, scale: float | None) -> Tensor:
    """The weights of `scaled_dot_product_attention`, as its documentation spells them out."""
    logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if mask is not None:
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    return logits.softmax(-1)
