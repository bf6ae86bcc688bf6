"""An objective that several processes minimise together.

Each wraps the objective, not the model: the loss may call parts of the model in any order, and as often as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module, SyncBatchNorm
from torch.nn.parallel import DistributedDataParallel

from zoo_registry.errors import RunError
from zoo_registry.protocols import Batch, Objective

if TYPE_CHECKING:
    from zoo.optim.objective_optimizer import ObjectiveOptimizer

Loss = Callable[[Batch, dict[str, Any]], Mapping[str, Tensor]]


class LossModule(Module):
    """A module whose forward is an objective's loss, and whose parameters are those of the task."""

    def __init__(self, objective: Objective, state: Module) -> None:
        super().__init__()
        self.state = state
        self._loss = (objective.loss,)  # in a tuple, so that a loss that is a module is not registered

    def forward(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        """The terms of the loss."""
        return self._loss[0](batch, shared)


class AveragedObjective:
    """An objective whose gradients are the mean over all processes (DistributedDataParallel).

    Args:
        optimizer: of the objective; only what it changes is averaged.
        state: the task's.
        unused: whether the loss may leave parameters out.
    """

    def __init__(self, optimizer: ObjectiveOptimizer, state: Module, *, unused: bool = False) -> None:
        module = LossModule(optimizer.objective, state)
        mine = {id(parameter) for parameter in optimizer.parameters}
        others = [name for name, parameter in module.named_parameters() if id(parameter) not in mine]
        leave_out: Any = DistributedDataParallel._set_params_and_buffers_to_ignore_for_model
        leave_out(module, others)
        # Without device_ids nothing is copied: what a loss leaves in `shared` must reach the next objective.
        self._parallel = DistributedDataParallel(module, find_unused_parameters=unused, gradient_as_bucket_view=True)

    def loss(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        """The objective's terms of a batch; the backward pass that follows averages gradients.

        Raises:
            RunError: the last loss left parameters out.
        """
        try:
            terms: Mapping[str, Tensor] = self._parallel(batch, shared)
        except RuntimeError as error:
            if "Expected to have finished reduction" not in str(error):
                raise
            raise RunError(
                "the loss leaves parameters of the model out, for whose gradients the processes wait",
                hint="write run.find_unused_parameters: true, or model.freeze what does not learn",
            ) from error
        return terms

    def apart(self) -> AbstractContextManager[None]:
        """Within it gradients only add up in this process."""
        return self._parallel.no_sync()


@contextmanager
def synchronised_norms(state: Module, wanted: bool) -> Iterator[None]:
    """Within it batch norms take the statistics of all processes' samples; torch has that for GPUs only.

    They are not replaced, so that whoever holds one, or calls it compiled, holds the same one afterwards.
    """
    norms = (
        [part for part in state.modules() if type(part) in (BatchNorm1d, BatchNorm2d, BatchNorm3d)] if wanted else []
    )
    kinds = [type(norm) for norm in norms]
    for norm in norms:
        norm.__class__, norm.process_group = SyncBatchNorm, None  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, kind in zip(norms, kinds, strict=True):
            norm.__class__ = kind
            del norm.process_group
