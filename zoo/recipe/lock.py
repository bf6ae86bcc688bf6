"""`zoo.lock`: the versions and checksums with which a recipe was run, and how they differ from today's."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.recipe.components import named_components
from zoo.recipe.loaded import LoadedRecipe
from zoo.recipe.yaml_reader import read_yaml
from zoo.recipe.yaml_writer import dump
from zoo_registry.catalog import Catalog, catalog
from zoo_registry.errors import RecipeError

FORMAT = 1
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
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **facts,
    }


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
    return data


def differences(lock: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was when a lock was written, one sentence each; a run may then give other numbers.

    Example:
        >>> differences({"packages": {"torch": "2.11.0"}}, {"packages": {"torch": "2.15.0"}})
        ['packages.torch was 2.11.0, is 2.15.0']
    """
    before, after = dict(_flat(lock, "")), dict(_flat(now, ""))
    changed = [
        f"{name} was {was}, is {after.get(name, 'absent')}" for name, was in before.items() if after.get(name) != was
    ]
    return changed + [f"{name} was absent, is {value}" for name, value in after.items() if name not in before]


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
