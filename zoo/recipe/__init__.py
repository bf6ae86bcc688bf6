"""Recipes: from a name, a path or a URI to a checked record, with the place of every value."""

from zoo.recipe.check import check_recipe
from zoo.recipe.comparison import ABSENT, Difference, compared, shown
from zoo.recipe.copy import copy_recipe
from zoo.recipe.documents import RESOLVED, open_document
from zoo.recipe.explain import explain
from zoo.recipe.folders import without_folders
from zoo.recipe.json_schema import json_schema
from zoo.recipe.load import load_recipe
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.lock import differences, lock_facts, lock_of, read_lock, write_lock
from zoo.recipe.resolve import resolve_recipe
from zoo.recipe.schema import RecipeSchema
from zoo.recipe.yaml_writer import dump

__all__ = [
    "ABSENT",
    "RESOLVED",
    "Difference",
    "LoadedRecipe",
    "RecipeSchema",
    "check_recipe",
    "compared",
    "copy_recipe",
    "differences",
    "dump",
    "explain",
    "json_schema",
    "load_recipe",
    "lock_facts",
    "lock_of",
    "open_document",
    "read_lock",
    "resolve_recipe",
    "shown",
    "without_folders",
    "write_lock",
]
