"""Makes a loaded recipe independent of where it was written: the last step before it is run."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from zoo.build.values import At
from zoo.recipe.check import check_recipe
from zoo.recipe.files import with_files
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.schema import RecipeSchema
from zoo_registry.catalog import Catalog, catalog
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
    def path(text: str, at: At) -> str:
        """A path from the folder of the file that wrote it."""
        folder = recipe.folders.get(at, recipe.base)
        return os.path.normpath(folder / os.path.expanduser(text))  # pathlib's raises for ~nobody

    def uri(text: str, at: At) -> str:
        """A `file:` URI with an absolute path; any other text as it is."""
        return f"file:{path(text.removeprefix('file:'), at)}" if text.startswith("file:") else text

    data = with_files(recipe.data, index, path=path, uri=uri)
    if "publish" in data:
        data["publish"]["repo"] = uri(data["publish"]["repo"], ("publish", "repo"))
    return data
