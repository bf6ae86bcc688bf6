"""What the stages of a network gave on the way to its answer, how the answer hangs on it, and where it was in the clip.

Grad-CAM and roll-out want a map over time, height and width. Networks hold it in as many orders as there are networks:
channels first or last, tokens behind a class token, a batch of frames. None has to say which: a layer is made to give
the numbers of its own values instead of them, and `forward_pyramid` then shows where each of them goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.explanation.question import Question, Unsuitable
from zoo_registry.errors import ZooError
from zoo_registry.protocols import StagedNetwork

_EXACT = 2**24
"""Whole numbers up to here are float32 numbers."""

_LAST = 4
"""Stages that are looked at: behind the last block of any known network lies at most one that the answer passes by."""


@dataclass(frozen=True)
class StageOutput:
    """What a layer at the end of a stage gave, as it gave it.

    Attributes:
        stage: its name.
        raw: its output, of any shape, in the graph of the answer.
        order_cthw: (C, T', H', W') int64; which value of the flat output stands where on the map.
        time: how often the counter given to `pass_through` had counted when it came.
    """

    stage: str
    raw: Tensor
    order_cthw: Tensor
    time: int = 0

    def on_map(self, values: Tensor) -> Tensor:
        """What lies along the output, such as its gradient, as a map (C, T', H', W')."""
        return values.flatten()[self.order_cthw]


@dataclass(frozen=True)
class Pass:
    """A forward pass of which the last stages' outputs are kept.

    Attributes:
        answer: the label's logit, a scalar.
        outputs: the last one first.
    """

    answer: Tensor
    outputs: Sequence[StageOutput]


@dataclass(frozen=True)
class _Layer:
    """A submodule that may give a stage's map.

    Attributes:
        name: of the submodule.
        stage: name of the stage that it is at the end of.
        level: number of the stage's map in the pyramid.
        sign: of the numbers that it counts its values with, to tell it from the one next to it.
    """

    name: str
    stage: str
    level: int
    sign: int


def pass_through(
    question: Question,
    *,
    whole: bool = False,
    within: AbstractContextManager[object] = nullcontext(),
    count: Callable[[], int] = lambda: 0,
) -> Pass:
    """Ask the network, and keep what its last stages gave.

    Args:
        question: what is asked.
        whole: let the gradient of the answer reach back to the clip, not only to the last stages; takes the memory of a
            training step.
        within: active while the network answers.
        count: of something that goes on in the pass; see `StageOutput.time`.

    Raises:
        Unsuitable: the network has no stages, or none that its answer can be differentiated by, or it gives no maps.
    """
    network, inputs = question.in_stages(gradients=whole)
    layers = list(_layers(network))
    kept: dict[str, tuple[Tensor, int]] = {}

    def keep(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            first = _first(output)
            if first is None or not first.is_floating_point():
                return None
            if not (whole or kept):
                first = first.detach().requires_grad_()  # here the graph begins
            kept[name] = first, count()
            return _with_first(output, first.clone())  # what follows may write into it

        return hook

    hooks = _hooks(network, {layer.name: keep(layer.name) for layer in layers})
    with torch.enable_grad(), _frozen(network), hooks, within:
        features = network.forward_features(*inputs)
        answer = network.forward_head(features)[0, question.label]
    if not answer.requires_grad:
        if not whole and (layers or features.ndim == 5):
            return pass_through(question, whole=True, within=within, count=count)
        raise Unsuitable(f"{question.name} has no stage whose map its answer hangs on")
    return Pass(answer, list(_outputs(network, inputs, features, layers, kept)))


def _outputs(
    network: StagedNetwork,
    inputs: tuple[Tensor, ...],
    features: Tensor,
    layers: Sequence[_Layer],
    kept: dict[str, tuple[Tensor, int]],
) -> Iterator[StageOutput]:
    """Those of them that become a map by mere reordering."""
    if features.ndim == 5:
        order = torch.arange(features.numel(), device=features.device).view(features.shape[1:])
        yield StageOutput("features", features, order)
        return
    there = [layer for layer in layers if layer.name in kept and kept[layer.name][0].requires_grad]
    try:
        maps = _numbered(network, inputs, [(layer, kept[layer.name][0].shape) for layer in there]) if there else []
    except ZooError as error:
        raise Unsuitable(error.problems[0].message) from error
    for layer in there:
        raw, time = kept[layer.name]
        order_cthw = _order(layer.sign * maps[layer.level][0], raw.numel())
        if order_cthw is not None:
            yield StageOutput(layer.stage, raw, order_cthw, time)


def _layers(network: StagedNetwork) -> Iterator[_Layer]:
    """The submodules that end the last stages, the last ones first; two of a stage, such as a block and its norm."""
    modules = {name for name, _ in network.named_modules()}  # type: ignore[attr-defined]
    stages = [stage for stage in network.stages() if stage.stride is not None]
    for level, stage in reversed(list(enumerate(stages))[-_LAST:]):
        parts = [part for part in (stage.layers[-1] if stage.layers else ()) if part in modules]
        for sign, part in zip((1, -1), reversed(parts), strict=False):
            yield _Layer(part, stage.name, level, sign)


def _numbered(
    network: StagedNetwork, inputs: tuple[Tensor, ...], layers: Sequence[tuple[_Layer, torch.Size]]
) -> list[Tensor]:
    """The pyramid of a network whose layers give the numbers of their values, from 1 on, instead of them."""

    def number(layer: _Layer, shape: torch.Size) -> Callable[..., Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            device = inputs[0].device
            numbers = torch.arange(1, shape.numel() + 1, dtype=torch.float32, device=device).view(shape)
            return _with_first(output, layer.sign * numbers)

        return hook

    with torch.no_grad(), _hooks(network, {layer.name: number(layer, shape) for layer, shape in layers}):
        return network.forward_pyramid(*inputs)


def _order(found_cthw: Tensor, count: int) -> Tensor | None:
    """Where each of so many values stands on a map, if the map is made of their numbers, each at most once."""
    numbers_cthw = found_cthw.nan_to_num(0).round().long()
    within = int(numbers_cthw.min()) >= 1 and int(numbers_cthw.max()) <= count < _EXACT
    if not within or not torch.equal(found_cthw, numbers_cthw.to(found_cthw.dtype)):
        return None
    return numbers_cthw - 1 if int(numbers_cthw.flatten().bincount().max()) == 1 else None


@contextmanager
def _frozen(network: Any) -> Iterator[None]:
    """No parameter asks for a gradient, as long as the block runs."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def _hooks(network: Any, hooks: dict[str, Callable[..., Any]]) -> Iterator[None]:
    """Forward hooks on submodules by name, as long as the block runs."""
    with ExitStack() as stack:
        for name, hook in hooks.items():
            stack.callback(network.get_submodule(name).register_forward_hook(hook).remove)
        yield


def _first(output: Any) -> Tensor | None:
    """The tensor of an output, the first one where it is several."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    return first if isinstance(first, Tensor) else None


def _with_first(output: Any, first: Tensor) -> Any:
    return type(output)([first, *output[1:]]) if isinstance(output, tuple | list) else first
