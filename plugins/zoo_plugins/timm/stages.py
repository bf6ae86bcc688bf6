"""The stages of a timm backbone, read from what timm says about it: its feature levels and its layer groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from timm.models import group_parameters
from torch import nn

from zoo_registry.protocols import Stage

_MISNAMED = {"block.": ("stages.", "blocks.")}
"""timm's levels of MViTv2 and Twins name modules that they once had."""


@dataclass(frozen=True)
class Level:
    """A map that a backbone gives on its way.

    Attributes:
        index: its number in timm's `forward_intermediates`.
        module: name of the module that gives it.
        channels: C.
        reduction: how many pixels of the picture lie along one cell.
    """

    index: int
    module: str
    channels: int
    reduction: int


def backbone_stages(backbone: nn.Module, prefix: str = "backbone.") -> tuple[Stage, ...]:
    """The parts of a backbone in the order of its forward pass.

    The first map that timm offers ends the stem, unless layers come before the part that gives it; every further one
    ends a stage. Backbones whose maps do not follow one another, such as two branches of different patches, have
    stages without maps.

    Args:
        backbone: a timm model.
        prefix: of its parameters' names in the network.

    Returns:
        `stem`, then `stage1`, ... or, where all maps are of one size, `block1`, ...; last `head`, with what follows the
        last map.

    Example:
        >>> import timm
        >>> [(stage.name, stage.stride) for stage in backbone_stages(timm.create_model("resnet18", num_classes=0))]
        ... # doctest: +NORMALIZE_WHITESPACE
        [('stem', (1, 2, 2)), ('stage1', (1, 4, 4)), ('stage2', (1, 8, 8)), ('stage3', (1, 16, 16)),
         ('stage4', (1, 32, 32)), ('head', None)]
    """
    layers = _layers(backbone)
    levels = feature_levels(backbone)
    ends = _ends(backbone, layers, levels)
    parts = _with_maps(backbone, layers, levels, ends) if ends else _without_maps(layers)
    return tuple(replace(part, layers=_shortest(backbone, part.layers, prefix)) for part in parts)


def feature_levels(backbone: nn.Module) -> list[Level]:
    """The maps that timm offers; none where they cannot be told apart by the modules that give them."""
    known = dict(backbone.named_modules())
    levels = []
    for index, info in enumerate(_feature_info(backbone)):
        module = _todays_name(info["module"], known)
        if module:
            levels.append(Level(index, module, info["num_chs"], info["reduction"]))
        elif info["module"]:
            return []
    return levels if len({level.module for level in levels}) == len(levels) else []


def _feature_info(backbone: nn.Module) -> Sequence[dict[str, Any]]:
    """What timm itself says of them; empty where there is none."""
    if not hasattr(backbone, "forward_intermediates"):
        return ()
    info = getattr(backbone, "feature_info", ())
    return getattr(info, "info", info)


def _todays_name(module: str, known: Collection[str]) -> str | None:
    """The module's name in the installed timm, None where it has none (or the level is the whole network)."""
    candidates = [module, *(new + module.removeprefix(old) for old, names in _MISNAMED.items() for new in names)]
    return next((name for name in candidates if name and name in known), None)


def _layers(backbone: nn.Module) -> list[list[str]]:
    """The names of the parameters, by layer, in order: as timm groups them for layer-wise learning rates."""
    if hasattr(backbone, "group_matcher"):
        groups = group_parameters(backbone, backbone.group_matcher(coarse=False))
        return [groups[number] for number in sorted(groups)]
    by_block: dict[str, list[str]] = defaultdict(list)
    for name, _ in backbone.named_parameters():
        block = re.match(r"[^.]+\.\d+(?:\.blocks\.\d+)?|[^.]+", name)
        by_block[block[0] if block else name].append(name)
    return list(by_block.values())


def _ends(backbone: nn.Module, layers: list[list[str]], levels: list[Level]) -> list[int]:
    """For every level the number of the first layer after it; empty where the levels are not in order."""
    layer_of = {name: number for number, layer in enumerate(layers) for name in layer}
    place = {name: number for number, (name, _) in enumerate(backbone.named_modules())}
    ends = []
    for level in levels:
        inside = [layer for name, layer in layer_of.items() if _within(name, level.module)]
        # A level such as an activation has no parameters: it comes after those that were registered before it.
        before = [layer for name, layer in layer_of.items() if place[name.rpartition(".")[0]] < place[level.module]]
        ends.append(1 + max(inside or before, default=-1))
    return ends if ends == sorted(ends) else []


def _with_maps(backbone: nn.Module, layers: list[list[str]], levels: list[Level], ends: list[int]) -> Iterator[Stage]:
    has_parameters = any(_within(name, levels[0].module) for name, _ in backbone.named_parameters())
    before = next((n for n, layer in enumerate(layers) if any(_within(name, levels[0].module) for name in layer)), 0)
    start = before if has_parameters else 0
    if start:
        yield Stage("stem", _frozen(layers[:start]))
    word = "block" if len({(level.channels, level.reduction) for level in levels}) == 1 else "stage"
    first = 1 if start else 0
    for number, (level, end) in enumerate(zip(levels, ends, strict=True), start=first):
        stride = (1, level.reduction, level.reduction)
        name = f"{word}{number}" if number else "stem"
        yield Stage(name, _frozen(layers[start:end]), level.channels, stride)
        start = end
    yield Stage("head", _frozen(layers[start:]))


def _without_maps(layers: list[list[str]]) -> Iterator[Stage]:
    yield Stage("stem", _frozen(layers[:1]))
    for number, layer in enumerate(layers[1:], start=1):
        yield Stage(f"block{number}", _frozen([layer]))
    yield Stage("head", ())


def _shortest(backbone: nn.Module, layers: tuple[tuple[str, ...], ...], prefix: str) -> tuple[tuple[str, ...], ...]:
    """The same layers, with modules named instead of all of their parameters where that says the same."""
    return tuple(tuple(prefix + name for name in _covering(backbone, "", set(layer))) for layer in layers)


def _covering(module: nn.Module, name: str, wanted: set[str]) -> Iterator[str]:
    """The fewest submodules and parameters of a module that hold exactly the wanted parameters."""
    dot = f"{name}." if name else ""
    own = [dot + parameter for parameter, _ in module.named_parameters()]
    if name and own and wanted.issuperset(own):
        yield name
        return
    if wanted.isdisjoint(own):
        return
    yield from (dot + key for key, _ in module.named_parameters(recurse=False) if dot + key in wanted)
    for child_name, child in module.named_children():
        yield from _covering(child, dot + child_name, wanted)


def _within(name: str, module: str) -> bool:
    return name.startswith(f"{module}.")


def _frozen(layers: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, layers))
