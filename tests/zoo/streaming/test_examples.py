"""The examples in docstrings of streaming are true."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module", ["answer", "budget", "clock", "measures", "mp4_on_server", "overlay", "plan", "source"]
)
def test_examples_in_docstrings_are_true(module: str) -> None:
    done = doctest.testmod(importlib.import_module(f"zoo.streaming.{module}"))
    assert done.failed == 0
    assert done.attempted > 0
