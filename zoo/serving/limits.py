"""What one request may take, and how many there may be at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from zoo_registry.errors import ParameterError, Problem


def _decoders() -> int:
    """Processes that decode: at least two, so that one film that takes long does not hold up all others."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, min(4, cores))


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows, and how it works.

    Attributes:
        size: bytes of a film.
        duration: seconds of a film.
        pixels: of one of its pictures.
        frames: of a film, by its header.
        clip: bytes of a film as the model takes it: frames as large as they are, where it takes them so. Films that the
            model is asked about at once have no more than that together.
        decoded: bytes of all films that lie decoded, waiting for the model or asked about; others wait for room.
        memory: bytes that decoding one may take, beyond what the process has; counts on Linux.
        decode: seconds that decoding one may take, then the process that does it is ended.
        timeout: seconds from the head of a request to its answer.
        stall: seconds within which the next piece of an upload has to come.
        queue: requests that are uploaded, wait or are answered at a time; the next one is told to come back.
        batch: films that the model is asked about at once.
        wait: seconds that a film waits for others to be asked about along with it.
        workers: processes that decode.

    Raises:
        ParameterError: everything that is out of bounds.

    Example:
        >>> Limits(queue=16).batch
        8
    """

    size: int = 64 << 20
    duration: float = 60.0
    pixels: int = 4096 * 4096
    frames: int = 15_000
    clip: int = 256 << 20
    decoded: int = 512 << 20
    memory: int = 2 << 30
    decode: float = 10.0
    timeout: float = 30.0
    stall: float = 5.0
    queue: int = 64
    batch: int = 8
    wait: float = 0.010
    workers: int = field(default_factory=_decoders)

    def __post_init__(self) -> None:
        problems = [
            Problem(f"{name} is {value}, it has to be above 0")
            for name, value in vars(self).items()
            if name != "wait" and not value > 0
        ]
        if not 0 <= self.wait < self.timeout:
            problems.append(Problem(f"wait is {self.wait} s, of a timeout of {self.timeout} s"))
        if self.decoded < self.clip:
            problems.append(Problem(f"decoded is {self.decoded}, less than the {self.clip} bytes of one clip"))
        if problems:
            raise ParameterError(problems)
