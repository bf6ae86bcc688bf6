"""Grad-CAM over space and time."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from zoo.explanation.question import Question, Unsuitable
from zoo.explanation.stage_outputs import pass_through


def grad_cam(question: Question) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2), its mean taken over time as well as over space.

    The map is that of the network's last stage; where the answer does not hang on that, as on the patches of a last
    block whose class token is classified, of the last stage on which it does.

    Args:
        question: what is asked.

    Returns:
        (T', H', W'), how much each cell speaks for the label, not below 0.

    Raises:
        Unsuitable: the network has no stages.

    Source:
        https://arxiv.org/abs/1610.02391
    """
    return _weighted_sum(question, lambda _activation_cthw, gradient_cthw: gradient_cthw.mean((1, 2, 3)))


def grad_cam_plus_plus(question: Question) -> Tensor:
    """Grad-CAM++ (Chattopadhay et al. 2018, equations 9 and 19): several things that show the label count each.

    Args, returns and raises as `grad_cam`.

    Source:
        https://arxiv.org/abs/1710.11063
    """
    return _weighted_sum(question, _plus_plus)


def _plus_plus(activation_cthw: Tensor, gradient_cthw: Tensor) -> Tensor:
    activation_cthw, gradient_cthw = activation_cthw.double(), gradient_cthw.double()  # third powers of small numbers
    squared_cthw, cubed_cthw = gradient_cthw.square(), gradient_cthw.pow(3)
    below_cthw = 2 * squared_cthw + activation_cthw.sum((1, 2, 3), keepdim=True) * cubed_cthw
    share_cthw = torch.where(below_cthw == 0, 0, squared_cthw / torch.where(below_cthw == 0, 1, below_cthw))
    return (share_cthw * gradient_cthw.clamp(min=0)).sum((1, 2, 3)).float()


def _weighted_sum(question: Question, weigh: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The channels of the last stage's map, each by its weight."""
    gone = pass_through(question)
    for output in gone.outputs:
        (gradient,) = torch.autograd.grad(gone.answer, output.raw, retain_graph=True, allow_unused=True)
        if gradient is not None and (gradient_cthw := output.on_map(gradient)).any():
            activation_cthw = output.on_map(output.raw.detach())
            weight_c = weigh(activation_cthw, gradient_cthw)
            return _what_speaks_for_it(question, torch.einsum("c,cthw->thw", weight_c, activation_cthw))
    raise Unsuitable(f"{question.name} has no stage whose map its answer hangs on")


def _what_speaks_for_it(question: Question, sum_thw: Tensor) -> Tensor:
    if (sum_thw > 0).any():
        return sum_thw.clamp(min=0)
    warnings.warn(
        f"nothing in this clip speaks for the label in the eyes of {question.name}: shown is where least speaks "
        "against it",
        stacklevel=2,
    )
    return sum_thw - sum_thw.min()
