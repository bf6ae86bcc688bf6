"""A film played in real time: windows dropped, latency of answers, memory over time; and what cached features save.

    python tests/benchmarks/bench_stream.py [--minutes 1] [--model x3d_xs] [--stride 8] [--threads 1] [FILM]

The film is one of `$ZOO_SHARED/data/clips`, coded anew to 25 frames per second of 340 x 256 pixels and repeated for as
long as asked for. One core is left to the reader, as `zoo stream` does it. Weights are random: they change no speed.
Memory (RSS) is flat when the mean of every tenth of the run lies within 2 % of that of the second tenth: in the first
one everything is met for the first time. It takes `--minutes 10` to say so of a run that matters.

A second measurement asks networks over frames about the same windows with and without looking at each frame once.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as `zoo stream` has it; read when torch is loaded

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import torch

import zoo
from zoo.streaming.measures import resident_bytes

CLIPS = Path(os.environ.get("ZOO_SHARED", "../shared")) / "data" / "clips"
RATE, HEIGHT, WIDTH = 25, 256, 340
TENTHS = 10


def coded_anew(source: Path, target: Path, minutes: float) -> Path:
    """The film at 25 frames per second of 340 x 256 pixels in H.264, repeated: its packets are copied."""
    once = target.with_name("once.mp4")
    with av.open(str(source)) as film, av.open(str(once), "w") as short:
        out = short.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        out.width, out.height, out.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate(film.decode(video=0)):
            picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            short.mux(out.encode(picture))
        short.mux(out.encode())
    with av.open(str(once)) as film, av.open(str(target), "w") as long:
        stream = film.streams.video[0]
        copy = long.add_stream_from_template(stream)
        packets = [packet for packet in film.demux(stream) if packet.size]
        stored = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in packets]
        step = round(1 / (RATE * stream.time_base))
        lasts = len(stored) * step
        for turn in range(1 + int(minutes * 60 * RATE / len(stored))):
            for data, pts, dts, key in stored:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.is_keyframe = pts + turn * lasts, dts + turn * lasts, key
                packet.time_base, packet.stream = stream.time_base, copy
                long.mux(packet)
    return target


def in_real_time(film: Path, name: str, stride: int, minutes: float) -> None:
    model = zoo.load(name, pretrained=False, num_classes=400)
    memory: list[int] = []
    load = os.getloadavg()
    with zoo.stream(model, film, stride=stride, seconds=60 * minutes, say=print) as live:
        for _ in live:
            memory.append(resident_bytes())
        print(f"{name} at stride {stride}: {live.summary}")
    print(
        f"load average before {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}, after "
        + "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())
    )
    means = tenths(memory)
    print("memory by tenths, MB: " + " ".join(f"{mean / 1e6:.1f}" for mean in means))
    if len(means) == TENTHS:
        print(f"largest distance from the second tenth: {max(abs(mean / means[1] - 1) for mean in means[1:]):.2%}")


def tenths(values: Sequence[int]) -> list[float]:
    """The means of ten parts of equal length."""
    size = max(1, len(values) // TENTHS)
    return [statistics.fmean(values[at * size : (at + 1) * size]) for at in range(min(TENTHS, len(values)))]


def frames_looked_at_once(film: Path, seconds: float) -> None:
    """Processor seconds for each window, decoding included, with and without features that are kept."""
    print(
        "\nprocessor seconds for a window of 8 frames, one of them new: whole clips / each frame once / times as fast"
    )
    for name, params in (("tsn_resnet50", {}), ("tsm", {"backbone": "mobilenetv2_100", "online": True})):
        spent = []
        for reuse in (False, True):
            model = zoo.load(name, pretrained=False, num_classes=400, params=params)
            with zoo.stream(
                model, film, window=4.0, stride=12, real_time=False, drop="none", seconds=seconds, reuse=reuse
            ) as live:
                next(live)  # the first window has nothing to reuse
                began = time.process_time()
                answered = sum(1 for _ in live)
                spent.append((time.process_time() - began) / answered)
        print(f"{name:16} {spent[0]:.3f} / {spent[1]:.3f} / {spent[0] / spent[1]:.2f}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("film", nargs="?", type=Path, default=CLIPS / "arm_wrestling.mp4")
    arguments.add_argument("--minutes", type=float, default=1.0)
    arguments.add_argument("--model", default="x3d_xs")
    arguments.add_argument("--stride", type=int, default=8)
    arguments.add_argument("--threads", type=int, default=max(1, torch.get_num_threads() - 1))
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    if not given.film.is_file():
        print(f"SKIPPED: there is no {given.film}; set ZOO_SHARED")
        return
    with tempfile.TemporaryDirectory() as folder:
        film = coded_anew(given.film, Path(folder) / "long.mp4", given.minutes)
        print(zoo.probe(film))
        in_real_time(film, given.model, given.stride, given.minutes)
        frames_looked_at_once(film, seconds=min(20.0, 60 * given.minutes))


if __name__ == "__main__":
    main()
