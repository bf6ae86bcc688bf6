"""The standard chain of training on clips of 8x3x16x256x256 bytes, against torchvision v2 and kornia.

    python tests/benchmarks/bench_augment.py [--device cpu,cuda] [--threads 1,all] [--rounds 9] [--hue 0.1]

random_resized_crop 224, horizontal_flip, color_jitter (brightness, contrast and saturation of 0.4, and hue on request),
rand_augment (2 operations of strength 9) and what the model wants (float, mean, standard deviation). All sides get the
same clips and draw from the same distributions, in turns, in one process:

- torchvision v2 in its natural best form: one sample after the other, uint8 (T, C, H, W), antialiased;
- kornia in floats, as it asks for: `VideoSequential`, one draw a clip, and its `RandAugment` on all frames;
- ours on the batch of bytes, as the runner calls it.

On a GPU the step of `video/x3d_m`, forward, backward and SGD on clips that are ready, stands beside them, alone and
behind our chain: nobody waits for the chain, so what it costs is by how much the step becomes longer.

Targets: torchvision / ours >= 1.5 on a CPU, kornia / ours > 1 on CPU and GPU, and on a GPU less than 10 % of a training
step of an X3D-M. Times are medians over the rounds, which draw different operations; CPU time counts all threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.build import build
from zoo.data import Preprocess
from zoo.runner.pipeline import chained
from zoo_plugins.augment.geometric.horizontal_flip import horizontal_flip
from zoo_plugins.augment.geometric.random_resized_crop import random_resized_crop
from zoo_plugins.augment.photometric.color_jitter import color_jitter
from zoo_plugins.augment.policy.rand_augment import rand_augment
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import NameProblem
from zoo_registry.protocols import Batch

CLIP = ClipSpec(frames=16, size=224, mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
SAMPLES = 8
JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.0}
STEP_OF = "video/x3d_m"
PARTS = ("crop", "flip", "jitter", "rand_augment", "normalise")

Side = Callable[[], Any]


def pictures() -> Tensor:
    """Smooth noise with texture, as bytes: random pixels alone have no edges and compress caches unlike films."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(SAMPLES, 48, 18, 18, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1) * 230
    noise = torch.randint(0, 25, smooth.shape, generator=generator)
    return (smooth + noise).clamp(0, 255).to(torch.uint8).view(SAMPLES, 3, 16, 256, 256)


def ours(clip_bcthw: Tensor, parts: Sequence[str] = PARTS) -> Side:
    """The zoo's chain on the batch."""
    built = {
        "crop": lambda: random_resized_crop(clip=CLIP),
        "flip": lambda: horizontal_flip(),
        "jitter": lambda: color_jitter(**JITTER),
        "rand_augment": lambda: rand_augment(),
    }
    chain = chained([built[part]() for part in parts if part in built])
    preprocess = Preprocess(CLIP).to(clip_bcthw.device)
    index = torch.arange(len(clip_bcthw))
    batch = Batch({"clip_bcthw": clip_bcthw}, {}, index, index)
    generator = torch.Generator().manual_seed(0)

    def run() -> Batch:
        changed = chain(batch, generator)
        return preprocess(changed) if "normalise" in parts else changed

    return run


def by_torchvision(clip_bcthw: Tensor, parts: Sequence[str] = PARTS) -> Side:
    """torchvision v2, one sample after the other."""
    from torchvision.transforms import v2

    built = {
        "crop": v2.RandomResizedCrop(224, antialias=True),
        "flip": v2.RandomHorizontalFlip(),
        "jitter": v2.ColorJitter(**JITTER),
        "rand_augment": v2.RandAugment(),
        "normalise": v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(CLIP.mean, CLIP.std)]),
    }
    steps = v2.Compose([built[part] for part in parts])
    samples = [clip.transpose(0, 1).contiguous() for clip in clip_bcthw]
    return lambda: torch.stack([steps(sample) for sample in samples])


def by_kornia(clip_bcthw: Tensor) -> Side:
    """kornia on the batch of floats."""
    import kornia.augmentation as K
    from kornia.augmentation.auto import RandAugment

    clip_steps = K.VideoSequential(
        K.RandomResizedCrop((224, 224)), K.RandomHorizontalFlip(), K.ColorJitter(**JITTER),
        data_format="BCTHW", same_on_frame=True,
    )  # fmt: skip
    policy = RandAugment(n=2, m=9)
    normalise = K.Normalize(torch.tensor(CLIP.mean), torch.tensor(CLIP.std))

    def run() -> Tensor:
        clips = clip_steps(clip_bcthw.float() / 255)
        frames = clips.transpose(1, 2).flatten(0, 1)
        return normalise(policy(frames))

    return run


def peers(clip_bcthw: Tensor) -> dict[str, Side]:
    """All sides that are installed."""
    sides = {"ours": ours(clip_bcthw), "torchvision": by_torchvision(clip_bcthw)}
    try:
        sides["kornia"] = by_kornia(clip_bcthw)
    except ImportError:
        print("kornia is not installed: skipped")
    return sides


def medians(
    sides: dict[str, Side], rounds: int, clocks: dict[str, Callable[[], float]]
) -> dict[tuple[str, str], float]:
    """Seconds of every side by every clock; the sides take turns, the first round warms up."""
    spent: dict[tuple[str, str], list[float]] = {(side, clock): [] for side in sides for clock in clocks}
    for turn in range(rounds + 1):
        for side in sorted(sides, reverse=bool(turn % 2)):
            started = {name: clock() for name, clock in clocks.items()}
            sides[side]()
            for name, clock in clocks.items():
                spent[side, name].append(clock() - started[name])
    return {key: statistics.median(values[1:]) for key, values in spent.items()}


def on_cpu(threads: int, rounds: int) -> None:
    """Print the table of the CPU."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clips = pictures()
    clocks = {"wall": time.perf_counter, "CPU": time.process_time}
    sides = peers(clips)
    found = medians(sides, rounds, clocks)
    print(f"\nCPU, {threads} of {os.cpu_count()} threads, median of {rounds}: ms for a batch, and ratio to ours")
    print(f"{'':14}{'wall':>9}{'ratio':>7}{'CPU time':>10}{'ratio':>7}")
    for side in sides:
        cells = [(found[side, clock] * 1e3, found[side, clock] / found["ours", clock]) for clock in clocks]
        print(
            f"{side:14}"
            + "".join(f"{value:{9 + number}.1f}{ratio:7.2f}" for number, (value, ratio) in enumerate(cells))
        )
    print("each part by itself, CPU time in ms: ours, torchvision, ratio")
    cropped = clips[..., :224, :224].contiguous()
    for part in PARTS:
        source = clips if part == "crop" else cropped
        alone = {"ours": ours(source, [part]), "torchvision": by_torchvision(source, [part])}
        spent = medians(alone, rounds, {"CPU": time.process_time})
        mine, theirs = spent["ours", "CPU"] * 1e3, spent["torchvision", "CPU"] * 1e3
        print(f"  {part:14}{mine:8.1f}{theirs:9.1f}{theirs / mine:7.2f}")


def x3d_m() -> nn.Module | None:
    """The catalogue's X3D-M with random weights; None where no plugin has it."""
    try:
        listed = catalog().resolve("model", STEP_OF)
    except NameProblem as error:
        print(f"{STEP_OF} is not in the catalogue: its training step is not measured ({error})")
        return None
    model = build(listed, {}, {"num_classes": 400, "clip": listed.model.clip})
    assert isinstance(model, nn.Module)
    return model


def on_gpu(rounds: int) -> None:
    """Print what every side takes on a GPU, and what part of a training step ours is."""
    if not torch.cuda.is_available():
        print("\nGPU: none here, skipped")
        return
    device = torch.device("cuda")
    torch.manual_seed(0)
    clips = pictures().to(device)
    sides = {**peers(clips), **training_steps(device)}
    augment, steps = sides["ours"], [name for name in sides if name.startswith("step")]
    sides |= {f"chain and {name}": in_turn(augment, sides[name]) for name in steps}
    found = medians({name: waited_for(side) for name, side in sides.items()}, rounds, {"wall": time.perf_counter})
    print(f"\n{torch.cuda.get_device_name()}, median of {rounds}: ms for a batch, and ratio to ours")
    for side in sides:
        print(f"{side:26}{found[side, 'wall'] * 1e3:9.2f}{found[side, 'wall'] / found['ours', 'wall']:8.2f}")
    for name in steps:
        step = found[name, "wall"]
        alone, longer = found["ours", "wall"] / step, found[f"chain and {name}", "wall"] / step - 1
        print(
            f"augmentation makes a {name} of {STEP_OF} {longer:.1%} longer; waited for by itself it takes {alone:.1%}"
        )


def training_steps(device: torch.device) -> dict[str, Side]:
    """A step of X3D-M in full and in half precision; nothing where it is not there."""
    model = x3d_m()
    if model is None:
        return {}
    model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    ready = torch.randn(SAMPLES, 3, 16, 224, 224, device=device)
    label_b = torch.arange(SAMPLES, device=device)

    def step(dtype: torch.dtype) -> Side:
        def run() -> None:
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = nn.functional.cross_entropy(model(ready), label_b)
            loss.backward()
            optimizer.step()

        return run

    return {"step, float32": step(torch.float32), "step, bfloat16": step(torch.bfloat16)}


def in_turn(first: Side, second: Side) -> Side:
    """Both, one behind the other."""

    def run() -> None:
        first()
        second()

    return run


def waited_for(side: Side) -> Side:
    """The same, until the GPU is done with it."""

    def run() -> None:
        side()
        torch.cuda.synchronize()

    return run


def main() -> None:
    """Run all sides on CPU and GPU."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cpu,cuda", help="cpu, cuda or both, separated by a comma")
    options.add_argument("--threads", default="1,all", help="how many, separated by commas; all is every core")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--hue", type=float, default=0.0, help="of the colour jitter")
    chosen = options.parse_args()
    JITTER["hue"] = chosen.hue
    devices = chosen.device.split(",")
    for threads in chosen.threads.split(",") if "cpu" in devices else ():
        on_cpu((os.cpu_count() or 1) if threads == "all" else int(threads), chosen.rounds)
    if "cuda" in devices:
        on_gpu(chosen.rounds)


if __name__ == "__main__":
    main()
