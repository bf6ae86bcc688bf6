"""From the command to the first training step, against what importing torch and timm and building the model takes.

    python tests/benchmarks/bench_start.py

Both sides are fresh processes, in turns. Ours is `zoo run quickstart` with its films at hand, until the checkpoint of
the first step is there. Target: at most 1.3 times the other.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
RUN = [sys.executable, "-m", "zoo.cli", "run", "quickstart", "--set", "run.checkpoint.every_steps=1"]
ALONE = """
import torch, timm
from zoo_plugins.basic.cnn3d import cnn3d
cnn3d(num_classes=6)
"""


def first_step(folder: Path) -> float:
    """Seconds until the first step is done and kept; the run is ended then."""
    began = time.perf_counter()
    done = folder / "checkpoints/step-000001"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*RUN, "--out", str(folder)], **quiet) as process:
        while not done.exists():
            if process.poll() is not None:
                raise SystemExit(f"the run ended by itself with {process.returncode}")
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        process.kill()
    return seconds


def alone() -> float:
    """Seconds of importing torch and timm and building the model."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", ALONE], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Time both in turns; print medians and their ratio."""
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(ROUNDS + 1):
            folder = Path(scratch) / str(turn)
            pair = first_step(folder), alone()
            shutil.rmtree(folder, ignore_errors=True)
            if turn:  # the first turn makes the films and fills the disk's cache
                ours.append(pair[0])
                theirs.append(pair[1])
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"until the first step, median of {ROUNDS}: {mine:.2f} s")
    print(f"torch, timm and the model alone:          {other:.2f} s")
    turns = " ".join(f"{a / b:.2f}" for a, b in zip(ours, theirs, strict=True))
    print(f"ratio {mine / other:.2f}; of single turns {turns}")


if __name__ == "__main__":
    main()
