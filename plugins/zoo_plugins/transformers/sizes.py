"""How large a vision transformer is, where a published configuration says other than the sizes with a name."""

from __future__ import annotations

from typing import Annotated, Any

from zoo_registry import Range

Count = Annotated[int, Range(ge=1, le=16384)] | None
"""A number that a builder takes; None for that of the size with a name. Configurations are written by strangers."""

Blocks = Annotated[int, Range(ge=1, le=512)] | None
"""How many blocks, likewise: each costs time to build, even without memory."""


def sizes(width: int | None, blocks: int | None, heads: int | None, mlp_width: int | None) -> dict[str, Any]:
    """Arguments of the library's configurations, without those that are None."""
    given = {
        "hidden_size": width,
        "num_hidden_layers": blocks,
        "num_attention_heads": heads,
        "intermediate_size": mlp_width,
    }
    return {name: value for name, value in given.items() if value is not None}
