"""Which models there are, without importing any of them."""

from __future__ import annotations

from zoo_registry.catalog import catalog


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """Qualified names of all models that match.

    Args:
        pattern: glob on the qualified or the bare name, such as `r3d*` or `timm/vit_*`.
        task: only models meant for this task.

    Returns:
        Names in alphabetical order, ours and those of installed plugins; no torch is imported.

    Example:
        >>> list_models("r*d_18")
        ['torchvision/r2plus1d_18', 'torchvision/r3d_18']
    """
    found = catalog().list("model", pattern)
    return sorted(listed.name for listed in found if task is None or listed.model.task == task)
