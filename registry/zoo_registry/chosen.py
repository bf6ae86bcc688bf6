"""Which plugins of other people the user wants; ours always load.

`ZOO_PLUGINS=acme,atlas` says that these and no others are loaded, in this process; empty means none. Without it all are
but those in the list that `zoo plugins --disable NAME` keeps, a namespace a line, in `disabled_plugins.txt` of the
configuration folder: `ZOO_CONFIG`, else `videozoo` in `XDG_CONFIG_HOME` or `~/.config`. It is a choice of the user and
no cache, so that emptying caches does not bring a plugin back.

Example:
    >>> Chosen(only=("acme",)).remedy("atlas")
    'ZOO_PLUGINS=acme leaves it out: ZOO_PLUGINS=acme,atlas takes it in'
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo_registry.errors import Location, PluginError, Problem
from zoo_registry.names import nearest

VARIABLE = "ZOO_PLUGINS"
_HEAD = "# Plugins that zoo does not load, a namespace a line. `zoo plugins --enable NAME` takes one off the list."


@dataclass(frozen=True)
class Chosen:
    """What the user said about other people's plugins.

    Attributes:
        only: the namespaces of `ZOO_PLUGINS`; None where it is not set.
        disabled: the namespaces of the list.
        problems: why the list could not be read.
    """

    only: tuple[str, ...] | None = None
    disabled: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def remedy(self, namespace: str) -> str | None:
        """How a plugin is taken in that is left out; None for one that is loaded."""
        if self.only is not None:
            names = ",".join(self.only)
            wider = ",".join([*self.only, namespace])
            left_out = f"{VARIABLE}={names} leaves it out: {VARIABLE}={wider} takes it in"
            return None if namespace in self.only else left_out
        return f"zoo plugins --enable {namespace}" if namespace in self.disabled else None

    def unknown(self, namespaces: Iterable[str]) -> list[Problem]:
        """What `ZOO_PLUGINS` names and nobody has."""
        known = list(namespaces)
        return [
            Problem(
                f"no plugin has the namespace {name!r}",
                Location(VARIABLE),
                f"did you mean {' or '.join(near)}?" if (near := nearest(name, known)) else "see zoo plugins",
            )
            for name in self.only or ()
            if name not in known
        ]


def config_folder() -> Path:
    """The folder of the user's choices: `ZOO_CONFIG`, else `videozoo` in `XDG_CONFIG_HOME` or `~/.config`."""
    if chosen := os.environ.get("ZOO_CONFIG"):
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "videozoo"


def read_chosen() -> Chosen:
    """What the environment and the list say. A list that cannot be read is a problem, and disables nothing."""
    variable = os.environ.get(VARIABLE)
    only = None if variable is None else tuple(name.strip() for name in variable.split(",") if name.strip())
    path = _list_file()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Chosen(only)
    except (OSError, UnicodeDecodeError) as error:
        message = f"the list of disabled plugins cannot be read: {error}"
        return Chosen(only, problems=(Problem(message, Location(str(path)), "mend or remove it"),))
    names = (line.partition("#")[0].strip() for line in lines)
    return Chosen(only, tuple(dict.fromkeys(name for name in names if name)))


def write_disabled(namespaces: Iterable[str]) -> Path:
    """Keep the list of disabled plugins.

    Returns:
        The file.

    Raises:
        PluginError: it cannot be written; what was there stays.
    """
    path = _list_file()
    text = "\n".join([_HEAD, *sorted(set(namespaces))]) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".disabled", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
    except OSError as error:
        hint = "make the folder writable, or set ZOO_CONFIG"
        raise PluginError(f"the list of disabled plugins cannot be written: {error}", hint=hint) from error
    return path


def _list_file() -> Path:
    return config_folder() / "disabled_plugins.txt"
