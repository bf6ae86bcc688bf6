"""Optimisers by their torch.optim names, and what each objective of a task does with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.build.check import nearest_place
from zoo.build.values import At, Fault
from zoo.recipe.optim import closed_faults, name_faults, optim_parts
from zoo.recipe.schema import OptimSlot
from zoo.recipe.slots import OPTIMIZERS, SCHEDULES
from zoo.runner.schedule import Schedule
from zoo_registry.catalog import catalog
from zoo_registry.errors import Location, ParameterError, Problem, RunError, ZooError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.amp import GradScaler
    from torch.nn import Module, Parameter

    from zoo.runner.parameter_groups import ParameterGroup
    from zoo_registry.protocols import Objective, Task


def check_optim(slot: OptimSlot, *, origins: Mapping[At, Location] | None = None) -> list[Problem]:
    """Everything wrong with the names and parameters of an `optim` slot, its schedules and its `per_objective` changes.

    Args:
        slot: the slot.
        origins: the place of every value of the recipe.

    Example:
        >>> [problem.message for problem in check_optim(OptimSlot(name="adamm"))]
        ["no optimiser is called 'adamm'"]
    """
    faults: list[Fault] = []
    for at, name, params in optim_parts({"optim": slot.model_dump(exclude_none=True)}):
        faults += [*name_faults(name, at), *closed_faults(name, params, (*at, "params"), catalog())]
    return [Problem(fault.message, nearest_place(origins or {}, fault.at), fault.hint) for fault in faults]


def optim_of(optim: OptimSlot, objective: str) -> OptimSlot:
    """The slot as it holds for one objective: with its `per_objective` changes, if there are any."""
    change = optim.per_objective.get(objective)
    if change is None:
        return optim
    same = change.name in (None, optim.name)
    return OptimSlot(
        name=change.name or optim.name,
        params={**optim.params, **change.params} if same else change.params,
        schedule=change.schedule or optim.schedule,
        layer_decay=optim.layer_decay if change.layer_decay is None else change.layer_decay,
        decay_norms_and_biases=(
            optim.decay_norms_and_biases if change.decay_norms_and_biases is None else change.decay_norms_and_biases
        ),
    )


class ObjectiveOptimizer:
    """An objective of a task with its optimiser and schedule.

    Args:
        objective: what is minimised.
        optim: the slot as it holds for this objective; see `optim_of`.
        state: the task's; the checkpoint knows parameters by their names in it.
        windows: accumulation windows in the whole run.
        network: the recipe's model, whose layers `optim.layer_decay` counts; the state itself by default.

    Attributes:
        objective: what is minimised.
        parameters: those of the objective's parameters that learn, each once.
        rate: the learning rate of the last step, before `layer_decay`.
        steps: how many steps this objective has taken.
        slowdown: factor of all learning rates, below 1 after a run backed off from a loss that was not finite.

    Raises:
        RunError: nothing to learn, or a parameter outside `task.state`.
        ParameterError: what the optimiser or the schedule does not admit.
    """

    def __init__(
        self, objective: Objective, optim: OptimSlot, state: Module, windows: int, network: Module | None = None
    ) -> None:
        from zoo.runner.parameter_groups import parameter_groups

        self.objective = objective
        self.parameters: list[Parameter] = list(dict.fromkeys(p for p in objective.parameters if p.requires_grad))
        if not self.parameters:
            raise RunError(f"objective {objective.name!r} has no parameter that learns")
        names = {id(parameter): name for name, parameter in state.named_parameters()}
        outside = sum(id(parameter) not in names for parameter in self.parameters)
        if outside:
            raise RunError(
                f"objective {objective.name!r} has {outside} parameters outside task.state, which no checkpoint holds",
                hint="the task's author has to put every module that learns into task.state",
            )
        groups = parameter_groups(
            self.parameters,
            state,
            state if network is None else network,
            layer_decay=optim.layer_decay,
            decay_norms_and_biases=optim.decay_norms_and_biases,
        )
        self._names = [names[id(parameter)] for group in groups for parameter in group.parameters]
        self._optimizer = _make_optimizer(optim, groups)
        self._rates = [float(group["lr"]) for group in self._optimizer.param_groups]
        self.schedule = _make_schedule(optim, -(-windows // objective.every))
        self.rate = float(self._optimizer.defaults["lr"])
        self.steps = 0
        self.slowdown = 1.0

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, epoch: int, scaler: GradScaler | None = None) -> None:
        """Change the parameters by their gradients, at the schedule's rate.

        Args:
            epoch: how many epochs are over.
            scaler: of the gradients, where they are scaled; leaves the step out when they overflowed.
        """
        scale = self.schedule.scale(self.steps, epoch) * self.slowdown
        self.rate = scale * float(self._optimizer.defaults["lr"])
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * scale
        if scaler is None:
            self._optimizer.step()
        else:
            scaler.step(self._optimizer)
        self.steps += 1

    def unscale(self, scaler: GradScaler) -> None:
        """Bring scaled gradients back to their true size."""
        scaler.unscale_(self._optimizer)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by `parameter/quantity`, and the JSON-able rest."""
        import torch

        tensors: dict[str, Tensor] = {}
        rest: dict[str, Any] = {}
        for index, quantities in self._optimizer.state_dict()["state"].items():
            for quantity, value in quantities.items():
                kept = tensors if isinstance(value, torch.Tensor) else rest
                kept[f"{self._names[index]}/{quantity}"] = value
        return tensors, {
            "steps": self.steps,
            "slowdown": self.slowdown,
            "schedule": self.schedule.state(),
            "values": rest,
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        index = {name: number for number, name in enumerate(self._names)}
        state: dict[int, dict[str, Any]] = {}
        for key, value in {**tensors, **record["values"]}.items():
            name, _, quantity = key.rpartition("/")
            state.setdefault(index[name], {})[quantity] = value
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.schedule.load(record["schedule"])
        self.steps, self.slowdown = int(record["steps"]), float(record["slowdown"])


def objective_optimizers(
    task: Task, objectives: Sequence[Objective], optim: OptimSlot, windows: int, network: Module | None = None
) -> list[ObjectiveOptimizer]:
    """An optimiser and a schedule for every objective.

    Args:
        task: whose objectives they are.
        objectives: in the order of a step.
        optim: the recipe's slot.
        windows: accumulation windows in the whole run.
        network: the recipe's model; what the task keeps by default.

    Raises:
        ParameterError: the slot is wrong, or names an objective that the task does not have.
    """
    known = [objective.name for objective in objectives]
    problems = check_optim(optim) + [
        Problem(f"optim.per_objective names {name!r}", hint=f"the task's objectives are {', '.join(known)}")
        for name in optim.per_objective
        if name not in known
    ]
    if problems:
        raise ParameterError(problems)
    network = task.result() if network is None else network
    return [
        ObjectiveOptimizer(objective, optim_of(optim, objective.name), task.state, windows, network)
        for objective in objectives
    ]


def _make_optimizer(optim: OptimSlot, groups: Sequence[ParameterGroup]) -> torch.optim.Optimizer:
    parameters = [{"params": group.parameters} for group in groups]
    try:
        optimizer: torch.optim.Optimizer = resolve_name(OPTIMIZERS[optim.name])(parameters, **optim.params)
    except (ValueError, TypeError) as error:
        raise ParameterError(f"optimiser {optim.name!r}: {error}") from error
    for made, group in zip(optimizer.param_groups, groups, strict=True):
        made["lr"] *= group.scale
        if not group.decays and "weight_decay" in made:
            made["weight_decay"] = 0.0
    return optimizer


def _make_schedule(optim: OptimSlot, steps: int) -> Schedule:
    if optim.schedule is None:
        return Schedule(steps)
    try:
        schedule: Schedule = resolve_name(SCHEDULES[optim.schedule.name])(steps, **optim.schedule.params)
    except ZooError as error:
        message, hint = error.problems[0].message, error.problems[0].hint
        raise ParameterError(f"schedule {optim.schedule.name!r}: {message}", hint=hint) from error
    return schedule
