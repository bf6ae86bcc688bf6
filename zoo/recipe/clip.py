"""Whether a recipe's `data.clip` makes a clip spec, together with the model's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoo.data.clip_changes import with_resize
from zoo.recipe.loaded import LoadedRecipe
from zoo_registry.catalog import Catalog
from zoo_registry.entries import ClipSpec
from zoo_registry.errors import Problem
from zoo_registry.names import reference_kind
from zoo_registry.spec_rules import clip_faults, crop_faults


def clip_problems(recipe: LoadedRecipe, index: Catalog) -> list[Problem]:
    """What is wrong with the clip that a recipe changes; each value by itself was checked with its slot.

    Args:
        recipe: loaded; its names are known.
        index: where its model is looked up.
    """
    data, clip = recipe.schema.data, _clip_of_model(recipe, index)
    if clip is None:
        return []
    changed, problems = _changed(clip, data.clip.changes, ("data", "clip"), recipe)
    if changed is None:
        return problems
    splits = {name: slot.clip.changes for name in ("train", "val", "test") if (slot := getattr(data, name)) is not None}
    return [
        *problems,
        *(
            problem
            for name, changes in splits.items()
            for problem in _changed(changed, changes, ("data", name, "clip"), recipe)[1]
        ),
    ]


def _changed(
    clip: ClipSpec, changes: Mapping[str, Any], at: tuple[str, ...], recipe: LoadedRecipe
) -> tuple[ClipSpec | None, list[Problem]]:
    """The clip spec with the changes of a slot; None, and what is wrong with it, where they make none."""
    if not changes:
        return clip, []
    spec = {**vars(clip), **with_resize(clip, changes)}
    problems = []
    for fault in clip_faults(spec) or crop_faults(spec):
        field = next((field for field in fault.fields if field in changes), fault.fields[0])
        problems.append(Problem(f"{'.'.join(at)}: {fault.message}", recipe.where((*at, field)), fault.hint))
    return None if problems else replace(clip, **spec), problems


def _clip_of_model(recipe: LoadedRecipe, index: Catalog) -> ClipSpec | None:
    """What the model, or the weights of its tag, want to see; None for weights that would have to be fetched first."""
    slot = recipe.schema.model
    listed = index.resolve("model", slot.name)
    if slot.weights is None:
        return listed.model.clip
    if reference_kind(slot.weights) != "name":
        return None
    return listed.weights(slot.weights).clip or listed.model.clip
