"""What each objective of a task does with its optimiser and schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.build.check import nearest_place
from zoo.build.values import At, Fault
from zoo.optim.schedule import Schedule
from zoo.recipe.optim import name_faults, optim_checks
from zoo.recipe.schema import GroupSlot, OptimSlot
from zoo.recipe.slots import SCHEDULES
from zoo_registry.catalog import catalog
from zoo_registry.errors import Location, ParameterError, Problem, RunError, ZooError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.amp import GradScaler
    from torch.nn import Module, Parameter

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
    data = {"optim": slot.model_dump(exclude_none=True), "run": {"epochs": 0}}
    for at, name, params, check in optim_checks(data):
        faults += [*name_faults(name, at), *check(params, (*at, "params"), catalog())]
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
        groups=optim.groups if change.groups is None else change.groups,
    )


class ObjectiveOptimizer:
    """An objective of a task with its optimiser and schedule.

    Args:
        objective: what is minimised.
        optim: the slot as it holds for this objective; see `optim_of`.
        state: the task's; the checkpoint knows parameters by their names in it.
        windows: accumulation windows in the whole run.
        network: the recipe's model, whose layers `optim.layer_decay` counts; the state itself by default.
        epochs: of the whole run; as many as windows by default.

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
        self,
        objective: Objective,
        optim: OptimSlot,
        state: Module,
        windows: int,
        network: Module | None = None,
        epochs: int | None = None,
    ) -> None:
        from zoo.optim.make_optimizer import make_optimizers, tells_matrices_apart
        from zoo.optim.parameter_groups import parameter_groups

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
            rules=optim.groups,
            matrices_apart=tells_matrices_apart(optim.name),
        )
        self._optimizers = make_optimizers(optim, groups)
        self._groups = [group for each in self._optimizers for group in each.param_groups]
        self._names = names
        self._rates = [float(group["lr"]) for group in self._groups]
        self.schedule = _make_schedule(optim, -(-windows // objective.every), windows if epochs is None else epochs)
        self._base_rate = float(self._optimizers[0].defaults["lr"])
        self.rate = self._base_rate
        self.steps = 0
        self.slowdown = 1.0

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def step(self, epoch: int, scaler: GradScaler | None = None) -> None:
        """Change the parameters by their gradients, at the schedule's rate.

        Args:
            epoch: how many epochs are over.
            scaler: of the gradients, where they are scaled; leaves the step out when they overflowed.
        """
        scale = self.schedule.scale(self.steps, epoch) * self.slowdown
        self.rate = scale * self._base_rate
        for group, rate in zip(self._groups, self._rates, strict=True):
            group["lr"] = rate * scale
        for optimizer in self._optimizers:
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
        self.steps += 1

    def unscale(self, scaler: GradScaler) -> None:
        """Bring scaled gradients back to their true size."""
        for optimizer in self._optimizers:
            scaler.unscale_(optimizer)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by `parameter/quantity`, and the JSON-able rest."""
        import torch

        tensors: dict[str, Tensor] = {}
        rest: dict[str, Any] = {}
        for optimizer in self._optimizers:
            for parameter, quantities in optimizer.state.items():
                for quantity, value in quantities.items():
                    kept = tensors if isinstance(value, torch.Tensor) else rest
                    kept[f"{self._names[id(parameter)]}/{quantity}"] = value
        record = {
            "steps": self.steps,
            "slowdown": self.slowdown,
            "schedule": self.schedule.state(),
            "values": rest,
        }
        counters = {
            self._names[id(parameter)]: counted
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            if (counted := _counters(group, optimizer))
            for parameter in group["params"]
        }
        return tensors, record | ({"counters": counters} if counters else {})

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Continue from what `state` gave."""
        import torch

        by_name: dict[str, dict[str, Any]] = {}
        for key, value in {**tensors, **record["values"]}.items():
            name, _, quantity = key.rpartition("/")
            by_name.setdefault(name, {})[quantity] = value
        for optimizer in self._optimizers:
            learning = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            names = [self._names[id(parameter)] for parameter in learning]
            state = {number: by_name[name] for number, name in enumerate(names) if name in by_name}
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
            for group in optimizer.param_groups:
                counted = record.get("counters", {}).get(self._names[id(group["params"][0])], {})
                group.update({key: n if isinstance(n, int) else torch.tensor(n) for key, n in counted.items()})
        self._groups = [group for each in self._optimizers for group in each.param_groups]
        self.schedule.load(record["schedule"])
        self.steps, self.slowdown = int(record["steps"]), float(record["slowdown"])


def objective_optimizers(
    task: Task,
    objectives: Sequence[Objective],
    optim: OptimSlot,
    windows: int,
    network: Module | None = None,
    epochs: int | None = None,
) -> list[ObjectiveOptimizer]:
    """An optimiser and a schedule for every objective.

    Args:
        task: whose objectives they are.
        objectives: in the order of a step.
        optim: the recipe's slot.
        windows: accumulation windows in the whole run.
        network: the recipe's model; what the task keeps by default.
        epochs: of the whole run; as many as windows by default.

    Raises:
        ParameterError: the slot is wrong, or names an objective or parameters that the task does not have.
    """
    network = task.result() if network is None else network
    if problems := check_optim(optim) or objective_problems(task, objectives, optim, network):
        raise ParameterError(problems)
    return [
        ObjectiveOptimizer(objective, optim_of(optim, objective.name), task.state, windows, network, epochs)
        for objective in objectives
    ]


def objective_problems(
    task: Task,
    objectives: Sequence[Objective],
    optim: OptimSlot,
    network: Module,
    where: Callable[[At], Location | None] = lambda at: None,
) -> list[Problem]:
    """What an `optim` slot names and a task does not have: objectives, and parameters by the patterns of `groups`.

    Args:
        task: whose objectives they are.
        objectives: all of them.
        optim: the recipe's slot.
        network: the recipe's model.
        where: the place of a value in the recipe.
    """
    from zoo.optim.parameter_groups import parameter_names, rule_problems

    known = [objective.name for objective in objectives]
    problems = [
        Problem(
            f"optim.per_objective names {name!r}",
            where(("optim", "per_objective", name)),
            f"the task's objectives are {', '.join(known)}",
        )
        for name in optim.per_objective
        if name not in known
    ]
    names = parameter_names(task.state, network)
    learning: dict[At, tuple[Sequence[GroupSlot], list[str]]] = {}
    for objective in objectives:
        change = optim.per_objective.get(objective.name)
        if change is None or change.groups is None:
            at: At = ("optim", "groups")
        else:
            at = ("optim", "per_objective", objective.name, "groups")
        _, found = learning.setdefault(at, (optim_of(optim, objective.name).groups, []))
        found += [names[id(each)] for each in objective.parameters if each.requires_grad and id(each) in names]
    for at, (rules, found) in learning.items():
        problems += rule_problems(rules, list(dict.fromkeys(found)), at, where)
    return problems


def _counters(group: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, int | float]:
    """What an optimiser counts up in a group, beside the options it was made with; a tensor as a float."""
    import torch

    added = {name: value for name, value in group.items() if name != "params" and name not in optimizer.defaults}
    return {
        name: float(value) if isinstance(value, torch.Tensor) else value
        for name, value in added.items()
        if isinstance(value, torch.Tensor) or type(value) is int
    }


def _make_schedule(optim: OptimSlot, steps: int, epochs: int) -> Schedule:
    if optim.schedule is None:
        return Schedule(steps, epochs)
    try:
        schedule: Schedule = resolve_name(SCHEDULES[optim.schedule.name])(steps, epochs, **optim.schedule.params)
    except ZooError as error:
        message, hint = error.problems[0].message, error.problems[0].hint
        raise ParameterError(f"schedule {optim.schedule.name!r}: {message}", hint=hint) from error
    return schedule
