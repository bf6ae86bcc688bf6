"""Every image backbone of timm as a classifier of clips."""

from zoo_registry import Family, hookimpl


@hookimpl
def zoo_models() -> list[Family]:
    """One family; its members are listed from an index that is cached per installed version of timm."""
    return [
        Family(
            index="zoo_plugins.timm.index:index",
            distribution="timm",
            summary="Image backbones of timm: every frame encoded on its own, features averaged over time.",
        )
    ]
