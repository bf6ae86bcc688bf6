"""UCF-101 by its official lists of three folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from zoo_plugins.sources.annotation_text import FETCH, MEND, lines_of
from zoo_plugins.sources.column_samples import labelled_samples
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry import Range
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided

LISTS = {"train": "train", "val": "test", "test": "test"}


def ucf101(
    *,
    annotations: Path,
    films: Path,
    split: Provided[str],
    fold: Annotated[int, Range(ge=1, le=3)] = 1,
    missing: Missing = "error",
) -> SampleList:
    """Read UCF-101 by its official lists (Soomro et al. 2012).

    Args:
        annotations: the folder `ucfTrainTestlist` with `classInd.txt`, `trainlist01.txt`, `testlist01.txt`, ...
        films: the folder `UCF-101` with a folder of `.avi` films for every class.
        split: `train` or `test`. There is no validation list: `val` is the test list, as in the field's papers.
        fold: which of the three divisions.
        missing: `error` says how many films are missing; `skip` leaves them out and reports it.

    Returns:
        samples with `label_b`; classes in the order of `classInd.txt`.

    Raises:
        DataError: lists that are not there, bad lines, missing films.
    """
    problems = ProblemList()
    labels = _labels(annotations / "classInd.txt", problems)
    problems.refuse()
    file = annotations / f"{LISTS[split]}list{fold:02d}.txt"
    listed = list(_films(file, labels, problems))
    problems.refuse()
    if not listed:
        raise DataError("this list is empty", where=Location(str(file)), hint=FETCH)
    folder = FilmFolder(films)
    paths: dict[str, str] = {}

    def find(row: tuple[str, str]) -> bool:
        path = folder.find(PurePosixPath(row[0]).stem, row[1])
        if path is not None:
            paths[row[0]] = path
        return path is not None

    kept, notes = there(listed, find, lambda row: row[0], missing=missing, split=split, films=films)
    if split == "val":
        notes = (f"UCF-101 has no validation list: val is the test list of fold {fold}", *notes)
    rows = ((paths[film], label, None, None) for film, label in kept)
    return SampleList(labelled_samples(str(films), rows), labels, notes)


def _labels(file: Path, problems: ProblemList) -> list[str]:
    labels: list[str] = []
    for line, text in lines_of(file):
        number, _, name = text.partition(" ")
        if number != str(len(labels) + 1) or not name.strip():
            said = f"the line should be {len(labels) + 1} and a class, not {text!r}"
            problems.add(Problem(said, Location(str(file), line, 1), MEND))
        labels.append(name.strip())
    if not labels:
        problems.add(Problem("this list of classes is empty", Location(str(file)), FETCH))
    return labels


def _films(file: Path, labels: list[str], problems: ProblemList) -> Iterator[tuple[str, str]]:
    """Path and class; the class is the folder, and in training lists a number besides."""
    known = {label: str(number) for number, label in enumerate(labels, start=1)}
    for line, text in lines_of(file):
        path, _, number = text.partition(" ")
        label = path.partition("/")[0]
        where = Location(str(file), line, 1)
        if "/" not in path:
            problems.add(Problem(f"the line should be CLASS/FILM.avi, not {text!r}", where, MEND))
        elif label not in known:
            problems.add(Problem(f"class {label!r} is not in classInd.txt", where, MEND))
        elif number.strip() not in ("", known[label]):
            said = f"class {label!r} has number {known[label]} in classInd.txt, {number.strip()} here"
            problems.add(Problem(said, where, MEND))
        yield path, label
