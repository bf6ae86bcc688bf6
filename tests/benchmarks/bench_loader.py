"""The loader: what a second worker brings, and whether memory grows.

    python tests/benchmarks/bench_loader.py              # both
    python tests/benchmarks/bench_loader.py speed        # clips per second of 0, 1 and 2 workers; target: 2 >= 1.7 x 1
    python tests/benchmarks/bench_loader.py memory       # 20,000 clips; target: memory grows by no more than 5 %

The speed is measured on the real films of `../shared/data/clips` (`ZOO_SHARED` names another place), 8 x 4 frames at
224 x 224, by the clock, in turns; the machine should have nothing else to do. Memory is the resident set size of the
main process and its workers as the kernel tells it, looked at every 250 clips: the mean over the last quarter of the
clips against the mean over the second, as buffers fill in the first and batches come and go all the time.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from zoo.data import Loader, Split
from zoo_registry import ClipSpec
from zoo_registry.protocols import Sample

ROUNDS = 5
CLIP = ClipSpec(frames=8, stride=4, size=224, resize=224)
SMALL = ClipSpec(frames=4, stride=2, size=64)
CLIPS, FILMS, BATCH, EVERY = 20_000, 50, 20, 250


def real_films() -> list[Path]:
    """The films of the shared folder."""
    folder = Path(os.environ.get("ZOO_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "clips"
    return sorted(file for file in folder.glob("*") if file.suffix in {".mp4", ".avi"})


def loader_of(films: list[Path], clip: ClipSpec, *, workers: int, batch: int, repeats: int = 1) -> Loader:
    samples = [Sample(str(film), {"label_b": "a"}) for _ in range(repeats) for film in films]
    split = Split("train", samples, ("a",))
    return Loader(split, inputs=("clip_bcthw",), clip=clip, batch=batch, train=True, workers=workers)


def speed() -> None:
    """Clips per second with 0, 1 and 2 workers, in turns."""
    films = real_films()
    if not films:
        print("speed: skipped, there are no films in ../shared/data/clips")
        return
    loaders = {workers: loader_of(films, CLIP, workers=workers, batch=4, repeats=4) for workers in (0, 1, 2)}
    rates: dict[int, list[float]] = {workers: [] for workers in loaders}
    for turn in range(ROUNDS + 1):
        for workers, loader in loaders.items():
            began = time.perf_counter()
            clips = sum(len(batch) for batch in loader.epoch(turn))
            if turn:  # the first one starts the workers
                rates[workers].append(clips / (time.perf_counter() - began))
    for loader in loaders.values():
        loader.close()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"clips per second, median of {ROUNDS}, {len(films)} films, 8 x 4 frames at 224 x 224, {cores} cores")
    for workers, measured in rates.items():
        print(f"  {workers} workers {statistics.median(measured):8.1f}")
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    print(f"  2 : 1 = {statistics.median(ratios):.2f}   of each turn {' '.join(f'{ratio:.2f}' for ratio in ratios)}")


def memory() -> None:
    """Memory of all processes while many clips pass."""
    with tempfile.TemporaryDirectory() as folder:
        films = [small_film(Path(folder) / f"{number}.mp4", number) for number in range(FILMS)]
        loader = loader_of(films, SMALL, workers=2, batch=BATCH, repeats=CLIPS // FILMS)
        seen, measured = 0, []
        for batch in loader.epoch(0):
            seen += len(batch)
            if seen % EVERY < BATCH:
                measured.append([resident(os.getpid()), *map(resident, children(os.getpid()))])
        loader.close()
    quarters = np.array_split(np.array(measured), 4)
    print(f"resident memory in MB, means over quarters of {CLIPS:,} clips")
    for quarter in quarters:
        main, *workers = quarter.mean(axis=0)
        print(f"  main {main:7.1f}   workers {'  '.join(f'{one:7.1f}' for one in workers)}")
    growth = quarters[3].mean(axis=0) / quarters[1].mean(axis=0) - 1
    print(f"  growth: main {growth[0]:+.1%}   workers {'  '.join(f'{one:+.1%}' for one in growth[1:])}")


def small_film(path: Path, seed: int) -> Path:
    """Sixteen frames of noise, 64 x 64."""
    frames = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (16, 64, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def resident(process: int) -> float:
    """MB of a process."""
    rows = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmRSS:")) / 1024


def children(process: int) -> list[int]:
    """Processes that it has started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


if __name__ == "__main__":
    asked = sys.argv[1:] or ["speed", "memory"]
    for name in asked:
        {"speed": speed, "memory": memory}[name]()
