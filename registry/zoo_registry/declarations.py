"""Asks plugins for their entries of one kind, and keeps the good ones.

What a plugin does wrong is a problem attributed to it; its other entries, and everybody else's, stay.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace

from zoo_registry.entries import Entry, Family
from zoo_registry.entry_rules import ENTRY_OF_KIND, family_faults, faults
from zoo_registry.errors import Problem
from zoo_registry.families import expand
from zoo_registry.hookspecs import HOOKS
from zoo_registry.plugin_record import NO_TORCH, PluginRecord, told


@dataclass
class Declared:
    """What one plugin declares of one kind.

    Attributes:
        entries: the well-formed ones, each name once.
        families: the well-formed ones, whose models nobody has asked for yet.
        problems: what was wrong with the others.
        taken: names and aliases, to the entry they mean.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    families: list[Family] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)


def declare(hooks: Iterable[Callable[[], object]], kind: str, plugin: PluginRecord) -> Declared:
    """Call one plugin's implementations of a kind's hook.

    Args:
        hooks: the implementations, nearly always one.
        kind: such as `model`.
        plugin: whose it is.

    Returns:
        Its entries, families and problems; never raises for what the plugin does.
    """
    declared = Declared()
    for item in (item for hook in hooks for item in _items(hook, kind, plugin, declared.problems)):
        if isinstance(item, Family) and kind == Family.kind:
            wrong = family_faults(item)
            declared.problems += [plugin.problem(f"family of {item.distribution}: {fault}") for fault in wrong]
            declared.families += [] if wrong else [item]
        elif not isinstance(item, ENTRY_OF_KIND[kind]):
            wanted = ENTRY_OF_KIND[kind].__name__
            declared.problems.append(
                plugin.problem(f"{HOOKS[kind]} returned a {type(item).__name__}", f"it returns {wanted} records only")
            )
        elif wrong := faults(item):
            label = f"{kind} {item.name}" if isinstance(item.name, str) else kind
            declared.problems += [plugin.problem(f"{label}: {fault}", "it is left out until mended") for fault in wrong]
        else:
            _accept(item, declared, plugin)
    return declared


def add_members(declared: Declared, plugin: PluginRecord) -> None:
    """Take the models of a plugin's families in; a name that one of its own entries has stays that entry's."""
    for family in declared.families:
        models, problems = expand(family, plugin)
        declared.problems += problems
        for model in models:
            _accept(model, declared, plugin)
    declared.families = []


def _items(hook: Callable[[], object], kind: str, plugin: PluginRecord, problems: list[Problem]) -> list[object]:
    """What a hook returns, as far as it gets."""
    items: list[object] = []
    start, torch_was_there = time.perf_counter(), "torch" in sys.modules
    try:
        with redirect_stdout(sys.stderr):
            returned = hook()
            listed = isinstance(returned, Iterable) and not isinstance(returned, str | bytes)
            items.extend(returned if listed else ())  # type: ignore[arg-type]
        if not listed:
            what = "nothing" if returned is None else f"a {type(returned).__name__}"
            problems.append(plugin.problem(f"{HOOKS[kind]} returned {what}", "return a list of records"))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: no plugin may end the process that lists it
        after = f" after {len(items)} records" if items else ""
        problems.append(plugin.problem(f"{HOOKS[kind]} raised {told(error, plugin.module)}{after}"))
    if "torch" in sys.modules and not torch_was_there:
        problems.append(plugin.problem(f"{HOOKS[kind]} imports torch", NO_TORCH))
    problems += plugin.slowness(HOOKS[kind], time.perf_counter() - start)
    return items


def _accept(entry: Entry, declared: Declared, plugin: PluginRecord) -> None:
    """Take an entry in unless its name is taken; aliases that are taken are dropped. The first always stays."""
    taken = declared.taken
    if entry.name in taken:
        owner = taken[entry.name]
        message = (
            f"{entry.kind} {entry.name} is declared twice"
            if owner == entry.name
            else (f"{entry.kind} {entry.name} is called like an alias of {owner}")
        )
        declared.problems.append(plugin.problem(message, "the first one stays; rename the other"))
        return
    taken[entry.name] = entry.name
    free = []
    for alias in entry.aliases:
        if alias in taken:
            message = f"alias {alias} of {entry.kind} {entry.name} is taken by {taken[alias]}"
            declared.problems.append(plugin.problem(message, "the first one stays; remove the alias"))
        else:
            taken[alias] = entry.name
            free.append(alias)
    declared.entries[entry.name] = entry if len(free) == len(entry.aliases) else replace(entry, aliases=tuple(free))
