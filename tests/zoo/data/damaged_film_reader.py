"""A process that reads damaged films and says what it got: if it dies, the tests notice and live on.

Lines of JSON: in comes {"path", "starts"}, out go what the zoo delivered and what plain decoding gives.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time

import av

from zoo.data import read_clip
from zoo_registry import ClipSpec
from zoo_registry.errors import ZooError

FPS = 2000.0
MOST_FRAMES = 400
PLACEHOLDER = 16
"""Bytes of a packet that stands where a frame was dropped, or packed into another packet."""
ROOM = 3 * 1024**3
"""Bytes of address space beyond what the imports took."""


def main() -> None:
    av.logging.set_level(None)
    limit_memory()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        plain = plain_frames(job["path"])
        print(json.dumps({"plain": plain}), flush=True)
        size = plain["size"] or (48, 64)
        began, before = time.process_time(), peak()
        reads = [read(job["path"], start, size) for start in job["starts"]]
        print(
            json.dumps({"reads": reads, "seconds": time.process_time() - began, "grown": peak() - before}), flush=True
        )


def limit_memory() -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))


def peak() -> int:
    """The most memory that was in use so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def digest(pixels) -> str:
    return hashlib.blake2b(pixels.tobytes(), digest_size=8).hexdigest()


def read(path: str, start: float, size: tuple[int, int]) -> dict:
    """One frame on display at `start`, through the zoo."""
    try:
        clip_cthw = read_clip(path, ClipSpec(frames=1, size=size, fps=FPS), start=start, position=0.0)
    except ZooError as error:
        return {"start": start, "refused": str(error)}
    except MemoryError:
        return {"start": start, "failed": "MemoryError"}
    except Exception as error:
        return {"start": start, "failed": f"{type(error).__name__}: {error}"}
    return {"start": start, "frame": digest(clip_cthw[:, 0].permute(1, 2, 0).contiguous().numpy())}


def plain_frames(path: str) -> dict:
    """Everything that decoding from the beginning gives.

    Returns:
        `frames`: (seconds from the first, digest, whether the decoder reported an error); `late`: seconds from the
        first packet to the first frame; `loose`: the times say little; `size`: (height, width); `errors`: packets that
        were refused.
    """
    frames: list[tuple[float | None, str, bool]] = []
    size: tuple[int, int] | None = None
    began = time.monotonic()
    wrong = 0
    earliest = float("inf")
    loose = False
    try:
        with av.open(path, metadata_errors="ignore") as container:
            stream = container.streams.best("video")
            context = stream.codec_context
            if max(context.width, context.height) > 5000:
                return {"size": None, "frames": [], "errors": 1, "late": 0.0, "loose": False}
            context.thread_count = 1
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            clock = container.format.name != "avi"
            packets = container.demux(stream)
            stored: list[int] = []
            while len(frames) < MOST_FRAMES and time.monotonic() - began < 10:
                packet = next(packets, None)
                if packet is None:
                    break
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    earliest = min(earliest, float(packet.pts * packet.time_base))
                if packet.size > PLACEHOLDER and packet.dts is not None:
                    stored.append(packet.dts)
                try:
                    decoded = packet.decode()
                except av.error.FFmpegError:
                    wrong += 1
                    continue
                for frame in decoded:
                    pixels = frame.to_ndarray(format="rgb24")
                    size = size or pixels.shape[:2]
                    frames.append((frame.time, digest(pixels) if pixels.shape[:2] == size else "", frame.is_corrupt))
            if not clock:  # AVI knows no times but places; sorting them undoes the order of decoding
                places = sorted(stored) if len(stored) == len(frames) else range(len(frames))
                frames = [(place / rate, *rest) for place, (_, *rest) in zip(places, frames, strict=True)]
                loose = len(stored) != stream.frames  # file and index disagree: both are as good a clock
    except (av.error.FFmpegError, ValueError, AttributeError, MemoryError):
        wrong += 1
    first = min((time for time, *_ in frames if time is not None), default=0.0)
    shifted = [(None if time is None else time - first, *rest) for time, *rest in frames]
    # Where the first packets cannot be decoded, they or the first frame may be called the beginning.
    late = max(0.0, first - earliest) if frames and earliest < float("inf") else 0.0
    return {"size": size, "frames": shifted, "errors": wrong, "late": late, "loose": loose}


if __name__ == "__main__":
    main()
