"""Which way up a frame is displayed: the rotation and mirroring that phones and EXIF note beside the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from av.sidedata.sidedata import SideData, Type

if TYPE_CHECKING:
    from av import VideoFrame


def _unnamed(kind: type[Type], value: object) -> Type:
    """A kind of side data that FFmpeg knows and PyAV does not, such as EXIF: PyAV raises for all that a frame has."""
    member = object.__new__(kind)
    member._name_ = f"UNNAMED_{value}"
    member._value_ = value  # type: ignore[assignment]
    return member


Type._missing_ = classmethod(_unnamed)  # type: ignore[method-assign, assignment]


@dataclass(frozen=True)
class Orientation:
    """What turns a stored frame upright: first exchange rows and columns, then flip.

    Source: the display matrix of ISO/IEC 14496-12, 6.2.2; `x' = a x + c y`, `y' = b x + d y`.

    Attributes:
        transposed: rows become columns.
        flip_x, flip_y: mirrored left to right, top to bottom; after the exchange.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """As noted in the frame's side data, to the nearest quarter turn; upright when nothing is noted."""
        note = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(note, SideData):
            return cls()
        a, b, _, c, d = np.frombuffer(memoryview(note), np.int32)[:5].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def degrees(self) -> int:
        """Clockwise rotation before any mirroring: 0, 90, 180 or 270."""
        if self.transposed:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def exchange(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) of the other side: of the displayed frame for the stored one and back."""
        return (width, height) if self.transposed else (height, width)

    def upright(self, stored_hw: np.ndarray) -> np.ndarray:
        """One channel of the displayed frame, as a view on the stored one."""
        shown = stored_hw.T if self.transposed else stored_hw
        return shown[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
