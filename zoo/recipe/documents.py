"""Finds the text of a recipe: by name in the catalogue, at a path, behind a URI, or in a mapping of plain data."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.build import build
from zoo.recipe.node import Node, node_of
from zoo.recipe.yaml_reader import MAX_BYTES, read_yaml
from zoo_registry.entries import Fetcher, Recipe
from zoo_registry.errors import Location, RecipeError, ZooError
from zoo_registry.names import nearest, reference_kind

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog

RESOLVED = "recipe.resolved.yaml"
"""The recipe of a run or of a model folder."""


@dataclass(frozen=True)
class Document:
    """One recipe as written.

    Attributes:
        name: short, for folders and titles.
        identity: the same for two references to one recipe.
        shown: how messages name it.
        folder: what paths in it start from.
        fetched: a stranger may have written it, so it may not reach for files of this machine (`zoo.recipe.files`).
        node: what it says.
        content: how it says it; nothing for plain data.
    """

    name: str
    identity: str
    shown: str
    folder: Path
    fetched: bool
    node: Node
    content: bytes = b""


def open_document(
    reference: str | os.PathLike[str] | Mapping[str, Any],
    index: Catalog,
    *,
    origin: Document | None = None,
    where: Location | None = None,
) -> Document:
    """Open what a reference means.

    Args:
        reference: a name, a path, a URI, or plain data.
        index: where names and fetchers are looked up.
        origin: the recipe that extends this one; relative paths start from its folder.
        where: place of the reference.

    Raises:
        RecipeError: nothing is there, or it is no recipe.
        ZooError: a name that nobody has, or a store that cannot be reached.
    """
    try:
        if isinstance(reference, Mapping):
            document = _from_mapping(reference)
        elif isinstance(reference, str) and reference.startswith("file:"):
            document = _from_path(Path(reference.removeprefix("file:")), origin, where)
        elif isinstance(reference, str) and reference_kind(reference) == "uri":
            document = _from_uri(reference, index)
        elif isinstance(reference, str) and reference_kind(reference) == "name":
            document = _by_name(reference, index, typed=origin is None)
        else:
            document = _from_path(Path(reference), origin, where)
    except ZooError as error:
        raise type(error)([replace(each, where=each.where or where) for each in error.problems]) from error
    if origin is not None and origin.fetched and not document.fetched and not _is_installed(reference):
        raise RecipeError(
            f"a fetched recipe cannot extend {str(reference)!r}, a file of this machine",
            where=where,
            hint="it can extend recipes by name and by hf:// URI",
        )
    if not isinstance(document.node.value, dict):
        raise RecipeError("a recipe is a mapping of slots", where=document.node.where, hint="begin with `zoo: 1`")
    return document


def _is_installed(reference: object) -> bool:
    return isinstance(reference, str) and reference_kind(reference) == "name"


def _from_mapping(data: Mapping[str, Any]) -> Document:
    where, folder = Location("recipe"), Path.cwd()
    try:
        node = node_of(data, where, folder)
    except TypeError as error:
        raise RecipeError(
            f"a recipe cannot hold {error}", where=where, hint="it holds text, numbers, lists, mappings"
        ) from None
    return Document("recipe", "", "recipe", folder, False, node)


def _by_name(reference: str, index: Catalog, *, typed: bool) -> Document:
    """A recipe that a plugin brings, which has no place of its own: its relative paths start from the current folder.

    `runs/x` has the form of a name, and is what people type for the run of that name: of what was typed, a name that
    nobody has may be the folder of a run. Names come first, so a folder never hides a recipe.
    """
    try:
        listed = index.resolve(Recipe.kind, reference)
    except ZooError as error:
        if typed and (Path(reference) / RESOLVED).is_file():
            return _from_path(Path(reference), None, None)
        beside = [f"./{path}" for path in (Path(reference), Path(f"{reference}.yaml")) if path.exists()]
        if not beside:
            raise
        raise type(error)([replace(each, hint=f"for the file write {beside[0]}") for each in error.problems]) from error
    package, _, path = listed.entry.builder.partition(":")
    shown = f"{listed.entry.name}.yaml"
    try:
        content = importlib.resources.files(package).joinpath(path).read_bytes()
    except (OSError, ImportError) as error:
        raise RecipeError(f"{listed.name} cannot be read from {listed.entry.builder}: {error}") from error
    node = read_yaml(content, shown, Path.cwd())
    return Document(listed.entry.name, listed.name, shown, Path.cwd(), False, node, content)


def _from_path(path: Path, origin: Document | None, where: Location | None) -> Document:
    """A file, or the folder of a run or model."""
    path = path.expanduser()
    if origin is not None and not path.is_absolute():
        path = origin.folder / path
    file = path / RESOLVED if path.is_dir() else path
    shown = _shown(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"there is no file {shown}", where=where, hint=_beside(file)) from None
    except OSError as error:
        raise RecipeError(f"{shown} cannot be read: {error.strerror}", where=where) from error
    folder = file.resolve().parent
    name = path.name if file != path else path.stem
    return Document(name, str(file.resolve()), shown, folder, False, read_yaml(content, shown, folder), content)


def _from_uri(uri: str, index: Catalog) -> Document:
    """The recipe of a model folder that a fetcher brings. Its relative paths start from the current folder."""
    scheme = uri.partition(":")[0]
    fetched = build(index.resolve(Fetcher.kind, scheme))(uri, files=[RESOLVED])
    path = Path(fetched.path)
    file = path / RESOLVED if path.is_dir() else path
    if not file.is_file():
        raise RecipeError(f"{uri} holds no {RESOLVED}", hint="it is no model that a recipe made")
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    name = uri.partition("@")[0].rstrip("/").rpartition("/")[2]
    return Document(name, fetched.uri, uri, Path.cwd(), True, read_yaml(content, uri, Path.cwd()), content)


def _shown(path: Path) -> str:
    """A path as a person here would write it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if path.is_absolute() and relative.startswith("..") else relative


def _beside(path: Path) -> str | None:
    """The files that a misspelt path most likely meant."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    there = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    near = nearest(path.name, there)
    return f"did you mean {' or '.join(_shown(path.parent / name) for name in near)}?" if near else None
