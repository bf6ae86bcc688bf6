"""Reads the signature of a function that was not written for recipes, such as one of torch's."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection
from typing import Any, Union, get_args, get_origin

from zoo.build.annotations import Schema, UnsupportedAnnotation, evaluate, json_schema_of
from zoo.build.signature import Parameter, Signature, plain_default


def read_foreign_signature(function: Callable[..., Any], *, leave_out: Collection[str] = ()) -> Signature:
    """Read what a function takes, as far as its annotations say it; what no recipe could write is left unchecked.

    Args:
        function: takes its parameters by keyword.
        leave_out: parameters that do not come from a recipe.

    Example:
        >>> def descend(parameters, lr: float | object = 0.1, betas: tuple[float, float] = (0.9, 0.999)): ...
        >>> print(*read_foreign_signature(descend, leave_out=["parameters"]).parameters, sep="; ")
        lr: a number = 0.1; betas: a list of 2, each a number = [0.9, 0.999]
    """
    parameters = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in leave_out:
            continue
        required = parameter.default is inspect.Parameter.empty
        default = None if required else plain_default(parameter.default)
        parameters.append(Parameter(name, _schema(evaluate(parameter.annotation, function)), required, default))
    return Signature(0, tuple(parameters))


def _schema(annotation: Any) -> Schema:
    try:
        return json_schema_of(_writable(annotation))
    except UnsupportedAnnotation:
        return {}


def _writable(annotation: Any) -> Any:
    """The annotation without the branches of its unions that no recipe could write, such as tensors."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        kept = [argument for argument in map(_writable, arguments) if _schema(argument)]
        return Union[tuple(kept)] if kept else annotation  # noqa: UP007
    return types.GenericAlias(tuple, tuple(map(_writable, arguments))) if origin is tuple else annotation
