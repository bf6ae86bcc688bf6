"""The hash of a picture is the published one, and does what it is for."""

import math

import numpy as np
import torch

from zoo.data.audit.picture_hash import hamming, luma, perceptual_hashes, squared


def by_definition(picture: np.ndarray) -> int:
    """pHash written out as the sums of its definition (Zauner 2010, 3.2.1), slowly."""
    size = len(picture)

    def cosine(place: int, frequency: int) -> float:
        return math.cos(math.pi * frequency * (2 * place + 1) / (2 * size))

    low = [
        sum(picture[y, x] * cosine(y, v) * cosine(x, u) for y in range(size) for x in range(size))
        for v in range(8)
        for u in range(8)
    ]
    middle = (sorted(low)[31] + sorted(low)[32]) / 2
    return int("".join("1" if value > middle else "0" for value in low), 2)


def test_the_hash_is_that_of_the_definition() -> None:
    random = np.random.default_rng(1)
    pictures = np.stack([random.uniform(0, 255, (4, 4)).repeat(8, 0).repeat(8, 1) for _ in range(3)])
    pictures += random.normal(0, 5, pictures.shape)
    assert perceptual_hashes(pictures).tolist() == [by_definition(picture) for picture in pictures]


def test_brightness_and_contrast_do_not_change_the_hash() -> None:
    picture = np.random.default_rng(2).uniform(40, 160, (1, 32, 32))
    # The mean alone is one bit: it is above the median of the other frequencies before and after.
    assert hamming(perceptual_hashes(picture), perceptual_hashes(picture * 1.4 + 10)).tolist() == [0]


def test_hashes_of_pictures_without_relation_differ_in_about_half_of_their_bits() -> None:
    pictures = np.random.default_rng(3).uniform(0, 255, (200, 32, 32))
    hashes = perceptual_hashes(pictures)
    assert 30 < hamming(hashes[:100], hashes[100:]).mean() < 34  # 32 by chance, one bit is always alike


def test_hamming_counts_bits() -> None:
    one, other = np.array([0, 0b1011, 2**64 - 1], np.uint64), np.array([0, 0b0010, 0], np.uint64)
    assert hamming(one, other).tolist() == [0, 2, 64]


def test_luma_is_that_of_bt_601() -> None:
    clip_cthw = torch.tensor([255, 100, 50], dtype=torch.uint8).reshape(3, 1, 1, 1)
    assert math.isclose(luma(clip_cthw).item(), 0.299 * 255 + 0.587 * 100 + 0.114 * 50, rel_tol=1e-6)


def test_every_part_of_a_picture_counts_alike_in_the_square() -> None:
    left_half_white = torch.zeros(1, 96, 128)
    left_half_white[..., :64] = 200.0
    square = squared(left_half_white, 32)[0]
    assert square.shape == (32, 32)
    assert (square[:, :16] == 200).all()
    assert (square[:, 16:] == 0).all()
