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

_OF_CLASSES = ("label_bk", "label_nk", "value_bk")
"""Targets whose K is the number of labels."""

ROUNDING = 1e-3
"""How far beyond the frame a corner of a box may lie."""

_SHAPE = re.compile(r"[bcknthw0-9]+")
_DIMENSION = re.compile(r"[a-z]|\d+")


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


class BadTarget(ValueError):
    """A target that no batch can hold; the message says what it should be.

    Args:
        key: of the target.
        wanted: what it should be.
        value: what it is.

    Example:
        >>> print(BadTarget("value_b", "a number", None))
        its value_b should be a number, not None
    """

    def __init__(self, key: str, wanted: str, value: Any) -> None:
        self.key, self.wanted, self.value = key, wanted, shortened(value)
        super().__init__(f"its {key} should be {wanted}, not {self.value}")


class UnknownClass(BadTarget):
    """A class that the training data does not have."""

    def __init__(self, key: str, value: Any) -> None:
        super().__init__(key, "one of the training classes", value)
        self.args = (f"its class {self.value} is not among the training classes",)


def shortened(value: Any) -> str:
    """A value for a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."


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

    Raises:
        BadTarget: one of them has not the shape that its key says, is no finite number, no box or no class.
    """
    return {key: _encoded(key, value, classes, placement) for key, value in targets.items()}


def _encoded(key: str, value: Any, classes: Mapping[str, int], placement: Placement | None) -> Any:
    shape = shape_of(key)
    if key in MEDIA:
        if not isinstance(value, str | Tensor):
            raise BadTarget(key, "the path of a film", value)
        return value
    if not shape:
        return value
    if shape == "n4":
        boxes_n4 = _boxes(key, value)
        return boxes_n4 if placement is None else placement.boxes(boxes_n4)
    tensor = _tensor(key, value, shape, classes)
    if key == "label_b" and (tensor < 0 or (classes and tensor >= len(classes))):
        raise UnknownClass(key, value)
    return tensor


def _tensor(key: str, value: Any, shape: str, classes: Mapping[str, int]) -> Tensor:
    """A target that is neither film nor box."""
    if isinstance(value, str):
        tensor = torch.tensor(_index(key, value, classes))
    elif shape == "bk" and _are_names(value):
        tensor = _multi_hot(key, value, classes)
    elif shape == "nk" and isinstance(value, list | tuple) and all(map(_are_names, value)):
        rows = [_multi_hot(key, names, classes) for names in value]
        tensor = torch.stack(rows) if rows else torch.zeros(0, len(classes))
    else:
        names = _are_names(value) and len(value)
        tensor = _numbers(key, [_index(key, name, classes) for name in value] if names else value, classes)
    if not _fits(key, tensor, shape, classes):
        raise BadTarget(key, _wanted(key, classes), value)
    return tensor


def _numbers(key: str, value: Any, classes: Mapping[str, int]) -> Tensor:
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # None, ragged lists, numbers beyond 64 bits
        raise BadTarget(key, _wanted(key, classes), value) from error
    return tensor.float() if tensor.is_floating_point() or key in _FLOATS else tensor.long()


def _fits(key: str, tensor: Tensor, shape: str, classes: Mapping[str, int]) -> bool:
    """Whether a tensor has the dimensions that the key says, and holds what it should."""
    if tensor.is_floating_point() and (key == "label_b" or not tensor.isfinite().all()):
        return False
    if not shape.startswith("b") and key not in _OF_CLASSES:
        return True  # a list with one item a sample, whatever that is
    sizes = _sizes(key, shape, classes)
    return len(sizes) == tensor.ndim and all(
        wanted in (None, there) for wanted, there in zip(sizes, tensor.shape, strict=True)
    )


def _sizes(key: str, shape: str, classes: Mapping[str, int]) -> list[int | None]:
    """How long each dimension of one sample's target is; None where any length will do."""
    dimensions = _DIMENSION.findall(shape.removeprefix("b"))
    labels = (len(classes) or None) if key in _OF_CLASSES else None
    return [labels if name == "k" else int(name) if name.isdigit() else None for name in dimensions]


def _wanted(key: str, classes: Mapping[str, int]) -> str:
    """What a target should be, in words."""
    many = str(len(classes)) if classes else "several"
    return {
        "label_b": "the name or number of a class",
        "label_bk": f"a list of class names, or {many} numbers, one for each label",
        "label_nk": f"a list of class names, or {many} numbers, for every box",
        "value_b": "a number",
        "value_bk": f"{many} numbers, one for each label",
    }.get(key, f"finite numbers of the shape {shape_of(key).removeprefix('b') or 'of one'!r}")


def _boxes(key: str, value: Any) -> Tensor:
    """(n, 4) float32 corners in 0..1."""
    wanted = "a list of x1, y1, x2, y2 in 0..1 of the frame, x1 <= x2 and y1 <= y2"
    try:
        boxes_n4 = torch.as_tensor(value, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadTarget(key, wanted, value) from error
    if boxes_n4.numel() == 0:
        return boxes_n4.reshape(-1, 4)
    if boxes_n4.ndim != 2 or boxes_n4.shape[1] != 4:
        raise BadTarget(key, wanted, value)
    inside = (boxes_n4 >= -ROUNDING) & (boxes_n4 <= 1 + ROUNDING)  # False for NaN
    if not (inside.all() and (boxes_n4[:, :2] <= boxes_n4[:, 2:]).all()):
        raise BadTarget(key, wanted, value)
    return boxes_n4


def _index(key: str, name: str, classes: Mapping[str, int]) -> int:
    if name not in classes:
        raise UnknownClass(key, name)
    return classes[name]


def _multi_hot(key: str, names: Sequence[str], classes: Mapping[str, int]) -> Tensor:
    """(K,) float32, 1 for every class named."""
    row_k = torch.zeros(len(classes))
    row_k[[_index(key, name, classes) for name in names]] = 1.0
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


Shapes = tuple[tuple[str, tuple[int, ...] | None], ...]
"""Keys of targets, and the shapes of those that a batch stacks."""


def stacked_shapes(targets: Mapping[str, Any]) -> Shapes:
    """What samples of a batch have to have in common.

    Example:
        >>> stacked_shapes({"value_bk": torch.zeros(2), "boxes_n4": torch.zeros(5, 4)})
        (('boxes_n4', None), ('value_bk', (2,)))
    """
    stacked = {key: tuple(value.shape) if shape_of(key).startswith("b") else None for key, value in targets.items()}
    return tuple(sorted(stacked.items()))
