"""Copies a recipe, so that somebody can change it."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.recipe.documents import Document, open_document
from zoo_registry.catalog import Catalog, catalog
from zoo_registry.errors import RecipeError


def copy_recipe(reference: str, to: str | os.PathLike[str] | None = None, *, index: Catalog | None = None) -> Path:
    """Copy a recipe as it was written, under a comment that says where it came from.

    A copy is its owner's: unlike a recipe that is run from a store, it may name files of this machine and publish.
    Relative paths in it start from its folder.

    Args:
        reference: a name, a path, a run's folder or a URI, as `load_recipe` takes them.
        to: the file, or a folder for it; `NAME.yaml` in the current folder by default. Never one that is there.
        index: where names are looked up; the process's catalogue by default.

    Returns:
        The file.

    Raises:
        RecipeError: no such recipe, or a file that is there already.

    Example:
        >>> copy_recipe("quickstart", "mine.yaml")                                                # doctest: +SKIP
        PosixPath('mine.yaml')
    """
    document = open_document(reference, index or catalog())
    target = Path(f"{document.name}.yaml") if to is None else Path(to).expanduser()
    if target.is_dir():
        target /= f"{document.name}.yaml"
    try:
        with target.open("xb") as file:
            file.write(f"# Copied from {_source(document)}\n".encode())
            file.write(document.content)
    except FileExistsError:
        raise RecipeError(f"{target} is there already", hint="choose another file with --to") from None
    except OSError as error:
        raise RecipeError(
            f"{target} cannot be written: {error.strerror}", hint="choose another place with --to"
        ) from None
    return target


def _source(document: Document) -> str:
    """The qualified name, or the URI with its commit; a file as a person here would write it."""
    return document.shown if os.path.isabs(document.identity) else document.identity
