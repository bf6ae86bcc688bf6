"""Training and inference with the zoo, at its own settings, against PyTorchVideo's modules in a plain AMP loop.

    python tests/benchmarks/bench_training.py --device cuda [--models x3d_m,slowfast_r50] [--batch 8] [--steps 60]
    python tests/benchmarks/bench_training.py --device cuda --films       # how long X3D-M waits for real films

Both sides take the same uint8 clips from page-locked memory, in turns, in one process. Ours is `fit` and `evaluate`
with `run.auto`; theirs is a loop with autocast and SGD as their tutorials have it. Clips/s are medians of the rounds,
the first of which warms up (and compiles). MFU is the multiply-adds of the model (three times those of a forward pass
in training) against what the GPU's data sheet promises in bfloat16. Targets: 1.5 times the clips/s in training, twice
in inference.

`--films` trains X3D-M on 340x256 H.264 films, made here, with all cores: target is a share of waiting under 5 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import torch
from bench_models import ours, same_weights
from torch import Tensor, nn

import zoo
from zoo.complexity import complexity
from zoo.data import Preprocess
from zoo.recipe.schema import CompileSlot, RecipeSchema
from zoo.runner.compilation import compiled
from zoo.runner.device import place
from zoo.runner.evaluation import evaluate
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.progress import Progress
from zoo.runner.tuning import Tuning
from zoo_plugins.losses.cross_entropy import cross_entropy
from zoo_plugins.tasks.classification import Classification, classification
from zoo_plugins.video.slowfast import slow_frames
from zoo_registry import ClipSpec
from zoo_registry.protocols import Batch, Sample

SIZES = {"x3d_m": (16, 224), "slowfast_r50": (32, 224), "x3d_xs": (4, 160)}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}
"""Operations a second in bfloat16 without sparsity, by the maker's data sheet."""

SGD = {"name": "sgd", "params": {"lr": 0.01, "momentum": 0.9}}


class ClipsInMemory:
    """A loader that costs nothing: the same uint8 clips again and again."""

    views, train = 1, True

    def __init__(self, frames: int, size: int, batch: int, steps: int, device: torch.device) -> None:
        clip_bcthw = torch.randint(0, 256, (batch, 3, frames, size, size), dtype=torch.uint8)
        self.clip_bcthw = clip_bcthw.pin_memory() if device.type == "cuda" else clip_bcthw
        self.label_b, self.steps = torch.arange(batch), steps
        self.split = SimpleNamespace(name="train", samples=[Sample(f"{at}.mp4") for at in range(batch)])

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for _ in range(start, self.steps):
            yield Batch({"clip_bcthw": self.clip_bcthw}, {"label_b": self.label_b}, self.label_b, self.label_b * 0)


def peer_of(name: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """PyTorchVideo's module, and how it is called with a clip."""
    if name.startswith("x3d"):
        from pytorchvideo.models.x3d import create_x3d

        frames, size = SIZES[name]
        network = create_x3d(input_clip_length=frames, input_crop_size=size, head_activation=None)
        return network, network
    from pytorchvideo.models.slowfast import create_slowfast

    network = create_slowfast()

    def two_pathways(clip_bcthw: Tensor) -> Tensor:
        index = torch.tensor(slow_frames(clip_bcthw.shape[2], 4), device=clip_bcthw.device)
        answer: Tensor = network([clip_bcthw.index_select(2, index), clip_bcthw])
        return answer

    return network, two_pathways


def timed(device: torch.device, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def plain_loop(network: nn.Module, call: Callable[[Tensor], Tensor], device: torch.device) -> Callable[..., None]:
    """What their tutorials do, on float clips of a float mean and deviation."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    mean, std = (torch.full((3, 1, 1, 1), value, device=device) for value in (0.45, 0.225))
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

    def loop(loader: ClipsInMemory, training: bool) -> None:
        network.train(training)
        for batch in loader.epoch(0):
            clip = batch.inputs["clip_bcthw"].to(device, non_blocking=True).float() / 255
            label = batch.targets["label_b"].to(device, non_blocking=True)
            with torch.set_grad_enabled(training), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                answer = call((clip - mean) / std)
                loss = nn.functional.cross_entropy(answer, label)
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        loss.item()

    return loop


def zoo_sides(
    network: nn.Module, preprocess: Preprocess, loader: ClipsInMemory, device: torch.device, batch: int
) -> tuple[Callable[[], object], Callable[[], object], str]:
    """Training by `fit` and inference by `evaluate`, at the settings that `run.auto` finds."""
    labels = tuple(map(str, range(400)))
    task = classification(model=network, losses={"loss": cross_entropy()}, labels=labels, inputs=("clip_bcthw",))
    run = {"epochs": 1, "batch": batch, "device": device.type, "log_every": 20}
    recipe = RecipeSchema.model_validate({"zoo": 1, "task": "t", "model": "m", "optim": SGD, "run": run})
    place(task, device)
    example = preprocess(next(loader.epoch(0)).to(device))
    found = Tuning(task, network, example, recipe, device, steps=100_000, say=print).best()
    recipe = RecipeSchema.model_validate({**recipe.model_dump(), "run": {**recipe.run.model_dump(), **found}})

    def train() -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(
                task, loader, None, recipe=recipe, folder=RunFolder(Path(folder)), augment=None, preprocess=preprocess,
                device=device, progress=Progress(quiet=True),
            )  # fmt: skip

    def infer() -> None:
        with compiled(network, CompileSlot() if found["compile"] else None):
            evaluate(_Unmeasured(task), network, loader, preprocess=preprocess, device=device)

    return train, infer, ", ".join(f"{key} {value}" for key, value in found.items())


class _Unmeasured(Classification):
    """Predicts without measuring: the other side measures nothing either."""

    def __init__(self, task: Classification) -> None:
        super().__init__(task.state, task.loss, task.labels, task.inputs)

    def metrics(self):
        return SimpleNamespace(update=lambda outputs, batch: None, compute=dict)


def compare(name: str, device: torch.device, batch: int, steps: int, rounds: int) -> None:
    """Time one model on both sides; print clips/s, ratios and MFU."""
    frames, size = SIZES[name]
    network = ours(name)
    peer, call = peer_of(name)
    same_weights(network, peer, name)
    macs = 1e9 * complexity(network, (torch.zeros(1, 3, frames, size, size),)).gmacs
    loader = ClipsInMemory(frames, size, batch, steps, device)
    preprocess = Preprocess(ClipSpec(frames=frames, size=size)).to(device)
    train, infer, settings = zoo_sides(network.to(device), preprocess, loader, device, batch)
    plain = plain_loop(peer.to(device), call, device)
    works = {
        ("training", "zoo"): train,
        ("training", "PyTorchVideo"): lambda: plain(loader, True),
        ("inference", "zoo"): infer,
        ("inference", "PyTorchVideo"): lambda: plain(loader, False),
    }
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in works}
    for _ in range(rounds + 1):
        for key, work in works.items():
            rates[key].append(batch * steps / timed(device, work))
    card = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    peak = next((value for key, value in PEAKS.items() if key in card), None)
    print(f"{name}, batches of {batch}, {frames} x {size}, {card}; {settings}")
    for phase, passes in (("training", 3), ("inference", 1)):
        mine, theirs = (statistics.median(rates[phase, side][1:]) for side in ("zoo", "PyTorchVideo"))
        mfu = f", MFU {2 * passes * macs * mine / peak:.1%}" if peak else ""
        print(f"  {phase:10} zoo {mine:8.1f} clips/s, PyTorchVideo {theirs:8.1f}, ratio {mine / theirs:.2f}{mfu}")


def films(device: torch.device, count: int = 64, seconds: int = 10) -> None:
    """Train X3D-M on films and print which part of the time it waited for them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split, number in (("train", count), ("val", 4)):
            for at in range(number):
                path = folder / split / f"class{at % 4}" / f"{at}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                _film(path, seconds, seed=at)
        recipe = {
            "zoo": 1,
            "task": "classification",
            "model": "x3d_m",
            "data": {
                "train": {"name": "folder", "params": {"path": str(folder / "train")}},
                "val": {"name": "folder", "params": {"path": str(folder / "val")}},
                "repeat": 8,
            },
            "augment": ["random_resized_crop", "horizontal_flip"],
            "loss": "cross_entropy",
            "optim": SGD,
            "run": {"epochs": 2, "batch": 16, "device": device.type, "log_every": 10},
        }
        result = zoo.run(recipe, out=folder / "run")
        rows = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    waited = [row["time_share/decode"] for row in rows if row["split"] == "train" and row["epoch"] == 2]
    rate = statistics.median(row["samples_per_s"] for row in rows if row["split"] == "train" and row["epoch"] == 2)
    print(f"X3D-M on 340x256 H.264, second epoch: {rate:.1f} clips/s, waits {statistics.mean(waited):.1%} of the time")


def _film(path: Path, seconds: int, seed: int) -> None:
    """Coarse noise that moves, at 25 frames a second: as much work for a decoder as a film."""
    draw = np.random.default_rng(seed)
    scene = np.kron(draw.integers(0, 255, (40, 60, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=340, height=256, pix_fmt="yuv420p")
        for at in range(25 * seconds):
            y, x = at % 300, (2 * at) % 500
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(scene[y : y + 256, x : x + 340]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Compare the models, or train on films."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu")
    options.add_argument("--models", help="by default x3d_m and slowfast_r50 on a GPU, x3d_xs elsewhere")
    options.add_argument("--batch", type=int, help="clips of a step")
    options.add_argument("--steps", type=int, help="of a round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--films", action="store_true")
    chosen = options.parse_args()
    device = torch.device(chosen.device)
    if chosen.films:
        films(device)
        return
    models, batch, steps = ("x3d_m,slowfast_r50", 8, 60) if device.type == "cuda" else ("x3d_xs", 2, 4)
    for name in (chosen.models or models).split(","):
        compare(name, device, chosen.batch or batch, chosen.steps or steps, chosen.rounds)


if __name__ == "__main__":
    main()
