"""The ways of explaining, by name, and which of them a network allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.explanation.attention import attention_rollout, gradient_rollout
from zoo.explanation.grad_cam import grad_cam, grad_cam_plus_plus
from zoo.explanation.integrated_gradients import integrated_gradients
from zoo.explanation.occlusion import occlusion
from zoo.explanation.question import Question, Unsuitable
from zoo_registry.errors import ParameterError
from zoo_registry.names import nearest

Method = Callable[[Question], Tensor]
"""From a question to a map (T', H', W') that is large where the answer comes from."""

METHODS: Mapping[str, Method] = {
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": grad_cam_plus_plus,
    "gradient_rollout": gradient_rollout,
    "attention_rollout": attention_rollout,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
}
"""Every way."""

AUTO = ("gradient_rollout", "grad_cam", "occlusion")
"""What `auto` tries, in this order: the first that the network allows."""


def explained(question: Question, method: str) -> tuple[Tensor, str]:
    """The map of a method on the clip, and the method's name.

    Args:
        question: what is asked.
        method: one of `METHODS`, or `auto`.

    Returns:
        (T, H, W) of the clip in 0..1, 0 everywhere where no place is more than another, and the name.

    Raises:
        ParameterError: no such method, or the network does not allow it.
    """
    if method == "auto":
        for name in AUTO:
            try:
                return _asked(name, question), name
            except Unsuitable:
                continue
    check_method(method)
    try:
        return _asked(method, question), method
    except Unsuitable as error:
        others = ", ".join(name for name in suitable(question) if name != method)
        raise ParameterError(
            f"{method} does not work here: {error.problems[0].message}", hint=f"these do: {others}"
        ) from error


def check_method(method: str) -> None:
    """See that there is such a method.

    Raises:
        ParameterError: there is not.
    """
    if method not in ("auto", *METHODS):
        near = nearest(method, ["auto", *METHODS])
        raise ParameterError(
            f"there is no method {method!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else f"auto, {', '.join(METHODS)}",
        )


def suitable(question: Question) -> list[str]:
    """The methods that a network allows; roll-out is tried."""
    names = ["occlusion"]
    try:
        question.module()
        names.insert(0, "integrated_gradients")
        question.in_stages()
        names[:0] = ["grad_cam", "grad_cam_plus_plus"]
        gradient_rollout(question)
        names[:0] = ["gradient_rollout", "attention_rollout"]
    except Unsuitable:
        pass
    return names


def _asked(method: str, question: Question) -> Tensor:
    """A method's coarse map in the clip's frames and pixels, from 0 to 1.

    Raises:
        Unsuitable: the network does not allow the method, or what comes out is not finite.
    """
    map_thw = METHODS[method](question)
    if not map_thw.isfinite().all():  # such as gradients of rounded weights where a clip is all one colour
        raise Unsuitable(f"the gradients of {question.name} are not finite on this clip")
    size = tuple(question.clip_bcthw.shape[2:])
    fine_thw = interpolate(map_thw[None, None].float(), size=size, mode="trilinear", align_corners=False)[0, 0]
    low, high = fine_thw.min(), fine_thw.max()
    return ((fine_thw - low) / (high - low)).clamp(0, 1) if high > low else torch.zeros_like(fine_thw)
