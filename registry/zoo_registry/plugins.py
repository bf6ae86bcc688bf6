"""Finds and loads plugins, each isolated: a bad one is a record with its problems, never an exception.

A plugin is a module named by an entry point of the group `zoo.plugins.v1`; the entry point's name is the plugin's
namespace. What can be wrong with one, and what becomes of it:

    loaded     it works; its problems, if any, are things its author should mend (a misspelt hook, torch imported)
    failed     it could not be imported or registered
    refused    it was not imported: another API version, or a namespace it may not have
    disabled   it was not imported: the user does not want it (`zoo_registry.chosen`)

Example:
    >>> acme = EntryPoint("acme", "no_such_module", GROUP)
    >>> load_plugins([acme]).records[0].status
    'failed'
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from types import ModuleType

import pluggy

from zoo_registry import hookspecs
from zoo_registry.chosen import Chosen, read_chosen
from zoo_registry.claims import GROUP, Candidate, given, installed, settle
from zoo_registry.errors import Problem
from zoo_registry.hook_rules import NotUsable, hook_problems
from zoo_registry.plugin_record import NO_TORCH, PluginRecord, told

__all__ = ["GROUP", "LoadedPlugins", "PluginRecord", "load_plugins"]


@dataclass(frozen=True)
class LoadedPlugins:
    """Every plugin found, by namespace, and the pluggy manager that holds the loaded ones under their namespaces.

    Attributes:
        records: of all plugins, also those that take no part.
        manager: holds the loaded ones.
        problems: what is wrong and is no plugin's: a list of disabled plugins that cannot be read.
    """

    records: tuple[PluginRecord, ...]
    manager: pluggy.PluginManager
    problems: tuple[Problem, ...] = ()


def load_plugins(points: Iterable[EntryPoint] | None = None) -> LoadedPlugins:
    """Load every plugin, each isolated.

    Args:
        points: entry points to take instead of those of the installed distributions.

    Returns:
        A record for every plugin, sorted by namespace; never raises for a bad plugin.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    chosen = read_chosen()
    candidates = list(installed() if points is None else given(points))
    settled = settle([each for each in candidates if _left_out(each, chosen) is None])
    records = [*settled, *filter(None, (_left_out(each, chosen) for each in candidates))]
    records.sort(key=lambda record: (record.namespace, record.distribution))
    problems = (*chosen.problems, *chosen.unknown(record.namespace for record in records))
    return LoadedPlugins(tuple(_load(record, manager) for record in records), manager, problems)


def _left_out(candidate: Candidate, chosen: Chosen) -> PluginRecord | None:
    """The record of a plugin that the user does not want; it claims no namespace either. None for any other."""
    record, _ = candidate
    remedy = None if record.is_own else chosen.remedy(record.namespace)
    return replace(record, status="disabled", remedy=remedy) if remedy else None


def _load(record: PluginRecord, manager: pluggy.PluginManager) -> PluginRecord:
    """Import and register one plugin; says what came of it."""
    if record.status != "loaded":
        return record
    start, torch_was_there = time.perf_counter(), "torch" in sys.modules
    try:
        module = _import(record)
        problems = hook_problems(module, record, manager)
        manager.register(module, name=record.namespace)
    except NotUsable as error:
        return replace(record, status="failed", problems=(error.problem,), seconds=time.perf_counter() - start)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: no plugin may end the process that lists it
        own, others = (
            "pip install --force-reinstall",
            f"mend or upgrade it, zoo plugins --disable {record.namespace}, or",
        )
        hint = f"{own if record.is_own else f'{others} pip uninstall'} {record.distribution}".rstrip()
        problem = record.problem(f"importing {record.module} raised {told(error, record.module)}", hint)
        return replace(record, status="failed", problems=(problem,), seconds=time.perf_counter() - start)
    if "torch" in sys.modules and not torch_was_there:
        problems.append(record.problem(f"importing {record.module} imports torch", NO_TORCH))
    seconds = time.perf_counter() - start
    problems += record.slowness(f"importing {record.module}", seconds)
    return replace(record, problems=tuple(problems), seconds=seconds)


def _import(record: PluginRecord) -> ModuleType:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", record.module):
        module = record.module.partition(":")[0].strip()
        message = f"its entry point names {record.module!r}, which is not a module"
        raise NotUsable(
            record.problem(message, f'write {record.namespace} = "{module}", the module that holds the hooks')
        )
    with redirect_stdout(sys.stderr):  # what a plugin prints must not end up in the output of `zoo models --json`
        module_object = importlib.import_module(record.module)
    if not isinstance(module_object, ModuleType):
        raise NotUsable(
            record.problem(f"{record.module} put something else than a module in its place", "leave it a module")
        )
    return module_object
