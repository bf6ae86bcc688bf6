"""Each channel stretched from black to white."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from zoo_plugins.augment.photometric.passes import in_one_pass, top_of
from zoo_plugins.augment.photometric.some_samples import Fixed
from zoo_registry import Range
from zoo_registry.protocols import Augment


def autocontrast(clip_bcthw: Tensor) -> Tensor:
    """Stretch every channel of every frame, as `torchvision.transforms.v2.functional.autocontrast` does.

    The darkest value becomes black and the brightest white; a channel that has only one value stays as it is.

    Args:
        clip_bcthw: uint8 0..255 or float 0..1.
    """
    top = top_of(clip_bcthw)

    def stretch(values: Tensor, rows: slice) -> Tensor:
        low, high = values.amin((-2, -1), keepdim=True), values.amax((-2, -1), keepdim=True)
        flat = (high == low).to(values.dtype)
        scale = (1 - flat) * top / (high - low + flat) + flat
        return values.sub_(low * (1 - flat)).mul_(scale)

    return in_one_pass(clip_bcthw, stretch)


def random_autocontrast(*, p: Annotated[float, Range(ge=0, le=1)] = 0.5) -> Augment:
    """Stretch the channels of some samples from black to white, frame by frame; target clips stay as they are.

    Args:
        p: probability for each sample.
    """
    return Fixed(autocontrast, p)
