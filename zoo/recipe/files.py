"""What a recipe says about files: `pathlib.Path` parameters of builders, and `file:` URIs of weights."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.build.check import parameters
from zoo.build.references import read_reference
from zoo.build.values import At, mapped
from zoo.recipe.components import components
from zoo.recipe.loaded import LoadedRecipe
from zoo_registry.catalog import Catalog, Listed
from zoo_registry.errors import Problem

Change = Callable[[str, At], str]
"""What becomes of a text, given the way to it."""


def with_files(data: Mapping[str, Any], index: Catalog, *, path: Change, uri: Change) -> dict[str, Any]:
    """A recipe without problems, in the long form, with other words for its files.

    References inside parameters are written out and qualified.

    Args:
        data: the recipe as plain data.
        index: where names are looked up.
        path: what becomes of a path.
        uri: what becomes of the name of weights: a tag, or a URI with or without `file:`.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(data))
    files = _Files(index, path, uri)
    for at, listed, params in components(data, index):
        slot: Any = changed
        for step in at:
            slot = slot[step]
        slot["params"] = files.of(listed, params, (*at, "params"))
        if "weights" in slot:
            slot["weights"] = uri(slot["weights"], (*at, "weights"))
    return changed


@dataclass(frozen=True)
class _Files:
    index: Catalog
    path: Change
    uri: Change

    def of(self, listed: Listed, params: Mapping[str, Any], at: At) -> dict[str, Any]:
        """The parameters with their files changed, also those of components inside."""
        schemas = {parameter.name: parameter.schema for parameter in parameters(listed)}
        return {name: mapped(value, schemas[name] or {}, self._leaf, (*at, name)) for name, value in params.items()}

    def _leaf(self, value: Any, schema: Mapping[str, Any], at: At) -> Any:
        if schema.get("format") == "path":
            return self.path(value, at)
        return self._reference(value, schema["component"], at) if "component" in schema else value

    def _reference(self, value: str | Mapping[str, Any], kind: str, at: At) -> dict[str, Any]:
        """A component inside parameters, in the long form and by its qualified name."""
        reference = read_reference(value, kind)
        listed = self.index.resolve(kind, reference.name)
        slot: dict[str, Any] = {"name": listed.name, "params": self.of(listed, reference.params, (*at, "params"))}
        if reference.weights is not None:
            slot["weights"] = self.uri(reference.weights, (*at, "weights"))
        return slot


def stray_files(recipe: LoadedRecipe, index: Catalog) -> list[Problem]:
    """Files of this machine that a recipe from elsewhere reaches for: weights, and paths out of the current folder."""
    problems: list[Problem] = []

    def refuse(text: str, at: At) -> None:
        if recipe.is_foreign(at):
            hint = "set it yourself with --set, or in a recipe that extends this one"
            problems.append(
                Problem(f"a fetched recipe cannot name {text!r}, a file of this machine", recipe.where(at), hint)
            )

    def path(text: str, at: At) -> str:
        plain = os.path.normpath(os.path.expanduser(text))
        braces = "{" in os.path.dirname(text)  # a source may write them out: `{..,..}/x`
        if os.path.isabs(plain) or plain.split(os.sep)[0] == os.pardir or braces:
            refuse(text, at)
        return text

    def uri(text: str, at: At) -> str:
        if text.startswith("file:"):
            refuse(text, at)
        return text

    def command(value: Any, at: At) -> None:
        """No source of a recipe from elsewhere runs a command, whatever the environment allows."""
        if isinstance(value, str) and value.startswith("pipe:") and recipe.is_foreign(at):
            hint = "shards are read from http:, https: and hf: addresses"
            problems.append(Problem("a fetched recipe cannot run a command", recipe.where(at), hint))
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            command(item, (*at, key))

    if recipe.fetched:
        with_files(recipe.data, index, path=path, uri=uri)
        command(recipe.data, ())
    return problems
