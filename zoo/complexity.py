"""What a network costs: parameters, multiply-adds and activations. Counted on tensors without memory, so in no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from zoo_registry.errors import PluginError

if TYPE_CHECKING:
    from torch.nn import Module

    from zoo_registry.catalog import Listed

_LAYERS = frozenset({"convolution", "_convolution", "addmm", "mm", "bmm", "linear", "baddbmm"})
"""Operators of convolutions and linear layers."""

_COUNTED_AS = {torch.ops.aten._int_mm: torch.ops.aten.mm}
"""Operators that torch's counter does not know, and those that do as much."""

OF_NATIVE = (256, 256)
"""Height and width of the film whose cost is told where a model takes films as large as they are."""


@dataclass(frozen=True)
class Complexity:
    """What one forward pass over one sample costs.

    Attributes:
        parameters: how many numbers the network learned.
        gmacs: billions of multiply-adds, of convolutions, linear layers and attention.
        activations: numbers that convolutions and linear layers give, which is what memory and time follow more than
            multiply-adds (Dollár et al. 2021, "Fast and Accurate Model Scaling").
    """

    parameters: int
    gmacs: float
    activations: int


def complexity(module: Module, example: Sequence[Tensor]) -> Complexity:
    """Count what one forward pass costs.

    Args:
        module: any network; its mode is left as it was.
        example: inputs of one sample, on its device; the meta device does.

    Example:
        >>> layer = torch.nn.Conv3d(3, 8, 3, padding=1, device="meta")
        >>> cost = complexity(layer, (torch.zeros(1, 3, 4, 16, 16, device="meta"),))
        >>> cost.parameters, round(cost.gmacs * 1e9), cost.activations    # 8 x 4 x 16 x 16 numbers of 3 x 27 products
        (656, 663552, 8192)
    """
    training = module.training
    module.eval()
    try:
        with torch.no_grad(), _Counter() as counter:
            module(*example)
    finally:
        module.train(training)
    return Complexity(parameter_counts(module)[0], counter.flops / 2e9, counter.activations)


def parameter_counts(module: Module) -> tuple[int, int]:
    """How many numbers a network learned, and how many of them are not zero.

    A weight that is computed from others, such as one that is looked up in a table of shared values, counts as what it
    is: sharing makes files smaller, not networks.

    Example:
        >>> parameter_counts(torch.nn.Linear(3, 2))[0]
        8
    """
    weights: dict[int, Tensor] = {}
    made_of: set[int] = set()
    for part in module.modules():
        if is_parametrized(part):
            for name, chain in part.parametrizations.items():  # type: ignore[union-attr, operator]
                made_of |= {id(original) for original in chain.parameters()}
                with torch.no_grad():
                    weights[id(chain)] = getattr(part, name)
    weights |= {id(each): each for each in module.parameters() if id(each) not in made_of}
    numbers = sum(weight.numel() for weight in weights.values())
    return numbers, sum(0 if weight.is_meta else int(weight.count_nonzero()) for weight in weights.values())


def without_memory(listed: Listed, num_classes: int = 400) -> tuple[Module, tuple[Tensor, ...]]:
    """A model of the catalogue and inputs of one sample at its own clip spec, both on the meta device.

    Of a model that takes films as large as they are, a sample is a clip of 256 x 256 pixels.

    Raises:
        MissingExtra: packages that the model wants are not installed.
        PluginError: it cannot be built without memory, or takes something that no spec describes.
    """
    from zoo.build import build

    entry = listed.model
    provided = {
        "num_classes": num_classes, "labels": (), "inputs": entry.inputs, "clip": entry.clip, "audio": entry.audio,
    }  # fmt: skip
    with torch.device("meta"):
        return build(listed, {}, provided, load_weights=lambda *_: None), _inputs(listed)


def _inputs(listed: Listed) -> tuple[Tensor, ...]:
    """Inputs of one sample as the entry's clip and audio specs say, on the device in force."""
    entry = listed.model

    def empty(key: str) -> Tensor:
        if key.endswith("_bcthw") and entry.clip is not None:
            size = OF_NATIVE if entry.clip.native else entry.clip.height_width
            return torch.empty(1, len(entry.clip.mean), entry.clip.frames, *size)
        if key.endswith("_bcn") and entry.audio is not None:
            return torch.empty(1, entry.audio.channels, entry.audio.samples)
        raise PluginError(f"{listed.name} takes {key}, whose shape its clip and audio specs do not say")

    return tuple(map(empty, entry.inputs))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up, operator by operator, what torch's own counter of operations says, and the sizes of what layers give.

    `torch.utils.flop_counter.FlopCounterMode` does the former too, but its hooks on modules fail on some networks.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.activations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        operator = _COUNTED_AS.get(func.overloadpacket, func.overloadpacket)
        if operator in flop_registry:
            self.flops += flop_registry[operator](*args, **(kwargs or {}), out_val=result)
        if operator.__name__ in _LAYERS:
            self.activations += result.numel()
        return result
