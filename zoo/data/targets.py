"""Targets as sources write them to targets as tasks read them.

The last part of a key says the shape: `label_b` is one number a sample, `label_bk` a row of K, `boxes_n4` n boxes. Keys
whose shape starts with b are stacked over the batch, all others stay lists with one item a sample.

    key          a source writes                              a task reads
    label_b      a class name, or its index                   int64 (B,)
    label_bk     a list of class names, or K probabilities    float32 (B, K), 1 for every class named
    label_nk     a list of class names for every box          a list of float32 (n, K)
    value_b      a number                                     float32 (B,)
    value_bk     K numbers                                    float32 (B, K)
    boxes_n4     corners x1 y1 x2 y2 in 0..1 of the frame     a list of float32 (n, 4), pixels of the clip
    clip_bcthw   the path of a film                           uint8 or float (B, C, T, H, W)
    mask_bthw    the path of a film or picture of classes     uint8 (B, T, H, W)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.data.clips.placement import Placement

CLIP = "clip_bcthw"
"""The film that should come out. The reader decodes it."""

MASK = "mask_bthw"
"""The film or picture whose grey values are classes. The reader decodes it."""

MEDIA = (CLIP, MASK)
"""Targets that sources give as paths."""

_FLOATS = ("label_bk", "label_nk", "value_b", "value_bk")
"""Targets that losses want as floats, also where a source writes whole numbers."""

_SHAPE = re.compile(r"[bcknthw0-9]+")


def shape_of(key: str) -> str:
    """The shape that a key ends with, empty when it ends with none.

    Example:
        >>> shape_of("label_bk"), shape_of("boxes_n4"), shape_of("caption")
        ('bk', 'n4', '')
    """
    last = key.rpartition("_")[2] if "_" in key else ""
    return last if _SHAPE.fullmatch(last) else ""


def class_names(targets: Mapping[str, Any]) -> Iterator[str]:
    """Every class name that a sample's targets use.

    Example:
        >>> list(class_names({"label_nk": [["sit"], ["sit", "talk"]], "clip_bcthw": "sharp.mp4", "caption": "two men"}))
        ['sit', 'sit', 'talk']
    """
    for key, value in targets.items():
        if shape_of(key) and key not in MEDIA:  # not free text, such as a caption, and not a path
            yield from _names_in(value)


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, str | list | tuple):
                yield from _names_in(item)


def encode(targets: Mapping[str, Any], classes: Mapping[str, int], placement: Placement | None) -> dict[str, Any]:
    """The targets of one sample as tensors.

    Args:
        targets: as the source wrote them.
        classes: index of each class name.
        placement: how the frame was placed into the clip; boxes follow it. None without a clip.

    Returns:
        a class name becomes its index (int64), a list of names at a `bk` key a multi-hot row (float32), lists of names
        at an `nk` key such a row each, a list of names elsewhere their indices; whole numbers int64, fractions float32,
        `value_b` and `value_bk` float32 in any case; `boxes_n4` pixels of the clip; a decoded `clip_bcthw` or
        `mask_bthw` stays as it is.
    """
    return {key: _encoded(key, value, classes, placement) for key, value in targets.items()}


def _encoded(key: str, value: Any, classes: Mapping[str, int], placement: Placement | None) -> Any:
    shape = shape_of(key)
    if not shape or key in MEDIA:
        return value
    if isinstance(value, str):
        return torch.tensor(classes[value])
    if shape == "bk" and _are_names(value):
        return _multi_hot(value, classes)
    if shape == "nk" and isinstance(value, list | tuple) and all(map(_are_names, value)):
        return torch.stack([_multi_hot(names, classes) for names in value]) if value else torch.zeros(0, len(classes))
    if shape == "n4":
        boxes_n4 = torch.as_tensor(value, dtype=torch.float32).reshape(-1, 4)
        return boxes_n4 if placement is None else placement.boxes(boxes_n4)
    if _are_names(value) and len(value):
        value = [classes[name] for name in value]
    tensor = torch.as_tensor(value)
    return tensor.float() if tensor.is_floating_point() or key in _FLOATS else tensor.long()


def _multi_hot(names: Sequence[str], classes: Mapping[str, int]) -> Tensor:
    """(K,) float32, 1 for every class named."""
    row_k = torch.zeros(len(classes))
    row_k[[classes[name] for name in names]] = 1.0
    return row_k


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The targets of a batch: stacked where the key's shape starts with b, else lists.

    Example:
        >>> rows = [{"label_b": torch.tensor(1), "caption": "a cat"}, {"label_b": torch.tensor(0), "caption": "a dog"}]
        >>> collate(rows)
        {'label_b': tensor([1, 0]), 'caption': ['a cat', 'a dog']}
    """
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return {key: _stack(values) if shape_of(key).startswith("b") else values for key, values in columns.items()}


def _stack(values: list[Tensor]) -> Tensor:
    return torch.stack(values)
