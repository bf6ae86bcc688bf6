"""Examples in the docstrings of the audit are true."""

import doctest
import importlib
import pkgutil

import pytest

import zoo.data.audit


@pytest.mark.parametrize("module", sorted(module.name for module in pkgutil.iter_modules(zoo.data.audit.__path__)))
def test_examples_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"zoo.data.audit.{module}")).failed == 0
