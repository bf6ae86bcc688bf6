"""A data set, a loader and a task small enough to train in milliseconds, with the interfaces of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.recipe.schema import RecipeSchema
from zoo.runner.folder import RunFolder
from zoo.runner.loop import FitResult, fit
from zoo.runner.progress import Progress
from zoo_registry.protocols import Batch, Objective, Outputs, Sample

CPU = torch.device("cpu")


@dataclass
class Split:
    name: str
    samples: Sequence[Sample]
    labels: tuple[str, ...] = ("dark", "bright")


class InMemoryLoader:
    """Clips of 4 frames, 8x8 pixels, dark or bright; batches as `zoo.data.Loader` gives them."""

    def __init__(self, samples: int = 12, *, batch: int = 4, train: bool = True, views: int = 1, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.label_b = torch.arange(samples) % 2
        noise = torch.randint(0, 128, (samples, 3, 4, 8, 8), generator=generator, dtype=torch.uint8)
        self.clip_bcthw = noise + (self.label_b * 100).to(torch.uint8).view(-1, 1, 1, 1, 1)
        name = "train" if train else "val"
        self.split = Split(name, [Sample(f"{name}/{number}.mp4") for number in range(samples)])
        self.batch, self.train, self.views, self.seed = batch, train, views, seed

    def __len__(self) -> int:
        return -(-len(self.label_b) // self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        order = torch.arange(len(self.label_b))
        if self.train:
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(1000 * self.seed + epoch))
        for index in order.split(self.batch)[start:]:
            index = index.repeat_interleave(self.views)
            view = torch.arange(self.views).repeat(len(index) // self.views)
            yield Batch({"clip_bcthw": self.clip_bcthw[index]}, {"label_b": self.label_b[index]}, index, view)

    def close(self) -> None: ...


class Accuracy:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right, self.seen = 0, 0

    def update(self, outputs: Outputs, batch: Batch) -> None:
        self.right += int((outputs["logits_bk"].argmax(1) == batch.targets["label_b"]).sum())
        self.seen += len(batch)

    def compute(self) -> Mapping[str, float]:
        return {"accuracy": self.right / self.seen}

    def merge(self, other: Accuracy) -> None:
        self.right, self.seen = self.right + other.right, self.seen + other.seen


class BrightOrDark:
    """The smallest task with everything that makes resuming hard: dropout, batch norm, a linear head."""

    views = 1
    monitor = ("accuracy", "max")

    def __init__(self, dropout: float = 0.2) -> None:
        torch.manual_seed(0)
        self.state = nn.Sequential(
            nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
            nn.Dropout(dropout), nn.Linear(4, 2),
        )  # fmt: skip

    def objectives(self) -> Sequence[Objective]:
        return [Objective("main", list(self.state.parameters()), self.loss)]

    def loss(self, batch: Batch, shared: dict[str, Any]) -> dict[str, Tensor]:
        return {
            "total": functional.cross_entropy(self.predict(self.state, batch)["logits_bk"], batch.targets["label_b"])
        }

    def after_step(self, step: int) -> None: ...

    def result(self) -> nn.Module:
        return self.state

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        return {"logits_bk": model(batch.inputs["clip_bcthw"])}

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        return {"logits_bk": torch.stack([output["logits_bk"] for output in outputs]).mean(0)}

    def metrics(self) -> Accuracy:
        return Accuracy()

    def figures(self, outputs: Outputs, batch: Batch) -> list[Any]:
        return []

    def readable(self, outputs: Outputs) -> list[Any]:
        return []


def to_float(batch: Batch) -> Batch:
    """The preprocessing: 0..255 to about -1..1."""
    clip = batch.inputs["clip_bcthw"]
    return Batch({"clip_bcthw": clip.float() / 127.5 - 1}, batch.targets, batch.index, batch.view)


def add_noise(batch: Batch, generator: torch.Generator) -> Batch:
    """An augmentation that draws from its generator."""
    clip = batch.inputs["clip_bcthw"]
    noise = torch.randint(0, 20, clip.shape, generator=generator, dtype=torch.uint8)
    return Batch({"clip_bcthw": clip + noise}, batch.targets, batch.index, batch.view)


def recipe(optim: Any = None, **run: Any) -> RecipeSchema:
    """A recipe of which only `optim` and `run` matter."""
    optim = {"name": "adam", "params": {"lr": 0.01}} if optim is None else optim
    run = {"epochs": 2, "batch": 4, "device": "cpu", **run}
    return RecipeSchema.model_validate({"zoo": 1, "task": "tiny", "model": "tiny", "optim": optim, "run": run})


def train(
    path: Path,
    task: Any,
    schema: RecipeSchema | None = None,
    *,
    loader: Any = None,
    val: Any = "default",
    **options: Any,
) -> FitResult:
    """`fit` with everything that a test does not care about."""
    path.mkdir(parents=True, exist_ok=True)
    return fit(
        task,
        loader or InMemoryLoader(),
        InMemoryLoader(6, train=False, seed=1) if val == "default" else val,
        recipe=schema or recipe(),
        **{
            "folder": RunFolder(path),
            "augment": add_noise,
            "preprocess": to_float,
            "device": CPU,
            "progress": Progress(quiet=True),
            **options,
        },
    )


def same_weights(one: Any, other: Any) -> bool:
    """Whether two tasks hold the same state, bit for bit."""
    first, second = one.state.state_dict(), other.state.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
