"""Observers: what watches a run besides the log, the report and TensorBoard's curves."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Observer, hookimpl


@hookimpl
def zoo_observers() -> Iterable[Observer]:
    """The observers of this project."""
    return [
        Observer(
            "tensorboard_pictures",
            builder="zoo_plugins.observers.tensorboard_pictures:tensorboard_pictures",
            summary="Pictures of augmented training clips in TensorBoard, of the first batch of every epoch.",
            licence="apache-2.0",
        ),
        Observer(
            "histograms",
            builder="zoo_plugins.observers.histograms:histograms",
            summary="Histograms of weights, and on request of gradients, in TensorBoard.",
            licence="apache-2.0",
        ),
    ]
