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
            "binary_cross_entropy",
            builder="zoo_plugins.losses.binary_cross_entropy:binary_cross_entropy",
            summary="Sigmoid cross-entropy of logits, every class by itself: several labels a clip.",
            licence="apache-2.0",
        ),
        Loss(
            "l1",
            builder="zoo_plugins.losses.l1:l1",
            summary="Mean absolute difference of two tensors of one shape.",
            licence="apache-2.0",
        ),
        Loss(
            "smooth_l1",
            builder="zoo_plugins.losses.l1:smooth_l1",
            summary="Mean absolute difference, squared where it is small.",
            source="Girshick 2015, https://arxiv.org/abs/1504.08083, equation 3",
            licence="apache-2.0",
        ),
        Loss(
            "mse",
            builder="zoo_plugins.losses.mse:mse",
            summary="Mean squared difference of two tensors of one shape.",
            licence="apache-2.0",
        ),
    ]
