"""HMDB-51 by its official lists of three folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from zoo_plugins.sources.annotation_text import MEND, lines_of
from zoo_plugins.sources.column_samples import labelled_samples
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry import Range
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided

MARKS = {"train": "1", "val": "2", "test": "2"}
"""What stands behind a film of the split; 0 stands behind those that the fold does not use."""


def hmdb51(
    *,
    annotations: Path,
    films: Path,
    split: Provided[str],
    fold: Annotated[int, Range(ge=1, le=3)] = 1,
    missing: Missing = "error",
) -> SampleList:
    """Read HMDB-51 by its official lists (Kuehne et al. 2011).

    Args:
        annotations: the folder `testTrainMulti_7030_splits` with `CLASS_test_split1.txt`, ... for every class.
        films: the folder with a folder of `.avi` films for every class.
        split: `train` (films marked 1) or `test` (marked 2). There is no validation list: `val` is the test list, as in
            the field's papers.
        fold: which of the three divisions.
        missing: `error` says how many films are missing; `skip` leaves them out and reports it.

    Returns:
        samples with `label_b`; classes in alphabetical order.

    Raises:
        DataError: lists that are not there, bad lines, missing films.
    """
    ending = f"_test_split{fold}.txt"
    files = sorted(annotations.glob(f"*{ending}"))
    if not files:
        hint = "`annotations` is the folder testTrainMulti_7030_splits of the official archive"
        raise DataError(f"no file here ends in {ending}", where=Location(str(annotations)), hint=hint)
    problems = ProblemList()
    labels = [file.name.removesuffix(ending) for file in files]
    listed = [
        (film, label)
        for file, label in zip(files, labels, strict=True)
        for film in _films(file, MARKS[split], problems)
    ]
    problems.refuse()
    folder = FilmFolder(films)
    paths: dict[tuple[str, str], str] = {}

    def find(row: tuple[str, str]) -> bool:
        path = folder.find(row[0].removesuffix(".avi"), row[1])
        if path is not None:
            paths[row] = path
        return path is not None

    kept, notes = there(listed, find, lambda row: f"{row[1]}/{row[0]}", missing=missing, split=split, films=films)
    if split == "val":
        notes = (f"HMDB-51 has no validation list: val is the test list of fold {fold}", *notes)
    rows = ((paths[row], row[1], None, None) for row in kept)
    return SampleList(labelled_samples(str(films), rows), labels, notes)


def _films(file: Path, wanted: str, problems: ProblemList) -> Iterator[str]:
    for line, text in lines_of(file):
        film, _, mark = text.rpartition(" ")
        if not film or mark not in ("0", "1", "2"):
            said = f"the line should be FILM.avi and 0, 1 or 2, not {text!r}"
            problems.add(Problem(said, Location(str(file), line, 1), MEND))
        elif mark == wanted:
            yield film.strip()
