"""Reads every file of a data set once and says what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.audit.balance import balance_findings, class_counts
from zoo.data.audit.copies import Copies, find_copies
from zoo.data.audit.copy_findings import copy_findings
from zoo.data.audit.duplicates import Fingerprints, Links
from zoo.data.audit.faults import fault_findings
from zoo.data.audit.findings import Finding, Place, ordered
from zoo.data.audit.label_check import Judge, LabelCheck, Labelled, check_labels
from zoo.data.audit.reading import FileLook, SpanLook
from zoo.data.audit.spans import Survey, survey
from zoo.data.audit.strip import StripShelf
from zoo.data.audit.targets import target_findings
from zoo.data.audit.workers import look_at_all
from zoo.data.decode.film import Decoder
from zoo.data.stream_split import StreamSplit
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo.runner.progress import Progress
    from zoo_registry.entries import ClipSpec

SHOWN = 40
"""Findings of a kind that get pictures; all of them are in the JSON."""

SHOWN_PLACES = 4
"""Films of a finding that get pictures."""

EXAMPLES = 3
"""Films of a class that are shown."""

_NOTHING = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class SplitSummary:
    """What a split consists of.

    Attributes:
        samples: how many.
        files: different files.
        seconds: of film that could be read, spans that several samples use counted each time.
    """

    samples: int
    files: int
    seconds: float


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        title: what was audited, such as the recipe's name.
        clip: what the model wants to see.
        splits: what was audited.
        findings: the worst kinds first.
        counts: samples by class and split.
        labels: how labels were judged; None where nobody was asked to.
        examples: samples of every class, for their pictures.
        strips: JPEG by (split, index), of examples and findings.
    """

    title: str
    clip: ClipSpec | None
    splits: Mapping[str, SplitSummary]
    findings: tuple[Finding, ...]
    counts: Mapping[str, Mapping[str, int]]
    labels: LabelCheck | None = None
    examples: Mapping[str, Sequence[Place]] = field(default_factory=dict, repr=False)
    strips: Mapping[tuple[str, int], bytes] = field(default_factory=dict, repr=False)

    @property
    def clean(self) -> bool:
        """Whether there is no error and no warning; notes do not count."""
        return all(finding.severity == "note" for finding in self.findings)

    def of(self, kind: str) -> list[Finding]:
        """The findings of a kind."""
        return [finding for finding in self.findings if finding.kind == kind]


def audit_splits(
    splits: Mapping[str, Split],
    *,
    title: str = "data",
    clip: ClipSpec | None = None,
    inputs: Sequence[str] = ("clip_bcthw",),
    judge: Judge | None = None,
    decoder: Decoder = Decoder(),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Read every file of some splits once and say what is wrong.

    Args:
        splits: by name: `train`, `val`, `test`.
        title: what it is about.
        clip: what the model wants to see; without it no film is too short.
        inputs: keys of `Batch.inputs` that the model takes.
        judge: who judges labels; nobody by default.
        decoder: what decodes films, on which device and how long it may take.
        workers: processes that read; None for one per core, 0 reads here, as happens where films stay on a GPU.
        progress: shows how far it is.

    Raises:
        ZooError: a model that does not fit, a decoder that is not there; what is wrong with files is in the answer.

    Example:
        >>> audit_splits({"train": split}).clean                                    # doctest: +SKIP
        True
    """
    from zoo.runner.progress import Progress

    progress = progress or Progress(quiet=True)
    if streams := [name for name, split in splits.items() if isinstance(split, StreamSplit)]:
        raise DataError(
            f"{' and '.join(streams)}: a stream of shards cannot be checked film by film",
            hint="copy the shards to a local disk and name them by `path`",
        )
    found = survey(splits, decoder)
    workers = 0 if decoder.stays_on_device else workers
    with closing(StripShelf()) as shelf:
        files, looks, prints = _looked(found, workers, progress, shelf)
        with progress.task("compare", len(looks), unit="films") as task:
            copies = find_copies(found, files, looks, prints, task.advance)
        counts = class_counts(splits)
        findings = [
            *copy_findings(found, looks, copies),
            *fault_findings(found, files, looks, clip, inputs),
            *target_findings(found, files, looks, clip),
            *balance_findings(counts),
        ]
        labels = None
        if judge:
            labels = check_labels(splits, _labelled(found, looks, copies), judge, decoder, progress)
            findings += labels.findings
        examples = _examples(found, looks)
        shown = _shown(ordered(findings), examples)
        strips = {at: shelf.get(number) for number, at in _numbered(found) if at in shown}
    return Audit(
        title,
        clip,
        {name: _summary(split, found, looks) for name, split in splits.items()},
        tuple(ordered(findings)),
        counts,
        labels,
        examples,
        {at: jpeg for at, jpeg in strips.items() if jpeg},
    )


def _looked(
    found: Survey, workers: int | None, progress: Progress, shelf: StripShelf
) -> tuple[list[FileLook], list[SpanLook], Fingerprints]:
    """Look at all files, by the number of their job, and their spans, by the number of the span.

    Strips go on the shelf and what is compared into arrays. Target clips and masks are files without such spans.
    """
    first: dict[int, int] = {}  # number of the first span of every file
    for number, used in enumerate(found.used):
        first.setdefault(used.file, number)
    prints = Fingerprints.empty(len(found.used))
    files: dict[int, FileLook] = {}
    with progress.task("read", len(found.jobs), unit="files") as task:
        for file, look in look_at_all(found.jobs, workers):
            for number, span in enumerate(look.spans if file in first else (), start=first.get(file, 0)):
                shelf.put(number, span.strip)
                prints.put(number, span.hashes, span.pictures, span.contrasts)
            files[file] = replace(look, spans=tuple(map(_without_arrays, look.spans)))
            task.advance()
    in_order = [files[file] for file in range(len(found.jobs))]
    return in_order, [span for file in in_order[: found.files] for span in file.spans], prints


def _without_arrays(span: SpanLook) -> SpanLook:
    return replace(span, strip=b"", hashes=_NOTHING, pictures=_NOTHING)


def _labelled(found: Survey, looks: Sequence[SpanLook], copies: Copies) -> list[Labelled]:
    """Readable samples with one class each; copies, and spans of one film, share a group."""
    links = Links(len(found.used))
    for copy in copies.pairs:
        links.join(copy.one, copy.other)
    first: dict[int, int] = {}  # number of the first span of every film
    for number, film in enumerate(copies.films.tolist()):
        links.join(first.setdefault(film, number), number)
    return [
        Labelled(place, place.labels[0], links.top(number))
        for number, used in enumerate(found.used)
        for place in used.places
        if len(place.labels) == 1 and not looks[number].reason
    ]


def _examples(found: Survey, looks: Sequence[SpanLook]) -> dict[str, list[Place]]:
    """A few readable samples of every class, spread over its films in their order."""
    places: dict[str, list[Place]] = {}
    for used, look in zip(found.used, looks, strict=True):
        if not look.reason:
            for label in used.places[0].labels or ("no class",):
                places.setdefault(label, []).append(used.places[0])
    return {
        label: of_class[:: max(1, len(of_class) // EXAMPLES)][:EXAMPLES] for label, of_class in sorted(places.items())
    }


def _shown(findings: Sequence[Finding], examples: Mapping[str, Sequence[Place]]) -> set[tuple[str, int]]:
    """The samples whose pictures are needed."""
    taken: Counter[str] = Counter()
    places = [place for of_class in examples.values() for place in of_class]
    for finding in findings:
        taken[finding.kind] += 1
        if taken[finding.kind] <= SHOWN:
            places += finding.places[:SHOWN_PLACES]
    return {(place.split, place.index) for place in places}


def _numbered(found: Survey) -> Iterator[tuple[int, tuple[str, int]]]:
    for number, used in enumerate(found.used):
        for place in used.places:
            yield number, (place.split, place.index)


def _summary(split: Split, found: Survey, looks: Sequence[SpanLook]) -> SplitSummary:
    own = [
        (used.file, look.end - look.begin)
        for used, look in zip(found.used, looks, strict=True)
        for place in used.places
        if place.split == split.name
    ]
    return SplitSummary(len(split), len({file for file, _ in own}), sum(seconds for _, seconds in own))
