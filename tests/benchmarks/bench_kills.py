"""A run that is killed a hundred times at random moments, against one that is left alone.

    python tests/benchmarks/bench_kills.py [--kills 100]

The run writes a checkpoint at every second step and is killed (SIGKILL) after a random time, most of which falls into
training, then started again with --resume. The weights at the end have to be the same, bit for bit, and every state in
between readable.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


def start(folder: Path, steps: int, *options: str) -> subprocess.Popen[str]:
    """The run in a process of its own."""
    command = [sys.executable, "-m", "tests.zoo.runner.killable_run", str(folder), *options, f"--steps={steps}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def main() -> None:
    """Kill and resume; print how often, where, and whether the weights are the same."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    draw, steps = random.Random(chosen.seed), 40 * chosen.kills
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed, killed = Path(scratch) / "undisturbed", Path(scratch) / "killed"
        for folder in (undisturbed, killed):
            folder.mkdir()
        _, said = (process := start(undisturbed, steps)).communicate()
        assert process.returncode == 0, said
        kills, while_training, damaged = 0, 0, 0
        while kills < chosen.kills:
            process = start(killed, steps, "--resume")
            assert process.stdout is not None
            begun = process.stdout.readline() if draw.random() < 0.9 else ""  # most kills in training, some before
            time.sleep(draw.random() * (0.6 if begun else 4.0))
            if process.poll() is not None:
                break
            process.kill()
            _, said = process.communicate()
            kills, while_training = kills + 1, while_training + bool(begun)
            damaged += "is damaged" in said
            print(f"\r{kills} kills", end="", file=sys.stderr, flush=True)
        _, said = (process := start(killed, steps, "--resume")).communicate()
        assert process.returncode == 0, said
        expected, found = (load_file(folder / "final.safetensors") for folder in (undisturbed, killed))
        same = all(torch.equal(value, found[name]) for name, value in expected.items())
    print(f"\n{kills} kills, {while_training} of them while it trained, {steps} steps in all")
    print(f"unreadable states: {damaged}; final weights bit-identical: {same}")
    if not same or damaged:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
