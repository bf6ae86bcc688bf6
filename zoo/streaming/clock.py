"""The time of a stream."""

from __future__ import annotations

import math

FROZEN = 5.0
"""Seconds without a frame after which the clock of a live source is set anew."""

STUTTER = 0.5
"""Seconds by which a clock may run back before it is set anew."""


class Clock:
    """Seconds since the first frame of a stream, whatever its source's own clock does.

    A clock that runs backwards or jumps is set anew, so that time goes on as it passed here.
    """

    def __init__(self) -> None:
        self._began: float | None = None
        self._offset: float | None = None
        self._last = -math.inf

    def lose(self) -> None:
        """The source was lost: its clock may start anywhere when it comes back."""
        self._offset = None

    def read(self, own: float | None, now: float) -> tuple[float, bool]:
        """When a frame is displayed.

        Args:
            own: by the source's clock, in seconds; None where it has none.
            now: by ours.

        Returns:
            Seconds since the first frame, and whether nothing is missing between the frame before and this one.

        Example:
            >>> clock = Clock()
            >>> clock.read(90.0, now=5.0), clock.read(90.5, now=5.4), clock.read(3.0, now=6.0)
            ((0.0, True), (0.5, True), (1.0, False))
        """
        if self._began is None:
            self._began = now
        passed = now - self._began
        if own is None:
            own = now
        continuous = self._offset is not None
        if self._offset is not None:
            later = own + self._offset - self._last
            if -STUTTER < later <= 0:  # a stamp given twice, or frames that changed places
                self._last += 1e-3
                return self._last, True
            if not 0 < later < FROZEN:
                self._offset, continuous = None, False
        if self._offset is None:
            self._offset = max(passed, self._last + 1e-3) - own
        first = self._last == -math.inf
        self._last = own + self._offset
        return self._last, continuous or first
