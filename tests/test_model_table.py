"""The table of what models go through says what was found; its quick part is asked of one model per family."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from tests import model_table
from tests.model_table import CHECKS, NETWORK_CHECKS, Row, chosen, page, subject_of, undeclared
from zoo.testing import ModelConformance
from zoo.testing.capabilities import LIMITS, check_compile, check_export
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ZooError

STANDS_FOR_TIMM = ("timm/test_resnet", "timm/test_vit")
QUICK = 60_000_000
"""Parameters of a model that is traced in seconds."""


def families() -> list[Any]:
    """The smallest model of every builder of ours."""
    ours = [listed for listed in catalog().list("model") if listed.plugin.is_own and listed.namespace != "timm"]
    smallest: dict[str, Listed] = {}
    for listed in sorted(ours, key=lambda listed: listed.model.parameters or 0):
        smallest.setdefault(listed.entry.builder, listed)
    large = {listed.name for listed in smallest.values() if (listed.model.parameters or 0) > QUICK}
    names = [*sorted(listed.name for listed in smallest.values()), *STANDS_FOR_TIMM]
    return [pytest.param(name, marks=pytest.mark.slow if name in large else ()) for name in names]


def subject(name: str) -> ModelConformance:
    """The model for a small clip, skipped aloud where its packages are missing."""
    listed = catalog().resolve("model", name)
    try:
        listed.resolve_builder()
    except ZooError as error:
        pytest.skip(str(error))
    return subject_of(listed)


@pytest.mark.parametrize("name", families())
def test_one_model_of_every_family_is_exported(name):
    model = subject(name)
    model.skip_limit("export")
    check_export(model.network(), model.example())


@pytest.mark.parametrize("name", families())
def test_one_model_of_every_family_is_one_graph(name):
    """Captured whole; that it also compiles is seen by `make model-table`."""
    model = subject(name)
    model.skip_limit("compile")
    check_compile(model.network(), model.example(), backend="eager")


def test_the_page_is_made_of_what_was_found():
    if not model_table.FACTS.is_file():
        pytest.skip("make model-table has not run yet")
    assert model_table.PAGE.read_text(encoding="utf-8") == page(model_table.known()), "run: make model-table"


def test_the_checks_that_limits_may_except_are_those_of_a_network():
    assert tuple(NETWORK_CHECKS) == LIMITS
    assert set(LIMITS) < set(CHECKS)


def test_families_are_represented_and_every_other_model_is_listed():
    listed = {each.name for each in catalog().list("model") if each.plugin.is_own and each.namespace != "timm"}
    names = set(chosen(()))
    assert listed < names
    assert {name.partition("/")[0] for name in names - listed} == set(model_table.OF_FAMILIES)
    assert chosen(["basic/cnn*", "no/such"]) == ["basic/cnn2d", "basic/cnn3d"]


def test_a_model_is_checked_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(model_table, "CHECKS", ("batch1", "safetensors", "deterministic"))
    row, lines = model_table.checked("basic/cnn3d", limit=120)
    assert (row.clip, row.failed, row.unchecked) == ((1, 16, 16), {}, "")
    assert [line.split()[0] for line in lines] == ["batch1", "safetensors", "deterministic"]


WORKER = """
import json, sys, time
print(json.dumps({"clip": [1, 2, 2]}))
for check in sys.argv[1:]:
    print(json.dumps({"begin": check}), flush=True)
    if check == "export":
        raise SystemExit(7)
    if check == "compile":
        time.sleep(60)
    why = "AssertionError: no" if check == "bf16" else ""
    print(json.dumps({"end": check, "why": why, "seconds": 0.0}), flush=True)
"""


def test_what_ends_its_process_or_takes_too_long_is_said_and_the_rest_is_still_checked(monkeypatch):
    process = model_table._of_process

    def stand_in(command, limit):
        return process([sys.executable, "-c", WORKER, *command[5:]], limit)

    monkeypatch.setattr(model_table, "_of_process", stand_in)
    row, lines = model_table.checked("basic/cnn3d", limit=2)
    assert row.failed == {
        "export": "its process ended with 7: ", "compile": "took longer than 2 s", "bf16": "AssertionError: no",
    }  # fmt: skip
    assert row.clip == (1, 2, 2)
    assert len(lines) == len(CHECKS)


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """cnn3d with a declared limit."""
    entry = replace(catalog().resolve("model", "basic/cnn3d").entry, limits={"export": "its loops depend on the clip."})

    class Index:
        def resolve(self, kind: str, name: str) -> Listed:
            found = catalog().resolve(kind, name)
            return replace(found, entry=entry) if name == "basic/cnn3d" else found

    monkeypatch.setattr(model_table, "catalog", Index)


@pytest.mark.usefixtures("limited")
def test_only_what_is_not_declared_is_an_error():
    rows = {
        "basic/cnn3d": Row((1, 16, 16), {"export": "RuntimeError: loop", "bf16": "AssertionError: far"}),
        "basic/cnn2d": Row((1, 16, 16), {"export": "RuntimeError: loop"}),
    }
    assert list(undeclared(rows)) == [
        "basic/cnn3d fails bf16, which its limits do not declare: AssertionError: far",
        "basic/cnn2d fails export, which its limits do not declare: RuntimeError: loop",
    ]


@pytest.mark.usefixtures("limited")
def test_exceptions_are_shown_with_their_reasons():
    where = {"machine": "a machine", "day": "2000-01-01"}
    rows = {
        "basic/cnn3d": Row((1, 16, 16), {"export": "RuntimeError: loop", "bf16": "far"}, **where),
        "basic/cnn2d": Row(unchecked="pip install it", **where),
    }
    text = page(rows)
    assert "- 2000-01-01: a machine\n" in text
    assert "| `basic/cnn3d` | 1×16×16 | 2 | ✓ | 3 | ✓ | ✓ | ✓ | ✓ |" in text
    assert "| `basic/cnn2d` | – | 1 | 1 | 1 | 1 | 1 | 1 | 1 |" in text
    assert "1. `basic/cnn2d` was not checked: pip install it" in text
    assert "2. `basic/cnn3d`, export: its loops depend on the clip." in text
    assert "3. `basic/cnn3d`, bf16: fails, undeclared: far" in text


@pytest.mark.usefixtures("limited")
def test_a_limit_that_holds_no_longer_is_shown():
    assert "passed here, though its entry says: its loops depend" in page({"basic/cnn3d": Row((1, 16, 16))})


@pytest.mark.parametrize("name", ["basic/cnn2d", "timm/test_vit"])
def test_a_model_is_checked_on_a_small_clip(name):
    """One picture of any size for cnn2d; a ViT of timm has patches of 16 and is built for the size it is given."""
    clip = subject(name).specs["clip"]
    assert (clip.frames, clip.height_width) == (1, (16, 16))
