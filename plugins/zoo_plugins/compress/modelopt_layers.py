"""Quantised layers of NVIDIA's modelopt, made one by one, without what the library keeps to restore a model by pickle.

Import this module only when something is quantised: the import takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any, Literal

from torch import Tensor, nn

from zoo_plugins.compress.folding import computes_like

Format = Literal["int8", "fp8"]

LAYERS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_BITS: dict[str, Any] = {"int8": 8, "fp8": (4, 3)}  # fp8: bits of exponent and mantissa


def kind_of(layer: nn.Module) -> type[nn.Module] | None:
    """The layer of torch that this one computes the same as, if it can be quantised."""
    return next((kind for kind in LAYERS if computes_like(layer, kind)), None)


def weight_range_shape(weight: Tensor, format: Format) -> list[int]:
    """Shape of the range of a weight: one per output channel in int8, one of all in fp8."""
    return [len(weight), *[1] * (weight.dim() - 1)] if format == "int8" else []


def quantise(layer: Any, input_amax: Tensor, weight_amax: Tensor, format: Format, *, signed: bool) -> None:
    """Make a layer a quantised one of the library, in place; its weight and bias stay its own."""
    with _quiet():
        from modelopt.torch.quantization.nn import QuantModuleRegistry
    registry: Any = QuantModuleRegistry
    if type(layer) not in registry:  # a subclass that computes the same
        layer.__class__ = kind_of(layer)
    registry.convert(layer)
    layer.output_quantizer.disable()
    axis = 0 if format == "int8" else None
    for quantiser, amax, attributes in (
        (layer.input_quantizer, input_amax, {"axis": None, "unsigned": not signed and format == "int8"}),
        (layer.weight_quantizer, weight_amax, {"axis": axis}),
    ):
        quantiser.set_from_attribute_config({"num_bits": _BITS[format], **attributes})
        quantiser.amax = amax


def switch(layer: Any, on: bool) -> None:
    """Round in a quantised layer, or let it compute in float."""
    for quantiser in (layer.input_quantizer, layer.weight_quantizer):
        quantiser.enable() if on else quantiser.disable()


def plain(layer: Any) -> nn.Module:
    """A quantised layer as the layer of torch that it was."""
    exported: nn.Module = layer.export()
    return exported


@contextlib.contextmanager
def _quiet() -> Any:
    """The library tells at its import what it thinks of the machine and of other libraries."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    root.handlers[:] = handlers
    root.setLevel(level)
