"""What makes the hooks of a plugin's module well-formed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType

import pluggy

from zoo_registry import hookspecs
from zoo_registry.errors import Problem
from zoo_registry.names import nearest
from zoo_registry.plugin_record import PluginRecord


class NotUsable(Exception):
    """A plugin that cannot take part, with the problem to report; never leaves the loading of plugins."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def hook_problems(module: ModuleType, record: PluginRecord, manager: pluggy.PluginManager) -> list[Problem]:
    """What is wrong with a module's hooks but lets the others work.

    Raises:
        NotUsable: a hook that cannot be called, or a module that is registered already.
    """
    if manager.is_registered(module):
        other = manager.get_name(module)
        raise NotUsable(
            record.problem(f"{record.module} is the plugin {other!r} already", "keep one of the entry points")
        )
    known, problems, implemented = set(hookspecs.HOOKS.values()), [], 0
    for attribute in dir(module):
        options = manager.parse_hookimpl_opts(module, attribute)
        if options is None:
            if attribute in known and inspect.isfunction(getattr(module, attribute)):
                problems.append(record.problem(f"{attribute} is not marked as a hook", "put @hookimpl above it"))
            continue
        implemented += 1
        hook = options["specname"] or attribute
        if hook not in known:
            near = nearest(hook, known) or sorted(known)
            problems.append(record.problem(f"there is no hook {hook!r}", f"did you mean {' or '.join(near)}?"))
            continue
        fault = _call_fault(getattr(module, attribute), options)
        if fault:
            raise NotUsable(record.problem(f"its hook {hook} {fault}", f"write @hookimpl and def {attribute}():"))
    if not implemented and not problems:
        problems.append(
            record.problem(f"{record.module} implements no hook", f"the hooks are {', '.join(sorted(known))}")
        )
    return problems


def _call_fault(function: Callable[..., object], options: Mapping[str, object]) -> str | None:
    """Why a hook's implementation cannot be called without arguments for its entries; None when it can."""
    if options["wrapper"] or options["hookwrapper"]:
        return "is a wrapper; a plugin declares its own components and sees nobody else's"
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.kind not in variadic]
    return f"wants arguments ({', '.join(needed)}), the hook has none" if needed else None
