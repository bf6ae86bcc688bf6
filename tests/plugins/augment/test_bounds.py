"""Every number of a recipe has bounds: neither infinity nor a fill brighter than white reaches the arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from zoo.build import check_params, parameters
from zoo_registry.catalog import catalog

OURS = [listed for listed in catalog().list("augmentation") if listed.plugin.is_own]


def numbers(schema: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Every number that a schema asks for, also inside of lists and alternatives."""
    if not schema:
        return
    if schema.get("type") == "number":
        yield schema
    inner = schema.get("items")
    for branch in (
        *schema.get("anyOf", ()),
        *schema.get("prefixItems", ()),
        inner if isinstance(inner, dict) else None,
    ):
        yield from numbers(branch)


@pytest.mark.parametrize("listed", OURS, ids=lambda listed: listed.name)
def test_every_number_has_a_least_and_a_greatest_value(listed):
    for parameter in parameters(listed):
        for number in numbers(parameter.schema):
            low = {"minimum", "exclusiveMinimum"} & number.keys()
            high = {"maximum", "exclusiveMaximum"} & number.keys()
            assert low, f"{parameter.name} has no least value"
            assert high, f"{parameter.name} has no greatest value"


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("rotate", {"degrees": 5, "fill": 300}, "fill: expected a number from 0 to 255"),
        ("random_crop", {"fill": [0, 300, 0]}, "fill.1: expected a number from 0 to 255, found 300"),
        ("rand_augment", {"fill": -1}, "fill: expected a number from 0 to 255"),
        ("aug_mix", {"fill": 256}, "fill: expected a number from 0 to 255"),
        ("zoom", {"scale": [1.0, 2.0], "mask_fill": 256}, "mask_fill: expected a whole number from 0 to 255"),
        ("brightness", {"brightness": math.inf}, "brightness: expected a number from -1000 to 1000"),
        ("color_jitter", {"contrast": [0.5, math.inf]}, "contrast.1: expected a number from -1000 to 1000"),
        ("gamma", {"gamma": [1.0, math.nan]}, "gamma.1: expected a number above 0 and at most 100, found nan"),
        ("mixup", {"alpha": math.inf}, "alpha: expected a number above 0 and at most 1000, found inf"),
        ("video_codec", {"bitrate": [1e9, 1e9]}, r"bitrate.0: expected a number from 1 to 1e\+06"),
    ],
)
def test_numbers_beyond_them_are_said_when_the_recipe_is_checked(name, params, message):
    (first, *_) = check_params(catalog().resolve("augmentation", name), params)
    assert re.match(message, str(first))
