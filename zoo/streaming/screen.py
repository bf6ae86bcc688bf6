"""A window that shows a stream, by tkinter, which comes with Python."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from zoo_registry.errors import RunError


class Screen:
    """A window. It is made, refreshed and closed in one thread; pictures may come from another.

    Args:
        title: of the window.

    Attributes:
        closed: somebody closed it.

    Raises:
        RunError: there is no tkinter, or no screen.
    """

    def __init__(self, title: str) -> None:
        hint = "leave out --show; --out FILE.mp4 writes a film instead"
        try:
            import tkinter
        except ImportError:
            raise RunError(
                "no window can be shown: this Python has no tkinter", hint=f"install it (python3-tk), or {hint}"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise RunError(f"no window can be shown: {error}", hint=hint) from None
        self._tkinter: Any = tkinter
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._note_closed)
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._photo: Any = None
        self._newest: np.ndarray | None = None
        self._lock = threading.Lock()
        self.closed = False

    def write(self, seconds: float, frame_hwc: np.ndarray) -> None:
        """Show a frame at the next refresh; one that was not shown by then is left out."""
        with self._lock:
            self._newest = frame_hwc

    def refresh(self) -> None:
        """Show the newest frame, and listen to the window."""
        with self._lock:
            frame_hwc, self._newest = self._newest, None
        if self.closed:
            return
        if frame_hwc is not None:
            header = f"P6 {frame_hwc.shape[1]} {frame_hwc.shape[0]} 255 ".encode()
            self._photo = self._tkinter.PhotoImage(data=header + frame_hwc.tobytes(), format="PPM")
            self._label.configure(image=self._photo)
        self._root.update()

    def close(self) -> None:
        """No more pictures come; the window stays until `destroy`."""

    def destroy(self) -> None:
        """Take the window away."""
        self._note_closed()
        self._photo = None  # a picture that outlives its window complains
        self._root.destroy()

    def _note_closed(self) -> None:
        self.closed = True
