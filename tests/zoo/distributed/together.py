"""What processes do together: `torchrun --nproc-per-node N -m tests.zoo.distributed.together FOLDER SCENARIO...`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import distributed, nn
from torch.nn import functional

from tests.zoo.runner.in_memory import BrightOrDark, InMemoryLoader, recipe, same_weights, train
from zoo.data.loading.plan import Share, dealt
from zoo.distributed.processes import Processes, joined
from zoo.runner.folder import RunFolder
from zoo.runner.progress import Progress
from zoo_registry.errors import Interrupted, NonFiniteLoss, RunError

ADAM = {"name": "adam", "params": {"lr": 0.01}, "schedule": {"name": "cosine", "params": {"warmup": 2}}}
SAMPLES, BATCH = 21, 4  # of all processes together: the last batch is one sample


class WithoutNorm(BrightOrDark):
    """Batch norms and dropout see the share of one process; without them nothing depends on who sees what."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.state = nn.Sequential(
            nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 2)
        )


class SharedLoader(InMemoryLoader):
    """Deals every batch out to the processes, as `zoo.data.Loader` does."""

    def __init__(self, processes: Processes, *, train: bool = True, samples: int = SAMPLES) -> None:
        super().__init__(samples, batch=BATCH, train=train)
        self.share = Share(processes.rank, processes.count)

    def weight(self, number: int) -> float:
        left = len(self.label_b) - number * BATCH
        return dealt(left, BATCH // self.share.ranks, self.share)[1] * self.share.ranks / min(BATCH, left)

    def epoch(self, epoch: int, start: int = 0) -> Any:
        for batch in super().epoch(epoch, start):
            at, size = dealt(len(batch), BATCH // self.share.ranks, self.share)
            if size or self.train:
                yield batch.rows(slice(at, at + size) if size else slice(0, 1))


def together(
    folder: Path, processes: Processes, task: Any, schema: Any, *, resume: bool = False, val: Any = "default"
) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    return train(
        folder,
        task,
        schema,
        loader=SharedLoader(processes),
        val=SharedLoader(processes, train=False, samples=7) if val == "default" else val,
        augment=None,
        folder=RunFolder(folder, writes=processes.main),
        progress=Progress(quiet=True),
        processes=processes,
        resume=resume,
    )


def equal(folder: Path, processes: Processes) -> None:
    """Train, and leave metrics and weights."""
    task = WithoutNorm()
    together(folder, processes, task, recipe(ADAM, epochs=3, batch=BATCH, log_every=1, accumulate=2))
    save_file(task.state.state_dict(), folder / f"rank-{processes.rank}.safetensors")


def norms(folder: Path, processes: Processes) -> None:
    """Everything that differs between processes while they train: dropout and batch norms. All must end alike."""
    task = BrightOrDark()
    together(folder, processes, task, recipe(ADAM, epochs=2, batch=BATCH, log_every=2))
    save_file(task.state.state_dict(), folder / f"rank-{processes.rank}.safetensors")


class Stopped(BrightOrDark):
    """Process 1 gets SIGTERM in its third step."""

    def after_step(self, step: int) -> None:
        if step == 2 and distributed.is_initialized() and distributed.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def stop(folder: Path, processes: Processes) -> None:
    """A signal to one stops all after the same step; going on gives what an undisturbed run would have."""
    schema = recipe(ADAM, epochs=2, batch=BATCH)
    try:
        together(folder, processes, Stopped(), schema)
    except Interrupted as stopped:
        (folder / f"rank-{processes.rank}.txt").write_text(str(stopped))
    resumed, undisturbed = BrightOrDark(), BrightOrDark()
    together(folder, processes, resumed, schema, resume=True)
    together(folder / "undisturbed", processes, undisturbed, schema)
    assert same_weights(resumed, undisturbed)


def divided(folder: Path, processes: Processes) -> None:
    """Parameters in parts learn what whole ones do; their checkpoint goes on where they are whole, and back."""
    schema = recipe(ADAM, epochs=3, batch=BATCH, accumulate=2, clip_grad_norm=0.5, log_every=1)
    in_parts = schema.model_copy(update={"run": schema.run.model_copy(update={"strategy": "fsdp"})})
    whole, parts, there, back = WithoutNorm(), WithoutNorm(), WithoutNorm(), WithoutNorm()
    together(folder / "whole", processes, whole, schema)
    together(folder / "parts", processes, parts, in_parts)
    for name, begun, gone_on, task in (("there", in_parts, schema, there), ("back", schema, in_parts, back)):
        short = begun.model_copy(update={"run": begun.run.model_copy(update={"max_time": 1e-6})})
        together(folder / name, processes, WithoutNorm(), short)
        together(folder / name, processes, task, gone_on, resume=True)
    for other in (parts, there, back):
        for name, value in whole.state.state_dict().items():
            assert torch.allclose(value, other.state.state_dict()[name], atol=1e-5), name


def average(folder: Path, processes: Processes) -> None:
    """An average of the weights is the same whole and in parts, also after going on from a checkpoint."""
    schema = recipe(ADAM, epochs=3, batch=BATCH, average={"name": "ema", "params": {"decay": 0.9}})
    in_parts = schema.model_copy(update={"run": schema.run.model_copy(update={"strategy": "fsdp"})})
    short = in_parts.model_copy(update={"run": in_parts.run.model_copy(update={"max_time": 1e-6})})
    whole, parts, gone_on = WithoutNorm(), WithoutNorm(), WithoutNorm()
    together(folder / "whole", processes, whole, schema, val=None)
    together(folder / "parts", processes, parts, in_parts, val=None)
    together(folder / "gone_on", processes, WithoutNorm(), short, val=None)
    together(folder / "gone_on", processes, gone_on, in_parts, val=None, resume=True)
    for other in (parts, gone_on):
        for name, value in whole.state.state_dict().items():
            assert torch.allclose(value, other.state.state_dict()[name], atol=1e-5), name
    save_file(whole.state.state_dict(), folder / f"rank-{processes.rank}.safetensors")


def norms_average(folder: Path, processes: Processes) -> None:
    """So is one with the statistics of batch norms, which every process has whole."""
    for name, params in (("ema", {"decay": 0.9}), ("swa", {"start": 1})):
        whole, parts = BrightOrDark(dropout=0.0), BrightOrDark(dropout=0.0)
        for strategy, task in (("ddp", whole), ("fsdp", parts)):
            schema = recipe(ADAM, epochs=3, batch=BATCH, strategy=strategy, average={"name": name, "params": params})
            together(folder / name / strategy, processes, task, schema)
        for entry, value in whole.state.state_dict().items():
            assert torch.allclose(value, parts.state.state_dict()[entry], atol=1e-5), (name, entry)


class NaNInOne(BrightOrDark):
    """The loss of process 1 becomes NaN in its fourth batch."""

    batches = 0

    def loss(self, batch: Any, shared: dict[str, Any]) -> dict[str, torch.Tensor]:
        terms = super().loss(batch, shared)
        self.batches += 1
        spoiled = self.batches == 4 and distributed.get_rank() == 1
        return {"total": terms["total"] * float("nan")} if spoiled else terms


def nan(folder: Path, processes: Processes) -> None:
    """All stop with the same words."""
    try:
        together(folder, processes, NaNInOne(), recipe(ADAM, batch=BATCH, log_every=2))
    except NonFiniteLoss as error:
        (folder / f"rank-{processes.rank}.txt").write_text(str(error))


class LeavesOut(BrightOrDark):
    """Has a layer that no loss goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.state.unused = nn.Linear(2, 2)

    def loss(self, batch: Any, shared: dict[str, Any]) -> dict[str, torch.Tensor]:
        said = batch.inputs["clip_bcthw"]
        for part in list(self.state)[:-1]:
            said = part(said)
        return {"total": functional.cross_entropy(said, batch.targets["label_b"])}


def unused(folder: Path, processes: Processes) -> None:
    """Parameters that the loss leaves out are an error in words, and none where the recipe expects them."""
    try:
        together(folder / "strict", processes, LeavesOut(), recipe(ADAM, batch=BATCH, epochs=1), val=None)
    except RunError as error:
        (folder / f"rank-{processes.rank}.txt").write_text(str(error))
    schema = recipe(ADAM, batch=BATCH, epochs=1, find_unused_parameters=True)
    together(folder / "aware", processes, LeavesOut(), schema, val=None)


def agree(folder: Path, processes: Processes) -> None:
    """What one process finds wrong is raised in all."""
    try:
        with processes.agreeing():
            if processes.rank == 1:
                raise RunError("the disk of process 1 is full", hint="free some space")
    except RunError as error:
        (folder / f"rank-{processes.rank}.txt").write_text(str(error))


def main(folder: Path, *scenarios: str) -> None:
    """Several at once: meeting takes longer than what is tried."""
    torch.set_num_threads(1)
    with joined("cpu") as processes:
        for scenario in scenarios:
            (folder / scenario).mkdir(parents=True, exist_ok=True)
            globals()[scenario](folder / scenario, processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
