"""What a network consists of, in the order in which it runs: found by running it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleDict, ModuleList, Sequential

_CONTAINERS = (Sequential, ModuleList, ModuleDict)
_HEAVY = 0.5  # a module with this part of all parameters is opened: it hides what the network is
_DEEPEST = 3


@dataclass(frozen=True)
class Block:
    """A part of a network.

    Attributes:
        name: dotted name of the module; `blocks.0-3` for a folded run.
        kind: what it is: `Conv3d 3 → 64, 3×7×7`, `2 × BasicBlock`.
        shape: of its (first) output, without the batch axis.
        parameters: how many it has, shared ones counted once.
        beside: shapes of its further outputs, as of networks with several pathways.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    beside: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class _Call:
    """The first call of a module.

    Attributes:
        order: when it ended.
        taken, given: the shapes that went in and came out.
        inputs: which tensors went in, as long as the call lasts.
    """

    order: int
    taken: tuple[tuple[int, ...], ...]
    given: tuple[tuple[int, ...], ...]
    inputs: tuple[int, ...]


def find_blocks(module: Module, example: tuple[Tensor, ...], *, most: int = 24) -> list[Block]:
    """Run a network once and list its parts in order of execution.

    Lists of layers and parts that hold most of the parameters are opened, as long as no more than `most` rows come
    out; those whose parts lie side by side are not. Neighbours of one class and one output shape become one row.
    Layers that neither hold parameters nor change the shape are left out.

    Args:
        module: any network; its mode and state are left as they were.
        example: inputs as it is called with, on its device.
        most: rows at most.

    Returns:
        Blocks, first to run first. Branches appear one after the other.

    Example:
        >>> net = Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 2))
        >>> [(block.kind, block.shape, block.parameters) for block in find_blocks(net, (torch.zeros(1, 3, 5, 5),))]
        [('Conv2d 3 → 8, 3×3', (8, 3, 3), 224), ('Flatten', (72,), 0), ('Linear 72 → 2', (2,), 146)]
    """
    modules = dict(module.named_modules())
    calls = _run(modules, module, example)
    total = max(count_parameters(module), 1)
    names, closed = _children("", modules, calls), set[str]()
    while True:
        openable = (name for name in names if name not in closed and _is_worth_opening(name, modules, calls, total))
        name = max(openable, key=lambda name: count_parameters(modules[name]), default=None)
        if name is None:
            break
        place = names.index(name)
        opened = [*names[:place], *_children(name, modules, calls), *names[place + 1 :]]
        if len(_fold(opened, modules, calls)) <= most:
            names = opened
        else:
            closed.add(name)
    blocks = _fold(names or [""], modules, calls)
    shapes = [[_without_batch(shape, example) for shape in (block.shape, *block.beside)] for block in blocks]
    return [
        replace(block, shape=shape, beside=tuple(beside))
        for block, (shape, *beside) in zip(blocks, shapes, strict=True)
    ]


def count_parameters(module: Module) -> int:
    """Numbers in all parameters of a module, shared ones counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _run(modules: Mapping[str, Module], module: Module, example: tuple[Tensor, ...]) -> dict[str, _Call]:
    """Call the network in evaluation mode and note every module that runs."""
    calls: dict[str, _Call] = {}

    def note(name: str, taken: Any, given: Any) -> None:
        inputs = tuple(id(value) for value in taken if isinstance(value, Tensor))
        calls.setdefault(name, _Call(len(calls), _shapes(taken), _shapes(given), inputs))

    handles = [
        part.register_forward_hook(lambda _part, taken, given, name=name: note(name, taken, given))
        for name, part in modules.items()
    ]
    try:
        with _evaluation_mode(modules.values()), torch.no_grad():
            module(*example)
    finally:
        for handle in handles:
            handle.remove()
    return calls


@contextmanager
def _evaluation_mode(modules: Iterable[Module]) -> Iterator[None]:
    """Evaluation mode for all; afterwards each module has the mode it had, also where they were mixed."""
    modes = [(part, part.training) for part in modules]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, training in modes:
            part.training = training


def _children(name: str, modules: Mapping[str, Module], calls: Mapping[str, _Call]) -> list[str]:
    """Names of the direct parts that ran, in order; a list, which is never called itself, counts through its parts."""
    prefix = f"{name}." if name else ""
    children = [f"{prefix}{child}" for child, _ in modules[name].named_children()]
    ran = {child: _calls_within(child, calls) for child in children if child in modules}
    return sorted((child for child, within in ran.items() if within), key=lambda child: ran[child][0].order)


def _calls_within(name: str, calls: Mapping[str, _Call]) -> list[_Call]:
    """The calls of a module and of everything in it, in order."""
    if name in calls:
        return [calls[name]]
    return sorted((call for other, call in calls.items() if other.startswith(f"{name}.")), key=lambda call: call.order)


def _is_worth_opening(name: str, modules: Mapping[str, Module], calls: Mapping[str, _Call], total: int) -> bool:
    children = _children(name, modules, calls)
    if not children or name.count(".") + 1 >= _DEEPEST or _has_branches(name, children, calls):
        return False
    heavy = count_parameters(modules[name]) > _HEAVY * total
    if type(modules[name]) not in _CONTAINERS:
        return heavy and len(children) > 1 and not name.rpartition(".")[2].isdigit()
    alike = len({type(modules[child]) for child in children}) == 1
    return not alike or (heavy and len({_calls_within(child, calls)[-1].given for child in children}) > 1)


def _has_branches(name: str, children: Iterable[str], calls: Mapping[str, _Call]) -> bool:
    """Whether a part after the first begins with what the whole was given: then they do not follow one another."""
    _, *later = children
    given = calls[name].inputs if name in calls else ()
    return any(calls[child].inputs[:1] and calls[child].inputs[0] in given for child in later if child in calls)


def _fold(names: Iterable[str], modules: Mapping[str, Module], calls: Mapping[str, _Call]) -> list[Block]:
    """One block per run of alike neighbours."""

    def alike(name: str) -> tuple[str, str, tuple[tuple[int, ...], ...]]:
        part = modules[name]
        kind = _kind(part) if not any(part.children()) else type(part).__name__
        return name.rpartition(".")[0], kind, _calls_within(name, calls)[-1].given

    blocks = []
    for (parent, kind, given), group in groupby((name for name in names if _is_seen(name, modules, calls)), alike):
        run = list(group)
        parameters = sum(count_parameters(modules[name]) for name in run)
        first, last = (name.rpartition(".")[2] for name in (run[0], run[-1]))
        shape, *beside = given or ((),)
        if len(run) == 1:
            blocks.append(Block(run[0], _kind(modules[run[0]]), shape, parameters, tuple(beside)))
        else:
            prefix = f"{parent}." if parent else ""
            blocks.append(Block(f"{prefix}{first}–{last}", f"{len(run)} × {kind}", shape, parameters, tuple(beside)))
    return blocks


def _is_seen(name: str, modules: Mapping[str, Module], calls: Mapping[str, _Call]) -> bool:
    within = _calls_within(name, calls)
    return count_parameters(modules[name]) > 0 or within[0].taken != within[-1].given


def _kind(module: Module) -> str:
    """What a module is, in a few words."""
    kind = type(module).__name__
    if type(module) in _CONTAINERS and len(module):  # type: ignore[arg-type]
        counts = Counter(type(child).__name__ for child in module.children())
        return " + ".join(f"{count} × {child}" if count > 1 else child for child, count in counts.items())
    taken = getattr(module, "in_channels", getattr(module, "in_features", None))
    given = getattr(module, "out_channels", getattr(module, "out_features", None))
    if not any(module.children()) and isinstance(taken, int) and isinstance(given, int):
        kernel = getattr(module, "kernel_size", None)
        size = f", {'×'.join(map(str, kernel))}" if isinstance(kernel, tuple) else ""
        return f"{kind} {taken} → {given}{size}"
    return kind


def _shapes(value: Any) -> tuple[tuple[int, ...], ...]:
    """Shapes of the tensors in whatever a module took or gave."""
    if isinstance(value, Tensor):
        return (tuple(value.shape),)
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return tuple(shape for each in value for shape in _shapes(each))
    return ()


def _without_batch(shape: tuple[int, ...], example: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Drop the batch axis; frames that were folded into it stay as an axis of their own."""
    batch = example[0].shape[0]
    if not shape or batch == 0 or shape[0] % batch:
        return shape
    return shape[1:] if shape[0] == batch else (shape[0] // batch, *shape[1:])
