"""Starts the processes of a run on this machine, by torch's own launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from zoo.runner.folder import RunFolder
from zoo.runner.stages import load_checked
from zoo_registry.errors import RunError


def launch(
    recipe: str | None,
    overrides: Sequence[str],
    options: Sequence[str],
    processes: int,
    *,
    out: Path | None,
    resume: Path | None,
    restarts: int = 0,
) -> int:
    """Run a recipe in several processes.

    Args:
        recipe: name, path or URI; may be left out with `resume`.
        overrides: of the recipe; it is checked before anything starts.
        options: of `zoo run` that go on to every process as they are.
        processes: how many.
        out: folder of the run; by default a new one below `runs/`.
        resume: folder of a run to go on with.
        restarts: how often all are started again, from the last checkpoint, when one is lost.

    Returns:
        The exit code: that of the first process that failed, else 0.

    Raises:
        ZooError: what is wrong with the recipe, or a process that was lost.
    """
    loaded = load_checked(recipe, overrides, resume)
    where = ["--resume", str(resume)] if resume else ["--out", str(out or RunFolder.fresh(loaded.name))]
    command = [sys.executable, "-m", "zoo.cli", "run", *([recipe] if recipe else []), *options, *where]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))
    return _launched(command, processes, restarts, where[1])


def _launched(command: Sequence[str], processes: int, restarts: int, folder: str) -> int:
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):  # every process says its own errors
            logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"zoo-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return int(failure.exitcode)
        number = signal.Signals(-failure.exitcode)
        lost = RunError(
            f"process {rank} of {processes} was ended by {number.name}",
            hint=f"zoo run --resume {folder} --processes {processes} goes on from the last checkpoint; "
            "--restarts K would have started all again",
        )
        lost.exit_code = 128 + number
        raise lost from None
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0
