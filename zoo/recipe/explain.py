"""Prints a recipe in full, with where each value comes from."""

from __future__ import annotations

from zoo.build.values import At
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.yaml_writer import lines


def explain(recipe: LoadedRecipe) -> str:
    """The resolved recipe as YAML; a comment behind each value says where it was written.

    Example:
        >>> from zoo.recipe import load_recipe
        >>> print(explain(load_recipe("quickstart", ["run.epochs=1"])))                           # doctest: +SKIP
        ...
        run:
          epochs: 1               # --set run.epochs=1
          batch: 32               # quickstart.yaml:19:26
          accumulate: 1           # default
    """
    written = list(lines(recipe.data))
    width = min(max(len(line) for line, way in written if way is not None), 60)
    return "\n".join(line if way is None else f"{line:<{width}}  # {_origin(recipe, way)}" for line, way in written)


def _origin(recipe: LoadedRecipe, way: At) -> str:
    place = recipe.origins.get(way)
    if place is None:
        return "default"
    return f"default, by null at {place}" if way in recipe.nulls else str(place)
