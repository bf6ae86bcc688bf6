"""In which numbers a run computes: autocast, scaled gradients, TF32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal

import torch

from zoo_registry.errors import RunError

Computed = Literal["fp32", "tf32", "bf16", "fp16"]

_DTYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolved(device: torch.device, precision: str) -> Computed:
    """What `run.precision` comes to on a device.

    Args:
        device: where it is computed.
        precision: as in a recipe; `auto` is bf16 on a GPU that computes in it, fp16 on any other, fp32 elsewhere.

    Example:
        >>> resolved(torch.device("cpu"), "auto")
        'fp32'
    """
    if precision != "auto":
        return precision  # type: ignore[return-value]
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def set_matrix_products(device: torch.device, precision: str) -> None:
    """Let a GPU multiply float32 matrices in TF32, unless the recipe asks for fp32; for the whole process.

    Raises:
        RunError: TF32 is asked for where there is none.
    """
    if device.type != "cuda":
        if precision == "tf32":
            raise RunError(f"tf32 is a way of GPUs to compute, not of {device}", hint="write run.precision: auto")
        return
    quick = precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = quick
    torch.backends.cudnn.allow_tf32 = quick


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context of a forward pass."""
    dtype = _DTYPES.get(resolved(device, precision))
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def gradient_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler | None:
    """What keeps small gradients from becoming 0 in fp16; None where nothing has to (bfloat16 has float32's range)."""
    return torch.amp.GradScaler(device.type) if resolved(device, precision) == "fp16" else None


@contextmanager
def backward_kernels(device: torch.device, precision: str) -> Iterator[None]:
    """The context of a backward pass.

    On processors with AVX512-BF16 oneDNN's weight gradients of 3-D convolutions in bfloat16 hold what lay in memory
    before, NaN too (seen with torch 2.15.0): there they are computed without it, several times slower.
    """
    if device.type != "cpu" or resolved(device, precision) not in _DTYPES:
        yield
        return
    set_flags: Any = torch.backends.mkldnn.set_flags
    before = set_flags(_enabled=False)
    try:
        yield
    finally:
        set_flags(_enabled=before[0])
