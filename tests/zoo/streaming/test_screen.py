"""The window, where there is a screen to show it on."""

from __future__ import annotations

import os

import numpy as np
import pytest

import zoo
from tests.zoo.data.films import WriteFilm
from tests.zoo.streaming.models import Watcher, model_of
from zoo.streaming.screen import Screen

pytestmark = pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="there is no screen here")


def test_a_picture_is_shown_as_it_is() -> None:
    screen = Screen("test")
    try:
        picture = np.zeros((40, 60, 3), np.uint8)
        picture[10, 20] = 255, 128, 1
        screen.write(0.0, picture)
        screen.refresh()
        assert (screen._photo.width(), screen._photo.height()) == (60, 40)
        assert screen._photo.get(20, 10) == (255, 128, 1)
        assert screen._photo.get(21, 10) == (0, 0, 0)
    finally:
        screen.destroy()


def test_a_stream_ends_when_its_window_is_closed(numbered_film: WriteFilm) -> None:
    film = numbered_film(frames=250, rate=25, level=lambda number: number)
    with zoo.stream(model_of(Watcher()), film, stride=2, show=True) as live:
        for answer in live:
            if answer.end > 0.5:
                assert live._screen is not None
                root = live._screen._root
                root.tk.call(*root.tk.splitlist(root.protocol("WM_DELETE_WINDOW")))  # what a window manager does
    assert live.summary.seconds < 5
