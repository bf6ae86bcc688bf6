"""How much memory a forward pass needs."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_memory(module: Module, example: Sequence[Tensor]) -> int:
    """The most bytes that a forward pass over one sample holds at once: weights, and tensors that are alive.

    What the device's allocator says on a GPU. Elsewhere tensors are counted as they come and go; buffers that a kernel
    uses within itself are not seen.

    Args:
        module: in eval mode.
        example: its inputs; the first sample of each is used.

    Example:
        >>> layer = torch.nn.Linear(100, 50, bias=False)            # 5,000 weights, 100 numbers in and 50 out
        >>> peak_memory(layer, (torch.zeros(1, 100),)) == 4 * (5000 + 100 + 50)
        True
    """
    module = copy.deepcopy(module)  # without what earlier passes have left in it
    inputs = [tensor[:1].clone(memory_format=torch.contiguous_format) for tensor in example]
    with torch.inference_mode():
        if any(tensor.is_cuda for tensor in inputs):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            module(*inputs)
            torch.cuda.synchronize()
            return int(torch.cuda.max_memory_allocated())
        alive = _Alive([*module.parameters(), *module.buffers(), *inputs])
        with alive:
            module(*inputs)
    return alive.most


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of storages from the operation that makes them until nobody holds them."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: dict[int, int] = {}
        self._finalizers: list[Any] = []
        for tensor in tensors:
            self._count(tensor)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)
