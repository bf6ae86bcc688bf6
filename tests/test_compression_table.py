"""The table of strategies and models says what was found; its quick part is asked of a small network."""

from __future__ import annotations

import pytest

from tests import compression_table
from tests.compression_table import MODELS, PARAMS, Cell, attempt, page, strategies
from zoo_registry.catalog import catalog

SMALL = {"frames": 4, "size": 16}


@pytest.mark.parametrize("strategy", strategies())
def test_every_strategy_works_on_a_small_network_or_refuses_it(strategy: str) -> None:
    try:
        catalog().resolve("compression", strategy).resolve_builder()
    except Exception as error:
        pytest.skip(str(error))
    cell = attempt("basic/cnn3d", strategy, **SMALL)
    assert cell.outcome in ("works", "refused"), cell.why
    assert (cell.outcome == "works") == (cell.why == "")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", strategies())
@pytest.mark.parametrize("model", MODELS)
def test_every_strategy_works_on_every_family_or_refuses_it(model: str, strategy: str) -> None:
    cell = attempt(model, strategy, **MODELS[model])
    assert cell.outcome in ("works", "refused"), cell.why


def test_half_of_the_channels_is_a_quarter_of_the_multiply_adds_of_inner_layers() -> None:
    """All widths but those of the clip and the answers are halved: the share lies between a quarter and a half."""
    pytest.importorskip("torch_pruning", reason="the extra videozoo[prune] is absent")
    cell = attempt("basic/cnn3d", "compress/prune_channels", {"ratio": 0.5, "round_to": 1}, **SMALL)
    assert cell.outcome == "works", cell.why
    assert cell.gmacs is not None
    assert 0.25 <= cell.gmacs < 0.5


def test_the_page_is_made_of_what_was_found() -> None:
    if not compression_table.FACTS.is_file():
        pytest.skip("make compression-table has not run yet")
    text = page(compression_table.known())
    assert compression_table.PAGE.read_text(encoding="utf-8") == text, "run: make compression-table"


def test_the_table_has_every_strategy_and_nothing_in_it_has_failed() -> None:
    if not compression_table.FACTS.is_file():
        pytest.skip("make compression-table has not run yet")
    found = compression_table.known()
    assert set(found) == set(MODELS)
    for model, cells in found.items():
        assert set(cells) == set(strategies()), f"{model}: run make compression-table"
        assert [name for name, cell in cells.items() if cell.outcome == "failed"] == []


def test_parameters_are_those_of_strategies_that_exist() -> None:
    assert set(PARAMS) <= set(strategies())


def test_a_refusal_is_shown_with_its_reason() -> None:
    rows = {
        "video/x3d_s": {
            "compress/cast_bf16": Cell("works", gmacs=1.0, parameters=1.0, bytes=0.5, machine="m", day="2000-01-01"),
            "compress/low_rank": Cell("refused", "it is thin already", machine="m", day="2000-01-01"),
        }
    }
    text = page(rows)
    assert "| `cast_bf16` | not tried | ✓ 1.00 0.50 |" in text
    assert "1. `low_rank` of `x3d_s`: it is thin already" in text
    assert "- 2000-01-01: m\n" in text
