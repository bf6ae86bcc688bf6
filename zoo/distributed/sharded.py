"""Parameters that several processes hold in parts, for models that do not fit into the memory of one device (FSDP2).

A copy of the task is divided and trained; the task itself stays whole, on the CPU, and gets the weights back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

from zoo.distributed.averaged import LossModule
from zoo.network_stages import parts_of, stages_of
from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Task

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule

    from zoo.distributed.processes import Processes
    from zoo.runner.freeze import Frozen


@dataclass(frozen=True)
class Divided:
    """A copy of a task whose parameters lie in parts with several processes.

    Attributes:
        task: the copy.
        network: its part that is the recipe's model.
        frozen: the part of that which does not learn.
        objective: what computes its loss.
    """

    task: Task
    network: Module
    frozen: Frozen
    objective: ShardedObjective


class ShardedObjective:
    """The objective of a divided task. Parts are put together layer by layer while they are needed."""

    def __init__(self, module: FSDPModule) -> None:
        self._module: Any = module

    def loss(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        """The objective's terms of a batch; the backward pass that follows averages gradients."""
        terms: Mapping[str, Tensor] = self._module(batch, shared)
        return terms

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Within it gradients only add up in this process."""
        self._module.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self._module.set_requires_gradient_sync(True)


def divide(task: Task, network: Module, frozen: Frozen, processes: Processes, device: torch.device) -> Divided:
    """Copy a task and divide the copy's parameters among the processes, layer by layer.

    Args:
        task: with one objective.
        network: the recipe's model, within the task.
        frozen: its part that does not learn.
        processes: those that train together.
        device: of this process.

    Raises:
        RunError: the task has several objectives, or cannot be copied.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if len(task.objectives()) > 1:
        names = ", ".join(objective.name for objective in task.objectives())
        raise RunError(
            f"run.strategy: fsdp divides the parameters of one objective, and the task has {names}",
            hint="write run.strategy: ddp",
        )
    try:
        task, network, frozen = copy.deepcopy((task, network, frozen))
    except Exception as error:
        raise RunError(
            f"run.strategy: fsdp copies the task, which cannot be copied: {error}", hint="write run.strategy: ddp"
        ) from error
    mesh = init_device_mesh(device.type, (processes.count,))
    for stage in stages_of(network):
        for part in parts_of(network, stage.layers):
            if isinstance(part, Module) and any(True for _ in part.parameters()):
                fully_shard(part, mesh=mesh)
    for module in dict.fromkeys((network, task.state)):
        fully_shard(module, mesh=mesh)
    (objective,) = task.objectives()  # again: it names the parameters, which are other objects now
    whole = fully_shard(LossModule(objective, task.state), mesh=mesh)
    return Divided(task, network, frozen, ShardedObjective(whole))


def put_together(divided: Task, task: Task) -> None:
    """Give a task the weights of its divided copy; all processes together."""
    task.state.load_state_dict({name: whole(value) for name, value in divided.state.state_dict().items()})


def is_divided(value: Tensor) -> bool:
    """Whether a tensor lies in parts with several processes."""
    return hasattr(value, "full_tensor")


def own_part(value: Tensor) -> Tensor:
    """The part of a tensor that this process has; all of it where it is not divided."""
    return value.to_local() if is_divided(value) else value  # type: ignore[attr-defined]


def whole(value: Tensor) -> Tensor:
    """All of a tensor; all processes together."""
    return value.full_tensor() if is_divided(value) else value  # type: ignore[attr-defined]


def divided_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, of which every process takes its part where `like` is divided and of the same shape."""
    if not is_divided(like) or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(value.to(like.device), mesh, placements, src_data_rank=None)
