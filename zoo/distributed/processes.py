"""Several processes that train one model: how they find and agree with each other.

`torchrun`, or `zoo run --processes N`, starts them and sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
What they tell each other here goes over the CPU (gloo); gradients go the way of the device.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

from zoo_registry.errors import Problem, RunError, ZooError

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

E = TypeVar("E", bound=ZooError)

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: writing a large checkpoint or decoding a bad film may keep one of them."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: the number of this one, from 0 on; 0 writes files and speaks.
        count: how many there are.

    Example:
        >>> Processes().main, Processes(1, 2).main
        (True, False)
    """

    rank: int = 0
    count: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def gathered(self, value: Any) -> list[Any]:
        """What every process gives, by rank; all call it together. Values travel pickled, between own processes."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def gathered_onto(self, device: torch.device, value: Any) -> list[Any]:
        """The same for objects that hold tensors, which come to lie on a device of this process."""
        import torch

        packed = BytesIO()
        torch.save(value, packed)
        return [
            torch.load(BytesIO(theirs), map_location=device, weights_only=False)  # of our own processes
            for theirs in self.gathered(packed.getvalue())
        ]

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return flag if self.count == 1 else self.largest(int(flag)) > 0

    def largest(self, number: int) -> int:
        """The largest number that any process gives."""
        if self.count == 1:
            return number
        import torch
        from torch import distributed

        found = torch.tensor([number])
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def means(self, values: Sequence[float], counts: Sequence[int]) -> tuple[Sequence[float], Sequence[int]]:
        """Means over the samples of all processes, and how many those were.

        Args:
            values: means over the samples of this process.
            counts: how many samples each is the mean of; one without any counts for nothing.
        """
        if self.count == 1:
            return values, counts
        sums = self._sum([value * count if count else 0.0 for value, count in zip(values, counts, strict=True)])
        totals = self._sum([float(count) for count in counts])
        means = [total / count if count else 0.0 for total, count in zip(sums, totals, strict=True)]
        return means, [int(count) for count in totals]

    def agree_on(self, error: ZooError | None) -> None:
        """Raise everywhere what went wrong anywhere; all call it together.

        Raises:
            ZooError: the error of the first process that has one, with its number where it is not the main one.
        """
        if self.count == 1:
            if error is not None:
                raise error
            return
        errors = self.gathered(None if error is None else (type(error), error.problems))
        wrong = [rank for rank, found in enumerate(errors) if found is not None]
        if not wrong:
            return
        kind, problems = errors[wrong[0]]
        if len(wrong) < self.count:
            names = ", ".join(map(str, wrong))
            problems = [
                Problem(f"process {names} of {self.count}: {each.message}", each.where, each.hint) for each in problems
            ]
        raise self.everywhere(kind(problems))

    def everywhere(self, error: E) -> E:
        """An error that every process raises, as the main one says it and the others do not."""
        error.silent = not self.main
        return error

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """What goes wrong inside in one process is raised in all of them; all leave it together."""
        wrong: ZooError | None = None
        try:
            yield
        except ZooError as error:
            if self.count == 1:
                raise
            wrong = error
        self.agree_on(wrong)

    def first(self, value: Any) -> Any:
        """What the main process gives; all call it together."""
        return self.gathered(value if self.main else None)[0]

    def wait(self) -> None:
        """Until all are here."""
        self.any(False)

    def share_buffers(self, module: Module) -> None:
        """Give every process the main one's buffers, such as running statistics of batch norms."""
        if self.count == 1:
            return
        from torch import distributed

        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)

    def _sum(self, numbers: Sequence[float]) -> list[float]:
        import torch
        from torch import distributed

        table = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(table)
        totals: list[float] = table.tolist()
        return totals


ALONE = Processes()
"""A run in a single process."""


def lost_connection(error: RuntimeError) -> bool:
    """Whether an error of a collective says that another process is gone."""
    said = str(error)
    return any(
        text in said for text in ("Connection closed by peer", "Connection reset by peer", "remote process exited")
    )


def started_together() -> bool:
    """Whether a launcher started this process along with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def restarted() -> bool:
    """Whether the launcher has started this process again because one was lost."""
    return _restarts() > 0


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Meet the other processes, if a launcher started any; part from them at the end.

    Args:
        device: `run.device`; processes on a GPU each take the one of their local rank.

    Raises:
        RunError: they do not meet, or run other versions.
    """
    if not started_together():
        yield ALONE
        return
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    gpus = device != "cpu" and torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
        # The launcher's store outlives a restart, and what the lost processes left there must not be found.
        attempt = torch._C._distributed_c10d.PrefixStore(
            f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store
        )
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        distributed.init_process_group(backend, store=attempt, rank=rank, world_size=count, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"the processes of this run do not meet: {error}",
            hint="start it by torchrun or zoo run --processes N; between machines MASTER_ADDR has to be reachable",
        ) from error
    processes = Processes(distributed.get_rank(), distributed.get_world_size())
    try:
        check_versions(processes.gathered(_versions()))
        yield processes
    finally:
        part()


def part() -> None:
    """Leave the other processes: from here on this one works by itself."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def check_versions(versions: Sequence[Mapping[str, str]]) -> None:
    """See that all processes run the same software.

    Args:
        versions: of every process, by name of the package.

    Raises:
        RunError: two of them differ.

    Example:
        >>> check_versions([{"torch": "2.15.0"}, {"torch": "2.14.0"}])
        Traceback (most recent call last):
        ...
        zoo_registry.errors.RunError: process 0 runs torch 2.15.0 and process 1 torch 2.14.0
          give every machine the same environment
    """
    problems = [
        Problem(f"process 0 runs {name} {versions[0].get(name)} and process {rank} {name} {found.get(name)}")
        for rank, found in enumerate(versions)
        for name in sorted(found.keys() | versions[0].keys())
        if found.get(name) != versions[0].get(name)
    ]
    if problems:
        last = problems.pop()
        raise RunError([*problems, Problem(last.message, hint="give every machine the same environment")])


def _versions() -> dict[str, str]:
    import platform

    from zoo.recipe.lock import package_versions

    return {"python": platform.python_version(), **package_versions()}
