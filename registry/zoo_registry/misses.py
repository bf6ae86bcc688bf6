"""What to say when nothing has the name that was asked for: what is near, who has it, and what it is instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from zoo_registry.entries import Augmentation
from zoo_registry.errors import Problem
from zoo_registry.hookspecs import HOOKS
from zoo_registry.names import Name, nearest
from zoo_registry.plugin_record import PluginRecord
from zoo_registry.shelf import Shelf


def miss(kind: str, name: Name, plugins: Sequence[PluginRecord], shelf_of: Callable[[str], Shelf]) -> Problem:
    """Explain that nothing of a kind has a name.

    Args:
        kind: such as `model`.
        name: what was asked for.
        plugins: all of them, also those that failed or were refused.
        shelf_of: the shelf of a kind.
    """
    near, elsewhere = _near(shelf_of(kind), name), _elsewhere(kind, name, shelf_of) or _of_the_model(kind, name)
    if name.namespace is None:
        absent = [plugin.namespace for plugin in plugins if plugin.status in ("failed", "refused")]
        not_loaded = f"these plugins could not be loaded, see zoo plugins: {', '.join(absent)}" if absent else ""
        disabled = [f"{plugin.namespace} ({plugin.remedy})" for plugin in plugins if plugin.status == "disabled"]
        not_wanted = f"these plugins are disabled: {', '.join(disabled)}" if disabled else ""
        return _problem(f"no {kind} is called {str(name)!r}", elsewhere, near, not_loaded, not_wanted)
    plugin = next((plugin for plugin in plugins if plugin.namespace == name.namespace), None)
    if plugin is None:
        namespaces = nearest(name.namespace, [plugin.namespace for plugin in plugins])
        meant = f"did you mean the namespace {' or '.join(namespaces)}?" if namespaces else ""
        return _problem(f"{kind} {str(name)!r}: no plugin has the namespace {name.namespace!r}", near or meant)
    if plugin.status != "loaded":
        why = [each.message if each.hint is None else f"{each.message}; {each.hint}" for each in plugin.problems]
        what = f"{kind} {str(name)!r}: {plugin.where} {_WHAT_HAPPENED[plugin.status]}"
        return _problem(what, *why, plugin.remedy or "")
    return _problem(f"the plugin {name.namespace} has no {kind} {name.bare!r}", elsewhere, near)


_WHAT_HAPPENED = {"failed": "could not be loaded", "refused": "was refused", "disabled": "is disabled"}


def _problem(message: str, *hints: str) -> Problem:
    said = [hint for hint in hints if hint]
    return Problem(message, hint="\n  ".join(said) if said else "see zoo plugins --verbose")


def _near(shelf: Shelf, name: Name) -> str:
    """The nearest names, those of the right namespace first, and who provides them."""
    offers: dict[str, list[str]] = defaultdict(list)
    for (namespace, known), listed in shelf.qualified.items():
        offers[known].append(f"{namespace}/{known} (from {listed.plugin.distribution or listed.plugin.module})")
    own = [known for namespace, known in shelf.qualified if namespace == name.namespace]
    known_names = nearest(name.bare, own) or nearest(name.bare, offers)
    near = [
        offer
        for known in known_names
        for offer in offers[known]
        if known not in own or offer.startswith(f"{name.namespace}/")
    ]
    return f"did you mean {' or '.join(near)}?" if near else ""


def _elsewhere(kind: str, name: Name, shelf_of: Callable[[str], Shelf]) -> str:
    """The other kinds that have the very name."""
    others = [
        other
        for other in HOOKS
        if other != kind
        and any(
            name.bare == known and name.namespace in (None, namespace) for namespace, known in shelf_of(other).qualified
        )
    ]
    return (
        f"{str(name)!r} is {' and '.join(f'an {other}' if other[0] in 'aeiou' else f'a {other}' for other in others)}"
        if others
        else ""
    )


_PREPROCESSING = ("normalize", "normalise", "resize", "center_crop", "to_tensor", "to_float")


def _of_the_model(kind: str, name: Name) -> str:
    """What libraries of transforms list beside augmentations, and nobody lists here."""
    if kind != Augmentation.kind or name.bare not in _PREPROCESSING:
        return ""
    return (
        "preprocessing belongs to the model and is not listed: resize, crop, mean and std come from its clip spec, "
        "in training and evaluation alike; data.clip changes them"
    )
