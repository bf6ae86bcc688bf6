"""Compression strategies as the command line words them."""

from __future__ import annotations

import re

import pytest

from zoo.compress.strategy_words import Between, Choices, combinations, parse_strategy
from zoo_registry.errors import ParameterError, ZooError


def test_values_are_read_as_in_a_recipe() -> None:
    words = parse_strategy("prune_channels:ratio=5e-1,skip=[head.*, stem],target={gmacs: 0.5},importance=taylor")
    assert words.name == "prune_channels"
    assert words.params == {
        "ratio": 0.5,
        "skip": ["head.*", "stem"],
        "target": {"gmacs": 0.5},
        "importance": "taylor",
    }
    assert not words.is_space


def test_a_name_alone_has_no_parameters() -> None:
    assert parse_strategy("compress/cast_bf16").slot() == {"name": "compress/cast_bf16", "params": {}}


def test_ranges_and_choices_are_a_space() -> None:
    words = parse_strategy("?quantize_int8:batches=2..8,calibrator=max|entropy,percentile=99.9..99.99")
    assert words.optional
    assert words.params == {
        "batches": Between(2, 8, True),
        "calibrator": Choices(("max", "entropy")),
        "percentile": Between(99.9, 99.99, False),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (":ratio=1", "names no strategy"),
        ("prune:ratio", "'ratio' gives no parameter a value"),
        ("prune:ratio=0.6..0.2", "the lower number comes first"),
        ("prune:ratio=a..b", "'a..b' is no range"),
        ("prune:ratio=[1", "--with prune:ratio=[1"),
        ("prune:ratio=!!python/object:os.system", "tag"),
    ],
)
def test_what_means_nothing_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ZooError, match=re.escape(complaint)):
        parse_strategy(text)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        parse_strategy("prune:ratio,amount=3..1")
    assert len(caught.value.problems) == 2


def test_a_grid_is_every_way_through_the_space() -> None:
    space = [parse_strategy("?a:x=0..1"), parse_strategy("b:y=u|v")]
    ways = [[(slot["name"], *slot["params"].values()) for slot in way] for way in combinations(space, steps=3)]
    assert ways == [
        [("a", 0), ("b", "u")],
        [("a", 0), ("b", "v")],
        [("a", 1), ("b", "u")],
        [("a", 1), ("b", "v")],
        [("b", "u")],
        [("b", "v")],
    ]
