"""Which plugins there are, and which of them may have the namespace that they claim."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

from zoo_registry import API_VERSION
from zoo_registry.names import BARE
from zoo_registry.plugin_record import OWN, PluginRecord, normalized

FAMILY_OF_GROUPS = "zoo.plugins."
GROUP = f"{FAMILY_OF_GROUPS}v{API_VERSION}"

Candidate = tuple[PluginRecord, str]
"""A plugin that is not loaded yet, and the group of its entry point."""


def installed() -> Iterator[Candidate]:
    """Every plugin of every installed distribution; one that is on the path twice counts where it is imported from.

    A distribution whose metadata cannot be read is refused, under the name of its folder.
    """
    seen = set()
    for distribution in distributions():
        try:
            found = _plugins_of(distribution)
        except Exception as error:  # half-installed packages raise what their broken files lead to
            folder = getattr(distribution, "_path", None)
            name = Path(folder).stem if folder else "unknown"
            record = PluginRecord(name, "", name, "", "refused")
            message = f"its metadata cannot be read: {type(error).__name__}: {error}"
            found = [
                (replace(record, problems=(record.problem(message, f"install it again, or remove {folder}"),)), GROUP)
            ]
        name = normalized(found[0][0].distribution) if found else ""
        if name not in seen:
            yield from found
            seen.add(name)


def _plugins_of(distribution: Distribution) -> list[Candidate]:
    # Reading the metadata of a distribution costs a millisecond, of all of them a tenth of a second.
    if FAMILY_OF_GROUPS not in (distribution.read_text("entry_points.txt") or ""):
        return []
    name, version = distribution.metadata["Name"], distribution.version
    if not (isinstance(name, str) and isinstance(version, str)):
        raise ValueError("it has no name or version")
    points = [point for point in distribution.entry_points if point.group.startswith(FAMILY_OF_GROUPS)]
    return [(PluginRecord(point.name, point.value, name, version, "loaded"), point.group) for point in points]


def given(points: Iterable[EntryPoint]) -> Iterator[Candidate]:
    """Every plugin among some entry points; those made by hand have no distribution."""
    for point in points:
        origin = point.dist
        name, version = (origin.metadata["Name"], origin.version) if origin else ("", "")
        if point.group.startswith(FAMILY_OF_GROUPS):
            yield PluginRecord(point.name, point.value, name, version, "loaded"), point.group


def settle(candidates: list[Candidate]) -> Iterator[PluginRecord]:
    """Refuse what speaks another API version, and claims on a namespace that collide; pass the rest on."""
    claims: dict[str, list[PluginRecord]] = defaultdict(list)
    for record, group in candidates:
        if group == GROUP and record.status == "loaded":
            claims[record.namespace].append(record)
    for record, group in candidates:
        if record.status != "loaded":
            yield record
            continue
        if group != GROUP:
            speaks_both = any(rival.distribution == record.distribution for rival in claims[record.namespace])
            if not speaks_both:
                yield _refused(record, *_other_version(record, group))
            continue
        fault = _namespace_fault(record, [rival for rival in claims[record.namespace] if rival is not record])
        yield _refused(record, *fault) if fault else record


def _other_version(record: PluginRecord, group: str) -> tuple[str, str]:
    """What is wrong with a plugin of another group, and what to do."""
    spoken = group.removeprefix(FAMILY_OF_GROUPS)
    number = re.fullmatch(r"v(\d+)", spoken)
    if number is None:
        return f"its entry point is in the group {group!r}", f"the group that this zoo reads is {GROUP!r}"
    newer = int(number[1]) > API_VERSION
    upgrade = OWN if newer else record.distribution or record.namespace
    return f"it speaks plugin API {spoken}, this zoo speaks v{API_VERSION}", f"pip install --upgrade {upgrade}"


def _namespace_fault(record: PluginRecord, rivals: list[PluginRecord]) -> tuple[str, str] | None:
    """Why a plugin may not have its namespace, and what to do; None when it may."""
    if not BARE.fullmatch(record.namespace):
        grammar = "a namespace is lower-case letters, digits and underscores, starting with a letter"
        return f"{record.namespace!r} cannot be a namespace", f"{grammar}; rename the entry point"
    others = {rival.distribution for rival in rivals}
    if not rivals or (record.is_own and not any(rival.is_own for rival in rivals)):
        return None
    if any(rival.is_own for rival in rivals) and not record.is_own:
        hint = f"rename its entry point, or pip uninstall {record.distribution}"
        return f"the namespace {record.namespace!r} belongs to {OWN}", hint
    if others == {record.distribution}:
        modules = ", ".join(sorted({record.module, *(rival.module for rival in rivals)}))
        return (
            f"its distribution declares {record.namespace!r} more than once: {modules}",
            "keep one of the entry points",
        )
    both = sorted({record.distribution, *others})
    message = f"the namespace {record.namespace!r} is claimed by {' and '.join(both)}; neither is loaded"
    return message, f"keep one: {' or '.join(f'pip uninstall {name}' for name in both)}"


def _refused(record: PluginRecord, message: str, hint: str) -> PluginRecord:
    return replace(record, status="refused", problems=(record.problem(message, hint),))
