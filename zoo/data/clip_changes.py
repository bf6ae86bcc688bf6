"""The clip spec in force: the model's own, with what a recipe changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from zoo_registry.errors import ParameterError, RecipeError
from zoo_registry.names import nearest
from zoo_registry.spec_rules import NATIVE

if TYPE_CHECKING:
    from zoo_registry.entries import ClipSpec


def changed_clip(
    clip: ClipSpec | None, changes: Mapping[str, Any], params: Mapping[str, Any] | None = None
) -> ClipSpec | None:
    """A model's clip spec with a recipe's changes over it, and as many channels as its network takes.

    A new `size` without a new `resize` keeps the proportion of the two, so that the crop takes the same part. A network
    of one channel sees grey pixels.

    Args:
        clip: the model's own.
        changes: of `data.clip`.
        params: of the network's builder; `in_channels` counts.

    Raises:
        RecipeError: changes for a model that takes no clip.
        ParameterError: changes that make no clip spec.

    Example:
        >>> from zoo_registry import ClipSpec
        >>> changed_clip(ClipSpec(frames=8, size=224, resize=256), {"size": 112}).resize
        128
        >>> changed_clip(ClipSpec(frames=8, size=224), {}, {"in_channels": 1}).mean
        (0.45,)
    """
    if changes and clip is None:
        raise RecipeError("data.clip changes the clip of a model that takes no clip", hint="remove data.clip")
    if clip is None:
        return None
    known = [field.name for field in fields(clip)]
    for name in changes:
        if name not in known:
            raise ParameterError(
                f"clip: there is no {name!r}", hint=f"there is {', '.join(nearest(name, known) or known)}"
            )
    return _of_channels(replace(clip, **with_resize(clip, changes)), (params or {}).get("in_channels"))


def with_resize(clip: ClipSpec, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The changes, with a `resize` that keeps its proportion to a new `size`, where they say none themselves.

    Between sizes of pixels and films as they are there is no proportion: what is not resized has no `resize`.
    """
    if "size" not in changes or "resize" in changes or clip.resize is None:
        return changes
    if NATIVE in (changes["size"], clip.size, clip.resize):
        return {**changes, "resize": None}
    return {**changes, "resize": _in_proportion(clip, replace(clip, size=changes["size"], resize=None).height_width)}


def _in_proportion(clip: ClipSpec, new: tuple[int, int]) -> int | tuple[int, int]:
    """The resize that is to the new size what the old one was to the old size."""
    old = clip.height_width
    if isinstance(clip.resize, int):
        return round(clip.resize * min(new) / min(old))
    assert isinstance(clip.resize, tuple | list)
    height, width = clip.resize
    return round(height * new[0] / old[0]), round(width * new[1] / old[1])


def _of_channels(clip: ClipSpec, channels: object) -> ClipSpec:
    """As many means and deviations as channels: those of grey pixels are the mean over the colours'."""
    if not isinstance(channels, int) or channels < 1 or len(clip.mean) == channels:
        return clip  # what is no number of channels the builder refuses
    if channels == 1:
        mean, std = (sum(values) / len(values) for values in (clip.mean, clip.std))
        return replace(clip, mean=(mean,), std=(std,))
    mean_k, std_k = (
        tuple(values[index % len(values)] for index in range(channels)) for values in (clip.mean, clip.std)
    )
    return replace(clip, mean=mean_k, std=std_k)
