"""What the stages of a network gave on the way to its answer, how the answer hangs on it, and where it was in the clip.

Grad-CAM and roll-out want a map over time, height and width. Networks hold it in as many orders as there are networks:
channels first or last, tokens behind a class token, a batch of frames. None has to say which: a layer is made to give
the numbers of its own values instead of them, and `forward_pyramid` then shows where each of them goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.explanation.question import Question, Unsuitable
from zoo_registry.protocols import StagedNetwork

_EXACT = 2**24
"""Whole numbers up to here are float32 numbers."""


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
    """A forward pass of which the stages' outputs are kept.

    Attributes:
        answer: the label's logit, a scalar.
        outputs: of the stages, the last one first; where they lie on the map is found out when they are asked for.
    """

    answer: Tensor
    outputs: Iterator[StageOutput]


@dataclass(frozen=True)
class _Layer:
    """A submodule that may give a stage's map, and the number of that map in the pyramid."""

    stage: str
    name: str
    level: int


def pass_through(question: Question, count: Callable[[], int] = lambda: 0) -> Pass:
    """Ask the network, and keep what its stages gave.

    Args:
        question: what is asked.
        count: of something that goes on in the pass; see `StageOutput.time`.

    Raises:
        Unsuitable: the network has no stages, or no part of it can be differentiated.
    """
    network, inputs = question.in_stages()
    layers = list(_layers(network))
    kept: dict[str, tuple[Tensor, int]] = {}

    def keep(name: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            first = _first(output)
            if first is None or not first.requires_grad:
                return None
            kept[name] = first, count()
            return _with_first(output, first.clone())  # what follows may write into it

        return hook

    with torch.enable_grad(), _hooks(network, {layer.name: keep(layer.name) for layer in layers}):
        features = network.forward_features(*inputs)
        answer = network.forward_head(features)[0, question.label]
    if not answer.requires_grad:
        raise Unsuitable(f"{question.name} cannot be differentiated")
    return Pass(answer, _outputs(network, inputs, features, layers, kept))


def _outputs(
    network: StagedNetwork,
    inputs: tuple[Tensor, ...],
    features: Tensor,
    layers: Sequence[_Layer],
    kept: dict[str, tuple[Tensor, int]],
) -> Iterator[StageOutput]:
    if features.ndim == 5:
        order = torch.arange(features.numel(), device=features.device).view(features.shape[1:])
        yield StageOutput("features", features, order)
    for layer in layers:
        if layer.name in kept:
            raw, time = kept[layer.name]
            order_cthw = _order(network, inputs, layer, raw)
            if order_cthw is not None:
                yield StageOutput(layer.stage, raw, order_cthw, time)


def _layers(network: StagedNetwork) -> Iterator[_Layer]:
    """The submodules that end each stage, the last ones first."""
    modules = {name for name, _ in network.named_modules()}  # type: ignore[attr-defined]
    stages = [stage for stage in network.stages() if stage.stride is not None]
    for level, stage in reversed(list(enumerate(stages))):
        if stage.layers:
            for part in reversed(stage.layers[-1]):
                if part in modules:
                    yield _Layer(stage.name, part, level)


def _order(network: StagedNetwork, inputs: tuple[Tensor, ...], layer: _Layer, raw: Tensor) -> Tensor | None:
    """Where on its stage's map each value of a layer's output stands; None where the map is not made of them alone."""
    if raw.numel() > _EXACT:
        return None
    numbers = torch.arange(raw.numel(), dtype=torch.float32, device=raw.device).view(raw.shape)

    def count(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return _with_first(output, numbers)

    with torch.no_grad(), _hooks(network, {layer.name: count}):
        found_cthw = network.forward_pyramid(*inputs)[layer.level][0]
    order_cthw = found_cthw.nan_to_num(-1).round().long()
    whole = torch.equal(found_cthw, order_cthw.to(found_cthw.dtype))
    if not whole or int(order_cthw.min()) < 0 or int(order_cthw.max()) >= raw.numel():
        return None
    return order_cthw if int(order_cthw.flatten().bincount().max()) == 1 else None


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
