"""Every image backbone of timm as a classifier of clips."""

from zoo_registry import Adapter, Family, hookimpl


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


@hookimpl
def zoo_adapters() -> list[Adapter]:
    """Repositories that timm wrote."""
    return [Adapter("timm", "zoo_plugins.timm.adapter:adapter", "config.json with an architecture of timm.")]
