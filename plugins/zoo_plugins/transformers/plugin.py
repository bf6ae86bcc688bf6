"""Models of the namespace `transformers`."""

from zoo_registry import Model, hookimpl


@hookimpl
def zoo_models() -> list[Model]:
    """None yet."""
    return []
