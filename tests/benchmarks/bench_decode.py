"""Random clips of real films to 224 x 224 bytes, one thread: ours against TorchCodec and decord.

    python tests/benchmarks/bench_decode.py [--cpu] [--rounds 5] [--clips 12] [--hardware cuda] [FILM ...]

Every clip opens its file anew, as a training epoch does. All sides take the same clips in turn, so that whatever else
the machine does hits them alike; a clip's time is its fastest of several rounds. TorchCodec runs in exact mode and is
resized by torchvision, the faster of its two ways on most films. `--cpu` counts processor time instead of seconds.
Films are those of `$ZOO_SHARED/data/clips`. TorchCodec needs FFmpeg's shared libraries on the machine.

Two more measurements follow: ten clips of one film in one pass against ten reads, for films of the folder and for a
ten minute film made of one of them. `--hardware` sets our own reader beside itself, decoding on that device, instead.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from zoo.data.clips.clip import read_clip, read_views
from zoo.data.clips.views import View
from zoo.data.decode.film import Decoder, open_film
from zoo_registry.entries import ClipSpec

SAMPLINGS = ((8, 4), (16, 2))
SIZE = 224
CLIPS = Path(os.environ.get("ZOO_SHARED", "../shared")) / "data" / "clips"

Read = Callable[[Path, float, int, int], object]


def ours(film: Path, position: float, frames: int, stride: int) -> object:
    return read_clip(film, ClipSpec(frames=frames, stride=stride, size=SIZE, resize=(SIZE, SIZE)), position=position)


def indices(count: int, position: float, frames: int, stride: int) -> list[int]:
    first = round(position * max(0, count - ((frames - 1) * stride + 1)))
    return [min(first + step * stride, count - 1) for step in range(frames)]


def torchcodec(film: Path, position: float, frames: int, stride: int) -> object:
    from torchcodec.decoders import VideoDecoder
    from torchvision.transforms.v2.functional import resize

    decoder = VideoDecoder(str(film), num_ffmpeg_threads=1, seek_mode="exact")
    wanted = indices(decoder.metadata.num_frames or 0, position, frames, stride)
    return resize(decoder.get_frames_at(wanted).data, [SIZE, SIZE], antialias=True)


def decord(film: Path, position: float, frames: int, stride: int) -> object:
    from decord import VideoReader

    reader = VideoReader(str(film), num_threads=1, width=SIZE, height=SIZE)
    return reader.get_batch(indices(len(reader), position, frames, stride)).asnumpy()


def available(peers: dict[str, Read], film: Path) -> dict[str, Read]:
    """The peers that are installed and load; says why the others do not."""
    found = {}
    for name, read in peers.items():
        try:
            read(film, 0.5, 8, 4)
            found[name] = read
        except Exception as error:  # a peer may fail in any way, such as a missing shared library
            print(f"SKIPPED {name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def fastest(work: Sequence[Callable[[], object]], clock: Callable[[], float], rounds: int) -> list[float]:
    """Seconds of each piece of work, all taken in turn; NaN where it fails."""
    best = [math.inf] * len(work)
    for _ in range(rounds):
        for at, call in enumerate(work):
            began = clock()
            try:
                call()
            except Exception:
                best[at] = math.nan
                continue
            best[at] = min(best[at], clock() - began)
    return best


def on_hardware(kind: str) -> Read:
    decoder = Decoder(hardware=kind)

    def read(film: Path, position: float, frames: int, stride: int) -> object:
        clip = ClipSpec(frames=frames, stride=stride, size=SIZE, resize=(SIZE, SIZE))
        return read_clip(film, clip, position=position, decoder=decoder)

    return read


def compare(films: Sequence[Path], peers: dict[str, Read], clips: int, rounds: int, clock: Callable[[], float]) -> None:
    sides: dict[str, Read] = {"ours": ours, **available(peers, films[0])}
    for frames, stride in SAMPLINGS:
        print(f"\nclips/s of {frames} x {stride} frames to {SIZE} x {SIZE}, one thread")
        print(f"{'film':42}" + "".join(f"{name:>12}" for name in sides) + "".join(f"  / {n}" for n in list(sides)[1:]))
        ratios: dict[str, list[float]] = {name: [] for name in sides if name != "ours"}
        for film in films:
            draw = random.Random(0)
            spent = dict.fromkeys(sides, 0.0)
            for _ in range(clips):
                position = draw.random()
                work = [partial(read, film, position, frames, stride) for read in sides.values()]
                for name, seconds in zip(sides, fastest(work, clock, rounds), strict=True):
                    spent[name] += seconds
            for name in ratios:
                ratios[name].append(spent[name] / spent["ours"])
            row = "".join(f"{clips / spent[name]:12.1f}" for name in sides)
            print(
                f"{film.name[:42]:42}{row}" + "".join(f"  {values[-1]:6.2f}" for values in ratios.values()), flush=True
            )
        for name, values in ratios.items():
            counted = [value for value in values if not math.isnan(value)]
            print(
                f"ours / {name}: geometric mean {statistics.geometric_mean(counted):.3f}, least {min(counted):.3f}, "
                f"{len(values) - len(counted)} films it cannot read"
            )


def ten_clips(film: Path, rounds: int, clock: Callable[[], float]) -> float:
    """How many times as fast one pass is as ten reads."""
    spec = ClipSpec(frames=16, stride=2, size=SIZE, resize=(SIZE, SIZE))
    draw = random.Random(1)
    views = [View(draw.random()) for _ in range(10)]

    def one_pass() -> None:
        with open_film(film) as opened:
            read_views(opened, spec, views, start=None, end=None, canvas=False)

    def ten_reads() -> None:
        for view in views:
            read_clip(film, spec, position=view.position)

    once, ten = fastest([one_pass, ten_reads], clock, rounds)
    return ten / once


def long_film(source: Path, target: Path, minutes: float) -> None:
    """A film shown again and again, its packets copied."""
    import av

    with av.open(str(source)) as film, av.open(str(target), "w") as long:
        stream = film.streams.video[0]
        out = long.add_stream_from_template(stream)
        packets = [bytes(packet) for packet in film.demux(stream) if packet.size]
        film.seek(0)
        stamps = [(packet.pts, packet.dts, packet.is_keyframe) for packet in film.demux(stream) if packet.size]
        duration = int(stream.duration or 0)
        for turn in range(math.ceil(minutes * 60 / float(duration * stream.time_base))):
            for data, (pts, dts, key) in zip(packets, stamps, strict=True):
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.is_keyframe = pts + turn * duration, dts + turn * duration, key
                packet.time_base, packet.stream = stream.time_base, out
                long.mux(packet)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("films", nargs="*", type=Path)
    arguments.add_argument("--cpu", action="store_true")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--clips", type=int, default=12)
    arguments.add_argument("--hardware", help="what decodes on the other side, such as cuda")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if given.cpu else time.perf_counter
    films = given.films or sorted(path for path in CLIPS.glob("*") if path.suffix in {".mp4", ".avi"})
    if not films:
        print(f"SKIPPED: no films in {CLIPS}; set ZOO_SHARED")
        return
    if given.hardware:
        compare(films, {given.hardware: on_hardware(given.hardware)}, given.clips, given.rounds, clock)
        return
    compare(films, {"torchcodec": torchcodec, "decord": decord}, given.clips, given.rounds, clock)
    print("\none pass for ten clips of 16 x 2 frames, times as fast as ten reads")
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "ten_minutes.mp4"
        sources = [film for film in films if film.suffix == ".mp4"]
        if sources:
            long_film(sources[0], long, 10)
        for film in [*films, *([long] if sources else [])]:
            print(f"{film.name[:42]:42}{ten_clips(film, given.rounds, clock):8.2f}", flush=True)


if __name__ == "__main__":
    main()
