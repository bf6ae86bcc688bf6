"""What is known about one plugin."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import Literal

from zoo_registry.errors import Location, Problem

OWN = "videozoo"
"""The distribution whose namespaces nobody else may claim, and whose bare names win."""

NO_TORCH = "declarations import zoo_registry and nothing heavy; name the function by an import string instead"
"""What to do about torch imported at discovery."""

SLOW = 1.0
"""From how many seconds on a plugin that is imported, or lists its entries, is told to be quicker."""

Status = Literal["loaded", "failed", "refused", "disabled"]


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
        remedy: how to take it in, where it is disabled.
    """

    namespace: str
    module: str
    distribution: str
    version: str
    status: Status
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0
    remedy: str | None = None

    @property
    def where(self) -> Location:
        """The place of this plugin's problems: `plugin acme (zoo-acme 0.1.0)`."""
        origin = f"{self.distribution} {self.version}".strip() or self.module
        return Location(f"plugin {self.namespace} ({origin})")

    @property
    def is_own(self) -> bool:
        """Whether it belongs to videozoo itself."""
        return normalized(self.distribution) == OWN

    def slowness(self, what: str, seconds: float) -> list[Problem]:
        """The problem of taking long, for what every command has to wait for."""
        if seconds < SLOW:
            return []
        hint = "every command waits for it; read and compute when a component is built, not when it is listed"
        return [self.problem(f"{what} takes {seconds:.1f} s", hint)]

    def problem(self, message: str, hint: str | None = None) -> Problem:
        """A problem of this plugin."""
        return Problem(message, self.where, hint)


def normalized(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it.

    Example:
        >>> normalized("Zoo_Acme")
        'zoo-acme'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def told(error: BaseException, module: str) -> str:
    """An exception in one line, with the innermost line of the plugin's own package that it went through."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception that cannot even say what it is about
        text = ""
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    package = module.partition(".")[0]
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            return f"{line} ({frame.f_code.co_filename}:{number})"
    return line
