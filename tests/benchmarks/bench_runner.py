"""The runner's own cost: samples/s of `fit` against a hand-written loop over the same batches.

    python tests/benchmarks/bench_runner.py [--device cuda]

Both sides train the same network from the same weights on the same clips in memory, in turns, in one process. `fit`
does everything it does in a run: seeds of every step, losses, log lines, TensorBoard events, a checkpoint after the
epoch. The hand-written loop does the least that trains. Target: ratio >= 0.97. On a CPU glibc gives memory back and
asks for it again on one side or the other; set MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ to 4000000000 to keep
it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from zoo.data import Preprocess
from zoo.recipe.schema import RecipeSchema
from zoo.runner.precision import autocast
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.progress import Progress
from zoo_plugins.basic.cnn3d import cnn3d
from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.tasks.classification import classification
from zoo_registry import ClipSpec
from zoo_registry.protocols import Batch, Sample

ROUNDS = 5
BATCH, BATCHES, CLASSES = 16, 120, 6
CLIP = ClipSpec(frames=16, size=32)


class ClipsInMemory:
    """A loader that costs nothing: uint8 clips that are there already."""

    views = 1

    def __init__(self, device: torch.device) -> None:
        count = BATCH * BATCHES
        self.clip_bcthw = torch.randint(0, 256, (count, 3, 16, 32, 32), dtype=torch.uint8)
        if device.type == "cuda":
            self.clip_bcthw = self.clip_bcthw.pin_memory()
        self.label_b = torch.arange(count) % CLASSES
        self.split = SimpleNamespace(name="train", samples=[Sample(f"{number}.mp4") for number in range(count)])

    def __len__(self) -> int:
        return BATCHES

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for index in torch.arange(len(self.label_b)).split(BATCH)[start:]:
            inputs, targets = {"clip_bcthw": self.clip_bcthw[index]}, {"label_b": self.label_b[index]}
            yield Batch(inputs, targets, index, torch.zeros_like(index))


def by_hand(loader: Any, preprocess: Preprocess, device: torch.device) -> None:
    """What one would write without the zoo, in the precision that `fit` takes."""
    torch.manual_seed(0)
    model, loss = cnn3d(num_classes=CLASSES).to(device), cross_entropy()
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


def by_fit(loader: Any, preprocess: Preprocess, device: torch.device) -> None:
    """The same by the runner, into a folder of its own."""
    torch.manual_seed(0)
    labels = tuple(map(str, range(CLASSES)))
    task = classification(
        model=cnn3d(num_classes=CLASSES), losses={"loss": cross_entropy()}, labels=labels, inputs=("clip_bcthw",)
    )
    optim = {"name": "adamw", "params": {"lr": 1e-3}}
    recipe = RecipeSchema.model_validate(
        {"zoo": 1, "task": "classification", "model": "cnn3d", "optim": optim, "run": {"epochs": 1, "batch": BATCH}}
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
    device = torch.device(options.parse_args().device)
    loader, preprocess = ClipsInMemory(device), Preprocess(CLIP).to(device)
    sides = {"by hand": by_hand, "fit": by_fit}
    clocks = {"wall": time.perf_counter, "CPU": time.process_time}
    rates: dict[tuple[str, str], list[float]] = {(side, clock): [] for side in sides for clock in clocks}
    for turn in range(ROUNDS + 1):
        for side in sorted(sides, reverse=bool(turn % 2)):
            started = {name: clock() for name, clock in clocks.items()}
            sides[side](loader, preprocess, device)
            for name, clock in clocks.items():
                rates[side, name].append(BATCH * BATCHES / (clock() - started[name]))
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"samples per second, median of {ROUNDS}, {where}, batches of {BATCH}")
    print(f"{'':6}{'by hand':>9}{'fit':>9}{'ratio':>8}   ratio of each turn")
    for name in clocks:
        hand, fitted = rates["by hand", name][1:], rates["fit", name][1:]  # the first turn warms up
        turns = " ".join(f"{ours / theirs:.3f}" for ours, theirs in zip(fitted, hand, strict=True))
        medians = statistics.median(hand), statistics.median(fitted)
        print(f"{name:6}{medians[0]:9.1f}{medians[1]:9.1f}{medians[1] / medians[0]:8.3f}   {turns}")


if __name__ == "__main__":
    main()
