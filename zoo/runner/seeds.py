"""All randomness of a step follows from the run's seed and the step's number, so none has to be saved to resume."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def mixed_seed(*parts: int | str) -> int:
    """One 64-bit seed from several numbers and words; near inputs give unrelated seeds.

    Example:
        >>> mixed_seed(0, "step", 1) != mixed_seed(0, "step", 2)
        True
    """
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def seed_everything(*parts: int | str) -> None:
    """Seed Python, NumPy and torch (CPU and GPUs in use) from `parts`, as in `seed_everything(seed, "step", 12)`.

    `torch.manual_seed` would do, but where CUDA is not in use it formats a stack trace and queues itself for later:
    most of a millisecond at every step.
    """
    import numpy
    import torch

    seed = mixed_seed(*parts)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(seed)


def seeded_generator(generator: torch.Generator, *parts: int | str) -> torch.Generator:
    """The generator, set to where `parts` say."""
    return generator.manual_seed(mixed_seed(*parts))
