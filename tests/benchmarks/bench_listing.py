"""Wall time of `zoo models` and `zoo --help` beside that of timm's own listing. Fresh processes, medians, one run.

    python tests/benchmarks/bench_listing.py [--repeats 7]

Targets on 2 cores: `zoo models` (timm's names included, index cached) in 0.35 s, `zoo --help` in 0.15 s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ZOO = str(Path(sys.executable).with_name("zoo"))
PEER = "python -c 'import timm; timm.list_models()'"
COMMANDS = {
    PEER: [sys.executable, "-c", "import timm; timm.list_models()"],
    "zoo models": [ZOO, "models"],
    "zoo --help": [ZOO, "--help"],
}
TARGETS = {"zoo models": 0.35, "zoo --help": 0.15}


def main() -> int:
    """Measure, print a table, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7, help="runs of each command; the median counts")
    repeats = parser.parse_args().repeats
    for command in COMMANDS.values():
        seconds_of(command)  # fills the caches of files, bytecode and timm's index
    # In turns, so that a machine that slows down meanwhile slows all of them.
    rounds = [{name: seconds_of(command) for name, command in COMMANDS.items()} for _ in range(repeats)]
    medians = {name: statistics.median(each[name] for each in rounds) for name in COMMANDS}

    print(f"{'command':<46} {'median s':>8} {'min s':>7} {'of timm':>8} {'target s':>9}")
    for name, median in medians.items():
        target = f"{TARGETS[name]:.2f}" if name in TARGETS else ""
        least = min(each[name] for each in rounds)
        print(f"{name:<46} {median:>8.3f} {least:>7.3f} {median / medians[PEER]:>8.3f} {target:>9}")
    missed = [name for name, target in TARGETS.items() if medians[name] > target]
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")
    return 1 if missed else 0


def seconds_of(command: list[str]) -> float:
    """Wall time of a command in a fresh process; what it prints is thrown away."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
