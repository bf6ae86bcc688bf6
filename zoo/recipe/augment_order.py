"""Augmentations run in workers first, then on the device: a batch does not travel back."""

from __future__ import annotations

from zoo.recipe.loaded import LoadedRecipe
from zoo_registry.errors import Problem


def augment_order_problems(recipe: LoadedRecipe) -> list[Problem]:
    """A problem for every `where: worker` that comes after an augmentation on the device.

    Args:
        recipe: in the long form.

    Example:
        >>> from zoo.recipe import load_recipe
        >>> augment_order_problems(load_recipe("quickstart"))
        []
    """
    slots = recipe.data.get("augment", [])
    on_device = [at for at, slot in enumerate(slots) if slot.get("where", "device") == "device"]
    return [
        Problem(
            f"augmentation {slot['name']!r} runs in the workers but comes after {slots[on_device[0]]['name']!r}, which "
            "runs on the device",
            recipe.where(("augment", at, "where")),
            hint="move those with `where: worker` to the front of `augment`, or let all of them run on the device",
        )
        for at, slot in enumerate(slots)
        if slot.get("where") == "worker" and on_device and on_device[0] < at
    ]
