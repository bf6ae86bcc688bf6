"""All entries of one kind, by the names that find them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from zoo_registry.declarations import Declared, add_members, declare
from zoo_registry.entries import Entry, Fetcher
from zoo_registry.errors import Problem
from zoo_registry.hookspecs import HOOKS
from zoo_registry.listed import Listed
from zoo_registry.plugin_record import OWN, PluginRecord
from zoo_registry.plugins import LoadedPlugins


class Shelf:
    """All entries of one kind. Making it asks every plugin for them.

    Families may have thousands of models, so they are opened when somebody wants one of those, or all names.

    Args:
        kind: such as `model`.
        loaded: the plugins to ask.

    Attributes:
        kind: as given.
    """

    def __init__(self, kind: str, loaded: LoadedPlugins) -> None:
        self.kind = kind
        self._declared: dict[str, tuple[PluginRecord, Declared]] = {}
        self._bare: dict[str, list[Listed]] = defaultdict(list)
        self._qualified: dict[tuple[str, str], Listed] = {}
        hooks = getattr(loaded.manager.hook, HOOKS[kind]).get_hookimpls()
        for plugin in loaded.records:
            own_hooks = [hook.function for hook in hooks if hook.plugin_name == plugin.namespace]
            if plugin.status == "loaded" and own_hooks:
                declared = declare(own_hooks, kind, plugin)
                self._declared[plugin.namespace] = plugin, declared
                for name, listed in self._take(plugin, declared.entries).items():
                    self._bare[name].append(listed)

    def find(self, name: str, namespace: str | None = None) -> list[Listed]:
        """What a name or alias can mean; without a namespace, members of families are left out."""
        if namespace is None:
            return list(self._bare.get(name, ()))
        if (namespace, name) not in self._qualified:
            self._open(namespace)
        found = self._qualified.get((namespace, name))
        return [found] if found else []

    @property
    def qualified(self) -> Mapping[tuple[str, str], Listed]:
        """Every entry by (namespace, name or alias)."""
        self._open(*self._declared)
        return self._qualified

    @cached_property
    def listed(self) -> Sequence[Listed]:
        """Every entry once, in the order of qualified names."""
        own = (each for (_, name), each in self.qualified.items() if name == each.entry.name)
        return sorted(own, key=lambda each: each.name)

    @property
    def problems(self) -> list[Problem]:
        """What plugins did wrong while they declared entries."""
        self._open(*self._declared)
        problems = [problem for _, declared in self._declared.values() for problem in declared.problems]
        if self.kind == Fetcher.kind:
            problems += [scheme_clash(scheme, rivals) for scheme, rivals in self._bare.items() if len(rivals) > 1]
        return problems

    def _open(self, *namespaces: str) -> None:
        """Take the members of families in."""
        for plugin, declared in (self._declared[each] for each in namespaces if each in self._declared):
            if declared.families:
                own = set(declared.entries)
                add_members(declared, plugin)
                members = {name: entry for name, entry in declared.entries.items() if name not in own}
                self._take(plugin, members)

    def _take(self, plugin: PluginRecord, entries: Mapping[str, Entry]) -> dict[str, Listed]:
        """Put entries onto the shelf, by every name that they have."""
        taken: dict[str, Listed] = {}
        for entry in entries.values():
            listed = Listed(entry, plugin.namespace, plugin)
            taken |= dict.fromkeys((entry.name, *entry.aliases), listed)
        self._qualified |= {(plugin.namespace, name): listed for name, listed in taken.items()}
        return taken


def scheme_clash(scheme: str, rivals: Sequence[Listed]) -> Problem:
    """Several plugins that fetch the same URIs: which of them sees the user's files must not be left to chance.

    Ours goes on, so that no package can take `hf:` away from everybody; of several strangers none does.
    """
    foreign = [each for each in rivals if not each.plugin.is_own]
    ways = [f"zoo plugins --disable {each.namespace}" for each in foreign]
    names = [f"{each.namespace} ({each.plugin.distribution})" for each in rivals]
    if len(foreign) < len(rivals):
        unused = " and ".join(f"{each.namespace} ({each.plugin.distribution})" for each in foreign)
        message = f"{scheme}: belongs to {OWN}; the fetcher of {unused} is not used"
        return Problem(message, hint=f"rename it, or {' and '.join(ways)}")
    return Problem(
        f"{scheme}: is fetched by several plugins: {' and '.join(names)}", hint=f"keep one: {' or '.join(ways)}"
    )
