"""No built-in component is without its conformance checks."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from zoo.testing import ListedConformance
from zoo_registry.catalog import catalog

FOLDER = Path(__file__).parent
MODULES = ["tests.plugins.test_conformance", "tests.plugins.test_observers"] + [
    f"tests.plugins.models.{path.stem}" for path in sorted((FOLDER / "models").glob("test_*_conformance.py"))
]
CHECKED = {
    (checks.kind, checks.name)
    for module in MODULES
    for checks in vars(import_module(module)).values()
    if isinstance(checks, type) and issubclass(checks, ListedConformance) and hasattr(checks, "name")
}


@pytest.mark.parametrize(
    "kind", ["model", "augmentation", "loss", "compression", "task", "source", "exporter", "recipe", "observer"]
)
def test_every_built_in_component_is_checked(kind: str) -> None:
    """Two of timm's family stand for all of it: one builder serves them."""
    built_in = {(kind, each.name) for each in catalog().list(kind) if each.plugin.is_own and each.namespace != "timm"}
    assert built_in - CHECKED == set()
