"""Everything random about samples, as functions of the seed and of what they are for: nothing depends on who asks when.

Only numpy's seed sequences and raw bit streams are used: their values are fixed across versions and machines.
"""

from __future__ import annotations

import numpy as np

# One stream of numbers a purpose, so that none follows another.
_ORDER, _CLIP, _SUBSTITUTE, _BALANCED, _AUGMENT, _SHARDS, _SHUFFLE = 1, 2, 3, 4, 5, 6, 7


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of samples in an epoch: a permutation of 0..count-1, int64.

    Example:
        >>> sorted(order(4, seed=0, epoch=3).tolist())
        [0, 1, 2, 3]
    """
    return _permutation(count, seed, _ORDER, epoch)


def balanced_order(classes: np.ndarray, seed: int, epoch: int, power: float) -> np.ndarray:
    """As many samples as there are, drawn with replacement so that rare classes are shown more often.

    The probability of a class is proportional to `n ** power`, where n is the number of its samples, and that of its
    samples is the same (Kang et al. 2020, "Decoupling Representation and Classifier for Long-Tailed Recognition",
    eq. 1).

    Args:
        classes: (N,) whole numbers: the class of every sample, each from 0 on.
        seed: of the run.
        epoch: every one has its own draws.
        power: 0 shows all classes equally often, 1/2 is square-root sampling, 1 is the data's own balance.

    Returns:
        (N,) int64 numbers of samples.

    Example:
        >>> drawn = balanced_order(np.array([0] * 900 + [1] * 100), seed=0, epoch=0, power=0.0)
        >>> bool(400 < (drawn < 900).sum() < 600)
        True
    """
    counts = np.bincount(classes)
    share = np.where(counts > 0, counts.astype(np.float64) ** power, 0.0)
    limits = np.cumsum(share / share.sum())
    by_class = np.argsort(classes, kind="stable")
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))
    chosen, within = _uniform(2 * len(classes), seed, _BALANCED, epoch).reshape(2, -1)
    drawn = np.minimum(np.searchsorted(limits, chosen, side="right"), np.flatnonzero(counts)[-1])
    numbers: np.ndarray = by_class[first[drawn] + np.floor(within * counts[drawn]).astype(np.int64)]
    return numbers


def copy_numbers(order: np.ndarray) -> np.ndarray:
    """How often each entry of an epoch's order came before: copies of a sample get draws of their own.

    Example:
        >>> copy_numbers(np.array([4, 7, 4, 4, 7])).tolist()
        [0, 0, 1, 2, 1]
    """
    if not len(order):
        return np.zeros(0, np.int64)
    sorting = np.argsort(order, kind="stable")
    ordered = order[sorting]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    copies = np.empty(len(order), np.int64)
    copies[sorting] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return copies


def clip_draw(seed: int, epoch: int, index: int, view: int) -> tuple[float, float, float]:
    """Where a training clip lies: (position in time, window's y, window's x), each in 0..1."""
    position, top, left = np.random.SeedSequence((seed, _CLIP, epoch, index, view)).generate_state(3)
    return position / 2**32, top / 2**32, left / 2**32


def frame_draws(seed: int, epoch: int, index: int, view: int, frames: int) -> tuple[float, ...]:
    """Where in its segment each frame of a training clip lies, in 0..1; what follows the numbers of `clip_draw`."""
    numbers = np.random.SeedSequence((seed, _CLIP, epoch, index, view)).generate_state(3 + frames)[3:]
    return tuple(number / 2**32 for number in numbers.tolist())


def substitutes(count: int, seed: int, epoch: int, index: int) -> np.ndarray:
    """The samples to try, in turn, in place of one whose file is bad: a permutation of 0..count-1, int64."""
    return _permutation(count, seed, _SUBSTITUTE, epoch, index)


def augment_seed(seed: int, epoch: int, *request: int) -> int:
    """Seed of the generator that augmentations of a batch in a worker draw from; `request` numbers the batch."""
    return int(np.random.SeedSequence((seed, _AUGMENT, epoch, *request)).generate_state(1, np.uint64)[0])


def shard_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which the shards of a stream are read in an epoch: a permutation of 0..count-1, int64."""
    return _permutation(count, seed, _SHARDS, epoch)


def shuffle_stream(seed: int, epoch: int, lane: int) -> np.random.PCG64:
    """The bits that a shuffle buffer draws from."""
    return np.random.PCG64(np.random.SeedSequence((seed, _SHUFFLE, epoch, lane)))


def _uniform(count: int, *entropy: int) -> np.ndarray:
    """Numbers in 0..1, 1 not among them: the upper 53 bits of raw draws."""
    raw = np.random.PCG64(np.random.SeedSequence(entropy)).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53


def _permutation(count: int, *entropy: int) -> np.ndarray:
    stream = np.random.PCG64(np.random.SeedSequence(entropy))
    return np.argsort(stream.random_raw(count), kind="stable")
