"""What a plugin author can rely on: the exported names, documented hooks, and no torch behind them."""

import inspect
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

import zoo_registry
from zoo_registry import entries, hookspecs
from zoo_registry.entry_rules import ENTRY_OF_KIND
from zoo_registry.hookspecs import HOOKS

HEAVY = ("torch", "numpy", "timm", "torchvision", "av", "yaml", "pydantic")
SPECIFICATIONS = {name: each for name, each in vars(hookspecs).items() if hasattr(each, "zoo_spec")}


def test_the_exported_names_are_these():
    assert zoo_registry.__all__ == sorted(zoo_registry.__all__)
    assert set(zoo_registry.__all__) == {
        "API_VERSION", "Adapter", "ArtefactError", "AudioSpec", "Augmentation", "ClipSpec", "Compression", "Entry",
        "Exporter", "Family", "Fetcher", "Location", "Loss", "Model", "Name", "Observer", "Problem", "Provided",
        "Range", "Recipe", "Ref", "Rounded", "Source", "Task", "Weights", "ZooError", "__version__", "hookimpl",
    }  # fmt: skip


def test_every_exported_name_is_there():
    assert [name for name in zoo_registry.__all__ if not hasattr(zoo_registry, name)] == []


def test_every_exported_class_has_a_docstring():
    exported = [getattr(zoo_registry, name) for name in zoo_registry.__all__]
    assert [each for each in exported if inspect.isclass(each) and not each.__doc__] == []


def test_every_entry_class_has_a_hook():
    declared = {each for each in vars(entries).values() if inspect.isclass(each) and issubclass(each, entries.Entry)}
    assert set(HOOKS) == {each.kind for each in declared - {entries.Entry}} == set(ENTRY_OF_KIND)


def test_every_hook_belongs_to_a_kind():
    assert set(HOOKS.values()) == set(SPECIFICATIONS)


@pytest.mark.parametrize("kind", HOOKS)
def test_every_hook_says_when_it_is_called_takes_nothing_and_returns_entries_of_its_kind(kind):
    hook = SPECIFICATIONS[HOOKS[kind]]
    assert "when" in inspect.getdoc(hook)
    assert list(inspect.signature(hook).parameters) == []
    (returned,) = get_args(get_type_hints(hook)["return"])
    assert all(each.kind == kind for each in get_args(returned) or (returned,))


@pytest.mark.parametrize(
    "code",
    [
        "import zoo_registry",
        "import zoo_registry.protocols",
        "from zoo_registry.catalog import catalog; catalog().list('model')",
        "from zoo_registry.catalog import catalog; catalog().problems()",
    ],
)
def test_nothing_heavy_is_imported(code):
    check = f"import sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"
    warm_up = "from zoo_registry.catalog import catalog; catalog().list('model')"
    subprocess.run([sys.executable, "-c", warm_up], check=True, timeout=120)  # families are indexed once per cache
    done = subprocess.run([sys.executable, "-c", check], text=True, capture_output=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_registry_imports_only_pluggy_and_the_standard_library():
    check = """
import sys
before = set(sys.modules)
import zoo_registry.catalog
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(name for name in new - set(sys.stdlib_module_names) if name not in ("zoo_registry", "pluggy")))
"""
    done = subprocess.run([sys.executable, "-c", check], text=True, capture_output=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
