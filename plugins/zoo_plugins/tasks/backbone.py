"""Features of any recognition model: what comes before its head, averaged over the clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch, StagedNetwork


def check_staged(model: Module, task: str) -> None:
    """See that a model tells its features from its head.

    Args:
        model: the recipe's, or a teacher.
        task: its name, for the message.

    Raises:
        RecipeError: it has no stages.
    """
    if not isinstance(model, StagedNetwork):
        raise RecipeError(
            f"the {task} task wants features, and a {type(model).__name__} does not tell its features from its head",
            hint="take a recognition model with stages (`zoo show NAME` draws them), such as video/slow_r50; "
            "a plugin's author adds them, see zoo_registry.protocols.StagedNetwork",
        )


def pooled(features: Tensor) -> Tensor:
    """The mean (B, C) of a map (B, C, T', H', W') over its cells, or of tokens (B, N, C), in float32.

    Example:
        >>> pooled(torch.ones(2, 8, 4, 7, 7)).shape, pooled(torch.ones(2, 196, 8)).shape
        (torch.Size([2, 8]), torch.Size([2, 8]))
    """
    return features.float().mean((2, 3, 4) if features.ndim == 5 else 1)


def features_of(model: Any, inputs: Sequence[Tensor], task: str) -> Tensor:
    """Features (B, C) of clips by a model, a compressed one, or what `zoo.load` gives.

    Raises:
        RecipeError: it has none, as an exported file.
    """
    if not hasattr(model, "forward_features"):
        raise RecipeError(
            f"the {task} task reads features, and a {type(model).__name__} gives only what its head says",
            hint="export the model when it was fine-tuned: leave `export` out of this recipe",
        )
    return pooled(model.forward_features(*inputs))


def width_of_features(model: Module, clip_cthw: Sequence[int], task: str) -> int:
    """C of the features of a model; found without computing.

    Args:
        model: a `StagedNetwork` that takes a clip.
        clip_cthw: shape of the clip.
        task: its name, for the message.

    Raises:
        RecipeError: the model refuses such a clip.
    """
    call: Any = model.forward_features
    try:
        return shape_of(model, lambda clip_bcthw: pooled(call(clip_bcthw)), clip_cthw)[1]
    except Exception as error:  # whatever a model raises where a clip does not suit it
        shape = f"{clip_cthw[1]} frames of {clip_cthw[2]}x{clip_cthw[3]}"
        raise RecipeError(
            f"the {task} task shows the {type(model).__name__} clips of {shape}, which it does not take: {error}",
            hint="change data.clip, or take another model",
        ) from error


def shape_of(model: Module, call: Callable[[Tensor], Tensor], clip_cthw: Sequence[int]) -> tuple[int, ...]:
    """The shape of what a model gives for one clip in eval mode; found without computing.

    Args:
        model: left as it is.
        call: of the model, such as itself.
        clip_cthw: shape of the clip.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    training = [part for part in model.modules() if part.training]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
            model.eval()
            return tuple(call(torch.empty(1, *clip_cthw, device=device)).shape)
    finally:
        for part in training:
            part.training = True


def body_parameters(model: Module) -> list[Parameter]:
    """What of a `StagedNetwork` takes gradients and comes before its head."""
    of_head = [name for layer in model.stages()[-1].layers for name in layer]  # type: ignore[operator]
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not any(f"{name}.".startswith(f"{part}.") for part in of_head)
    ]


def learning(module: Module) -> list[Parameter]:
    """Parameters that take gradients."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def inputs_of(batch: Batch, names: Sequence[str]) -> list[Tensor]:
    """What the model takes of a batch, in its order."""
    return [batch.inputs[name] for name in names]
