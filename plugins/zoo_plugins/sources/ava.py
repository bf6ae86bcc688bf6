"""AVA by its official lists: every person in a keyframe with a box and all that it does."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from zoo_plugins.sources.annotation_text import MEND, csv_rows, listed, text_of
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_plugins.sources.samples_on_demand import SamplesOnDemand
from zoo_registry import Range
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided, Sample

Keyframe = tuple[str, float]
"""A film and a second."""

Person = tuple[float, float, float, float, str]
"""A box in 0..1 and the person's number within the film."""


def ava(
    *,
    annotations: Path,
    films: Path,
    split: Provided[str],
    version: Literal["2.1", "2.2"] = "2.2",
    seconds: Annotated[float, Range(gt=0)] = 2.0,
    offset: Annotated[float, Range(ge=0)] = 0.0,
    missing: Missing = "error",
) -> SampleList:
    """Read AVA actions by its official lists (Gu et al. 2018).

    Args:
        annotations: the folder with `ava_train_v2.2.csv`, `ava_val_v2.2.csv`, an action list
            `ava_action_list_v2.2*.pbtxt` (of the 60 actions that are scored, where there are two) and
            `ava_SPLIT_excluded_timestamps_v2.2.csv`, whose keyframes are left out.
        films: the folder with films named by their YouTube identity, at any depth.
        split: `train` or `val`; boxes of the test films are not published.
        version: of the lists.
        seconds: length of the span around a keyframe, which lies in its middle.
        offset: second of the original film at which the files begin: 0 for whole films, 900 where minutes 15 to 30
            were cut out, as most downloads do.
        missing: `error` says how many films are missing; `skip` leaves out their keyframes and reports it.

    Returns:
        a sample for every keyframe, with `boxes_n4`, a box for every person, and `label_nk`, the classes of each box;
        classes in the order of the action list. Actions that are not in it do not count, nor persons without others.

    Raises:
        DataError: lists that are not there, bad rows (with their lines), missing films.
    """
    problems = ProblemList()
    actions = _actions(_action_list(annotations, version), problems)
    excluded = _excluded(annotations / f"ava_{split}_excluded_timestamps_v{version}.csv", problems)
    file = annotations / f"ava_{split}_v{version}.csv"
    keyframes, passed_over = _keyframes(file, actions, excluded, problems)
    problems.refuse()
    if not keyframes:
        hint = "is it the list of this version, with the actions of the action list?"
        raise DataError("this list has no keyframe", where=Location(str(file)), hint=hint)
    early = sum(second - seconds / 2 < offset for _, second in keyframes)
    if early == len(keyframes):
        hint = "`offset` is the second of the original film at which the files begin"
        raise DataError(
            f"all keyframes lie before second {offset + seconds / 2:g}", where=Location(str(file)), hint=hint
        )
    folder = FilmFolder(films)
    paths = {film: path for film in {film for film, _ in keyframes} if (path := folder.find(film)) is not None}
    names = sorted({film for film, _ in keyframes})
    _, notes = there(names, paths.__contains__, str, missing=missing, split=split, films=films)
    kept = {at: persons for at, persons in keyframes.items() if at[0] in paths and at[1] - seconds / 2 >= offset}
    labels = list(actions.values())
    if passed_over:
        notes = (*notes, f"{_said(passed_over, split, 'box has', 'boxes have')} no action of the list's {len(labels)}")
    if early:
        notes = (*notes, f"{_said(early, split, 'keyframe lies', 'keyframes lie')} before the beginning of the film")
    return SampleList(Keyframes(str(films), paths, kept, labels, seconds, offset), labels, notes)


def _said(count: int, split: str, one: str, several: str) -> str:
    what, does = (one if count == 1 else several).split()
    return f"{count:,} {what} of the {split} split {does}"


class Keyframes(SamplesOnDemand):
    """Keyframes as arrays; 200,000 of them with a million boxes would take a gigabyte as lists.

    Args:
        base: folder that paths start from.
        paths: of the films, by name.
        keyframes: the persons in each keyframe and what each does.
        labels: names of the actions.
        seconds: length of the span around a keyframe.
        offset: second at which the files begin.
    """

    def __init__(
        self,
        base: str,
        paths: Mapping[str, str],
        keyframes: Mapping[Keyframe, Mapping[Person, Sequence[str]]],
        labels: Sequence[str],
        seconds: float,
        offset: float,
    ) -> None:
        self._base, self._labels, self._half = base, tuple(labels), seconds / 2
        self._films = sorted(paths)
        self._paths = [paths[film] for film in self._films]
        films = {film: number for number, film in enumerate(self._films)}
        codes = {label: number for number, label in enumerate(labels)}
        self._film_n = np.array([films[film] for film, _ in keyframes], np.int32)
        self._second_n = np.array([second for _, second in keyframes], np.float64) - offset
        persons = [(person, said) for found in keyframes.values() for person, said in found.items()]
        self._first_box = np.cumsum([0, *(len(found) for found in keyframes.values())])
        self._box_n4 = np.array([person[:4] for person, _ in persons], np.float64).reshape(-1, 4)
        self._first_action = np.cumsum([0, *(len(said) for _, said in persons)])
        self._action_n = np.array([codes[label] for _, said in persons for label in said], np.int32)

    def __len__(self) -> int:
        return len(self._film_n)

    def make(self, at: int) -> Sample:
        """See `SamplesOnDemand`."""
        path, second = self._paths[self._film_n[at]], float(self._second_n[at])
        first, last = int(self._first_box[at]), int(self._first_box[at + 1])
        targets = {
            "boxes_n4": self._box_n4[first:last].tolist(),
            "label_nk": [self._actions(box) for box in range(first, last)],
        }
        start, end = second - self._half, second + self._half
        return Sample(f"{self._base}/{path}", targets, start, end, key=f"{path} [{second:g} s]")

    def _actions(self, box: int) -> list[str]:
        codes = self._action_n[self._first_action[box] : self._first_action[box + 1]]
        return [self._labels[code] for code in codes.tolist()]

    def target_keys(self) -> list[tuple[str, ...]]:
        """The same for all: see `zoo_registry.protocols.Overview`."""
        return [("boxes_n4", "label_nk")]

    def class_names(self) -> set[str]:
        """All actions that a person does."""
        return {self._labels[code] for code in np.unique(self._action_n).tolist()}

    def digest(self) -> bytes:
        """Of films, spans, boxes and actions."""
        digest = hashlib.sha256(json.dumps([self._paths, self._labels, self._half]).encode())
        for array in (self._film_n, self._second_n, self._first_box, self._box_n4, self._first_action, self._action_n):
            digest.update(array.tobytes())
        return digest.digest()


# --------------------------------------------------------------------------------------------------- the official files


def _action_list(annotations: Path, version: str) -> Path:
    found = sorted(annotations.glob(f"ava_action_list_v{version}*.pbtxt*"))
    scored = [file for file in found if "activitynet" in file.name]
    if len(scored or found) == 1:
        return (scored or found)[0]
    what = f"several action lists: {listed([file.name for file in found])}" if found else "there is no action list"
    hint = f"one ava_action_list_v{version}_for_activitynet_2019.pbtxt is wanted beside the other lists"
    raise DataError(what, where=Location(str(annotations)), hint=hint)


_GROUP = re.compile(r"(?:item|label)\s*\{([^{}]*)\}")
_NAME = re.compile(r'name:\s*"((?:[^"\\]|\\.)*)"')
_NUMBER = re.compile(r"(?:label_)?id:\s*(\d+)")


def _actions(file: Path, problems: ProblemList) -> dict[int, str]:
    """Names by number, in the order of the numbers; `item {name id}` or `label {name label_id label_type}`."""
    text = text_of(file)
    actions: dict[int, str] = {}
    for group in _GROUP.finditer(text):
        where = Location(str(file), text.count("\n", 0, group.start()) + 1, 1)
        name, number = _NAME.search(group[1]), _NUMBER.search(group[1])
        if name is None or number is None:
            problems.add(Problem("the item has no name or no id", where, MEND))
        elif int(number[1]) in actions:
            problems.add(Problem(f"id {number[1]} stands for two actions", where, MEND))
        else:
            actions[int(number[1])] = name[1].replace("\\", "")
    if not actions:
        problems.add(Problem("no action is listed here", Location(str(file)), 'items are item { name: "sit" id: 11 }'))
    return dict(sorted(actions.items()))


def _excluded(file: Path, problems: ProblemList) -> set[Keyframe]:
    """Keyframes that the makers withdrew; none where the file is not there."""
    excluded: set[Keyframe] = set()
    for where, row in csv_rows(file) if file.exists() else ():
        second = _finite(row[1]) if len(row) == 2 else None
        if second is None:
            problems.add(Problem(f"the row should be FILM,SECOND, not {','.join(row)!r}", where, MEND))
        else:
            excluded.add((row[0], second))
    return excluded


def _keyframes(
    file: Path, actions: Mapping[int, str], excluded: set[Keyframe], problems: ProblemList
) -> tuple[dict[Keyframe, dict[Person, list[str]]], int]:
    """Persons and their actions by keyframe, in the order of the file; and how many persons do none of those."""
    found: dict[Keyframe, dict[Person, list[str]]] = defaultdict(dict)
    for where, row in csv_rows(file):
        read = _row(row)
        if isinstance(read, str):
            problems.add(Problem(read, where, "rows are FILM,SECOND,X1,Y1,X2,Y2,ACTION,PERSON, without a header"))
            continue
        keyframe, person, action = read
        if keyframe not in excluded:
            said = found[keyframe].setdefault(person, [])
            if action in actions and actions[action] not in said:
                said.append(actions[action])
    passed_over = sum(not said for persons in found.values() for said in persons.values())
    kept = {at: {who: said for who, said in persons.items() if said} for at, persons in found.items()}
    return {at: persons for at, persons in kept.items() if persons}, passed_over


def _row(row: list[str]) -> tuple[Keyframe, Person, int] | str:
    """Keyframe, person and action; or what is wrong."""
    if len(row) != 8:
        return f"the row has {len(row)} fields, not 8"
    second, corners = _finite(row[1]), [_finite(text) for text in row[2:6]]
    x1, y1, x2, y2 = (-1.0 if corner is None else corner for corner in corners)
    if second is None or not row[0]:
        return f"{row[0]!r} at {row[1]!r} is no keyframe"
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        return f"the box {', '.join(row[2:6])} is none: 0 <= x1 < x2 <= 1, 0 <= y1 < y2 <= 1"
    if not row[6].isdecimal():
        return f"the action should be a number, not {row[6]!r}"
    return (row[0], second), (x1, y1, x2, y2, row[7]), int(row[6])


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
