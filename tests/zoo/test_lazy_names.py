"""Packages hand names on without importing where they live."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import zoo

PACKAGES = ["zoo", *(f"zoo.{module.name}" for module in pkgutil.iter_modules(zoo.__path__) if module.ispkg)]
LAZY = [name for name in PACKAGES if hasattr(importlib.import_module(name), "_HOMES")]


@pytest.mark.parametrize("name", LAZY)
def test_no_name_is_that_of_a_module_beside_it(name: str) -> None:
    """Python would put the module in the name's place as soon as somebody imports it."""
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert modules & set(package.__all__) == set()


@pytest.mark.parametrize("name", LAZY)
def test_every_name_is_there_and_declared(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package._HOMES) <= set(package.__all__)
    for each in package.__all__:
        assert getattr(package, each) is getattr(package, each)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'nothing'"):
        zoo.nothing  # noqa: B018


def test_importing_a_package_imports_no_torch() -> None:
    code = f"import importlib, sys; [importlib.import_module(name) for name in {LAZY!r}]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
