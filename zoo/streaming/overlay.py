"""Draws answers into frames: labels with bars, and boxes where an answer has some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.report.wording import plain

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

    from zoo.data.clips.placement import Placement

INK, BAR, PANEL = (255, 255, 255, 255), (0, 158, 115, 255), (0, 0, 0, 150)
LONGEST_LABEL = 40
"""Characters."""


@dataclass(frozen=True)
class Caption:
    """What is drawn into frames.

    Attributes:
        lines: text, and for a score how long its bar is (0..1).
        boxes: corners x1 y1 x2 y2 in 0..1 of the displayed frame, and what to write at them.
    """

    lines: tuple[tuple[str, float | None], ...] = ()
    boxes: tuple[tuple[tuple[float, float, float, float], str], ...] = ()


def caption_of(row: Mapping[str, Any], placement: Placement) -> Caption:
    """What an answer looks like.

    Args:
        row: as a task words it. Things with a `label` and a `score` get a line with a bar; those with a `box`, four
            numbers in pixels of the clip, a box; whatever else is short gets a line.
        placement: where the clip lies in the displayed frame.

    Example:
        >>> from zoo.data.clips.placement import Placement
        >>> middle = Placement(scaled=(100, 200), window=(100, 100), corner=(0, 50))
        >>> caption_of({"top5": [{"label": "walk", "score": 0.75}]}, middle).lines
        (('walk 0.75', 0.75),)
        >>> caption_of({"found": [{"label": "cat", "box": [50, 0, 100, 50]}]}, middle).boxes
        (((0.5, 0.0, 0.75, 0.5), 'cat'),)
    """
    lines: list[tuple[str, float | None]] = []
    boxes = []
    for key, thing in _things(row):
        words, score = _words(key, thing)
        if isinstance(thing, Mapping) and len(box := thing.get("box", ())) == 4:
            boxes.append((_on_frame(box, placement), words))
        elif words:
            lines.append((words, score))
    return Caption(tuple(lines), tuple(boxes))


def _things(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield from ((key, item) for item in value)
        elif not isinstance(value, list):
            yield key, value


def _words(key: str, thing: Any) -> tuple[str, float | None]:
    """A line of text, and the score that its bar shows."""
    if not isinstance(thing, Mapping):
        return plain(f"{key} {_number(thing)}", LONGEST_LABEL), None
    label, score = thing.get("label", ""), thing.get("score")
    within = isinstance(score, float) and 0 <= score <= 1
    text = plain(label, LONGEST_LABEL) + ("" if score is None else f" {_number(score)}")
    return text.strip(), score if within else None


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _on_frame(box: Sequence[float], placement: Placement) -> tuple[float, float, float, float]:
    """Pixels of the clip as parts of the displayed frame."""
    (height, width), (top, left) = placement.scaled, placement.corner
    x1, y1, x2, y2 = box
    return (x1 + left) / width, (y1 + top) / height, (x2 + left) / width, (y2 + top) / height


class Overlay:
    """Draws captions; what a caption looks like is drawn once and laid over every frame."""

    def __init__(self) -> None:
        self._drawn: tuple[Caption, tuple[int, int], _Layer | None] | None = None

    def draw(self, frame_hwc: np.ndarray, caption: Caption) -> None:
        """Draw a caption into a frame.

        Args:
            frame_hwc: uint8 (H, W, 3), RGB; it is changed.
            caption: what to draw.
        """
        size = frame_hwc.shape[0], frame_hwc.shape[1]
        if self._drawn is None or self._drawn[:2] != (caption, size):
            self._drawn = caption, size, _layer(caption, *size)
        layer = self._drawn[2]
        if layer is not None:
            seen = frame_hwc[layer.top : layer.top + len(layer.keep), layer.left : layer.left + layer.keep.shape[1]]
            seen[...] = (seen * layer.keep + layer.add) >> 8


@dataclass(frozen=True)
class _Layer:
    """A picture laid over another: `(below * keep + add) / 256`."""

    top: int
    left: int
    keep: np.ndarray
    add: np.ndarray


def _layer(caption: Caption, height: int, width: int) -> _Layer | None:
    from PIL import Image, ImageDraw

    picture = Image.new("RGBA", (width, height))
    canvas = ImageDraw.Draw(picture)
    font = _font(max(10, min(height // 18, 40)))
    for box, words in caption.boxes:
        _draw_box(canvas, box, words, font, (height, width))
    _draw_lines(canvas, caption.lines, font, width)
    drawn = picture.getbbox()
    if drawn is None:
        return None
    rgba_hwc = np.asarray(picture.crop(drawn)).astype(np.uint16)
    alpha = rgba_hwc[..., 3:]
    opaque = alpha + (alpha >> 7)  # 0..255 as 0..256
    return _Layer(drawn[1], drawn[0], 256 - opaque, rgba_hwc[..., :3] * opaque)


def _draw_lines(canvas: ImageDraw, lines: Sequence[tuple[str, float | None]], font: FreeTypeFont, width: int) -> None:
    if not lines:
        return
    pad, step = round(font.size * 0.4), round(font.size * 1.5)
    longest = min(round(max(canvas.textlength(text, font) for text, _ in lines)), width - 2 * pad)
    canvas.rectangle((0, 0, longest + 2 * pad, len(lines) * step + pad), fill=PANEL)
    for at, (text, score) in enumerate(lines):
        top = pad + at * step
        canvas.text((pad, top), text, fill=INK, font=font)
        if score is not None:
            foot = top + round(font.size * 1.2)
            canvas.rectangle((pad, foot, pad + round(score * longest), foot + max(1, step // 12)), fill=BAR)


def _draw_box(canvas: ImageDraw, box: Sequence[float], words: str, font: FreeTypeFont, size: tuple[int, int]) -> None:
    height, width = size
    x1, x2 = sorted((round(box[0] * width), round(box[2] * width)))
    y1, y2 = sorted((round(box[1] * height), round(box[3] * height)))
    canvas.rectangle((x1, y1, x2, y2), outline=BAR, width=max(2, height // 200))
    if words:
        canvas.rectangle(
            (x1, y1, x1 + round(canvas.textlength(words, font)) + 4, y1 + round(font.size * 1.3)), fill=BAR
        )
        canvas.text((x1 + 2, y1), words, fill=INK, font=font)


def _font(size: int) -> FreeTypeFont:
    """The font that matplotlib brings: the same on every machine, with most scripts of the world."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
