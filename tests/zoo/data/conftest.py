"""Numbered films as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.films import WriteFilm, write_numbered_film
from zoo.data import Split
from zoo_registry.protocols import Sample


@pytest.fixture
def numbered_film(tmp_path: Path) -> WriteFilm:
    """Writes a numbered film below the test's folder: `numbered_film("a.mp4", frames=20, rate=10, ...)`."""

    def write(name: str = "film.mp4", *args, **kwargs) -> Path:
        return write_numbered_film(tmp_path / name, *args, **kwargs)

    return write


@pytest.fixture(scope="session")
def eight_films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Films 0 to 7 of four frames; all frames of film k are grey of level `10 * k`."""
    folder = tmp_path_factory.mktemp("films")
    return [
        write_numbered_film(folder / f"{film}.mp4", 4, size=(32, 32), level=lambda _, film=film: 10 * film)
        for film in range(8)
    ]


@pytest.fixture
def split_of_eight(eight_films: list[Path]) -> Split:
    """The eight films, half of them class `even`, half `odd`."""
    labels = ("even", "odd")
    return Split(
        "train", [Sample(str(path), {"label_b": labels[at % 2]}) for at, path in enumerate(eight_films)], labels
    )
