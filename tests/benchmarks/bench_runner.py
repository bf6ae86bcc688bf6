"""The runner's own cost: samples/s of `fit` against a hand-written loop over the same batches.

    python tests/benchmarks/bench_runner.py [--device cuda] [--model x3d_m]

Both sides train the same network from the same weights on the same clips in memory, in turns, in one process. `fit`
does everything it does in a run: seeds of every step, losses, log lines, TensorBoard events, a checkpoint after the
epoch. The hand-written loop does the least that trains. Target: ratio >= 0.98. On a CPU glibc gives memory back and
asks for it again on one side or the other; set MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ to 4000000000 to keep
it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from zoo.build import build
from zoo.data import Preprocess
from zoo.recipe.schema import RecipeSchema
from zoo.runner.device import set_memory_format
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.precision import autocast, set_matrix_products
from zoo.runner.progress import Progress
from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.tasks.classification import classification
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.protocols import Batch, Sample

ROUNDS, CLASSES = 5, 6


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        frames, size: of a clip.
        batch: clips of a step.
        batches: steps of a turn.
    """

    frames: int
    size: int
    batch: int
    batches: int


WORKS = {
    "cnn3d": Work(16, 32, 16, 120),
    "x3d_xs": Work(4, 160, 4, 12),
    "x3d_m": Work(16, 224, 8, 40),
    "slowfast_r50": Work(32, 224, 8, 40),
}
"""By the name of the model; the first has small steps, beside which the runner's own work shows most."""


class ClipsInMemory:
    """A loader that costs nothing: uint8 clips that are there already."""

    views = 1

    def __init__(self, work: Work, device: torch.device) -> None:
        count = work.batch * min(work.batches, 8)  # shown again and again: the clips of a large model fill the memory
        shape = (count, 3, work.frames, work.size, work.size)
        self.work, self.clip_bcthw = work, torch.randint(0, 256, shape, dtype=torch.uint8)
        if device.type == "cuda":
            self.clip_bcthw = self.clip_bcthw.pin_memory()
        self.label_b = torch.arange(count) % CLASSES
        self.split = SimpleNamespace(name="train", samples=[Sample(f"{number}.mp4") for number in range(count)])

    def __len__(self) -> int:
        return self.work.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        parts = torch.arange(len(self.label_b)).split(self.work.batch)
        for number in range(start, self.work.batches):
            index = parts[number % len(parts)]
            inputs, targets = {"clip_bcthw": self.clip_bcthw[index]}, {"label_b": self.label_b[index]}
            yield Batch(inputs, targets, index, torch.zeros_like(index))


def network_of(name: str) -> nn.Module:
    """A network of the catalogue with the same random weights at every call."""
    torch.manual_seed(0)
    network: nn.Module = build(catalog().resolve("model", name), {}, {"num_classes": CLASSES, "clip": None})
    return network


def by_hand(name: str, loader: Any, preprocess: Preprocess, device: torch.device) -> None:
    """What one would write without the zoo, in the precision and memory format that `fit` takes."""
    model, loss = network_of(name).to(device), cross_entropy()
    set_memory_format(model, device.type == "cuda")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train()
    for step, batch in enumerate(loader.epoch(0)):
        optimizer.zero_grad()
        ready = preprocess(batch.to(device, non_blocking=True))
        with autocast(device, "auto"):
            value = loss(model(ready.inputs["clip_bcthw"]), ready.targets["label_b"])
        value.backward()
        optimizer.step()
        if step % 10 == 9:
            value.item()
    value.item()


def by_fit(name: str, loader: Any, preprocess: Preprocess, device: torch.device) -> None:
    """The same by the runner, into a folder of its own."""
    labels = tuple(map(str, range(CLASSES)))
    task = classification(
        model=network_of(name), losses={"loss": cross_entropy()}, labels=labels, inputs=("clip_bcthw",)
    )
    optim = {"name": "adamw", "params": {"lr": 1e-3}}
    recipe = RecipeSchema.model_validate(
        {
            "zoo": 1,
            "task": "classification",
            "model": "cnn3d",
            "optim": optim,
            "run": {"epochs": 1, "batch": loader.work.batch},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        fit(
            task, loader, None, recipe=recipe, folder=RunFolder(Path(folder)), augment=None, preprocess=preprocess,
            device=device, progress=Progress(quiet=True),
        )  # fmt: skip


def main() -> None:
    """Time both sides in turns; print medians and ratios, by the clock and by CPU time (which others disturb less)."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu", help="cpu or cuda")
    options.add_argument("--model", default="cnn3d", choices=WORKS)
    chosen = options.parse_args()
    device, work = torch.device(chosen.device), WORKS[chosen.model]
    set_matrix_products(device, "auto")
    torch.backends.cudnn.benchmark = True
    loader = ClipsInMemory(work, device)
    preprocess = Preprocess(ClipSpec(frames=work.frames, size=work.size)).to(device)
    sides = {"by hand": by_hand, "fit": by_fit}
    clocks = {"wall": time.perf_counter, "CPU": time.process_time}
    rates: dict[tuple[str, str], list[float]] = {(side, clock): [] for side in sides for clock in clocks}
    for turn in range(ROUNDS + 1):
        for side in sorted(sides, reverse=bool(turn % 2)):
            started = {name: clock() for name, clock in clocks.items()}
            sides[side](chosen.model, loader, preprocess, device)
            for name, clock in clocks.items():
                rates[side, name].append(work.batch * work.batches / (clock() - started[name]))
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"samples per second, median of {ROUNDS}, {where}, {chosen.model}, batches of {work.batch}")
    print(f"{'':6}{'by hand':>9}{'fit':>9}{'ratio':>8}   ratio of each turn")
    for name in clocks:
        hand, fitted = rates["by hand", name][1:], rates["fit", name][1:]  # the first turn warms up
        turns = " ".join(f"{ours / theirs:.3f}" for ours, theirs in zip(fitted, hand, strict=True))
        medians = statistics.median(hand), statistics.median(fitted)
        print(f"{name:6}{medians[0]:9.1f}{medians[1]:9.1f}{medians[1] / medians[0]:8.3f}   {turns}")


if __name__ == "__main__":
    main()
