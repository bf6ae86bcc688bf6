"""An entry of the catalogue: what a plugin declared, and where it comes from."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoo_registry.entries import Entry, Model, Weights
from zoo_registry.errors import MissingExtra, PluginError, UnknownName
from zoo_registry.names import nearest
from zoo_registry.plugin_record import PluginRecord


@dataclass(frozen=True, slots=True)
class Listed:
    """A component, its namespace and the plugin that provides it.

    Attributes:
        entry: what the plugin declared.
        namespace: the plugin's.
        plugin: the plugin.

    Example:
        >>> from zoo_registry import Loss
        >>> Listed(Loss("huber", "acme.losses:huber"), "acme", PluginRecord("acme", "acme", "", "", "loaded")).name
        'acme/huber'
    """

    entry: Entry
    namespace: str
    plugin: PluginRecord

    @property
    def name(self) -> str:
        """The qualified name, such as `video/x3d_s`."""
        return f"{self.namespace}/{self.entry.name}"

    @property
    def model(self) -> Model:
        """The entry of a model.

        Raises:
            TypeError: it is a component of another kind.
        """
        if not isinstance(self.entry, Model):
            raise TypeError(f"{self.name} is a {self.entry.kind}, not a model")
        return self.entry

    def weights(self, tag: str) -> Weights:
        """Published weights by tag.

        Raises:
            UnknownName: the model has no weights of that tag; the hint has the nearest tags.
        """
        published: dict[str, Weights] = {weights.tag: weights for weights in getattr(self.entry, "weights", ())}
        if tag in published:
            return published[tag]
        if not published:
            raise UnknownName(f"{self.name} has no published weights, asked for {tag!r}", hint="leave the tag out")
        near = nearest(tag, published) or sorted(published)
        raise UnknownName(f"{self.name} has no weights {tag!r}", hint=f"there is {', '.join(near)}")

    def resolve_builder(self, attribute: str = "builder") -> Callable[..., Any]:
        """The function behind an import string of the entry.

        Args:
            attribute: which one: `builder`, or `restore` and `load` of the kinds that have them.

        Raises:
            MissingExtra: packages that the component wants are not installed; the hint is the pip line.
            PluginError: the import string leads to nothing; names plugin, component, string and what went wrong.
        """
        self.check_requirements()
        text: str = getattr(self.entry, attribute)
        module, _, function = text.partition(":")
        try:
            found = getattr(importlib.import_module(module), function)
        except Exception as error:
            raise self._unusable(attribute, text, f"{type(error).__name__}: {error}") from error
        if not callable(found):
            raise self._unusable(attribute, text, f"it is a {type(found).__name__}, not a function")
        return found  # type: ignore[no-any-return]

    def check_requirements(self) -> None:
        """Make sure that the packages the component wants are installed; imports none of them.

        Raises:
            MissingExtra: one is not; the hint is the pip line.
        """
        missing = [module for module in self.entry.requires if not _importable(module)]
        if missing:
            wanted = f'"{self.entry.extra}"' if self.entry.extra else " ".join(missing)
            message = f"{self.entry.kind} {self.name} needs {', '.join(missing)}, which is not installed"
            raise MissingExtra(message, where=self.plugin.where, hint=f"pip install {wanted}")

    def _unusable(self, attribute: str, text: str, why: str) -> PluginError:
        message = f"the {attribute} of {self.entry.kind} {self.name}, {text!r}, cannot be imported: {why}"
        what = self.plugin.distribution or self.plugin.module
        return PluginError(message, where=self.plugin.where, hint=f"mend or upgrade {what}")


def _importable(module: str) -> bool:
    """Whether a module can be found; its parents are imported, itself not."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
