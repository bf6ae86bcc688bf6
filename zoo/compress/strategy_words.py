"""`--with prune_channels:ratio=0.5`: compression strategies as the command line words them, one or a whole space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from zoo.recipe.brackets import split_outside
from zoo.recipe.yaml_reader import read_yaml
from zoo_registry.errors import Location, ParameterError, Problem

GRID_STEPS = 3
"""Values that a grid tries of a range."""
_OPTIONAL, _RANGE, _OR = "?", "..", "|"


@dataclass(frozen=True)
class Choices:
    """Values of which a search tries each.

    Attributes:
        values: in the order they were written.
    """

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Between:
    """Numbers between two others, both included.

    Attributes:
        low, high: the ends.
        whole: whether only whole numbers are meant.
    """

    low: float
    high: float
    whole: bool

    def steps(self, count: int) -> tuple[float, ...]:
        """Numbers at equal distances, the ends included.

        Example:
            >>> Between(0.2, 0.6, whole=False).steps(3), Between(1, 2, whole=True).steps(5)
            ((0.2, 0.4, 0.6), (1, 2))
        """
        values = [self.low + (self.high - self.low) * step / max(1, count - 1) for step in range(count)]
        rounded = [round(value) if self.whole else float(f"{value:.6g}") for value in values]
        return tuple(dict.fromkeys(rounded))


@dataclass(frozen=True)
class StrategyWords:
    """One `--with`.

    Attributes:
        name: of the strategy.
        params: its parameters; in a search a value may be `Choices` or `Between`.
        optional: whether a search also tries to leave it out.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def is_space(self) -> bool:
        """Whether it stands for several."""
        return self.optional or any(isinstance(value, Choices | Between) for value in self.params.values())

    def slot(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {"name": self.name, "params": dict(self.params)}


def parse_strategy(text: str) -> StrategyWords:
    """Read `NAME`, `NAME:KEY=VALUE,KEY=VALUE`, `?NAME:...`; values are YAML, `0.2..0.6` or `max|entropy`.

    Raises:
        ParameterError: no name, something without an equals sign, or a range whose ends are no numbers in order.

    Example:
        >>> parse_strategy("prune_channels:target={gmacs: 0.5},importance=taylor").params
        {'target': {'gmacs': 0.5}, 'importance': 'taylor'}
        >>> parse_strategy("?prune_magnitude:amount=0.2..0.6").is_space
        True
    """
    name, _, rest = text.partition(":")
    optional, name = name.startswith(_OPTIONAL), name.strip().removeprefix(_OPTIONAL).strip()
    params, problems = {}, []
    if not name:
        problems.append(f"{text!r} names no strategy")
    for part in split_outside(rest, ","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            problems.append(f"{part.strip()!r} gives no parameter a value")
            continue
        try:
            params[key.strip()] = _value(value.strip(), text)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        hint = "write NAME:KEY=VALUE,KEY=VALUE, such as prune_magnitude:amount=0.5"
        raise ParameterError(Problem(problem, Location(f"--with {text}"), hint) for problem in problems)
    return StrategyWords(name, params, optional)


def combinations(space: Sequence[StrategyWords], steps: int = GRID_STEPS) -> Iterator[list[dict[str, Any]]]:
    """Every way through a space, each as a recipe's `compress` slot; a range is tried at so many places.

    Example:
        >>> space = [parse_strategy("?a:x=1|2"), parse_strategy("b")]
        >>> [[slot["params"] for slot in way] for way in combinations(space)]
        [[{'x': 1}, {}], [{'x': 2}, {}], [{}]]
    """
    for way in product(*(_single(words, steps) for words in space)):
        yield [words.slot() for words in way if words is not None]


def _single(words: StrategyWords, steps: int) -> Iterator[StrategyWords | None]:
    tried = [
        value.values if isinstance(value, Choices) else value.steps(steps) if isinstance(value, Between) else (value,)
        for value in words.params.values()
    ]
    for values in product(*tried):
        yield StrategyWords(words.name, dict(zip(words.params, values, strict=True)))
    if words.optional:
        yield None


def _value(text: str, whole: str) -> Any:
    choices = split_outside(text, _OR)
    if len(choices) > 1:
        return Choices(tuple(_plain(choice.strip(), whole) for choice in choices))
    low, between, high = text.partition(_RANGE)
    if not between:
        return _plain(text, whole)
    ends = [_plain(end.strip(), whole) for end in (low, high)]
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end)]
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise ValueError(f"{text!r} is no range: the lower number comes first")
    return Between(numbers[0], numbers[1], all(isinstance(end, int) for end in ends))


def _plain(text: str, whole: str) -> Any:
    return read_yaml(text, f"--with {whole}", Path.cwd(), Location(f"--with {whole}")).plain()
