"""Takes units (channels, attention heads) out of a network: the same slices of every tensor that they occupy.

A unit of a group is what can be removed on its own: one channel with everything that writes and reads it. Where its
slices are is found elsewhere (`channel_groups`, `attention_heads`); here they are cut, or silenced for comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Cut:
    """Where the units of a group are in one tensor.

    Attributes:
        module: name of the module that owns the tensor.
        tensor: name of the parameter or buffer in it.
        dim: dimension that the units lie along.
        indices: of each unit along it; a unit may have none here.
        reads: the tensor multiplies what others wrote, so zeros here make the unit count for nothing.
    """

    module: str
    tensor: str
    dim: int
    indices: tuple[tuple[int, ...], ...]
    reads: bool = False


@dataclass(frozen=True)
class Count:
    """An attribute that says how many units there are.

    Attributes:
        module: name of the module that has it.
        attribute: its name.
        each: what one unit adds to it.
    """

    module: str
    attribute: str
    each: int


@dataclass(frozen=True)
class Group:
    """Units that can be removed, each from everything that is tied to it.

    Attributes:
        name: of the first layer that writes them.
        kind: `channels` of convolutions, `heads` of an attention, `mlp` for what lies between two linear layers.
        layers: names of all layers that write them.
        units: how many there are.
        width: channels of one unit.
        cuts: where they are.
        counts: attributes that count them, beside those of torch's own layers.
    """

    name: str
    kind: str
    layers: tuple[str, ...]
    units: int
    width: int
    cuts: tuple[Cut, ...]
    counts: tuple[Count, ...] = ()

    def after(self, removed: Iterable[int]) -> Group:
        """The group of the units that stay, once others were removed from it."""
        gone = set(removed)
        kept = [unit for unit in range(self.units) if unit not in gone]
        return replace(self, units=len(kept), cuts=tuple(_renumbered(cut, gone, kept) for cut in self.cuts))


Removal = tuple[Group, list[int]]
"""A group, and which of its units go."""


def remove(model: nn.Module, removals: Iterable[Removal]) -> nn.Module:
    """Cut units out, in place: tensors get smaller, and the attributes that repeat their sizes follow."""
    removals = list(removals)
    for (module_name, tensor_name, dim), gone in _slices(removals).items():
        module = model.get_submodule(module_name)
        tensor = getattr(module, tensor_name)
        kept = [index for index in range(tensor.shape[dim]) if index not in gone]
        smaller = tensor.detach().index_select(dim, torch.tensor(kept, dtype=torch.long, device=tensor.device))
        set_tensor(module, tensor_name, smaller)
        for attribute, size in sizes(module).items():
            setattr(module, attribute, size)
    for group, units in removals:
        for count in group.counts:
            module = model.get_submodule(count.module)
            setattr(module, count.attribute, getattr(module, count.attribute) - count.each * len(units))
    return model


def silence(model: nn.Module, removals: Iterable[Removal]) -> nn.Module:
    """Make units count for nothing, in place, by zeros where others read them; no shape changes."""
    with torch.no_grad():
        for (module, tensor, dim), gone in _slices(removals, reads=True).items():
            values = getattr(model.get_submodule(module), tensor)
            values.index_fill_(dim, torch.tensor(sorted(gone), device=values.device), 0)
    return model


def set_tensor(module: nn.Module, name: str, values: Tensor) -> None:
    """Put other values, of any shape, in the place of a parameter or buffer; what learned goes on to learn."""
    old = getattr(module, name)
    setattr(module, name, nn.Parameter(values, old.requires_grad) if isinstance(old, nn.Parameter) else values)


def sizes(module: nn.Module) -> Mapping[str, int]:
    """The attributes of torch's own layers that repeat the sizes of their tensors, as the tensors have them now."""
    if isinstance(module, nn.Linear):
        return {"in_features": module.weight.shape[1], "out_features": module.weight.shape[0]}
    if isinstance(module, CONVOLUTIONS):
        out, inside = module.weight.shape[:2]
        groups = out if is_depthwise(module) else module.groups
        return {"in_channels": inside * groups, "out_channels": out, "groups": groups}
    if isinstance(module, TRANSPOSED):
        return {"in_channels": module.weight.shape[0], "out_channels": module.weight.shape[1]}
    if isinstance(module, NORMS):
        return {"num_features": _length(module)}
    if isinstance(module, nn.PReLU):
        return {"num_parameters": module.weight.shape[0]}
    return {}


def is_depthwise(layer: nn.Module) -> bool:
    """Whether a convolution treats every channel by itself."""
    return bool(layer.groups > 1 and layer.weight.shape[1] == 1 and layer.in_channels == layer.out_channels)


def written(module: nn.Module) -> list[tuple[str, int]]:
    """The tensors of a layer, and the dimension of each, that a channel it gives lies along; empty for other layers."""
    if hasattr(module, "parametrizations"):  # its weight is computed from something else
        return []
    if isinstance(module, (nn.Linear, *CONVOLUTIONS)):
        return _present(module, {"weight": 0, "bias": 0})
    if isinstance(module, TRANSPOSED) and module.groups == 1:
        return _present(module, {"weight": 1, "bias": 0})
    if isinstance(module, NORMS):
        return _present(module, {"weight": 0, "bias": 0, "running_mean": 0, "running_var": 0})
    if isinstance(module, nn.PReLU) and module.num_parameters > 1:
        return [("weight", 0)]
    return []


def read(module: nn.Module) -> list[tuple[str, int]]:
    """The tensors of a layer that a channel it takes lies along, of those layers that mix channels."""
    if hasattr(module, "parametrizations"):
        return []
    if isinstance(module, (nn.Linear, *CONVOLUTIONS)) and getattr(module, "groups", 1) == 1:
        return [("weight", 1)]
    if isinstance(module, TRANSPOSED) and module.groups == 1:
        return [("weight", 0)]
    return []


def _slices(removals: Iterable[Removal], reads: bool | None = None) -> dict[tuple[str, str, int], set[int]]:
    """Indices that go, by tensor and dimension."""
    gone: dict[tuple[str, str, int], set[int]] = {}
    for group, units in removals:
        for cut in group.cuts:
            if reads is None or cut.reads == reads:
                places = gone.setdefault((cut.module, cut.tensor, cut.dim), set())
                places.update(index for unit in units for index in cut.indices[unit])
    return {place: indices for place, indices in gone.items() if indices}


def _renumbered(cut: Cut, gone: set[int], kept: list[int]) -> Cut:
    lost = sorted(index for unit in gone for index in cut.indices[unit])
    positions = torch.tensor(lost)
    indices = tuple(
        tuple(index - int(torch.searchsorted(positions, index)) for index in cut.indices[unit]) for unit in kept
    )
    return replace(cut, indices=indices)


def _present(module: nn.Module, dims: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, dim) for name, dim in dims.items() if getattr(module, name, None) is not None]


def _length(norm: nn.Module) -> int:
    return int(
        next(t for t in (norm.weight, norm.running_mean, torch.empty(norm.num_features)) if t is not None).shape[0]
    )
