"""The only caller of builders: an entry and its parameters become an object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.build.check import param_faults, signature
from zoo.build.references import read_reference
from zoo.build.signature import Parameter
from zoo.build.values import At, Fault, mapped
from zoo.build.wording import shown
from zoo_registry.catalog import catalog
from zoo_registry.errors import Location, ParameterError, PluginError, Problem, ZooError

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog, Listed

LoadWeights = Callable[[Any, "Listed", str], object]
"""`(module, model's entry, tag or URI)`: puts weights into a module that a `Ref[Model]` parameter asked for."""


def build(
    listed: Listed,
    params: Mapping[str, Any] | None = None,
    provided: Mapping[str, Any] | None = None,
    *,
    load_weights: LoadWeights | None = None,
    index: Catalog | None = None,
) -> Any:
    """Build a component.

    Args:
        listed: the component.
        params: as in a recipe, checked against the builder's signature.
        provided: what the run provides, by the names of `zoo_registry.protocols.PROVIDED`; only what the signature
            marks `Provided` is taken from it.
        load_weights: gives weights to models that are parameters of others, such as a teacher.
        index: where components inside parameters are looked up; the process's catalogue by default.

    Returns:
        What the builder returns. A builder with positional parameters acts on something that exists (compression,
        exporter): it comes back bound to its keywords, to be called with those.

    Raises:
        ParameterError: a parameter that the signature does not admit, or that disagrees with the run.
        PluginError: the builder does not resolve, cannot be called from a recipe, or raised.

    Example:
        >>> from zoo_registry.catalog import catalog
        >>> model = catalog().resolve("model", "basic/cnn3d")                                     # doctest: +SKIP
        >>> build(model, {}, {"num_classes": 6})                                                  # doctest: +SKIP
    """
    work = _Work(provided or {}, load_weights, index or catalog())
    return work.build(listed, params or {})


@dataclass(frozen=True)
class _Work:
    """What is the same for a component and all components inside it."""

    provided: Mapping[str, Any]
    load_weights: LoadWeights | None
    index: Catalog

    def build(self, listed: Listed, params: Mapping[str, Any]) -> Any:
        signed = signature(listed)
        if found := param_faults(listed, params, (), self.index):
            raise ParameterError(_of(listed, fault) for fault in found)
        arguments = self._arguments(listed, signed.parameters, params)
        builder = listed.resolve_builder()
        if signed.positional:
            return functools.partial(builder, **arguments)
        try:
            return builder(**arguments)
        except ZooError:
            raise
        except Exception as error:
            plugin = listed.plugin
            raise PluginError(
                f"{listed.name} could not be built: {type(error).__name__}: {error}",
                hint=f"it comes from {plugin.distribution} {plugin.version} ({listed.entry.builder})",
            ) from error

    def _arguments(self, listed: Listed, signed: Sequence[Parameter], params: Mapping[str, Any]) -> dict[str, Any]:
        arguments, problems = dict(listed.entry.fixed), []
        for parameter in signed:
            name = parameter.name
            if name in arguments:
                continue
            if name in params and parameter.schema is not None:
                arguments[name] = mapped(params[name], parameter.schema, self._as_signed)
            if parameter.provided:
                problems += self._provide(listed, parameter, arguments)
        if problems:
            raise ParameterError(problems)
        return arguments

    def _as_signed(self, value: Any, schema: Mapping[str, Any], at: At) -> Any:
        """A plain value as the signature wants it."""
        if "component" in schema:
            return self._component(value, schema["component"])
        if schema.get("format") == "path":
            return Path(value).expanduser()
        if schema.get("type") == "number":
            return float(value)
        return tuple(value) if schema.get("python") == "tuple" else value

    def _component(self, value: str | Mapping[str, Any], kind: str) -> Any:
        reference = read_reference(value, kind)
        listed = self.index.resolve(kind, reference.name)
        built = self.build(listed, reference.params)
        if reference.weights is not None:
            if self.load_weights is None:
                raise ParameterError(f"{listed.name} wants weights {reference.weights!r}, which cannot be loaded here")
            self.load_weights(built, listed, reference.weights)
        return built

    def _provide(self, listed: Listed, parameter: Parameter, arguments: dict[str, Any]) -> list[Problem]:
        """Take a parameter from what the run provides; a value that the recipe repeats must agree."""
        name, given = parameter.name, self.provided.get(parameter.name)
        if name in arguments:
            if given is not None and not _agree(arguments[name], given):
                found = f"{listed.name}: {name} is {shown(arguments[name])} in its parameters"
                return [Problem(f"{found}, but {shown(given)} in this run", hint=f"remove {name}: the run provides it")]
        elif given is not None or (name in self.provided and parameter.nullable):
            arguments[name] = given
        elif parameter.required and parameter.nullable:
            arguments[name] = None
        elif parameter.required:
            hint = f"give it in params: {parameter}" if parameter.schema is not None else None
            return [Problem(f"{listed.name} needs {name!r}, which nothing provides here", hint=hint)]
        return []


def _of(listed: Listed, fault: Fault) -> Problem:
    """A problem that says whose it is, for parameters that stand in no file."""
    return Problem(fault.message, None if listed.name in fault.message else Location(listed.name), fault.hint)


def _agree(written: Any, given: Any) -> bool:
    if is_dataclass(given) and not isinstance(given, type):
        given = asdict(given)
    if isinstance(written, list | tuple) and isinstance(given, list | tuple):
        return list(written) == list(given)
    return bool(written == given)
