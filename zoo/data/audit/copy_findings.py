"""What copies mean for a data set: leaks, duplicates, contradictions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from zoo.data.audit.copies import Copies
from zoo.data.audit.duplicates import Copy, groups
from zoo.data.audit.findings import MOST_HONEST, Finding, Place
from zoo.data.audit.reading import SpanLook
from zoo.data.audit.spans import Survey


def copy_findings(found: Survey, looks: Sequence[SpanLook], copies: Copies) -> Iterator[Finding]:
    """Everything that is wrong with spans that show the same."""
    whole = [copy for copy in copies.pairs if copy.whole]
    across = [copy for copy in copies.pairs if copy.whole or _crosses(found, copy)]
    within = [copy for copy in copies.pairs if not copy.whole and not _crosses(found, copy)]
    leaking: set[int] = set()
    for members, pairs in _linked(found, across):
        if len(_splits(_places(found, members))) > 1:
            leaking.update(copies.films[members].tolist())
            yield _leak(found, looks, copies, members, pairs)
    for members, pairs in _linked(found, whole):
        yield from _duplicates(found, members, pairs)
    for members, pairs in _linked(found, within):
        if pairs:
            yield _overlap(found, members, pairs)
    yield from _shared_films(found, copies, leaking)


def _linked(found: Survey, pairs: Sequence[Copy]) -> Iterator[tuple[list[int], list[Copy]]]:
    """Sets of spans that pairs link, each with its pairs; then single spans that several samples use."""
    sets = groups(pairs, len(found.used))
    set_of = {number: at for at, members in enumerate(sets) for number in members}
    own: dict[int, list[Copy]] = defaultdict(list)
    for copy in pairs:
        own[set_of[copy.one]].append(copy)
    yield from ((members, own[at]) for at, members in enumerate(sets))
    yield from (
        ([number], []) for number, used in enumerate(found.used) if number not in set_of and len(used.places) > 1
    )


def _leak(
    found: Survey, looks: Sequence[SpanLook], copies: Copies, members: Sequence[int], pairs: Sequence[Copy]
) -> Finding:
    crossing = max((copy for copy in pairs if _crosses(found, copy)), key=lambda copy: copy.seconds, default=None)
    shown = _places(found, members if crossing is None else (crossing.one, crossing.other))
    first, second = _splits(shown)[:2]
    one = next(place for place in shown if place.split == first)
    other = next(place for place in shown if place.split == second and place != one)
    places = _places(found, members)
    seconds = _seconds_of_several_splits(found, looks, copies, members, pairs)
    message = f"{one.key} of {first} and {other.key} of {second} show the same{_seconds(seconds)} ({_how(pairs)})"
    return Finding("leak", message + _more(len(places) - 2), places, _evidence(found, pairs, seconds))


def _duplicates(found: Survey, members: Sequence[int], pairs: Sequence[Copy]) -> Iterator[Finding]:
    """Copies of whole spans: twice in one split, or with different labels."""
    places = _places(found, members)
    for split in _splits(places):
        of_split = tuple(place for place in places if place.split == split)
        if len(of_split) > 1:
            message = f"{of_split[0].key} and {of_split[1].key} show the same ({_how(pairs)})"
            yield Finding("duplicate", message + _more(len(of_split) - 2), of_split, _evidence(found, pairs))
    labels = sorted({place.labels for place in places})
    if len(labels) > 1:
        said = _and([", ".join(names) or "no label" for names in labels])
        message = f"{places[0].key} and its copies are labelled {said}"
        yield Finding("contradiction", message, places, _evidence(found, pairs))


def _overlap(found: Survey, members: Sequence[int], pairs: Sequence[Copy]) -> Finding:
    most = max(pairs, key=lambda copy: copy.seconds)
    one, other = (found.used[number].places[0] for number in (most.one, most.other))
    message = f"{one.key} and {other.key} share{_seconds(most.seconds)} ({_how(pairs)})"
    places = _places(found, members)
    return Finding("overlap", message + _more(len(places) - 2), places, _evidence(found, pairs, most.seconds))


def _shared_films(found: Survey, copies: Copies, leaking: set[int]) -> Iterator[Finding]:
    """Films with spans in several splits that do not overlap."""
    members: dict[int, list[int]] = defaultdict(list)
    for number, film in enumerate(copies.films.tolist()):
        members[film].append(number)
    for film, numbers in members.items():
        places = _places(found, numbers)
        splits = _splits(places)
        if len(splits) > 1 and film not in leaking:
            yield Finding("shared_film", f"{places[0].media} has spans in {_and(splits)}", places)


def _seconds_of_several_splits(
    found: Survey, looks: Sequence[SpanLook], copies: Copies, members: Sequence[int], pairs: Sequence[Copy]
) -> float:
    """How much of the films is shown in more than one split; moments that several spans show count once."""
    shown: dict[int, list[tuple[float, float, str]]] = defaultdict(list)  # by film

    def show(number: int, splits: Sequence[str]) -> None:
        shown[int(copies.films[number])] += [(looks[number].begin, looks[number].end, split) for split in splits]

    for number in members:
        show(number, _splits(_places(found, [number])))
    for copy in pairs:
        if copies.films[copy.one] != copies.films[copy.other] and _crosses(found, copy):
            # Another file with the same pictures: all that is measured on is shown there too.
            numbers = sorted((copy.one, copy.other), key=lambda number: _honesty(_places(found, [number])))
            show(numbers[0], _splits(_places(found, [numbers[1]])))
    return sum(map(_seconds_with_several, shown.values()))


def _seconds_with_several(shown: Sequence[tuple[float, float, str]]) -> float:
    """Seconds that spans of more than one split cover.

    Example:
        >>> _seconds_with_several([(0.0, 2.0, "train"), (1.5, 3.0, "train"), (1.0, 2.5, "val"), (2.0, 4.0, "val")])
        2.0
    """
    edges = sorted(edge for begin, end, split in shown for edge in ((begin, 1, split), (end, -1, split)))
    open_spans: Counter[str] = Counter()
    total = before = 0.0
    for at, change, split in edges:
        total += (at - before) * (sum(count > 0 for count in open_spans.values()) > 1)
        open_spans[split] += change
        before = at
    return total


def _honesty(places: Sequence[Place]) -> int:
    return min(MOST_HONEST.index(place.split) for place in places)


def _places(found: Survey, numbers: Sequence[int]) -> tuple[Place, ...]:
    return tuple(place for number in numbers for place in found.used[number].places)


def _splits(places: Sequence[Place]) -> list[str]:
    """`train` before `val` before `test`."""
    return sorted({place.split for place in places}, key=MOST_HONEST.index, reverse=True)


def _crosses(found: Survey, copy: Copy) -> bool:
    return len(_splits(_places(found, (copy.one, copy.other)))) > 1


def _evidence(found: Survey, pairs: Sequence[Copy], seconds: float | None = None) -> dict[str, Any]:
    copies = [_pair(copy, found) for copy in pairs] or [{"how": _how(pairs)}]
    return {"how": _how(pairs), "copies": copies} | ({} if seconds is None else {"seconds": round(seconds, 2)})


def _pair(copy: Copy, found: Survey) -> dict[str, Any]:
    """A pair as JSON has it."""
    both = [found.used[number].places[0].key for number in (copy.one, copy.other)]
    numbers = {key: value for key, value in asdict(copy).items() if key in ("bits", "pictures", "motion")}
    rounded = {key: None if value is None else round(value, 3) for key, value in numbers.items()}
    measured = rounded if copy.how == "same pictures" else {}
    return {"how": copy.how, "pair": both, "seconds": round(copy.seconds, 2)} | measured


def _how(pairs: Sequence[Copy]) -> str:
    return _and(sorted({copy.how for copy in pairs})) or "same file"


def _seconds(seconds: float) -> str:
    return f" {seconds:.1f} s" if seconds >= 0.1 else ""  # a picture has no length


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""
