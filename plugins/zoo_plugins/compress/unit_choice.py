"""Chooses which groups are pruned, and which of their units go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch

from zoo_plugins.compress.cuts import Group, Removal
from zoo_plugins.compress.prunable import Prunable
from zoo_plugins.compress.unit_importance import Scores
from zoo_registry.errors import ParameterError, Problem

LEAST = 0.1
"""What always stays of a group when all layers are ranked together, so that none is cut off."""


def select(found: Prunable, parts: Sequence[str], only: Sequence[str], skip: Sequence[str]) -> Prunable:
    """The groups that a user wants pruned.

    Args:
        found: what can be pruned.
        parts: kinds of groups.
        only: patterns of layers; none means all.
        skip: patterns of layers that stay as they are, with all that is tied to them.

    Raises:
        ParameterError: a pattern that matches no layer, or a layer that cannot be pruned or only together with others.
    """
    _complain_about_patterns(found, only, skip)
    kept, chosen = dict(found.kept), []
    for group in found.groups:
        skipped = [layer for layer in group.layers if _matches(layer, skip)]
        if group.kind not in parts:
            kept[group.layers] = f"they are {group.kind}, which `parts` leaves out"
        elif skipped and len(skipped) < len(group.layers):
            kept[group.layers] = f"they are tied to those of {skipped[0]}, which `skip` keeps"
        elif skipped:
            kept[group.layers] = "`skip` keeps them"
        elif only and not _matches(group.layers[0], only):
            kept[group.layers] = "`only` leaves them out"
        else:
            chosen.append(group)
    return Prunable(tuple(chosen), kept)


def choose(
    groups: Sequence[Group], scores: Scores, part: float, scope: str, round_to: int, units: Mapping[str, int]
) -> list[Removal]:
    """The least important units, such that a part of all that there were is gone.

    Args:
        groups: as they are now.
        scores: importance of their units.
        part: of the channels that there were at first, how many are gone afterwards; 0 to 1.
        scope: `layer` takes the same part of each group, `global` ranks the units of all.
        round_to: what stays of a group of channels is a multiple of this many, rounded up.
        units: how many there were at first, by the name of the group.
    """
    if scope == "layer":
        stay = {group.name: (1 - part) * units[group.name] for group in groups}
    else:
        stay = _ranked_together(groups, scores, part, units)
    removals = []
    for group in groups:
        multiple = round_to if group.width == 1 else 1
        count = multiple * max(1, math.ceil(round(stay[group.name] / multiple, 6)))
        lowest = scores[group.name].argsort(stable=True)
        removals.append((group, sorted(lowest[: max(0, group.units - count)].tolist())))
    return [(group, gone) for group, gone in removals if gone]


def _ranked_together(
    groups: Sequence[Group], scores: Scores, part: float, units: Mapping[str, int]
) -> dict[str, float]:
    """How many units stay of each group, if the least important channels of all groups go."""
    widths = torch.cat([torch.full((group.units,), float(group.width)) for group in groups])
    owner = torch.cat([torch.full((group.units,), place) for place, group in enumerate(groups)])
    order = torch.cat([scores[group.name] for group in groups]).argsort(stable=True)
    at_first = sum(units[group.name] * group.width for group in groups)
    quota = part * at_first - (at_first - float(widths.sum()))
    gone = order[widths[order].cumsum(0) <= quota + 1e-6]
    lost = torch.bincount(owner[gone], minlength=len(groups))
    return {
        group.name: max(group.units - int(lost[place]), LEAST * units[group.name]) for place, group in enumerate(groups)
    }


def _complain_about_patterns(found: Prunable, only: Sequence[str], skip: Sequence[str]) -> None:
    prunable = [layer for group in found.groups for layer in group.layers]
    kept = {layer: reason for layers, reason in found.kept.items() for layer in layers}
    problems = [
        Problem(f"{pattern!r} in `{name}` matches no layer", hint=f"a layer is called like {prunable[0]!r}")
        for name, patterns in (("only", only), ("skip", skip))
        for pattern in patterns
        if prunable and not any(fnmatchcase(layer, pattern) for layer in [*prunable, *kept])
    ]
    for pattern in only:
        matched = [layer for layer in kept if fnmatchcase(layer, pattern)]
        if matched and not any(fnmatchcase(layer, pattern) for layer in prunable):
            problems.append(Problem(f"the channels of {matched[0]} cannot be pruned: {kept[matched[0]]}"))
    for group in found.groups:
        asked = [layer for layer in group.layers if _matches(layer, only)]
        if asked and len(asked) < len(group.layers):
            others = ", ".join(layer for layer in group.layers if layer not in asked)
            problems.append(
                Problem(
                    f"the channels of {asked[0]} are tied to those of {others}: they can only go together",
                    hint="name all of them in `only`, or none",
                )
            )
    if problems:
        raise ParameterError(problems)


def _matches(layer: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer, pattern) for pattern in patterns)
