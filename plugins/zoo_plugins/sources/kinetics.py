"""Kinetics-400, -600, -700 and -700-2020 as DeepMind publishes their lists."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_plugins.sources.annotation_text import FETCH, MEND, csv_records, listed
from zoo_plugins.sources.column_samples import labelled_samples
from zoo_plugins.sources.film_folder import FilmFolder, Missing, there
from zoo_plugins.sources.json_places import items
from zoo_plugins.sources.problem_list import ProblemList
from zoo_plugins.sources.sample_list import SampleList
from zoo_registry.errors import DataError, Location, Problem
from zoo_registry.protocols import Provided

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validate": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Official names of the splits, and ours."""

COLUMNS = ("youtube_id", "time_start", "time_end")


@dataclass
class Clip:
    """A row of the list; `path` is filled in when its film is found."""

    film: str
    start: float
    end: float
    label: str | None
    path: str = ""
    trimmed: bool = True

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.film}_{round(self.start):06d}_{round(self.end):06d}"


def kinetics(*, annotations: Path, films: Path, split: Provided[str], missing: Missing = "error") -> SampleList:
    """Read Kinetics by its official lists (Kay et al. 2017, "The Kinetics Human Action Video Dataset").

    Args:
        annotations: a list: CSV with the columns `label` (none in some test lists), `youtube_id`, `time_start`,
            `time_end` and `split`, or the older JSON; or a folder with one list whose name ends in the split's, such as
            `kinetics-400_train.csv` or `validate.csv`.
        films: the folder that the films lie in, flat or in folders by class, at any depth, named
            `YOUTUBEID_SSSSSS_EEEEEE.mp4` when cut to the span and `YOUTUBEID.mp4` when whole; whole ones are read
            between `time_start` and `time_end`.
        split: which one; `validate` is our `val`.
        missing: films vanish from YouTube. `error` says how many are missing; `skip` leaves them out and reports it.

    Returns:
        samples with `label_b`; classes in alphabetical order, as everybody numbers them.

    Raises:
        DataError: no list, bad rows (with their lines), missing films.
    """
    file = _list_of(annotations, split)
    problems = ProblemList()
    read = _json_clips if file.suffix.lower() == ".json" else _csv_clips
    clips = list(read(file, split, problems))
    problems.refuse()
    if not clips:
        hint = "`annotations` names the list of each split, or the folder that holds them"
        raise DataError(f"this list has no clip of the {split} split", where=Location(str(file)), hint=hint)
    unlabelled = sum(clip.label is None for clip in clips)
    if 0 < unlabelled < len(clips):
        said = f"{unlabelled:,} of {len(clips):,} clips of the {split} split have no label"
        raise DataError(said, where=Location(str(file)), hint=FETCH)
    folder = FilmFolder(films)
    kept, notes = there(
        clips, _finder(folder), lambda clip: f"{clip.name}.mp4", missing=missing, split=split, films=films
    )
    rows = (
        (clip.path, clip.label, None if clip.trimmed else clip.start, None if clip.trimmed else clip.end)
        for clip in kept
    )
    labels = sorted({clip.label for clip in clips if clip.label is not None})
    return SampleList(labelled_samples(str(films), rows), labels, notes)


def _list_of(annotations: Path, split: str) -> Path:
    if not annotations.is_dir():
        return annotations
    lists = [file for file in sorted(annotations.iterdir()) if file.suffix.lower() in (".csv", ".json")]
    fitting = [file for file in lists if SPLITS.get(file.stem.lower().replace("-", "_").rpartition("_")[2]) == split]
    tables = [file for file in fitting if file.suffix.lower() == ".csv"] or fitting
    if len(tables) == 1:
        return tables[0]
    has = f"it holds {listed([file.name for file in tables or lists])}" if lists else "it holds no .csv or .json file"
    what = f"several lists could be the {split} split's" if tables else f"no list here is named after the {split} split"
    raise DataError(what, where=Location(str(annotations)), hint=f"{has}; `annotations` may also name one file")


def _finder(folder: FilmFolder) -> Callable[[Clip], bool]:
    def find(clip: Clip) -> bool:
        label = clip.label or ""
        if (path := folder.find(clip.name, label)) is not None:
            clip.path = path
        elif (path := folder.find(clip.film, label)) is not None:
            clip.path, clip.trimmed = path, False
        return path is not None

    return find


def _csv_clips(file: Path, split: str, problems: ProblemList) -> Iterator[Clip]:
    for where, row in csv_records(file, COLUMNS, "label,youtube_id,time_start,time_end,split"):
        values = {"split": row.get("split"), "label": row.get("label"), "id": row["youtube_id"]}
        yield from _clip({**values, "start": row["time_start"], "end": row["time_end"]}, split, problems, where)


def _json_clips(file: Path, split: str, problems: ProblemList) -> Iterator[Clip]:
    for line, film, entry in items(file):
        where = Location(str(file), line, 1)
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), dict):
            problems.add(Problem(f"{film or 'an entry'} has no annotations", where, MEND))
            continue
        said = entry["annotations"]
        segment = said.get("segment")
        start, end = segment if isinstance(segment, list) and len(segment) == 2 else (None, None)
        values = {"split": entry.get("subset"), "label": said.get("label"), "id": film, "start": start, "end": end}
        yield from _clip(values, split, problems, where)


def _clip(values: Mapping[str, Any], split: str, problems: ProblemList, where: Location) -> Iterator[Clip]:
    """The clip, nothing for one of another split; what is wrong is added to the problems."""
    said = values["split"]
    if said and str(said).strip().lower() not in SPLITS:
        problems.add(Problem(f"split {said!r} is unknown", where, f"splits are {', '.join(SPLITS)}"))
        return
    if said and SPLITS[str(said).strip().lower()] != split:
        return
    if not values["id"]:
        problems.add(Problem("the row has no youtube_id", where, MEND))
        return
    try:
        start, end = float(values["start"]), float(values["end"])
    except (TypeError, ValueError):
        start = end = math.nan
    if not 0 <= start < end < math.inf:
        hint = "time_start and time_end are seconds, the first before the second"
        problems.add(Problem(f"the span from {values['start']} s to {values['end']} s is none", where, hint))
        return
    label = str(values["label"]).strip() if values["label"] else None
    yield Clip(str(values["id"]).strip(), start, end, label)
