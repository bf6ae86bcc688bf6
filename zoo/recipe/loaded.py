"""A recipe that was read, merged and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.build.check import nearest_place
from zoo.build.values import At
from zoo.recipe.schema import RecipeSchema
from zoo_registry.errors import Location


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, and where each of its values was written.

    Attributes:
        name: short, such as `quickstart`.
        schema: validated; names are fully qualified, short forms written out.
        data: the same as plain data with all defaults but those that are None: what `recipe.resolved.yaml` holds.
        origins: by the way to a value, the place where it was written; values that are not in here are defaults.
        nulls: ways to what was written as `null`, and so set back to its default.
        keys: the same for the keys of mappings.
        folders: by the way to a value, what a relative path in it starts from.
        base: the folder of the recipe itself.
        foreign: the documents among its parts that came from another machine, as `origins` name them.
    """

    name: str
    schema: RecipeSchema
    data: Mapping[str, Any]
    origins: Mapping[At, Location]
    nulls: frozenset[At]
    keys: Mapping[At, Location]
    folders: Mapping[At, Path]
    base: Path
    foreign: frozenset[str] = frozenset()

    @property
    def fetched(self) -> bool:
        """Whether it, or something that it extends, came from another machine."""
        return bool(self.foreign)

    @property
    def publish_is_foreign(self) -> bool:
        """Whether another machine's document, and not the user, said where the result is published."""
        return self.schema.publish is not None and self.is_foreign(("publish", "repo"))

    def is_foreign(self, at: At) -> bool:
        """Whether a value was written by a document from another machine."""
        where = self.where(at)
        return where is not None and where.file in self.foreign

    def where(self, at: At, key: bool = False) -> Location | None:
        """The place of a value or of its key; for one that is not written, of what should hold it."""
        return self.keys[at] if key and at in self.keys else nearest_place(self.origins, at)
