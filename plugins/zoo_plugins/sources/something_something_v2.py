"""Something-Something v2 as its makers publish its lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo_plugins.sources.annotation_text import FETCH, MEND, lines_of
from zoo_plugins.sources.column_samples import labelled_samples
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.json_places import items
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.names import nearest
from zoo_registry.protocols import Provided

LISTS = {"train": "train", "val": "validation", "test": "test"}
"""Our names of the splits, and the files'."""

PREFIX = "something-something-v2-"


@dataclass
class Film:
    """An entry of a list; `path` is filled in when its film is found."""

    number: str
    label: str | None
    path: str = ""


def something_something_v2(
    *, annotations: Path, films: Path, split: Provided[str], missing: Missing = "error"
) -> SampleList:
    """Read Something-Something v2 by its official lists (Goyal et al. 2017; Mahdisoltani et al. 2018).

    Args:
        annotations: the folder with `something-something-v2-train.json`, `-validation.json`, `-test.json` and
            `-labels.json`, or the same without `something-something-v2-`, as newer downloads name them. A
            `test-answers.csv` gives the test films their classes; without it they have none.
        films: the folder with `NUMBER.webm`, at any depth; another ending, such as of converted films, is fine.
        split: which one; `validation` is our `val`.
        missing: `error` says how many films are missing; `skip` leaves them out and reports it.

    Returns:
        samples with `label_b`: templates without brackets, such as `Holding something next to something`, in the order
        of `labels.json`.

    Raises:
        DataError: lists that are not there, bad entries (with their lines), missing films.
    """
    problems = ProblemList()
    labels = _labels(_file(annotations, "labels.json"), problems)
    problems.refuse()
    answers = _answers(annotations, labels, problems) if split == "test" else {}
    listed = list(_films(_file(annotations, f"{LISTS.get(split, split)}.json"), labels, answers, split, problems))
    problems.refuse()
    if not listed:
        raise DataError(f"the list of the {split} split is empty", where=Location(str(annotations)), hint=FETCH)
    folder = FilmFolder(films)

    def find(film: Film) -> bool:
        film.path = folder.find(film.number) or ""
        return bool(film.path)

    kept, notes = there(listed, find, lambda film: f"{film.number}.webm", missing=missing, split=split, films=films)
    rows = ((film.path, film.label, None, None) for film in kept)
    return SampleList(labelled_samples(str(films), rows), labels, notes)


def _file(annotations: Path, name: str) -> Path:
    """The file with the older, longer name where there is one."""
    longer = annotations / f"{PREFIX}{name}"
    return annotations / name if (annotations / name).exists() and not longer.exists() else longer


def _labels(file: Path, problems: ProblemList) -> list[str]:
    """Templates in the order of their numbers; numbers are written as texts."""
    numbers: dict[int, str] = {}
    for line, template, number in items(file):
        where = Location(str(file), line, 1)
        if not template or not str(number).isdecimal():
            problems.add(Problem(f"the number of {template or 'a template'!r} is {number!r}", where, MEND))
        elif int(number) in numbers:
            problems.add(Problem(f"number {number} stands for two templates", where, MEND))
        else:
            numbers[int(number)] = template
    if not problems and sorted(numbers) != list(range(len(numbers))):
        problems.add(Problem("the templates' numbers are not 0, 1, 2, ...", Location(str(file)), FETCH))
    return [numbers[number] for number in sorted(numbers)]


def _films(file: Path, labels: list[str], answers: dict[str, str], split: str, problems: ProblemList) -> Iterator[Film]:
    known = set(labels)
    for line, _, entry in items(file):
        where = Location(str(file), line, 1)
        number = str(entry.get("id") or "") if isinstance(entry, dict) else ""
        if not number:
            problems.add(Problem("the entry has no id", where, MEND))
            continue
        if split == "test":
            if answers and number not in answers:
                problems.add(
                    Problem(
                        f"{number} has no line in the answers",
                        where,
                        "is test-answers.csv whole? without it films have no class",
                    )
                )
            yield Film(number, answers.get(number))
            continue
        template = entry.get("template")
        if not isinstance(template, str):
            problems.add(Problem(f"{number} has no template", where, MEND))
            continue
        label = template.replace("[", "").replace("]", "")
        if label not in known:
            problems.add(_unknown(label, labels, where))
        yield Film(number, label)


def _answers(annotations: Path, labels: list[str], problems: ProblemList) -> dict[str, str]:
    """Classes of the test films; nothing where they are not published."""
    file = _file(annotations, "test-answers.csv")
    answers: dict[str, str] = {}
    if not file.exists():
        return answers
    known = set(labels)
    for line, text in lines_of(file):
        number, semicolon, template = text.partition(";")
        label = template.strip().strip('"').replace("[", "").replace("]", "")
        where = Location(str(file), line, 1)
        if not semicolon:
            problems.add(Problem("the line should be NUMBER;TEMPLATE", where, MEND))
        elif label not in known:
            problems.add(_unknown(label, labels, where))
        else:
            answers[number.strip()] = label
    return answers


def _unknown(label: str, labels: list[str], where: Location) -> Problem:
    near = nearest(label, labels, limit=1)
    return Problem(f"{label!r} is not among the labels", where, f"did you mean {near[0]!r}?" if near else None)
