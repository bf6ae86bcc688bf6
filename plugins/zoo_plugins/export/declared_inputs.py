"""What a file says that it takes, and whether tensors are like that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo_registry.errors import DataError, Problem


@dataclass(frozen=True)
class Declared:
    """An input of a file.

    Attributes:
        name: as in the file.
        shape: its length along each axis, None for any.
        type: `float32`, `uint8`, ...
    """

    name: str
    shape: tuple[int | None, ...]
    type: str

    def __str__(self) -> str:
        return f"{self.name} {self.type} ({', '.join('any' if side is None else str(side) for side in self.shape)})"


def check_inputs(file: str, declared: Sequence[Declared], given: Sequence[Tensor], *, any_batch: bool = True) -> None:
    """Make sure that tensors are what a file takes.

    Args:
        file: its name, for errors.
        declared: what it says that it takes.
        given: what it gets.
        any_batch: whether the first axis may be longer or shorter than the file says.

    Raises:
        DataError: with everything that is not.

    Example:
        >>> import torch
        >>> check_inputs("a.onnx", [Declared("clip", (None, 3), "float32")], [torch.zeros(2, 3)])
    """
    if len(given) != len(declared):
        raise DataError(
            f"{file} takes {len(declared)} input{'s' if len(declared) != 1 else ''}, not {len(given)}",
            hint=f"they are {'; '.join(map(str, declared))}",
        )
    problems = [
        Problem(f"{one.name} is {_words(tensor)}, {file} takes {str(one).removeprefix(one.name).strip()}")
        for one, tensor in zip(declared, given, strict=True)
        if not _fits(one, tensor, free=1 if any_batch else 0)
    ]
    if problems:
        raise DataError(problems)


def _fits(declared: Declared, tensor: Tensor, free: int) -> bool:
    if _type(tensor) != declared.type or tensor.dim() != len(declared.shape):
        return False
    pairs = zip(declared.shape[free:], tensor.shape[free:], strict=True)
    return all(wanted in (None, found) for wanted, found in pairs)


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _words(tensor: Tensor) -> str:
    return f"{_type(tensor)} ({', '.join(map(str, tensor.shape))})"
