"""Makes a loaded recipe independent of where it was written: the last step before it is run."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.build.check import parameters
from zoo.build.references import read_reference
from zoo.build.values import At, mapped
from zoo.recipe.check import check_recipe, components
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.schema import RecipeSchema
from zoo_registry.catalog import Catalog, Listed, catalog
from zoo_registry.errors import RecipeError


def resolve_recipe(recipe: LoadedRecipe, *, index: Catalog | None = None) -> LoadedRecipe:
    """A recipe fit to be run: free of problems, with paths that no longer depend on where it was written.

    References inside parameters are written out and qualified.
    A parameter is a path if its builder annotates it `pathlib.Path`; so are `file:` URIs of weights and of `publish`.

    Args:
        recipe: from `load_recipe`.
        index: where names are looked up; the process's catalogue by default.

    Raises:
        RecipeError: everything that `check_recipe` finds.

    Example:
        >>> recipe = resolve_recipe(load_recipe("quickstart"))                                    # doctest: +SKIP
    """
    index = index or catalog()
    if problems := check_recipe(recipe, index=index):
        raise RecipeError(problems)
    data = _without_relative_paths(recipe, index)
    schema = RecipeSchema.model_validate(data)
    return replace(recipe, schema=schema, data=schema.model_dump(mode="json", exclude_none=True))


def _without_relative_paths(recipe: LoadedRecipe, index: Catalog) -> dict[str, Any]:
    data: dict[str, Any] = copy.deepcopy(dict(recipe.data))
    paths = _Paths(recipe, index)
    for at, listed, params in components(recipe.data, index):
        slot: Any = data
        for step in at:
            slot = slot[step]
        slot["params"] = paths.absolute(listed, params, (*at, "params"))
        if "weights" in slot:
            slot["weights"] = paths.uri(slot["weights"], (*at, "weights"))
    if "publish" in data:
        data["publish"]["repo"] = paths.uri(data["publish"]["repo"], ("publish", "repo"))
    return data


@dataclass(frozen=True)
class _Paths:
    """Makes what a recipe says about files independent of the current folder."""

    recipe: LoadedRecipe
    index: Catalog

    def absolute(self, listed: Listed, params: Mapping[str, Any], at: At) -> dict[str, Any]:
        """The parameters with absolute paths, also those of components inside."""
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
        slot = {"name": listed.name, "params": self.absolute(listed, reference.params, (*at, "params"))}
        if reference.weights is not None:
            slot["weights"] = self.uri(reference.weights, (*at, "weights"))
        return slot

    def path(self, text: str, at: At) -> str:
        """A path from the folder of the file that wrote it."""
        folder = self.recipe.folders.get(at, self.recipe.base)
        return os.path.normpath(folder / Path(text).expanduser())

    def uri(self, text: str, at: At) -> str:
        """A `file:` URI with an absolute path; any other text as it is."""
        return f"file:{self.path(text.removeprefix('file:'), at)}" if text.startswith("file:") else text
