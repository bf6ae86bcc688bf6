"""Models of the namespace `video`."""

from zoo_registry import Model, hookimpl


@hookimpl
def zoo_models() -> list[Model]:
    """None yet."""
    return []
