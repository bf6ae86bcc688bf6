"""Finds and loads plugins, each isolated: a bad one is a record with its problems, never an exception.

A plugin is a module named by an entry point of the group `zoo.plugins.v1`; the entry point's name is the plugin's
namespace. What can be wrong with one, and what becomes of it:

    loaded     it works; its problems, if any, are things its author should mend (a misspelt hook, torch imported)
    failed     it could not be imported or registered
    refused    it was not imported: another API version, or a namespace it may not have

Example:
    >>> acme = EntryPoint("acme", "no_such_module", GROUP)
    >>> load_plugins([acme]).records[0].status
    'failed'
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, distributions
from types import ModuleType
from typing import Literal

import pluggy

from zoo_registry import API_VERSION, hookspecs
from zoo_registry.errors import Location, Problem
from zoo_registry.names import BARE, nearest

FAMILY_OF_GROUPS = "zoo.plugins."
GROUP = f"{FAMILY_OF_GROUPS}v{API_VERSION}"
OWN = "videozoo"
"""The distribution whose namespaces nobody else may claim, and whose bare names win."""

Status = Literal["loaded", "failed", "refused"]


@dataclass(frozen=True)
class PluginRecord:
    """What is known about one plugin.

    Attributes:
        namespace: name of its entry point.
        module: import path of its declarations.
        distribution: pip distribution it came with; empty when the entry point was made by hand.
        version: of the distribution.
        status: whether it takes part.
        problems: what was wrong while it was loaded.
        seconds: what importing it took.
    """

    namespace: str
    module: str
    distribution: str
    version: str
    status: Status
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0

    @property
    def where(self) -> Location:
        """The place of this plugin's problems: `plugin acme (zoo-acme 0.1.0)`."""
        origin = f"{self.distribution} {self.version}".strip() or self.module
        return Location(f"plugin {self.namespace} ({origin})")

    @property
    def is_own(self) -> bool:
        """Whether it belongs to videozoo itself."""
        return normalized(self.distribution) == OWN

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """A problem of this plugin."""
        return Problem(message, self.where, hint)


Candidate = tuple[PluginRecord, str]
"""A plugin that is not loaded yet, and the group of its entry point."""


@dataclass(frozen=True)
class LoadedPlugins:
    """Every plugin found, by namespace, and the pluggy manager that holds the loaded ones under their namespaces."""

    records: tuple[PluginRecord, ...]
    manager: pluggy.PluginManager


def load_plugins(points: Iterable[EntryPoint] | None = None) -> LoadedPlugins:
    """Load every plugin, each isolated.

    Args:
        points: entry points to take instead of those of the installed distributions.

    Returns:
        A record for every plugin, sorted by namespace; never raises for a bad plugin.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    candidates = sorted(
        _installed() if points is None else _given(points), key=lambda pair: (pair[0].namespace, pair[0].distribution)
    )
    return LoadedPlugins(tuple(_load(record, manager) for record in _settle(candidates)), manager)


def normalized(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it.

    Example:
        >>> normalized("Zoo_Acme")
        'zoo-acme'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


@contextmanager
def watch_for_torch(found: list[str]) -> Iterator[None]:
    """Append a word to `found` when torch is imported inside; listing must stay quick, and torch takes seconds."""
    before = "torch" in sys.modules
    yield
    if not before and "torch" in sys.modules:
        found.append("torch")


def told(error: BaseException, module: str) -> str:
    """An exception in one line, with the innermost line of the plugin's own package that it went through."""
    text = " ".join(str(error).split())
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    package = module.partition(".")[0]
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            return f"{line} ({frame.f_code.co_filename}:{number})"
    return line


def _installed() -> Iterator[Candidate]:
    """Every plugin of every installed distribution; one that is on the path twice counts where it is imported from."""
    seen = set()
    for distribution in distributions():
        # Reading the metadata of a distribution costs a millisecond, of all of them a tenth of a second.
        if FAMILY_OF_GROUPS not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name, version = distribution.metadata["Name"], distribution.version
        if normalized(name) in seen:
            continue
        seen.add(normalized(name))
        for point in distribution.entry_points:
            if point.group.startswith(FAMILY_OF_GROUPS):
                yield PluginRecord(point.name, point.value, name, version, "loaded"), point.group


def _given(points: Iterable[EntryPoint]) -> Iterator[Candidate]:
    for point in points:
        origin = point.dist
        name, version = (origin.metadata["Name"], origin.version) if origin else ("", "")
        if point.group.startswith(FAMILY_OF_GROUPS):
            yield PluginRecord(point.name, point.value, name, version, "loaded"), point.group


def _settle(candidates: list[Candidate]) -> Iterator[PluginRecord]:
    """Refuse what speaks another API version, and claims on a namespace that collide; pass the rest on."""
    claims: dict[str, list[PluginRecord]] = defaultdict(list)
    for record, group in candidates:
        if group == GROUP:
            claims[record.namespace].append(record)
    for record, group in candidates:
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


def _load(record: PluginRecord, manager: pluggy.PluginManager) -> PluginRecord:
    """Import and register one plugin; says what came of it."""
    if record.status != "loaded":
        return record
    start, torch_came = time.perf_counter(), list[str]()
    problems: list[Problem] = []
    try:
        with watch_for_torch(torch_came):
            module = _import(record)
        problems = _hook_problems(module, record, manager)
        manager.register(module, name=record.namespace)
    except _NotUsable as error:
        return replace(record, status="failed", problems=(error.problem,), seconds=time.perf_counter() - start)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: no plugin may end the process that lists it
        remedy = "pip install --force-reinstall" if record.is_own else "mend or upgrade it, or pip uninstall"
        hint = f"{remedy} {record.distribution}".rstrip()
        problem = record.problem(f"importing {record.module} raised {told(error, record.module)}", hint)
        return replace(record, status="failed", problems=(problem,), seconds=time.perf_counter() - start)
    if torch_came:
        problems.append(record.problem(f"importing {record.module} imports torch", NO_TORCH))
    return replace(record, problems=tuple(problems), seconds=time.perf_counter() - start)


NO_TORCH = "declarations import zoo_registry and nothing heavy; name the function by an import string instead"


class _NotUsable(Exception):
    """A plugin that cannot take part, with the problem to report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _import(record: PluginRecord) -> ModuleType:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", record.module):
        module = record.module.partition(":")[0].strip()
        message = f"its entry point names {record.module!r}, which is not a module"
        raise _NotUsable(
            record.problem(message, f'write {record.namespace} = "{module}", the module that holds the hooks')
        )
    module_object = importlib.import_module(record.module)
    if not isinstance(module_object, ModuleType):
        raise _NotUsable(
            record.problem(f"{record.module} put something else than a module in its place", "leave it a module")
        )
    return module_object


def _hook_problems(module: ModuleType, record: PluginRecord, manager: pluggy.PluginManager) -> list[Problem]:
    """What is wrong with a module's hooks but lets the others work.

    Raises:
        _NotUsable: a hook that cannot be called, or a module that is registered already.
    """
    if manager.is_registered(module):
        other = manager.get_name(module)
        raise _NotUsable(
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
            raise _NotUsable(record.problem(f"its hook {hook} {fault}", f"write @hookimpl and def {attribute}():"))
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
