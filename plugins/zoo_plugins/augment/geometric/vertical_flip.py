"""Top and bottom swapped."""

from __future__ import annotations

from typing import Annotated

from zoo_plugins.augment.geometric.flip import Flip
from zoo_plugins.augment.geometric.warp import Warp
from zoo_registry import Range
from zoo_registry.protocols import Augment


def vertical_flip(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Mirror samples at the horizontal axis: for views from above, microscopes and the like.

    Args:
        p: probability for each sample.
    """
    return Warp((Flip("y", p),), None)
