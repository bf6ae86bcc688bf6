"""What of YAML a recipe may use, and what is said about the rest."""

import math
from pathlib import Path

import pytest
import yaml

from zoo.recipe.yaml_reader import MAX_BYTES, read_yaml
from zoo.recipe.yaml_writer import dump
from zoo_registry.errors import RecipeError

HERE = Path(".")


def plain(text: str) -> object:
    return read_yaml(text, "r.yaml", HERE).plain()


def complaints(text: str | bytes) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read_yaml(text, "r.yaml", HERE)
    return [f"{problem.where}: {problem.message}" for problem in caught.value.problems]


def test_numbers_and_booleans_are_those_of_yaml_1_2() -> None:
    # Example 10.9 of the specification 1.2.2
    assert plain("[null, , ~]".replace(", ,", ", null,")) == [None, None, None]
    assert plain("[true, True, false, FALSE]") == [True, True, False, False]
    assert plain("[0, 0o7, 0x3A, -19]") == [0, 7, 58, -19]
    assert plain("[0., -0.0, .5, +12e03, -2E+05]") == [0.0, 0.0, 0.5, 12000.0, -200000.0]
    assert plain("[.inf, -.Inf, +.INF]") == [math.inf, -math.inf, math.inf]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 0.0005),
        ("017", 17),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1_0", "1_0"),
    ],
)
def test_what_yaml_1_1_would_read_differently(text: str, value: object) -> None:
    found = plain(f"key: {text}")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)  # type: ignore[index]


def test_quoted_numbers_are_text() -> None:
    assert plain("""{a: "1", b: '5e-4', c: "true"}""") == {"a": "1", "b": "5e-4", "c": "true"}


def test_every_value_and_key_has_its_place() -> None:
    node = read_yaml("run:\n  epochs: 3\n  list: [1,\n    22]\n", "r.yaml", HERE)
    epochs, second = node.find(("run", "epochs")), node.find(("run", "list", 1))
    assert epochs is not None
    assert second is not None
    assert str(epochs.where) == "r.yaml:2:11"
    assert str(epochs.key) == "r.yaml:2:3"
    assert str(second.where) == "r.yaml:4:5"


def test_everything_that_could_name_code_or_grow_is_refused_at_once() -> None:
    text = """\
        a: &x 1
        b: *x
        c: !!python/object/apply:os.system [ls]
        <<: {d: 1}
        a: 2
        3: three
        """
    found = complaints("\n".join(line.strip() for line in text.splitlines()))
    assert found == [
        "r.yaml:1:4: the anchor &x is refused",
        "r.yaml:2:4: the alias *x is refused",
        "r.yaml:3:4: the tag !!python/object/apply:os.system is refused",
        "r.yaml:4:1: merge keys (<<) are refused",
        "r.yaml:5:1: the key 'a' is there twice",
        "r.yaml:6:1: this key is not text",
    ]


def test_a_duplicate_key_names_both_places() -> None:
    with pytest.raises(RecipeError, match=r"r\.yaml:3:1: the key 'run'.*twice\n  first at r\.yaml:1:1"):
        plain("run: {}\nzoo: 1\nrun: {}\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a:\n\tb: 1", "r.yaml:2:1: a tab indents this line"),
        ("a: b: c", "r.yaml:1:5: a colon that begins no value here"),
        (
            "a: [1, 2\nb: 3",
            "r.yaml:2:2: not valid YAML while parsing a flow sequence: expected ',' or ']', but got ':'",
        ),
        ("a: 1\n---\nb: 2", "r.yaml:2:1: a second document begins here"),
        (b"a: 1\nb: caf\xe9", "r.yaml:2:7: the byte 0xe9 is not UTF-8"),
        ("a: 1\nb: \x07", "r.yaml:2:4: the character '\\x07' is not allowed in YAML"),
        ("a: " + "9" * 5000, "r.yaml:1:4: this number is too long"),
    ],
)
def test_text_that_is_no_yaml_is_refused_with_its_place(text: str | bytes, complaint: str) -> None:
    assert complaints(text) == [complaint]


def test_a_bomb_of_brackets_is_refused_before_it_is_built() -> None:
    assert complaints("[" * 100_000) == ["r.yaml:1:41: nested more than 40 deep"]


def test_a_file_of_more_than_a_megabyte_is_refused() -> None:
    assert complaints("#" * (MAX_BYTES + 1)) == ["r.yaml: larger than 1,000,000 bytes, which no recipe is"]


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read_yaml(b"\xef\xbb\xbfzoo: 1", "r.yaml", HERE).plain() == {"zoo": 1}


AWKWARD = {
    "small": 1e-05,
    "big": 1e22,
    "third": 1 / 3,
    "infinite": math.inf,
    "octal": "0o17",
    "exponent": "1e5",
    "yes": "yes",
    "null": "null",
    "empty": "",
    "colon": "a: b",
    "hash": "a #b",
    "lines": "one\ntwo\n",
    "unicode": "Zürich \U0001f98a",
    "list": ["a, b", 1.0, True, None, "~"],
    "nested": [{"a": [1, [2]], "b": {}}, {"c": {"d": []}}, "text"],
    "control": "\x85\u2028",
}


def test_what_is_written_is_read_back_equal() -> None:
    found = plain(dump(AWKWARD))
    assert found == AWKWARD
    assert repr(found) == repr(AWKWARD)  # types too: 1.0 is not 1


def test_other_yaml_readers_read_the_same() -> None:
    assert yaml.safe_load(dump(AWKWARD)) == AWKWARD
