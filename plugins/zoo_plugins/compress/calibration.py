"""Watches the inputs of layers while a model runs, and says what range of values int8 should cover for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_plugins.compress.answers import answers
from zoo_plugins.compress.nvidia import HistogramCalibrator, MaxCalibrator
from zoo_registry.errors import RunError

Method = Literal["max", "percentile", "entropy", "mse"]

SMALLEST_RANGE = 2.0**-24  # what a tensor of zeros gets, so that its scale can be divided by
ENTROPY_STRIDE = (
    8  # the library tries range after range in Python: seconds a layer, minutes a model, if every bin counts
)
_NARROWEST = 0.05  # of the largest value: the narrowest range that `mse` tries
_RANGES = 191  # how many it tries, half a percent apart


@dataclass(frozen=True)
class InputRange:
    """What flowed into a layer.

    Attributes:
        amax: the absolute value that becomes the last step; a positive scalar.
        signed: whether anything was below zero.
    """

    amax: Tensor
    signed: bool


@dataclass
class InputWatch:
    """Collects what flows into one layer, as a forward pre-hook.

    Args:
        method: how the range is chosen, see `input_ranges`.
        percentile: in percent, for the method of that name.
    """

    method: Method
    percentile: float
    largest: Tensor | None = field(default=None, init=False)
    signed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        kind = MaxCalibrator if self.method == "max" else HistogramCalibrator
        self.calibrator = kind(num_bits=8, axis=None, unsigned=False)

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Take in one input of the layer."""
        values = (args[0] if args else kwargs["input"]).detach().float()
        largest = values.abs().amax()
        self.largest = largest if self.largest is None else torch.maximum(self.largest, largest)
        self.signed = self.signed or bool(values.amin() < 0)
        if largest > 0 and torch.isfinite(largest):  # a histogram can start from neither zeros nor infinities
            self.calibrator.collect(values)

    def range(self, unsigned: bool = True) -> InputRange:
        """The range to round within.

        Args:
            unsigned: whether a range without negative values gets all 256 steps.

        Raises:
            RunError: something infinite or NaN flowed in.
        """
        assert self.largest is not None, "asked for the range of a layer that was never called"
        if not torch.isfinite(self.largest):
            raise RunError("calibration data made a layer's input infinite or NaN")
        signed = self.signed or not unsigned
        amax = self.largest
        if amax > 0:
            found = self._found(steps=127 if signed else 255)
            # A percentile that falls into the histogram's first bin is reported as zero, which would erase everything.
            amax = found.float().reshape(()).to(amax.device) if found > 0 else amax
        return InputRange(amax.clamp(min=SMALLEST_RANGE), signed)

    def _found(self, steps: int) -> Tensor:
        found: Tensor
        if self.method == "max":
            found = self.calibrator.compute_amax()
        elif self.method == "percentile":
            found = self.calibrator.compute_amax("percentile", percentile=self.percentile)
        elif self.method == "entropy":
            self.calibrator._unsigned = steps == 255
            # A range of fewer bins than steps loses nothing of the histogram: it would always win.
            found = self.calibrator.compute_amax("entropy", stride=ENTROPY_STRIDE, start_bin=steps + 1)
        else:
            counts = torch.as_tensor(self.calibrator._calib_hist)
            first, second = (float(edge) for edge in self.calibrator._calib_bin_edges[:2])
            # The library's own edges may be one too many after the histogram has grown, by a rounding.
            edges = torch.arange(len(counts) + 1, dtype=torch.float64) * (second - first)
            found = least_error(counts, edges, steps)
        return found


def least_error(counts: Tensor, edges: Tensor, steps: int) -> Tensor:
    """The range whose rounding and clipping together make the least mean squared error.

    The library has this too, but on a GPU only. Wu et al. 2020, section 5, call the choice by error "MSE".

    Args:
        counts: (n,) how many absolute values lie in each bin of a histogram.
        edges: (n + 1,) its edges, from zero.
        steps: steps from zero to the range.

    Example:
        >>> least_error(torch.tensor([0.0, 100.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), steps=1)
        tensor(1.5000)
    """
    centres = ((edges[1:] + edges[:-1]) / 2).double()
    weights = counts.double()
    ranges = edges[-1].double() * torch.linspace(_NARROWEST, 1, _RANGES, dtype=torch.float64)
    errors = [
        ((centres / scale).round().clamp(max=steps).mul(scale).sub(centres).square() * weights).sum()
        for scale in ranges / steps
    ]
    return ranges[int(torch.stack(errors).argmin())].float()


def input_ranges(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    batches: Iterable[tuple[Tensor, ...]],
    method: Method,
    percentile: float,
    unsigned: bool = True,
) -> dict[str, InputRange]:
    """Ranges of the inputs of those layers that are called when the model runs; a layer may be used by its weight only.

    Args:
        model: in eval mode.
        layers: the layers to watch, by name.
        batches: inputs of the model.
        method: the largest value (`max`); a `percentile` of the absolute values; the range that keeps most information
            (`entropy`, Kullback-Leibler); or the one of the least squared error (`mse`).
        percentile: in percent, for the method of that name.
        unsigned: whether inputs without negative values get all 256 steps.

    Returns:
        By name, in the order of `layers`, each on its layer's device.

    Raises:
        RunError: there was no batch, or the model cannot take one, or one made an input infinite or NaN.
    """
    watches = {name: InputWatch(method, percentile) for name in layers}
    handles = [layer.register_forward_pre_hook(watches[name], with_kwargs=True) for name, layer in layers.items()]
    try:
        for _ in answers(model, batches):
            pass
    finally:
        for handle in handles:
            handle.remove()
    return {name: watch.range(unsigned) for name, watch in watches.items() if watch.largest is not None}
