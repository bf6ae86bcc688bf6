"""Opening a list of a million films, beside `csv.DictReader` and pandas. Fresh processes, one run, in turns.

    python tests/benchmarks/bench_manifest.py [--rows 1000000] [--repeats 3]

Measured are seconds, growth of resident memory (at its end and at its peak), and what two forked workers that read
10,000 drawn samples each take for themselves. Targets: the manifest source and `open_split` together in 2 s and 250 MB.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS, MEGABYTES = 2.0, 250.0
CLASSES = 400
READ = 10_000
"""Samples that each worker asks for."""

SIDES = {
    "zoo manifest + open_split": "ours",
    "the same from JSON lines": "ours_json",
    "csv.DictReader, list of dicts": "dicts",
    **({"pandas.read_csv": "pandas"} if importlib.util.find_spec("pandas") else {}),
}


def main() -> int:
    """Measure all sides, print a table, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side; medians count")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.file)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        table = write_list(Path(folder), arguments.rows)
        files = {side: table.with_suffix(".jsonl" if side == "ours_json" else ".csv") for side in SIDES.values()}
        rounds = [{name: run(side, files[side]) for name, side in SIDES.items()} for _ in range(arguments.repeats)]
    medians = {
        name: {key: statistics.median(each[name][key] for each in rounds) for key in rounds[0][name]} for name in SIDES
    }
    return report(medians)


def report(medians: dict[str, dict[str, float]]) -> int:
    """Print what was measured; 1 when a target is missed."""
    ours = next(iter(medians.values()))
    print(f"{'':<32} {'wall s':>7} {'cpu s':>7} {'ratio':>6} {'RSS MB':>7} {'peak MB':>8} {'a worker MB':>12}")
    for name, found in medians.items():
        print(
            f"{name:<32} {found['wall']:>7.2f} {found['cpu']:>7.2f} {found['cpu'] / ours['cpu']:>6.2f} "
            f"{found['grown']:>7.0f} {found['peak']:>8.0f} {found['worker']:>12.1f}"
        )
    print(f"fingerprint of the split: {ours['fingerprint']:.2f} s")
    missed = [
        *([f"{SECONDS:g} s"] if ours["wall"] > SECONDS else []),
        *([f"{MEGABYTES:g} MB"] if ours["peak"] > MEGABYTES else []),
    ]
    print(f"missed: {', '.join(missed)}" if missed else "all targets met")
    return 1 if missed else 0


def write_list(folder: Path, rows: int) -> Path:
    """A list with a header and spans, as CSV and JSON lines; its first file is there."""
    generator = random.Random(0)
    path = folder / "list.csv"
    with path.open("w") as table, path.with_suffix(".jsonl").open("w") as lines:
        table.write("path,label,start,end,split\n")
        for row in range(rows):
            label, start = f"class {generator.randrange(CLASSES):03d}", round(generator.uniform(0, 290), 2)
            name = f"videos/{label.replace(' ', '_')}/{generator.getrandbits(44):011x}_{row:07d}.mp4"
            end = round(start + 10, 2)
            table.write(f"{name},{label},{start},{end},train\n")
            lines.write(json.dumps({"path": name, "label": label, "start": start, "end": end, "split": "train"}) + "\n")
            if row == 0:
                (folder / name).parent.mkdir(parents=True)
                (folder / name).touch()
    return path


def run(side: str, file: Path) -> dict[str, float]:
    """One side in a fresh process."""
    command = [sys.executable, __file__, "--side", side, "--file", str(file)]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def measure(side: str, file: Path) -> dict[str, float]:
    """Open the list in this process; seconds and megabytes."""
    if side.startswith("ours"):  # what every run has imported anyway
        import torch  # noqa: F401

        import zoo.data.targets  # noqa: F401
        from zoo.data.split import fingerprint, open_split
        from zoo_plugins.sources.manifest import manifest

        def read() -> object:
            return open_split(manifest(path=file, split="train"), "train").samples
    elif side == "pandas":
        import pandas

        def read() -> object:
            return pandas.read_csv(file)
    else:

        def read() -> object:
            with file.open(newline="") as table:
                return list(csv.DictReader(table))

    reset_peak()
    before, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    samples = read()
    found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    found |= {"grown": memory("VmRSS") - before, "peak": memory("VmHWM") - before}
    found["worker"] = max(worker_memory(samples, seed) for seed in range(2))
    wall = time.perf_counter()
    if side.startswith("ours"):
        from zoo.data import Split

        fingerprint(Split("train", samples, ()))
    return {**found, "fingerprint": time.perf_counter() - wall}


def worker_memory(samples: object, seed: int) -> float:
    """Private megabytes that a forked process has after reading drawn samples, beyond those it was born with."""
    pick = samples.iloc.__getitem__ if hasattr(samples, "iloc") else samples.__getitem__
    receiving, sending = os.pipe()
    if os.fork() == 0:
        before = private_memory()
        generator = random.Random(seed)
        for _ in range(READ):
            pick(generator.randrange(len(samples)))
        os.write(sending, str(private_memory() - before).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as answer:
        grown = float(answer.read())
    os.wait()
    return grown


def reset_peak() -> None:
    """Let the kernel measure the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(name: str) -> float:
    """A line of /proc/self/status in megabytes."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(lines[name].split()[0]) / 1024


def private_memory() -> float:
    """Megabytes that no other process shares."""
    lines = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()]
    return sum(float(words[1]) for words in lines if words[0] in ("Private_Clean:", "Private_Dirty:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
