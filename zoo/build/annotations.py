"""Turns the annotation of a builder's parameter into JSON Schema: what a recipe may write for it.

JSON Schema because it can be cached, shown and compared without importing the builder. Three keywords are ours:
`component` (a `Ref[...]`, with the kind that it wants), `format: path` (a `pathlib.Path`) and `python: tuple`.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from zoo_registry.entries import Range
from zoo_registry.protocols import Ref

Schema = dict[str, Any]

_PLAIN: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "format": "path"},
    types.NoneType: {"type": "null"},
    None: {"type": "null"},
}
_NUMBER_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTH_BOUNDS = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}

ALLOWED = (
    "bool, int, float, str, Path, None, Literal, unions, list, tuple, dict[str, ...] of those, "
    "Annotated[..., Range(...)], Provided[...] and Ref[...]"
)


class UnsupportedAnnotation(TypeError):
    """An annotation whose values a recipe cannot hold; the message is the part at fault."""


class _AnyAttribute(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class Unresolved(metaclass=_AnyAttribute):
    """Stands for a name that an annotation uses and its module lacks at run time, as after `if TYPE_CHECKING:`.

    Such names are fine inside `Provided[...]`, whose type is never checked, and an error anywhere else.
    """

    def __class_getitem__(cls, _: Any) -> type[Unresolved]:
        return cls


def evaluate(annotation: Any, function: Callable[..., Any]) -> Any:
    """The object that a parameter's annotation means, which is text under `from __future__ import annotations`."""
    if not isinstance(annotation, str):
        return annotation

    class Names(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            called = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
            module: Mapping[str, Any] = getattr(called, "__globals__", {})
            return module[name] if name in module else getattr(builtins, name, Unresolved)

    try:
        return eval(annotation, {}, Names())
    except Exception as error:
        raise UnsupportedAnnotation(annotation) from error


def json_schema_of(annotation: Any) -> Schema:
    """What a recipe may write for a parameter with this annotation.

    Raises:
        UnsupportedAnnotation: a type that is not in `ALLOWED`.

    Example:
        >>> json_schema_of(Annotated[float, Range(ge=0, lt=1)])
        {'type': 'number', 'minimum': 0, 'exclusiveMaximum': 1}
    """
    try:
        if annotation in _PLAIN:
            return dict(_PLAIN[annotation])
    except TypeError:  # unhashable, hence none of those
        pass
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(json_schema_of(arguments[0]), annotation.__metadata__, annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [json_schema_of(argument) for argument in arguments]}
    if origin is tuple and arguments:
        return _tuple(arguments)
    if origin in (list, Sequence) and arguments:
        python: Schema = {} if origin is list else {"python": "tuple"}
        return {"type": "array", "items": json_schema_of(arguments[0]), **python}
    if origin in (dict, Mapping) and arguments and arguments[0] is str:
        return {"type": "object", "additionalProperties": json_schema_of(arguments[1])}
    if origin is Ref and isinstance(kind := getattr(arguments[0], "kind", None), str):
        return {"component": kind}
    if (alias := getattr(annotation, "__value__", None)) is not None:
        return json_schema_of(alias)  # `type Size = int | tuple[int, int]`
    raise UnsupportedAnnotation(getattr(annotation, "__name__", None) or str(annotation))


def _tuple(arguments: tuple[Any, ...]) -> Schema:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": json_schema_of(arguments[0]), "python": "tuple"}
    size = len(arguments)
    items = [json_schema_of(argument) for argument in arguments]
    return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size, "python": "tuple"}


def _annotated(schema: Schema, extras: Iterable[Any], annotation: Any) -> Schema:
    """The schema with the bounds of every `Range` in it; other extras mean nothing to us."""
    for bounds in extras:
        if isinstance(bounds, Range):
            branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
            for branch in branches:
                branch.update(_bounds(branch, bounds, annotation))
    return schema


def _bounds(schema: Schema, bounds: Range, annotation: Any) -> Schema:
    given = {name: limit for name in _NUMBER_BOUNDS if (limit := getattr(bounds, name)) is not None}
    if schema.get("type") in ("integer", "number"):
        return {_NUMBER_BOUNDS[name]: limit for name, limit in given.items()}
    if schema.get("type") not in _LENGTH_BOUNDS or "prefixItems" in schema:
        raise UnsupportedAnnotation(f"{annotation}: Range bounds a number, or the length of a text or list")
    least, most = _LENGTH_BOUNDS[schema["type"]]
    length: Schema = {}
    if (low := given.get("ge", given["gt"] + 1 if "gt" in given else None)) is not None:
        length[least] = int(low)
    if (high := given.get("le", given["lt"] - 1 if "lt" in given else None)) is not None:
        length[most] = int(high)
    return length
