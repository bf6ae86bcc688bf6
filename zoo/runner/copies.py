"""Batches on their way to the device, beside what the device computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from zoo_registry.protocols import Batch


class Copies:
    """Copies batches to a device.

    On a GPU on a stream of its own, from page-locked memory: the host is ahead of the GPU, so a batch is copied while
    the step before it is still computed. Elsewhere it is a plain copy, and none at all on the CPU.

    Args:
        device: where batches go.

    Example:
        >>> from zoo_registry.protocols import Batch
        >>> clip_bcthw, index_b = torch.zeros(1, 3, 2, 4, 4), torch.zeros(1, dtype=torch.int64)
        >>> Copies(torch.device("cpu"))(Batch({"clip_bcthw": clip_bcthw}, {}, index_b, index_b)).inputs.keys()
        dict_keys(['clip_bcthw'])
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, batch: Batch) -> Batch:
        """The batch on the device, for use on the present stream."""
        if self._stream is None:
            return batch.to(self._device, non_blocking=True)
        using = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            copied = batch.to(self._device, non_blocking=True)
        using.wait_stream(self._stream)  # on the GPU; the host goes on
        for value in (*copied.inputs.values(), *copied.targets.values(), copied.index, copied.view):
            _used_on(value, using)
        return copied


def _used_on(value: Any, stream: torch.cuda.Stream) -> None:
    """Keep the memory of tensors until the stream is done with them, though it belongs to another."""
    if isinstance(value, list):
        for item in value:
            _used_on(item, stream)
    elif isinstance(value, torch.Tensor):
        value.record_stream(stream)
