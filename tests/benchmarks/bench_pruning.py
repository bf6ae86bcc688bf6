"""Networks pruned to half of their multiply-adds against the networks they were, in turns, in one process.

    python tests/benchmarks/bench_pruning.py [--models r2plus1d_18,x3d_s] [--left 0.5] [--round-to 8,16] [--rounds 9]

A clip of the size that a network is trained on, a batch of one, fp32, on the CPU. The time of a network is its median
over the rounds. Target: original / pruned >= 1.6 for one of the multiples that channels are rounded to; exit 1 below.
Weights are random: which channels go does not matter for the time, only how many of which layer.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time

import torch
from torch import Tensor, nn

from zoo.build import build
from zoo.complexity import complexity
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.prune_channels import prune_channels
from zoo_registry.catalog import catalog

CLIPS = {"r2plus1d_18": (16, 112), "r3d_18": (16, 112), "x3d_s": (13, 160), "slowfast_r50": (32, 224)}
"""Frames and pixels of a training clip."""

TARGET = 1.6


class MetaContext(RandomContext):
    """Counts multiply-adds on tensors without memory."""

    def gmacs(self, model: nn.Module) -> float:
        """Of one sample, in billions."""
        sample = tuple(tensor[:1].to("meta") for tensor in self.example)
        return complexity(copy.deepcopy(model).to("meta"), sample).gmacs


def network_and_clip(name: str) -> tuple[nn.Module, Tensor]:
    """A network for 400 classes in eval mode, and a clip (1, 3, T, H, W)."""
    listed = catalog().resolve("model", name)
    provided = {
        "num_classes": 400, "labels": (), "inputs": listed.entry.inputs, "clip": listed.entry.clip, "audio": None,
    }  # fmt: skip
    torch.manual_seed(0)
    network = build(listed, {}, provided, load_weights=lambda *_: None).eval()
    frames, pixels = CLIPS[name]
    return network, torch.randn(1, 3, frames, pixels, pixels)


def medians(networks: dict[str, nn.Module], clip: Tensor, rounds: int) -> dict[str, float]:
    """Median seconds of each network, taken in turns so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {title: [] for title in networks}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for title, network in networks.items():
                started = time.perf_counter()
                network(clip)
                if turn:  # the first one warms up
                    seconds[title].append(time.perf_counter() - started)
    return {title: statistics.median(values) for title, values in seconds.items()}


def best_ratio(name: str, left: float, multiples: list[int], rounds: int) -> float:
    """Print a line for each multiple; the best of original / pruned."""
    network, clip = network_and_clip(name)
    context = MetaContext((clip,), network)
    whole = context.gmacs(network)
    networks, costs = {"original": network}, {"original": 1.0}
    for multiple in multiples:
        title = f"multiples of {multiple}"
        networks[title], _ = prune_channels(copy.deepcopy(network), context, target={"gmacs": left}, round_to=multiple)
        costs[title] = context.gmacs(networks[title]) / whole
    times = medians(networks, clip, rounds)
    for title, seconds in times.items():
        ratio = times["original"] / seconds
        print(f"{name:14} {title:16} {costs[title]:6.1%} of multiply-adds {1000 * seconds:8.1f} ms {ratio:6.2f}x")
    return max(times["original"] / seconds for title, seconds in times.items() if title != "original")


def main() -> int:
    """Measure all models; 1 if one is slower than the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="r2plus1d_18,x3d_s")
    parser.add_argument("--left", type=float, default=0.5, help="part of the multiply-adds that stays")
    parser.add_argument("--round-to", default="8,16", help="multiples of channels")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for its own choice")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    multiples = [int(multiple) for multiple in options.round_to.split(",")]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} rounds")
    ratios = [best_ratio(name, options.left, multiples, options.rounds) for name in options.models.split(",")]
    return int(min(ratios) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
