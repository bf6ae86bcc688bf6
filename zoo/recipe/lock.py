"""`zoo.lock`: the versions and checksums with which a recipe was run, and how they differ from today's."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.build import build
from zoo.recipe.comparison import compared, shown
from zoo.recipe.components import named_components
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.yaml_reader import read_yaml
from zoo.recipe.yaml_writer import dump
from zoo_registry.catalog import Catalog, catalog
from zoo_registry.entries import Fetcher
from zoo_registry.errors import RecipeError
from zoo_registry.names import reference_kind

FORMAT = 1
LOCK = "zoo.lock"
PACKAGES = ("videozoo", "torch", "torchvision", "timm", "av", "numpy")
"""Distributions whose versions every lock holds."""


def lock_facts(recipe: LoadedRecipe, *, index: Catalog | None = None, **facts: Any) -> dict[str, Any]:
    """What a lock holds, of this process.

    Args:
        recipe: whose plugins are listed.
        index: where their names are looked up; the process's catalogue by default.
        facts: what only the run knows, as plain data: `threads`, `weights` (sha256 by source), `hub` (commit by
            repository), `data` (fingerprint by split).

    Returns:
        Plain data: `lock` (the format), `plugins`, `packages`, `python`, `platform`, and the facts.

    Example:
        >>> lock_facts(load_recipe("quickstart"), threads=2)["threads"]                           # doctest: +SKIP
        2
    """
    index = index or catalog()
    plugins = {listed.namespace: listed.plugin for listed in named_components(recipe, index)}
    return {
        "lock": FORMAT,
        "plugins": {name: f"{plugins[name].distribution} {plugins[name].version}" for name in sorted(plugins)},
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **facts,
    }


def package_versions() -> dict[str, str]:
    """The versions of `PACKAGES` that are installed."""
    return {name: version for name in PACKAGES if (version := _version(name)) is not None}


def write_lock(
    path: str | os.PathLike[str], recipe: LoadedRecipe, *, index: Catalog | None = None, **facts: Any
) -> None:
    """Write `lock_facts` to a file, whole or not at all."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text(dump(lock_facts(recipe, index=index, **facts)), encoding="utf-8")
    partial.replace(target)


def read_lock(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_lock` wrote.

    Raises:
        RecipeError: there is no such file, or it is no lock of this format.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"{file} cannot be read: {error.strerror}", hint="a run writes it beside its recipe"
        ) from None
    data = read_yaml(content, str(file), file.parent).plain()
    if not isinstance(data, dict) or data.get("lock") != FORMAT:
        raise RecipeError(
            f"{file} is no lock of format {FORMAT}", hint="another version of videozoo may have written it"
        )
    _refuse_unprintable(data, file)
    return data


def _refuse_unprintable(value: Any, file: Path) -> None:
    """What a stranger's lock says is printed; it is words and numbers, nothing that could pass for lines of ours."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_unprintable(str(key), file)
            _refuse_unprintable(item, file)
    elif isinstance(value, list):
        for item in value:
            _refuse_unprintable(item, file)
    elif isinstance(value, str) and any(unicodedata.category(character) == "Cc" for character in value):
        raise RecipeError(f"{file} holds control characters", hint="this was not written by videozoo")


def lock_of(reference: str | os.PathLike[str], *, index: Catalog | None = None) -> dict[str, Any]:
    """The lock that lies beside a recipe: of a run, or of a model that was published.

    Args:
        reference: a path, a run's folder or a URI, as `load_recipe` takes them.
        index: where fetchers are looked up; the process's catalogue by default.

    Raises:
        RecipeError: none lies there.
        HubError: a store that cannot be reached.
    """
    text = os.fspath(reference)
    if reference_kind(text) == "name" and not Path(text).is_dir():
        raise RecipeError(
            f"{text} has no lock: only what ran has one", hint="name a run, or a model that was published"
        )
    if reference_kind(text) == "uri" and not text.startswith("file:"):
        fetcher = (index or catalog()).resolve(Fetcher.kind, text.partition(":")[0])
        return read_lock(Path(build(fetcher)(text, files=[LOCK]).path) / LOCK)
    path = Path(text.removeprefix("file:")).expanduser()
    return read_lock((path if path.is_dir() else path.parent) / LOCK)


def differences(lock: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was when a lock was written, one sentence each; a run may then give other numbers.

    Example:
        >>> differences({"packages": {"torch": "2.11.0"}}, {"packages": {"torch": "2.15.0"}})
        ['packages.torch was 2.11.0, is 2.15.0']
    """
    return [f"{each.name} was {_plain(each.one)}, is {_plain(each.other)}" for each in compared(lock, now)]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
