"""Checks the parameters of a component against the signature of its builder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.build.references import as_faults, read_reference, references_in, split_tag, weights_faults
from zoo.build.signature import Parameter, Signature, read_signature
from zoo.build.signature_cache import cached_signature
from zoo.build.values import At, Fault, dotted, faults, unknown_key
from zoo.build.wording import in_words
from zoo_registry.catalog import catalog
from zoo_registry.entries import Compression, Exporter, Model
from zoo_registry.errors import Location, PluginError, Problem, ZooError
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from zoo_registry.catalog import Catalog, Listed

ACTS_ON = {Compression.kind: ("model", "context"), Exporter.kind: ("model", "example_inputs", "path")}
"""Kinds whose builder acts on something that exists, and what it is given by position."""


def parameters(listed: Listed, attribute: str = "builder") -> tuple[Parameter, ...]:
    """The parameters of a component, those that its entry fixes included.

    Cached on disk by import string, hash of the module's file and plugin version: only the first call imports the
    builder.

    Args:
        listed: the component.
        attribute: which of the entry's import strings: `builder`, `restore`, `load`.

    Raises:
        PluginError: the builder does not resolve, or its signature is none that a recipe could fill.
        MissingExtra: packages that it needs are not installed.

    Example:
        >>> from zoo_registry.catalog import catalog
        >>> [parameter.name for parameter in parameters(catalog().resolve("loss", "cross_entropy"))]  # doctest: +SKIP
        ['label_smoothing', 'class_weights']
    """
    return signature(listed, attribute).parameters


def signature(listed: Listed, attribute: str = "builder") -> Signature:
    """The signature behind `parameters`, checked against what the component's kind and its `fixed` ask for."""
    listed.check_requirements()  # the cache would not notice that a package is gone
    entry = listed.entry
    string: str = getattr(entry, attribute)
    who = f"{listed.name} ({string})"
    found = cached_signature(
        string, listed.plugin.version, lambda: read_signature(listed.resolve_builder(attribute), who)
    )
    if attribute != "builder":
        return found
    wanted = ACTS_ON.get(entry.kind, ())
    if found.positional != len(wanted):
        hint = f"its signature is ({', '.join([*wanted, '*', '...'])})"
        raise PluginError(f"{who} takes {found.positional} positional parameters, not {len(wanted)}", hint=hint)
    known = [parameter.name for parameter in found.parameters]
    if strangers := [name for name in entry.fixed if name not in known]:
        raise PluginError(f"{who} has no parameter {strangers[0]!r}, which its entry fixes", hint=f"it takes {known}")
    return found


def check_params(
    listed: Listed, params: Mapping[str, Any], *, origins: Mapping[At, Location] | None = None, at: At = ()
) -> list[Problem]:
    """Everything that is wrong with the parameters of a component.

    Args:
        listed: the component.
        params: as in a recipe.
        origins: where each value of the recipe was written, by the way to it.
        at: the way to `params` in the recipe.

    Returns:
        Unknown names with the nearest right one, wrong types, numbers out of range, missing values, unknown components
        inside (a distillation's teacher) and what is wrong with theirs; empty when all is well.

    Example:
        >>> from zoo_registry.catalog import catalog
        >>> entry = catalog().resolve("model", "torchvision/r3d_18")                              # doctest: +SKIP
        >>> check_params(entry, {"droput": 0.5})[0].hint                                          # doctest: +SKIP
        "did you mean 'dropout'?"
    """
    places = origins or {}
    return [
        Problem(fault.message, nearest_place(places, fault.at), fault.hint)
        for fault in param_faults(listed, params, at)
    ]


def nearest_place(origins: Mapping[At, Location], at: At) -> Location | None:
    """Where a value was written, or what holds it when the value itself is missing."""
    for length in range(len(at), -1, -1):
        if at[:length] in origins:
            return origins[at[:length]]
    return None


def param_faults(listed: Listed, params: Mapping[str, Any], at: At = (), index: Catalog | None = None) -> list[Fault]:
    """`check_params` before places are looked up."""
    return list(_param_faults(listed, params, at, index or catalog()))


def _param_faults(listed: Listed, params: Mapping[str, Any], at: At, index: Catalog) -> Iterator[Fault]:
    try:
        signed = parameters(listed)
    except ZooError as error:
        yield from as_faults(error, (*at[:-1], "name"))  # the component is at fault, not its parameters
        return
    yield from argument_faults(listed.name, signed, params, at, index, fixed=listed.entry.fixed)


def argument_faults(
    who: str,
    signed: Sequence[Parameter],
    params: Mapping[str, Any],
    at: At,
    index: Catalog,
    *,
    fixed: Collection[str] = (),
) -> Iterator[Fault]:
    """Everything in which parameters differ from a signature.

    Args:
        who: whose signature it is, for the messages.
        signed: the parameters of the signature.
        params: as in a recipe.
        at: the way to `params` in the recipe.
        index: where components inside parameters are looked up.
        fixed: parameters that cannot be changed.
    """
    known = {parameter.name: parameter for parameter in signed}
    for name, value in params.items():
        here = (*at, name)
        if name in fixed:
            yield Fault(here, f"{name!r} cannot be changed: {who} fixes it", "remove it", key=True)
        elif name not in known:
            yield _unknown_parameter(who, here, [each for each in known if each not in fixed])
        elif (schema := known[name].schema) is None:
            yield Fault(here, f"{name!r} comes from the run and cannot be written in a recipe", "remove it", key=True)
        else:
            wrong = faults(value, schema, here)
            yield from wrong
            for way, kind, reference in () if wrong else references_in(value, schema, here):
                yield from _reference_faults(reference, kind, way, index)
    for name, parameter in known.items():
        if parameter.required and not parameter.provided and name not in params and name not in fixed:
            yield Fault(
                at,
                f"{who} needs a value for {name!r}",
                f"write {dotted((*at, name))}: {in_words(parameter.schema or {})}",
            )


def _unknown_parameter(who: str, at: At, known: list[str]) -> Fault:
    near = nearest(str(at[-1]), known, limit=1)
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    hint = f"did you mean {near[0]!r}?" if near else takes
    return Fault(at, f"{who} has no parameter {at[-1]!r}", hint, key=True)


def _reference_faults(value: str | Mapping[str, Any], kind: str, at: At, index: Catalog) -> Iterator[Fault]:
    inside = at if isinstance(value, str) else (*at, "name")
    if isinstance(value, Mapping):
        keys = ["name", "params", "weights"] if kind == Model.kind else ["name", "params"]
        yield from (unknown_key(key, keys, at) for key in value if key not in keys)
        if value.get("params") is not None and not isinstance(value["params"], Mapping):
            yield from faults(value["params"], {"type": "object"}, (*at, "params"))
            return
        if kind == Model.kind and (weights := value.get("weights")) is not None:
            yield from faults(weights, {"type": "string"}, (*at, "weights"))
            if split_tag(value["name"])[1] is not None:
                yield Fault((*at, "weights"), f"{value['name']!r} names weights already", "write the tag in one place")
    reference = read_reference(value, kind)
    try:
        listed = index.resolve(kind, reference.name)
    except ZooError as error:
        yield from as_faults(error, inside)
        return
    yield from weights_faults(listed, reference.weights, inside if isinstance(value, str) else (*at, "weights"), index)
    yield from _param_faults(listed, reference.params, (*at, "params"), index)
