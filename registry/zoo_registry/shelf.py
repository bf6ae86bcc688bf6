"""All entries of one kind, by the names that find them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from zoo_registry.declarations import declare
from zoo_registry.entries import Fetcher
from zoo_registry.errors import Problem
from zoo_registry.hookspecs import HOOKS
from zoo_registry.listed import Listed
from zoo_registry.plugins import LoadedPlugins


class Shelf:
    """All entries of one kind. Making it asks every plugin for them.

    Args:
        kind: such as `model`.
        loaded: the plugins to ask.

    Attributes:
        kind: as given.
        qualified: by (namespace, name or alias).
        bare: by name or alias: what a name without a namespace can mean. Members of families are left out.
        listed: every entry once, in the order of qualified names.
        problems: what plugins did wrong while they declared them.
    """

    def __init__(self, kind: str, loaded: LoadedPlugins) -> None:
        self.kind = kind
        self.qualified: dict[tuple[str, str], Listed] = {}
        self.bare: dict[str, list[Listed]] = defaultdict(list)
        self.problems: list[Problem] = []
        hooks = getattr(loaded.manager.hook, HOOKS[kind]).get_hookimpls()
        for plugin in loaded.records:
            own_hooks = [hook.function for hook in hooks if hook.plugin_name == plugin.namespace]
            if plugin.status != "loaded" or not own_hooks:
                continue
            declared = declare(own_hooks, kind, plugin)
            self.problems += declared.problems
            for entry in declared.entries.values():
                listed = Listed(entry, plugin.namespace, plugin)
                for name in (entry.name, *entry.aliases):
                    self.qualified[plugin.namespace, name] = listed
                    if entry.name not in declared.members:
                        self.bare[name].append(listed)
        self.listed = sorted(
            (each for (_, name), each in self.qualified.items() if name == each.entry.name), key=lambda each: each.name
        )
        if kind == Fetcher.kind:
            self.problems += [scheme_clash(scheme, rivals) for scheme, rivals in self.bare.items() if len(rivals) > 1]


def scheme_clash(scheme: str, rivals: Sequence[Listed]) -> Problem:
    """Two plugins that fetch the same URIs: which of them sees the user's files must not be left to chance."""
    plugins = " and ".join(f"{each.namespace} ({each.plugin.distribution})" for each in rivals)
    foreign = [each.plugin.distribution for each in rivals if not each.plugin.is_own]
    hint = f"keep one: {' or '.join(f'pip uninstall {distribution}' for distribution in foreign)}" if foreign else None
    return Problem(f"{scheme}: is fetched by several plugins: {plugins}", hint=hint)
