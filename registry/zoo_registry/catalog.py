"""The index of everything plugins declare: resolve a name, list names, say who provides what.

A plugin is asked for its entries of a kind when that kind is first wanted, once. How a reference finds its entry:

    acme/tiny       the entry of that name or alias in the namespace
    tiny            ours, else that of the one plugin that has it, else an error that lists the qualified names
    acme/tiny.k400  the model, if it has weights of that tag

Members of families (all of timm) are always qualified.

Example:
    >>> Catalog(load_plugins([])).list("model")
    []
"""

from __future__ import annotations

import builtins
import functools
import re
import warnings
from fnmatch import translate

from zoo_registry.entries import Fetcher, Model
from zoo_registry.errors import AmbiguousName, Location, NameProblem, Problem, UnknownName
from zoo_registry.families import cache_folder
from zoo_registry.hookspecs import HOOKS
from zoo_registry.listed import Listed
from zoo_registry.misses import miss
from zoo_registry.names import Name, nearest
from zoo_registry.plugins import LoadedPlugins, PluginRecord, load_plugins
from zoo_registry.shelf import Shelf, scheme_clash

__all__ = ["Catalog", "ComponentDeprecated", "Listed", "cache_folder", "catalog"]


class ComponentDeprecated(FutureWarning):
    """A component that should not be used any more: a warning for users, which Python shows unless told not to."""


class Catalog:
    """The immutable index of what plugins declare.

    Args:
        loaded: the plugins; `load_plugins(entry_points)` makes them from given entry points.

    Attributes:
        plugins: every plugin found, also those that failed or were refused, by namespace.
    """

    def __init__(self, loaded: LoadedPlugins) -> None:
        self.plugins: tuple[PluginRecord, ...] = loaded.records
        self._loaded = loaded
        self._shelves: dict[str, Shelf] = {}

    def resolve(self, kind: str, reference: str | Name, *, where: Location | None = None) -> Listed:
        """Find the component that a name means.

        Args:
            kind: such as `model`.
            reference: `[namespace/]name[.tag]`; a fetcher's name is its URI scheme.
            where: place of the reference, for the error.

        Returns:
            The entry with its provenance; an alias gives the entry it means. One that is deprecated warns.

        Raises:
            NameProblem: the reference breaks the grammar of names.
            UnknownName: nothing of that kind is called so; the hint has the nearest names and who provides them.
            AmbiguousName: several plugins offer it; the hint has the qualified names.
        """
        try:
            name = Name.parse(reference) if isinstance(reference, str) else reference
            listed = self._find(kind, name)
            if name.tag is not None:
                listed.weights(name.tag)
        except NameProblem as error:
            raise type(error)(
                Problem(each.message, each.where or where, each.hint) for each in error.problems
            ) from None
        if listed.entry.deprecated:
            text = f"{kind} {listed.name} is deprecated: {listed.entry.deprecated}"
            warnings.warn(text, ComponentDeprecated, stacklevel=1)  # from here, so that each is told once
        return listed

    def list(self, kind: str, pattern: str = "*", *, deprecated: bool = False) -> builtins.list[Listed]:
        """Entries of a kind, in the order of their qualified names.

        Args:
            kind: such as `model`.
            pattern: glob on the qualified or the bare name, such as `x3d_*` or `timm/vit_*`.
            deprecated: also those that should not be used any more.

        Raises:
            UnknownName: there is no such kind.
        """
        matches = re.compile(translate(pattern)).match
        return [
            each
            for each in self._shelf(kind).listed
            if (deprecated or not each.entry.deprecated) and (matches(each.entry.name) or matches(each.name))
        ]

    def problems(self) -> builtins.list[Problem]:
        """Everything wrong with any plugin, or with the choice of plugins; asks every plugin for every kind first."""
        loading = [*self._loaded.problems, *(problem for plugin in self.plugins for problem in plugin.problems)]
        return loading + [problem for kind in HOOKS for problem in self._shelf(kind).problems]

    def _shelf(self, kind: str) -> Shelf:
        if kind not in HOOKS:
            raise UnknownName(
                f"{kind!r} is no kind of component", hint=f"one of {', '.join(nearest(kind, HOOKS) or HOOKS)}"
            )
        if kind not in self._shelves:
            self._shelves[kind] = Shelf(kind, self._loaded)
        return self._shelves[kind]

    def _find(self, kind: str, name: Name) -> Listed:
        shelf = self._shelf(kind)
        if name.tag is not None and kind != Model.kind:
            raise NameProblem(
                f"{str(name)!r} has a tag, only models have", hint=f"write {Name(name.bare, name.namespace)}"
            )
        offers = shelf.find(name.bare, name.namespace)
        if name.namespace is None:
            offers = [each for each in offers if each.plugin.is_own] or offers
            if kind == Fetcher.kind and len(offers) > 1:
                raise AmbiguousName(scheme_clash(name.bare, offers))
        if not offers:
            raise UnknownName(miss(kind, name, self.plugins, self._shelf))
        if len(offers) > 1:
            names = " or ".join(sorted(str(Name(name.bare, each.namespace, name.tag)) for each in offers))
            raise AmbiguousName(f"several plugins have a {kind} {str(name)!r}", hint=f"write {names}")
        return offers[0]


@functools.cache
def catalog() -> Catalog:
    """The catalogue of this process, over all installed plugins, made once."""
    return Catalog(load_plugins())
