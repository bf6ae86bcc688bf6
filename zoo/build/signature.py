"""Reads the signature of a builder: the schema of a component's `params`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from zoo.build.annotations import ALLOWED, Schema, UnsupportedAnnotation, evaluate, json_schema_of
from zoo.build.wording import in_words, shown
from zoo_registry.errors import PluginError
from zoo_registry.protocols import PROVIDED, is_provided

Parameter_ = inspect.Parameter


@dataclass(frozen=True)
class Parameter:
    """One parameter of a builder.

    Attributes:
        name: as in the signature and in a recipe's `params`.
        schema: JSON Schema of what a recipe may write; None for what only the run can provide.
        required: it has no default.
        default: its default as plain data.
        provided: the run provides it; a recipe may repeat it, and must then agree.
        nullable: it takes None; the run need not provide it.
    """

    name: str
    schema: Schema | None
    required: bool
    default: Any = None
    provided: bool = False
    nullable: bool = False

    def __str__(self) -> str:
        words = in_words(self.schema) if self.schema is not None else "not for recipes"
        source = ", provided by the run" if self.provided else ""
        default = "" if self.required else f" = {shown(self.default)}"
        return f"{self.name}: {words}{source}{default}"


@dataclass(frozen=True)
class Signature:
    """What a builder takes.

    Attributes:
        positional: how many things it acts on, before its keyword-only parameters.
        parameters: the keyword-only parameters, in order.
    """

    positional: int
    parameters: tuple[Parameter, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the cache."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """The signature that `to_json` made the data of."""
        return cls(data["positional"], tuple(Parameter(**parameter) for parameter in data["parameters"]))


def read_signature(function: Callable[..., Any], who: str) -> Signature:
    """Read what a builder takes.

    Args:
        function: the builder.
        who: how to name it in an error: component and import string.

    Raises:
        PluginError: a parameter that no recipe could fill; names the builder and the parameter.

    Example:
        >>> def noise(*, sigma: float = 0.1): ...
        >>> print(*read_signature(noise, "acme/noise").parameters)
        sigma: a number = 0.1
    """
    positional, parameters = 0, []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is Parameter_.KEYWORD_ONLY:
            parameters.append(_read(parameter, function, who))
        elif parameter.kind in (Parameter_.VAR_KEYWORD, Parameter_.VAR_POSITIONAL):
            stars = "**" if parameter.kind is Parameter_.VAR_KEYWORD else "*"
            raise PluginError(
                f"{who} takes {stars}{parameter.name}",
                hint="a builder names all its parameters, for recipes to be checked",
            )
        else:
            positional += 1
    return Signature(positional, tuple(parameters))


def _read(parameter: inspect.Parameter, function: Callable[..., Any], who: str) -> Parameter:
    name = parameter.name
    if parameter.annotation is Parameter_.empty:
        raise PluginError(f"{who}: parameter {name!r} has no annotation", hint=f"annotate it: {ALLOWED}")
    try:
        annotation = evaluate(parameter.annotation, function)
        provided = any(map(is_provided, (annotation, *_union(annotation))))  # also `Provided[X] | None`
        if provided and name not in PROVIDED:
            raise PluginError(
                f"{who} asks the run to provide {name!r}, which no run does",
                hint=f"a run provides {', '.join(PROVIDED)}",
            )
        schema = _provided_schema(annotation) if provided else json_schema_of(annotation)
    except UnsupportedAnnotation as error:
        raise PluginError(
            f"{who}: parameter {name!r} is annotated {error}, which no recipe can write", hint=f"allowed are {ALLOWED}"
        ) from error
    required = parameter.default is Parameter_.empty
    return Parameter(
        name=name,
        schema=schema,
        required=required,
        default=None if required else plain_default(parameter.default),
        provided=provided,
        nullable=_admits_none(annotation),
    )


def _provided_schema(annotation: Any) -> Schema | None:
    try:
        return json_schema_of(annotation)
    except UnsupportedAnnotation:
        return None


def _admits_none(annotation: Any) -> bool:
    return annotation is None or annotation is NoneType or any(map(_admits_none, _union(annotation)))


def _union(annotation: Any) -> tuple[Any, ...]:
    """The branches of a union, also of one inside `Annotated`."""
    inner = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    return tuple(get_args(inner)) if NoneType in get_args(inner) else ()


def plain_default(default: Any) -> Any:
    """A default as plain data, for messages and the cache."""
    if isinstance(default, Mapping):
        return {str(key): plain_default(value) for key, value in default.items()}
    if isinstance(default, list | tuple):
        return [plain_default(item) for item in default]
    if default is None or isinstance(default, bool | int | float | str):
        return default
    return str(default) if isinstance(default, Path) else repr(default)
