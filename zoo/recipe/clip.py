"""Whether a recipe's `data.clip` makes a clip spec, together with the model's own."""

from __future__ import annotations

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
    changes = recipe.schema.data.clip.model_dump(exclude_none=True)
    clip = _clip_of_model(recipe, index)
    if clip is None or not changes:
        return []
    spec = {**vars(clip), **with_resize(clip, changes)}
    problems = []
    for fault in clip_faults(spec) or crop_faults(spec):
        field = next((field for field in fault.fields if field in changes), fault.fields[0])
        where = recipe.where(("data", "clip", field))
        problems.append(Problem(f"data.clip: {fault.message}", where, fault.hint))
    return problems


def _clip_of_model(recipe: LoadedRecipe, index: Catalog) -> ClipSpec | None:
    """What the model, or the weights of its tag, want to see; None for weights that would have to be fetched first."""
    slot = recipe.schema.model
    listed = index.resolve("model", slot.name)
    if slot.weights is None:
        return listed.model.clip
    if reference_kind(slot.weights) != "name":
        return None
    return listed.weights(slot.weights).clip or listed.model.clip
