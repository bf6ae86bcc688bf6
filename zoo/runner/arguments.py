"""Checks values from a recipe against the signature of a function of torch or of ours."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from zoo_registry.entries import Range
from zoo_registry.errors import Location, Problem
from zoo_registry.names import nearest

_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", type(None): "null"}


def check_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    what: str,
    *,
    leave_out: Collection[str] = (),
    where: Callable[[str], Location | None] = lambda name: None,
) -> list[Problem]:
    """Every unknown name, missing value and wrong type among the arguments.

    Args:
        function: what will be called with them.
        arguments: values by name, as a recipe has them (lists stand for tuples).
        what: how to call the function in a message, such as `optimiser 'adamw'`.
        leave_out: parameters that do not come from the recipe.
        where: the place of an argument in the recipe.

    Example:
        >>> def step(*, step_size: int, gamma: float = 0.1): ...
        >>> [problem.message for problem in check_arguments(step, {"gama": 0.5}, "schedule 'step'")]
        ["schedule 'step' has no parameter 'gama'", "schedule 'step' needs a value for 'step_size'"]
    """
    hints = typing.get_type_hints(_typed(function), include_extras=True)
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in leave_out and name != "self"
    }
    problems = []
    for name, value in arguments.items():
        if name not in parameters:
            near = nearest(name, parameters, limit=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(parameters)}"
            problems.append(Problem(f"{what} has no parameter {name!r}", where(name), hint))
        elif name in hints and (wanted := _mismatch(value, hints[name])):
            problems.append(Problem(f"{what}: {name} must be {wanted}, not {value!r}", where(name)))
    problems += [
        Problem(f"{what} needs a value for {name!r}", where(name))
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in arguments
    ]
    return problems


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    return function.__init__ if inspect.isclass(function) else function


def _mismatch(value: Any, hint: Any) -> str | None:
    """What the value should have been, None when it is that."""
    if get_origin(hint) is Annotated:
        plain, *extras = get_args(hint)
        bounds = [extra for extra in extras if isinstance(extra, Range)]
        if _mismatch(value, plain) or not all(_within(value, bound) for bound in bounds):
            return " and ".join([_words(plain), *map(_bound_words, bounds)])
        return None
    return None if _fits(value, hint) else _words(hint)


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        items = get_args(hint)
        return isinstance(value, list | tuple) and len(value) == len(items) and all(map(_fits, value, items))
    if hint in (int, float):
        return isinstance(value, int | (float if hint is float else int)) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(choice) for choice in get_args(hint) if _is_plain(choice)))
    if get_origin(hint) is tuple:
        return f"[{', '.join(map(_words, get_args(hint)))}]"
    return _WORDS.get(hint, str(hint))


def _is_plain(hint: Any) -> bool:
    """Whether a recipe can hold it; torch's signatures admit tensors too, which it cannot."""
    return hint in _WORDS or get_origin(hint) in (tuple, Union, types.UnionType)


def _within(value: float, bound: Range) -> bool:
    return (
        (bound.ge is None or value >= bound.ge)
        and (bound.gt is None or value > bound.gt)
        and (bound.le is None or value <= bound.le)
        and (bound.lt is None or value < bound.lt)
    )


def _bound_words(bound: Range) -> str:
    named = {"at least": bound.ge, "above": bound.gt, "at most": bound.le, "below": bound.lt}
    return " and ".join(f"{word} {limit:g}" for word, limit in named.items() if limit is not None)
