"""References to components and weights, as recipes write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.build.values import At, Fault, mapped
from zoo_registry.entries import Model
from zoo_registry.errors import NameProblem, ZooError
from zoo_registry.names import Name, reference_kind

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog, Listed


@dataclass(frozen=True)
class Reference:
    """A component inside the parameters of another: what a `Ref[...]` parameter takes."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None


def read_reference(value: str | Mapping[str, Any], kind: str) -> Reference:
    """A reference from its short or long form; the tag of a model's name becomes its weights.

    Example:
        >>> read_reference("torchvision/r3d_18.k400", "model")
        Reference(name='torchvision/r3d_18', params={}, weights='k400')
    """
    slots: Mapping[str, Any] = {"name": value} if isinstance(value, str) else value
    name, weights = slots["name"], slots.get("weights")
    if kind == Model.kind and weights is None:
        name, weights = split_tag(name)
    return Reference(name, slots.get("params") or {}, weights)


def references_in(value: Any, schema: Mapping[str, Any], at: At = ()) -> list[tuple[At, str, Any]]:
    """Every reference inside a value that fits its schema: the way to it, the kind it wants, and itself."""
    found: list[tuple[At, str, Any]] = []

    def look(item: Any, wanted: Mapping[str, Any], here: At) -> Any:
        if "component" in wanted:
            found.append((here, wanted["component"], item))
        return item

    mapped(value, schema, look, at)
    return found


def split_tag(text: str) -> tuple[str, str | None]:
    """A model's name without its tag, and the tag; text that is no name stays as it is.

    Example:
        >>> split_tag("video/x3d_s.k400"), split_tag("x3d_s")
        (('video/x3d_s', 'k400'), ('x3d_s', None))
    """
    try:
        name = Name.parse(text)
    except NameProblem:
        return text, None
    return str(Name(name.bare, name.namespace)), name.tag


def weights_faults(listed: Listed, weights: Any, at: At, index: Catalog) -> Iterator[Fault]:
    """What is wrong with the weights named for a model: a tag that it lacks, a URI that nothing fetches, a path."""
    if not isinstance(weights, str):
        return
    form = reference_kind(weights)
    if form == "path":
        yield Fault(at, f"{weights!r} is a path", f"write file:{weights}")
        return
    try:
        if form == "uri":
            index.resolve("fetcher", weights.partition(":")[0])
        else:
            listed.weights(weights)
    except ZooError as error:
        yield from as_faults(error, at)


def as_faults(error: ZooError, at: At) -> Iterator[Fault]:
    """The problems of an error as faults of one value."""
    for problem in error.problems:
        yield Fault(at, problem.message, problem.hint)
