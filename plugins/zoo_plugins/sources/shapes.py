"""The textbook's picture case: small noisy pictures of ten shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import av
import numpy as np

from zoo_plugins.sources.folder import folder
from zoo_plugins.sources.sample_list import SampleList
from zoo_plugins.sources.written_once import written_once
from zoo_registry import Range
from zoo_registry.protocols import Provided

SIZE = 32
PER_CLASS = {"train": 70, "val": 15, "test": 15}
VERSION = 1

Plane = np.ndarray
"""(H, W) of coordinates; a shape has radius 1."""


def _polygon_distance(x: Plane, y: Plane, corners: int) -> Plane:
    """Largest projection on the normals of a regular polygon's sides, 1 on its border."""
    angles = [2 * math.pi * side / corners + math.pi / 2 for side in range(corners)]
    return np.maximum.reduce([x * math.cos(angle) + y * math.sin(angle) for angle in angles])


def _star(x: Plane, y: Plane) -> Plane:
    """How far inside a five-pointed star: its border lies where the radius swings between 0.45 and 1.1."""
    swing = np.abs(((np.arctan2(y, x) * 5 / (2 * math.pi)) % 1) * 2 - 1)
    return np.hypot(x, y) < 0.45 + 0.65 * swing


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "bars": lambda x, y: (np.maximum(abs(x), abs(y)) < 0.9) & (np.sin(y * 9) > 0),
    "circle": lambda x, y: np.hypot(x, y) < 0.9,
    "cross": lambda x, y: (np.minimum(abs(x - y), abs(x + y)) < 0.36) & (np.maximum(abs(x), abs(y)) < 0.85),
    "crescent": lambda x, y: (np.hypot(x, y) < 0.95) & (np.hypot(x - 0.45, y) > 0.75),
    "frame": lambda x, y: (np.maximum(abs(x), abs(y)) < 0.9) & (np.maximum(abs(x), abs(y)) > 0.55),
    "plus": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.28) & (np.maximum(abs(x), abs(y)) < 0.95),
    "ring": lambda x, y: (np.hypot(x, y) < 0.95) & (np.hypot(x, y) > 0.55),
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.8,
    "star": _star,
    "triangle": lambda x, y: _polygon_distance(x, y, 3) < 0.55,
}


def shapes(*, split: Provided[str], cache: Provided[Path], seed: Annotated[int, Range(ge=0)] = 0) -> SampleList:
    """1,000 PNG pictures of 32 x 32 pixels in train, val and test folders: 700, 150 and 150 of ten classes.

    Shape, place, size, a slight turn, two colours and noise are drawn for every picture.

    Args:
        split: which of the folders.
        cache: where they are written when first asked for; about a second.
        seed: of everything drawn.

    Returns:
        samples with `label_b`.
    """

    def write(root: Path) -> None:
        generator = np.random.Generator(np.random.PCG64(seed))
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt = SIZE, SIZE, "rgb24"
        for part, number in PER_CLASS.items():
            for name in SHAPES:
                (root / part / name).mkdir(parents=True)
                for index in range(number):
                    frame = av.VideoFrame.from_ndarray(picture_hwc(name, generator), format="rgb24")
                    frame.pts = None
                    png = b"".join(bytes(packet) for packet in encoder.encode(frame))
                    (root / part / name / f"{index:03d}.png").write_bytes(png)

    return folder(path=written_once(cache, "shapes", VERSION, {"seed": seed}, write), split=split)


def picture_hwc(name: str, generator: np.random.Generator) -> np.ndarray:
    """One picture: uint8 (32, 32, 3), RGB."""
    across = np.linspace(-1, 1, SIZE)
    x, y = np.meshgrid(across, across)
    x, y = x - generator.uniform(-0.25, 0.25), y - generator.uniform(-0.25, 0.25)
    radius, turn = generator.uniform(0.5, 0.75), generator.uniform(-0.2, 0.2)
    x, y = (x * math.cos(turn) - y * math.sin(turn)) / radius, (x * math.sin(turn) + y * math.cos(turn)) / radius
    colour, ground = _two_colours(generator)
    clean = np.where(SHAPES[name](x, y)[..., None], colour, ground)
    return (clean + generator.normal(0, 25, clean.shape)).clip(0, 255).astype(np.uint8)


def _two_colours(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours that can be told apart."""
    while True:
        colours = generator.uniform(0, 255, (2, 3))
        if np.abs(colours[0] - colours[1]).sum() > 150:
            return colours[0], colours[1]
