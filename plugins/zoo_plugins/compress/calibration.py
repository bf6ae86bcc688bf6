"""Watches the inputs of layers while a model runs, and says what range of values int8 should cover for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.nvidia import HistogramCalibrator, MaxCalibrator
from zoo_registry.errors import RunError

SMALLEST_RANGE = 2.0**-24  # what a tensor of zeros gets, so that its scale can be divided by
ENTROPY_STRIDE = (
    8  # the library tries range after range in Python: seconds a layer, minutes a model, if every bin counts
)


@dataclass
class InputWatch:
    """Collects what flows into one layer, as a forward pre-hook.

    Args:
        method: `max`, `percentile` or `entropy`.
        percentile: in percent, for the method of that name.
    """

    method: Literal["max", "percentile", "entropy"]
    percentile: float
    largest: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        kind = MaxCalibrator if self.method == "max" else HistogramCalibrator
        self.calibrator = kind(num_bits=8, axis=None, unsigned=False)

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Take in one input of the layer."""
        values = (args[0] if args else kwargs["input"]).detach().float()
        largest = values.abs().amax()
        self.largest = largest if self.largest is None else torch.maximum(self.largest, largest)
        if largest > 0 and torch.isfinite(largest):  # a histogram can start from neither zeros nor infinities
            self.calibrator.collect(values)

    def range(self) -> Tensor:
        """The absolute value that becomes 127; a positive scalar.

        Raises:
            RunError: something infinite or NaN flowed in.
        """
        assert self.largest is not None, "asked for the range of a layer that was never called"
        if not torch.isfinite(self.largest):
            raise RunError("calibration data made a layer's input infinite or NaN")
        amax = self.largest
        if amax > 0:
            found = self.calibrator.compute_amax(*self._arguments()[0], **self._arguments()[1])
            # A percentile that falls into the histogram's first bin is reported as zero, which would erase everything.
            amax = found.float().reshape(()).to(amax.device) if found > 0 else amax
        return amax.clamp(min=SMALLEST_RANGE)

    def _arguments(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        if self.method == "max":
            return (), {}
        options = {"percentile": self.percentile} if self.method == "percentile" else {"stride": ENTROPY_STRIDE}
        return (self.method,), options


def input_ranges(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    batches: Iterable[tuple[Tensor, ...]],
    method: Any,
    percentile: float,
) -> dict[str, Tensor]:
    """Ranges of the inputs of those layers that are called when the model runs; a layer may be used by its weight only.

    Args:
        model: in eval mode.
        layers: the layers to watch, by name.
        batches: inputs of the model.
        method: see `InputWatch`.
        percentile: see `InputWatch`.

    Returns:
        Positive scalars by name, in the order of `layers`, each on its layer's device.

    Raises:
        RunError: there was no batch, or one made an input infinite or NaN.
    """
    watches = {name: InputWatch(method, percentile) for name in layers}
    handles = [layer.register_forward_pre_hook(watches[name], with_kwargs=True) for name, layer in layers.items()]
    seen = 0
    try:
        for inputs in batches:
            model(*inputs)
            seen += 1
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        raise RunError("there was no batch to calibrate on", hint="give the recipe training data (`data.train`)")
    return {name: watch.range() for name, watch in watches.items() if watch.largest is not None}
