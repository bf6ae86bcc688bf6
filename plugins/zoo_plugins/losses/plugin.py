"""Losses: what a prediction is compared with during training."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Loss, hookimpl


@hookimpl
def zoo_losses() -> Iterable[Loss]:
    """The losses of this project."""
    return [
        Loss(
            "cross_entropy",
            builder="zoo_plugins.losses.cross_entropy:cross_entropy",
            summary="Softmax cross-entropy with class indices or probabilities; label smoothing and class weights.",
            source="label smoothing: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567",
            licence="apache-2.0",
        ),
        Loss(
            "mse",
            builder="zoo_plugins.losses.mse:mse",
            summary="Mean squared difference of two tensors of one shape.",
            licence="apache-2.0",
        ),
    ]
