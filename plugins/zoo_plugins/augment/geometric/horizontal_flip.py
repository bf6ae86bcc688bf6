"""Left and right swapped."""

from __future__ import annotations

from typing import Annotated

from zoo_plugins.augment.geometric.flip import Flip
from zoo_plugins.augment.geometric.warp import Warp
from zoo_registry import Range
from zoo_registry.protocols import Augment


def horizontal_flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Mirror samples at the vertical axis. Not for labels that know left from right.

    Args:
        p: probability for each sample.
    """
    return Warp((Flip("x", p),), None)
