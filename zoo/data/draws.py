"""Everything random about samples, as functions of the seed and of what they are for: nothing depends on who asks when.

Only numpy's seed sequences and raw bit streams are used: their values are fixed across versions and machines.
"""

from __future__ import annotations

import numpy as np

# One stream of numbers a purpose, so that none follows another.
_ORDER, _CLIP, _SUBSTITUTE = 1, 2, 3


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of samples in an epoch: a permutation of 0..count-1, int64.

    Example:
        >>> sorted(order(4, seed=0, epoch=3).tolist())
        [0, 1, 2, 3]
    """
    return _permutation(count, seed, _ORDER, epoch)


def clip_draw(seed: int, epoch: int, index: int, view: int) -> tuple[float, float, float]:
    """Where a training clip lies: (position in time, window's y, window's x), each in 0..1."""
    position, top, left = np.random.SeedSequence((seed, _CLIP, epoch, index, view)).generate_state(3)
    return position / 2**32, top / 2**32, left / 2**32


def substitutes(count: int, seed: int, epoch: int, index: int) -> np.ndarray:
    """The samples to try, in turn, in place of one whose file is bad: a permutation of 0..count-1, int64."""
    return _permutation(count, seed, _SUBSTITUTE, epoch, index)


def _permutation(count: int, *entropy: int) -> np.ndarray:
    stream = np.random.PCG64(np.random.SeedSequence(entropy))
    return np.argsort(stream.random_raw(count), kind="stable")
