"""Charades by its official lists: what people do at home, several things in a film."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from zoo_plugins.sources.annotation_text import FETCH, MEND, csv_records, lines_of
from zoo_plugins.sources.column_samples import key_of, labelled_samples
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided, Sample

LISTS = {"train": "train", "val": "test", "test": "test"}


@dataclass
class Film:
    """A row of the list: a film and its actions, each with class, start and end; `path` is filled in when found."""

    name: str
    actions: list[tuple[str, float, float]] = field(default_factory=list)
    path: str = ""


def charades(
    *,
    annotations: Path,
    films: Path,
    split: Provided[str],
    per: Literal["film", "action"] = "film",
    missing: Missing = "error",
) -> SampleList:
    """Read Charades by its official lists (Sigurdsson et al. 2016, "Hollywood in Homes").

    Args:
        annotations: the folder with `Charades_v1_train.csv`, `Charades_v1_test.csv` and `Charades_v1_classes.txt`.
        films: the folder with `ID.mp4`, at any depth.
        split: `train` or `test`. There is no validation list: `val` is the test list, as in the field's papers.
        per: a sample is a `film` with all its classes, or every `action` with one class and its span.
        missing: `error` says how many films are missing; `skip` leaves them out and reports it.

    Returns:
        samples with `label_bk` (a film may have no class at all), or with `label_b` and a span; the 157 classes in the
        order of their numbers.

    Raises:
        DataError: lists that are not there, bad lines, missing films.
    """
    problems = ProblemList()
    labels = _labels(annotations / "Charades_v1_classes.txt", problems)
    problems.refuse()
    file = annotations / f"Charades_v1_{LISTS[split]}.csv"
    rows = list(_films(file, labels, problems))
    problems.refuse()
    if not rows:
        raise DataError("this list is empty", where=Location(str(file)), hint=FETCH)
    folder = FilmFolder(films)

    def find(row: Film) -> bool:
        row.path = folder.find(row.name) or ""
        return bool(row.path)

    kept, notes = there(rows, find, lambda row: f"{row.name}.mp4", missing=missing, split=split, films=films)
    if split == "val":
        notes = ("Charades has no validation list: val is the test list", *notes)
    names = list(labels.values())
    if per == "film":
        return SampleList([_sample(row, films) for row in kept], names, notes)
    actions = [(row.path, label, start, end) for row in kept for label, start, end in row.actions]
    return SampleList(labelled_samples(str(films), actions), names, notes)


def _sample(row: Film, films: Path) -> Sample:
    labels = list(dict.fromkeys(label for label, _, _ in row.actions))  # a film may show an action twice
    return Sample(str(films / row.path), {"label_bk": labels}, key=key_of(row.path, None, None))


def _labels(file: Path, problems: ProblemList) -> dict[str, str]:
    """Names by code, `c000` and on."""
    labels: dict[str, str] = {}
    for line, text in lines_of(file):
        code, _, name = text.partition(" ")
        if code != f"c{len(labels):03d}" or not name.strip():
            said = f"the line should be c{len(labels):03d} and a class, not {text!r}"
            problems.add(Problem(said, Location(str(file), line, 1), MEND))
        labels[code] = name.strip()
    if not labels:
        problems.add(Problem("this list of classes is empty", Location(str(file)), FETCH))
    return labels


def _films(file: Path, labels: dict[str, str], problems: ProblemList) -> Iterator[Film]:
    for where, row in csv_records(file, ("id", "actions"), "id,subject,scene,..."):
        if not row["id"]:
            problems.add(Problem("the row has no id", where, MEND))
            continue
        film = Film(row["id"])
        for said in filter(None, row["actions"].split(";")):
            action = _action(said, labels)
            if isinstance(action, str):
                problems.add(Problem(action, where, MEND))
            else:
                film.actions.append(action)
        yield film


def _action(said: str, labels: dict[str, str]) -> tuple[str, float, float] | str:
    """Class, start and end in seconds; or what is wrong."""
    words = said.split()
    try:
        code, start, end = words[0], float(words[1]), float(words[2])
    except (IndexError, ValueError):
        return f"an action should be CODE START END, not {said!r}"
    if code not in labels:
        return f"class {code!r} is not in Charades_v1_classes.txt"
    if not 0 <= start < end < math.inf:
        return f"the span of {said!r} is none"
    return labels[code], start, end
