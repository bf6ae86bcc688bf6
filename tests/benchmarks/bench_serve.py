"""`zoo serve` under many clients at once: what they get, how long it takes, and what the server keeps of it.

    python tests/benchmarks/bench_serve.py RUN [--clients 200] [--seconds 60] [-- OPTIONS OF zoo serve]

RUN is a run of the quick start (`zoo run quickstart --out RUN`), or any model that `zoo serve` takes. The server is a
process of its own; every client is a connection that posts one of a few films of the quick start's size (as the body,
in a form) and waits for the answer. One that is sent away (429, 503) waits as long as `Retry-After` says and a little
more, as clients should. The only statuses there may be are 200, 429 and 503, and no request may fail in another way.

Memory, open files and threads are those of the server and of all its processes, read before, during and after the
load: a leak grows with the number of requests. A second, equally long load tells what the first one warmed up from what
grows: memory after it is compared with memory after the first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import av
import h11
import numpy as np
import psutil

FILMS = 8
ALLOWED = {200, 429, 503}


def write_film(path: Path, seed: int) -> bytes:
    """A film like those of the quick start: noise that moves, 24 frames of 64 x 64 pixels."""
    draw = np.random.default_rng(seed)
    ground = draw.integers(0, 256, (64, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"crf": "18"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(24):
            picture = np.ascontiguousarray(np.roll(ground, number * (1 + seed % 3), axis=seed % 2))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def as_form(film: bytes) -> tuple[bytes, str]:
    head = b'--bench\r\nContent-Disposition: form-data; name="film"; filename="film.mp4"\r\n\r\n'
    return head + film + b"\r\n--bench--\r\n", "multipart/form-data; boundary=bench"


@dataclass
class Load:
    """What clients saw.

    Attributes:
        statuses: how often each.
        failures: requests without an answer, by what went wrong.
        answered: seconds from a request to its 200.
        refused: seconds from a request to its 429 or 503.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)


class Client:
    """One connection that is used again; HTTP by h11, which costs the machine less than a whole client library."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes, kind: str) -> tuple[int, dict[str, str]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            self._state = h11.Connection(h11.CLIENT)
        reader, writer = self._streams
        headers = [("Host", self._host), ("Content-Type", kind), ("Content-Length", str(len(body)))]
        for event in (
            h11.Request(method="POST", target="/predict", headers=headers),
            h11.Data(body),
            h11.EndOfMessage(),
        ):
            writer.write(self._state.send(event) or b"")
        await writer.drain()
        status, told = 0, {}
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
                told = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed without an answer")
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        else:
            self.close()
        return status, told

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def one_client(address: tuple[str, int], films: list[bytes], until: float, load: Load, number: int) -> None:
    client, draw = Client(*address), random.Random(number)
    while time.monotonic() < until:
        film = draw.choice(films)
        body, kind = as_form(film) if draw.random() < 0.5 else (film, "video/mp4")
        began = time.monotonic()
        try:
            status, told = await client.post(body, kind)
        except (OSError, h11.ProtocolError) as error:
            load.failures[f"{type(error).__name__}: {error}"] += 1
            client.close()
            continue
        took = time.monotonic() - began
        load.statuses[status] += 1
        (load.answered if status == 200 else load.refused).append(took)
        if status in (429, 503):
            await asyncio.sleep(float(told.get("retry-after", "1")) * (1 + 0.5 * draw.random()))
    client.close()


async def many_clients(
    address: tuple[str, int], films: list[bytes], clients: int, seconds: float, server: int | None = None
) -> Load:
    load, until = Load(), time.monotonic() + seconds
    tasks = [asyncio.create_task(one_client(address, films, until, load, number)) for number in range(clients)]
    for part in ("a quarter", "half", "three quarters") if server is not None else ():
        await asyncio.sleep(seconds / 4)
        print(f"  after {part}: {holds(server)}; load average {os.getloadavg()[0]:.1f}")
    await asyncio.gather(*tasks)
    return load


@dataclass(frozen=True)
class Held:
    """What a server and its processes hold; memory that they share counts once where the system says how much it is."""

    memory: int
    own_rss: int
    files: int
    threads: int
    processes: int

    def __str__(self) -> str:
        return (
            f"{self.memory / 1e6:.1f} MB in {self.processes} processes ({self.own_rss / 1e6:.1f} MB the server's own), "
            f"{self.files} open files, {self.threads} threads"
        )


def holds(pid: int) -> Held:
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    return Held(
        memory=sum(own_memory(each) for each in family),
        own_rss=server.memory_info().rss,
        files=server.num_fds(),
        threads=server.num_threads(),
        processes=len(family),
    )


def computed(pid: int) -> tuple[float, float]:
    """Seconds of processor time of a server alone, and along with its processes."""
    server = psutil.Process(pid)
    times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    seconds = [each.user + each.system for each in times]
    return seconds[0], sum(seconds)


def own_memory(process: psutil.Process) -> int:
    """Bytes of memory, shared ones by the share (PSS) where there is such a number, else all (RSS)."""
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


def report(load: Load, seconds: float) -> None:
    total = sum(load.statuses.values())
    counts = ", ".join(f"{count:,} times {status}" for status, count in sorted(load.statuses.items()))
    print(f"  {total:,} requests ({total / seconds:.0f} a second): {counts}")
    for name, times in (("answered", load.answered), ("refused", load.refused)):
        if len(times) > 1:
            cuts = statistics.quantiles(times, n=100)
            rate = len(times) / seconds
            print(
                f"  {name}: {rate:.1f} a second, p50 {1000 * cuts[49]:.0f} ms, p95 {1000 * cuts[94]:.0f} ms, "
                f"p99 {1000 * cuts[98]:.0f} ms, most {1000 * max(times):.0f} ms"
            )
    print(f"  failures: {dict(load.failures) or 'none'}")


def started(model: str, options: list[str], log: Path) -> tuple[subprocess.Popen[bytes], tuple[str, int]]:
    with log.open("wb") as file:
        command = [sys.executable, "-m", "zoo.cli", "serve", model, "--port", "0", *options]
        process = subprocess.Popen(command, stderr=file)
    while (found := re.search(r"answers on (http://\S+)", log.read_text())) is None:
        if process.poll() is not None:
            sys.exit(log.read_text())
        time.sleep(0.1)
    parts = urlsplit(found[1])
    return process, (str(parts.hostname), int(parts.port or 80))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model")
    arguments.add_argument("--clients", type=int, default=200)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("options", nargs="*", help="of zoo serve, after --")
    given = arguments.parse_args()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = [write_film(folder / f"{seed}.mp4", seed) for seed in range(FILMS)]
        size = statistics.fmean(map(len, films))
        print(f"{given.clients} clients for {given.seconds:g} s, films of {size / 1000:.1f} kB")
        print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.2f}")
        process, address = started(given.model, given.options, folder / "log")
        try:
            asyncio.run(many_clients(address, films, 1, 2))  # some answers, so that all is loaded
            held = [holds(process.pid)]
            print(f"before: {held[0]}")
            for turn in ("first", "second"):
                print(f"{turn} load")
                spent = computed(process.pid)
                load = asyncio.run(many_clients(address, films, given.clients, given.seconds, process.pid))
                report(load, given.seconds)
                own, all_of_them = (now - then for now, then in zip(computed(process.pid), spent, strict=True))
                each = 1000 / max(1, sum(load.statuses.values()))
                print(f"  processor time for each request: {own * each:.1f} ms the server's, "
                      f"{(all_of_them - own) * each:.1f} ms its decoders'")  # fmt: skip
                time.sleep(3)  # connections close
                held.append(holds(process.pid))
                print(f"after the {turn} load: {held[-1]}")
                if load.failures or not set(load.statuses) <= ALLOWED or not load.statuses[200]:
                    faults.append(f"{turn} load: {dict(load.statuses)} {dict(load.failures)}")
        finally:
            process.terminate()
            code = process.wait(60)
    grown = held[2].memory / held[1].memory - 1
    print(f"grown from the first to the second load: {grown:+.2%} of memory, {held[2].files - held[1].files:+d} files, "
          f"{held[2].threads - held[1].threads:+d} threads; SIGTERM ended it with {code}")  # fmt: skip
    if held[2].files > held[1].files + 2 or held[2].threads > held[1].threads + 2 or code:
        faults.append("files, threads or the end")
    print("faults: " + ("; ".join(faults) or "none"))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
