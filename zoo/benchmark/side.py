"""What is measured against what: a model, the runtime that computes it, and in which numbers. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.recipe.brackets import split_outside
from zoo_registry.catalog import catalog
from zoo_registry.errors import NameProblem, ParameterError

EAGER, COMPILE = "torch", "compile"
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Backend:
    """What computes.

    Attributes:
        name: `torch`, `compile` (torch.compile), or an exporter by name: the model is then written and its file runs.
        params: of the exporter.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exports(self) -> bool:
        """Whether it runs files."""
        return self.name not in (EAGER, COMPILE)

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.params.items())])


def backend_of(text: str) -> Backend:
    """A backend as people write it: `torch`, `onnx`, `onnx:int8=static:calibration_batches=4`.

    Raises:
        ParameterError: no such backend.
        MissingExtra: the exporter's packages are not installed; the hint is the pip line.

    Example:
        >>> str(backend_of("onnx:int8=static"))
        'onnx int8=static'
    """
    name, *pairs = split_outside(text.strip(), ":") or [""]
    params = parameters_of(pairs)
    backend = Backend(name, params)
    if not backend.exports:
        if params:
            raise ParameterError(f"{name} takes no parameters, {text!r} has some")
        return backend
    try:
        listed = catalog().resolve("exporter", name)
    except NameProblem as error:
        known = [EAGER, COMPILE, *(each.entry.name for each in catalog().list("exporter"))]
        raise ParameterError(f"no backend {name!r}", hint=f"there are {', '.join(known)}") from error
    listed.check_requirements()
    return backend


def parameters_of(pairs: Sequence[str]) -> dict[str, Any]:
    """Parameters as people write them, with values as in YAML.

    Raises:
        RecipeError: one without an equals sign, or with a value that is not YAML.

    Example:
        >>> parameters_of(["int8=static", "keep=[head, stem]", "dynamic_frames=true"])
        {'int8': 'static', 'keep': ['head', 'stem'], 'dynamic_frames': True}
    """
    from zoo.recipe.overrides import parse_override

    overrides = [parse_override(pair) for pair in pairs]
    return {".".join(override.way): override.node.plain() for override in overrides}


@dataclass(frozen=True)
class Side:
    """One row of a comparison, and all that its process has to know.

    Attributes:
        shown: how the model is called in the table.
        reference: what `zoo.load` takes: the model, or the exported file.
        backend: what computes; None for a file that was given as it is.
        precision: `fp32`, or `bf16` (autocast in torch; by the runtime in formats that can).
        pretrained: whether the model's weights are loaded; speed does not depend on them.
        num_classes: of a model without weights.
        device, threads, batch: where, with how many threads of the processor, and how many clips at once.
        films: whose clips are shown; without them noise.
        trust: open files whose opening runs their author's code.
    """

    shown: str
    reference: str
    backend: Backend | None
    precision: str
    pretrained: bool
    num_classes: int | None
    device: str
    threads: int
    batch: int
    films: tuple[str, ...] = ()
    trust: bool = False
