"""What a checkpoint of a run holds, and how a run takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.distributed.processes import ALONE, Processes
from zoo.distributed.sharded import divided_like, own_part
from zoo.optim.averaging import with_averages
from zoo.runner.checkpoint import Checkpoint, Checkpoints, checkpoint_name
from zoo_registry.errors import NonFiniteLoss, RunError

if TYPE_CHECKING:
    from zoo.optim.averaging import Average
    from zoo.optim.objective_optimizer import ObjectiveOptimizer
    from zoo.runner.losses import Losses
    from zoo.runner.monitor import Monitor
    from zoo_registry.protocols import Task

STATE = "state/"
"""Prefix of the tensors of `task.state`."""

AVERAGE = "average/"
"""Prefix of the averages of them, `run.average`."""


@dataclass
class Position:
    """How far a run is.

    Attributes:
        step: steps (accumulation windows) done in the whole run.
        epoch: epochs done.
        batches: batches consumed in the current epoch.
        clips: clips learnt from in the whole run, by all processes.
    """

    step: int = 0
    epoch: int = 0
    batches: int = 0
    clips: int = 0


@dataclass(frozen=True)
class Snapshot:
    """The parts of a run that change while it trains; each says its own state.

    No state of a random number generator is among them: a step's draws follow from the seed and the step's number.
    """

    task: Task
    optimizers: Sequence[ObjectiveOptimizer]
    at: Position
    monitor: Monitor
    losses: Losses
    scaler: torch.amp.GradScaler | None = None
    processes: Processes = ALONE
    average: Average | None = None

    def judged(self) -> AbstractContextManager[None]:
        """Within it the task has the weights that are evaluated: an average of those that learn, where there is one."""
        return nullcontext() if self.average is None else self.average.swapped_in()

    def learning(self) -> AbstractContextManager[None]:
        """Within it the task has the weights that learn, also within `judged`."""
        return nullcontext() if self.average is None else self.average.swapped_out()

    def take(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and the JSON-able rest, for `Checkpoints.save`.

        Raises:
            NonFiniteLoss: a loss or a parameter is NaN or infinite: not worth keeping.
        """
        self.losses.read()
        self._refuse_non_finite()
        tensors = {STATE + name: value for name, value in self._state_dict().items()}
        objectives = {}
        for optimizer in self.optimizers:
            own, objectives[optimizer.objective.name] = optimizer.state()
            tensors |= {f"optim/{optimizer.objective.name}/{name}": value for name, value in own.items()}
        averaged = None
        if self.average is not None:
            own, averaged = self.average.state()
            tensors |= {AVERAGE + name: value for name, value in own.items()}
        return tensors, {
            "at": asdict(self.at),
            "average": averaged,
            "objectives": objectives,
            "monitor": self.monitor.state(),
            "losses": self.losses.state(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put everything back to where it was.

        Raises:
            RunError: the checkpoint is of a different task or model.
        """
        record = checkpoint.record
        load_state(self.task, checkpoint)
        like = dict(self.task.state.named_parameters())
        for optimizer in self.optimizers:
            name = optimizer.objective.name
            if name not in record["objectives"]:
                raise RunError(f"checkpoint {checkpoint.name} knows no objective {name!r}: it is of another task")
            kept = {
                key: divided_like(value, like[key.rpartition("/")[0]])
                for key, value in _below(checkpoint.tensors, f"optim/{name}/").items()
            }
            optimizer.load(kept, record["objectives"][name])
        for key, value in record["at"].items():
            setattr(self.at, key, value)
        self.monitor.load(record["monitor"])
        self.losses.load(record["losses"])
        if self.average is not None and record["average"] is not None:
            own = self.task.state.state_dict()
            kept = {key: divided_like(value, own[key]) for key, value in _below(checkpoint.tensors, AVERAGE).items()}
            self.average.load(kept, record["average"])
        if self.scaler is not None and record["scaler"] is not None:
            self.scaler.load_state_dict(record["scaler"])

    def _state_dict(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.task.state.state_dict()
        strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
        if strange:
            raise RunError(
                f"task.state holds {strange[0]!r}, which is no tensor", hint="a checkpoint holds tensors; use a buffer"
            )
        return state

    def _refuse_non_finite(self) -> None:
        """A finite loss can still have infinite gradients, which its step writes into the weights."""
        named = [(name, value) for name, value in self.task.state.named_parameters() if value.is_floating_point()]
        if not named:
            return
        finite = torch.stack([own_part(value).isfinite().all() for _, value in named]).tolist()
        bad = [name for (name, _), fine in zip(named, finite, strict=True) if not fine]
        bad = [name for names in self.processes.gathered(bad) for name in names]
        if bad:
            raise NonFiniteLoss(
                f"after step {self.at.step} parameter {bad[0]!r} is NaN or infinite, though the loss was finite",
                hint="lower optim.params.lr or set run.clip_grad_norm",
            )


def load_state(task: Task, checkpoint: Checkpoint) -> None:
    """Put `task.state` back to a checkpoint's.

    Raises:
        RunError: the checkpoint does not fit.
    """
    own = task.state.state_dict()
    state = {
        name: divided_like(value, own[name]) if name in own else value
        for name, value in _below(checkpoint.tensors, STATE).items()
    }
    try:
        task.state.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise RunError(f"checkpoint {checkpoint.name} does not fit the task: {error}") from error


def load_result(task: Task, checkpoints: Checkpoints, name: str) -> None:
    """Put `task.state` to what a checkpoint would be as a result: the averages of the weights, where it has them.

    Raises:
        RunError: the checkpoint does not fit.
    """
    learning = checkpoints.read(name, STATE)
    record = learning.record["average"]
    if record is not None:
        averages = _below(checkpoints.read(name, AVERAGE).tensors, AVERAGE)
        merged = with_averages(_below(learning.tensors, STATE), averages, record)
        learning = replace(learning, tensors={STATE + key: value for key, value in merged.items()})
    load_state(task, learning)


def load_best(task: Task, checkpoints: Checkpoints) -> None:
    """Put `task.state` to its best epoch of a run, or to the newest checkpoint where nothing was monitored.

    A run that trained nothing has no checkpoint, and its task stays as it is.
    """
    newest = checkpoints.newest()
    if newest is None:
        return
    step = newest.record["monitor"]["best_step"]
    best = newest.name if step is None else checkpoint_name(step, epoch_end=True)
    load_result(task, checkpoints, best)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
