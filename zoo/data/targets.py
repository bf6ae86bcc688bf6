"""Targets as sources write them to targets as tasks read them.

The last part of a key says the shape: `label_b` is one number a sample, `label_bk` a row of K, `boxes_n4` n boxes. Keys
whose shape starts with b are stacked over the batch, all others stay lists with one item a sample.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.data.placement import Placement

CLIP = "clip_bcthw"
"""The target that names media: the film that should come out. The reader decodes it."""

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
    """Every class name that a sample's targets use."""
    for key, value in targets.items():
        if not shape_of(key) or key == CLIP:
            continue  # free text, such as a caption, or a path
        names: Iterable[Any] = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
        yield from (name for name in names if isinstance(name, str))


def encode(targets: Mapping[str, Any], classes: Mapping[str, int], placement: Placement | None) -> dict[str, Any]:
    """The targets of one sample as tensors.

    Args:
        targets: as the source wrote them.
        classes: index of each class name.
        placement: how the frame was placed into the clip; boxes follow it. None without a clip.

    Returns:
        a class name becomes its index (int64), a list of names at a `bk` key a multi-hot row (float32), a list of names
        elsewhere their indices; whole numbers int64, fractions float32; `boxes_n4` pixels of the clip; a decoded
        `clip_bcthw` stays as it is.
    """
    return {key: _encoded(key, value, classes, placement) for key, value in targets.items()}


def _encoded(key: str, value: Any, classes: Mapping[str, int], placement: Placement | None) -> Any:
    shape = shape_of(key)
    if not shape or key == CLIP:
        return value
    if isinstance(value, str):
        return torch.tensor(classes[value])
    if shape == "bk" and _are_names(value):
        row_k = torch.zeros(len(classes))
        row_k[[classes[name] for name in value]] = 1.0
        return row_k
    if shape == "n4":
        boxes_n4 = torch.as_tensor(value, dtype=torch.float32).reshape(-1, 4)
        return boxes_n4 if placement is None else placement.boxes(boxes_n4)
    if _are_names(value) and len(value):
        value = [classes[name] for name in value]
    tensor = torch.as_tensor(value)
    return tensor.float() if tensor.is_floating_point() else tensor.long()


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
