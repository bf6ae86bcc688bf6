"""Video networks against the modules of the libraries they are known from, in turns, in one process.

    python tests/benchmarks/bench_models.py [--device cpu,cuda] [--threads N] [--rounds 5] [--batch 1] [--models x3d_s]
    python tests/benchmarks/bench_models.py --sweep [--only '*bf16*'] [--models x3d_s]

Forward passes in eval mode, and forward and backward in training mode: of slowfast_r50 and x3d_s beside PyTorchVideo's,
with the same weights, and of r2plus1d_18 beside torchvision's. On the CPU, and on a GPU where there is one. Target:
peer / ours >= 1.0 everywhere. Times are medians over the rounds, the first of which warms up.

On a machine with other work, CPU time says more than the clock: it counts all threads, and with
`OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0` only while they compute.

`--sweep` measures our networks in each combination of memory format, `torch.compile` and precision, or in those whose
title matches `--only`; their speed is told as a multiple of the first.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn

from zoo.build import build
from zoo_plugins.video.layouts.pytorchvideo import pytorchvideo
from zoo_plugins.video.slowfast import slow_frames
from zoo_registry.catalog import catalog

SIZES = {"slowfast_r50": (32, 224), "x3d_s": (13, 160), "r2plus1d_18": (16, 112)}
"""Frames and pixels of a training clip."""

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last_3d}


@dataclass(frozen=True)
class Side:
    """A network, and how it is called with a clip."""

    network: nn.Module
    call: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Spent:
    """Median seconds of a pass, by the clock and of all threads; on a GPU both are the device's."""

    wall: float
    cpu: float


def ours(name: str) -> nn.Module:
    """A network of the catalogue, for 400 classes."""
    listed = catalog().resolve("model", name)
    network: nn.Module = build(listed, {}, {"num_classes": 400, "clip": None})
    return network


def peer_of(name: str) -> Side:
    """The library's own module; 0.1.5 of PyTorchVideo would add a softmax to X3D, and its SlowFast wants two clips."""
    if name == "r2plus1d_18":
        from torchvision.models.video import r2plus1d_18

        network: nn.Module = r2plus1d_18()
        return Side(network, network)
    if name == "x3d_s":
        from pytorchvideo.models.x3d import create_x3d

        network = create_x3d(input_clip_length=13, input_crop_size=160, head_activation=None)
        return Side(network, network)
    from pytorchvideo.models.slowfast import create_slowfast

    network = create_slowfast()

    def two_pathways(clip_bcthw: Tensor) -> Tensor:
        index = torch.tensor(slow_frames(clip_bcthw.shape[2], 4), device=clip_bcthw.device)
        answer: Tensor = network([clip_bcthw.index_select(2, index), clip_bcthw])
        return answer

    return Side(network, two_pathways)


def same_weights(own: nn.Module, peer: nn.Module, name: str) -> None:
    """Ours gets the peer's, so that both compute the same."""
    state = peer.state_dict()
    own.load_state_dict(state if name == "r2plus1d_18" else pytorchvideo(state, own))


def one_pass(side: Side, clip_bcthw: Tensor, *, training: bool, precision: torch.dtype) -> None:
    """Forward, and in training backward too."""
    side.network.train(training)
    device = clip_bcthw.device.type
    cast = torch.autocast(device, precision) if precision is not torch.float32 else nullcontext()
    with cast, nullcontext() if training else torch.no_grad():
        answer = side.call(clip_bcthw)
    if training:
        answer.float().sum().backward()
        side.network.zero_grad()


def measure(
    sides: Mapping[str, Side],
    clips: Mapping[str, Tensor],
    rounds: int,
    *,
    training: bool,
    precision: torch.dtype = torch.float32,
) -> dict[str, Spent]:
    """Every side in turn, in changing order."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name in sorted(sides, reverse=bool(turn % 2)):
            _wait(clips[name])
            wall, cpu = time.perf_counter(), time.process_time()
            one_pass(sides[name], clips[name], training=training, precision=precision)
            _wait(clips[name])
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Spent(*(statistics.median(values) for values in zip(*times[1:], strict=True)))
        for name, times in spent.items()
    }


def against_peers(names: list[str], device: torch.device, rounds: int, batch: int) -> None:
    """Print the table."""
    print(f"\n{_title(device)}, batch {batch}, median of {rounds}: ms of peer and ours, and ratio")
    print(f"{'':16}{'pass':20}{'wall':>9}{'':>9}{'ratio':>7}{'CPU time':>11}{'':>9}{'ratio':>7}")
    for name in names:
        frames, size = SIZES[name]
        peer, own = peer_of(name), ours(name)
        same_weights(own, peer.network, name)
        sides = {"peer": peer, "ours": Side(own, own)}
        for side in sides.values():
            side.network.to(device)
        clip = torch.randn(batch, 3, frames, size, size).to(device)
        for training in (False, True):
            found = measure(sides, dict.fromkeys(sides, clip), rounds, training=training)
            theirs, mine = found["peer"], found["ours"]
            title = "forward + backward" if training else "forward"
            print(
                f"{name:16}{title:20}{theirs.wall * 1e3:9.1f}{mine.wall * 1e3:9.1f}{theirs.wall / mine.wall:7.2f}"
                f"{theirs.cpu * 1e3:11.1f}{mine.cpu * 1e3:9.1f}{theirs.cpu / mine.cpu:7.2f}",
                flush=True,
            )


def sweep(names: list[str], device: torch.device, rounds: int, batch: int, only: str) -> None:
    """Print every combination's times, and how many times as fast as the plain one it is."""
    print(f"\n{_title(device)}, batch {batch}, median of {rounds}: ms of a pass, and times as fast as the first row")
    for name in names:
        frames, size = SIZES[name]
        plain: dict[bool, float] = {}
        for label, memory_format, compiled, precision in _combinations():
            if not fnmatch(label, only):
                continue
            network = ours(name).to(device, memory_format=memory_format)
            clip = torch.randn(batch, 3, frames, size, size).to(device, memory_format=memory_format)
            side = Side(network, torch.compile(network) if compiled else network)
            cells = []
            for training in (False, True):
                found = measure({"ours": side}, {"ours": clip}, rounds, training=training, precision=precision)
                seconds = found["ours"].wall
                plain.setdefault(training, seconds)
                cells.append(f"{seconds * 1e3:10.1f}{plain[training] / seconds:7.2f}")
            print(f"{name:16}{label:36}{''.join(cells)}", flush=True)


def _combinations() -> Iterator[tuple[str, torch.memory_format, bool, torch.dtype]]:
    precisions = {"fp32": torch.float32, "bf16": torch.bfloat16}
    for compiled, (form, memory_format), (bits, precision) in itertools.product(
        (False, True), MEMORY_FORMATS.items(), precisions.items()
    ):
        yield f"{form}, {'compiled' if compiled else 'eager'}, {bits}", memory_format, compiled, precision


def _wait(clip_bcthw: Tensor) -> None:
    if clip_bcthw.device.type == "cuda":
        torch.cuda.synchronize()


def _title(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def main(arguments: Any) -> None:
    """Both devices, one after the other."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # as in a run
    names = arguments.models.split(",")
    for kind in arguments.device.split(","):
        device = torch.device(kind)
        if kind == "cuda" and not torch.cuda.is_available():
            print("\nGPU: none here, skipped")
        elif arguments.sweep:
            sweep(names, device, arguments.rounds, arguments.batch, arguments.only)
        else:
            against_peers(names, device, arguments.rounds, arguments.batch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu,cuda", help="cpu, cuda or both, separated by a comma")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--models", default=",".join(SIZES))
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--only", default="*", help="titles of combinations, * for any part")
    main(parser.parse_args())
