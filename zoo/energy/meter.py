"""How much energy a run takes: measured where the machine can, estimated and called so elsewhere.

The counters are the hardware's own (`zoo.energy.counters`), with no library in between. Two were tried on 27
November 2026. CodeCarbon 3.3.2, offline, reads the same counters, but takes 1.6 s to start, brings sixteen packages (a
client of its server among them) and, on the processor it was tried on, fell back to the watts per thread that are used
here too. Zeus 0.16 reads the same counters, takes 2.8 s to import, and says nothing where there is no counter.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from zoo.energy.counters import BusyTime, Counter, NvidiaCounter, PowercapCounter, uuid_of

JOULES_PER_KWH = 3.6e6

_Merging = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Energy:
    """What was drawn over some time.

    Attributes:
        seconds: how long.
        measured: joules by device that were read from the hardware: `gpu UUID`, `cpu HOST`.
        estimated: joules by device that were not: `cpu HOST busy`.
        missing: kinds of devices that worked and of which nothing is known: `gpu`.
        metered: seconds by device, of those that were not known all the time.
    """

    seconds: float
    measured: Mapping[str, float] = field(default_factory=dict)
    estimated: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    metered: Mapping[str, float] = field(default_factory=dict)

    def seconds_of(self, device: str) -> float:
        """How long a device was metered."""
        return self.metered.get(device, self.seconds)

    @property
    def parts(self) -> dict[str, float]:
        """Joules by device."""
        return {**self.measured, **self.estimated}

    @property
    def kwh(self) -> float:
        """Kilowatt-hours of all devices."""
        return sum(self.parts.values()) / JOULES_PER_KWH

    @property
    def method(self) -> Literal["measured", "partly measured", "estimated"]:
        """Whether all, some or none of it was read from the hardware; with something missing it is not all."""
        if not self.measured:
            return "estimated"
        return "partly measured" if self.estimated or self.missing else "measured"

    def kwh_of(self, kind: str) -> float:
        """Kilowatt-hours of the devices of a kind: `gpu` or `cpu`."""
        return sum(joules for name, joules in self.parts.items() if name.split()[0] == kind) / JOULES_PER_KWH

    def kwh_per_1000_clips(self, clips: int) -> float:
        """Kilowatt-hours for a thousand clips.

        Args:
            clips: how many clips were learnt from meanwhile, at least one.
        """
        return self.kwh * 1000 / clips

    def co2_g(self, intensity: float) -> float:
        """Grams of CO2.

        Args:
            intensity: grams for a kilowatt-hour, where and when the run took place.
        """
        return self.kwh * intensity

    def facts(self, clips: int, intensity: float | None = None) -> dict[str, Any]:
        """What a run's summary says.

        Args:
            clips: how many clips were learnt from.
            intensity: `run.carbon_intensity`.

        Example:
            >>> Energy(60, measured={"gpu GPU-1": 36_000, "cpu here": 7200}).facts(clips=2000, intensity=400)
            {'energy/kwh': 0.012, 'energy/gpu_kwh': 0.01, 'energy/cpu_kwh': 0.002, 'energy/kwh_per_1000_clips': 0.006, \
'energy/co2_g': 4.8, 'energy/method': 'measured'}
        """
        kinds = dict.fromkeys(name.split()[0] for name in self.parts)
        facts: dict[str, Any] = {"energy/kwh": self.kwh}
        facts |= {f"energy/{kind}_kwh": self.kwh_of(kind) for kind in kinds if len(kinds) > 1}
        if clips:
            facts["energy/kwh_per_1000_clips"] = self.kwh_per_1000_clips(clips)
        if intensity is not None:
            facts["energy/co2_g"] = self.co2_g(intensity)
        facts["energy/method"] = self.method + (f", without {' and '.join(self.missing)}" if self.missing else "")
        return facts


def together(energies: Sequence[Energy]) -> Energy:
    """What several processes of one run drew: a device that several of them read counts once, their estimates add up.

    Args:
        energies: at least one.
    """
    return _merged(energies, seconds=max, measured=max)


def in_turn(energies: Sequence[Energy]) -> Energy:
    """What a process drew that was stopped and resumed.

    Args:
        energies: of its attempts.
    """
    return _merged(energies, seconds=sum, measured=sum)


def _merged(energies: Sequence[Energy], *, seconds: _Merging, measured: _Merging) -> Energy:
    return Energy(
        seconds([energy.seconds for energy in energies]),
        _by_device([energy.measured for energy in energies], measured),
        _by_device([energy.estimated for energy in energies], sum),
        tuple(dict.fromkeys(kind for energy in energies for kind in energy.missing)),
        _by_device([{name: energy.seconds_of(name) for name in energy.parts} for energy in energies], seconds),
    )


def _by_device(parts: Sequence[Mapping[str, float]], merge: _Merging) -> dict[str, float]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: merge([part[name] for part in parts if name in part]) for name in names}


class EnergyMeter:
    """Counts energy while it is entered.

    A thread of its own opens the counters and reads them every few seconds, so that nothing waits for them: neither the
    first step nor any other.

    Args:
        gpus: numbers of the GPUs that compute, as in `cuda:1`.
        interval: seconds between two readings.
        openers: what makes the counters of each kind of device, tried in order until one can be made.

    Example:
        >>> with EnergyMeter() as meter:
        ...     _ = sum(range(1000))
        >>> meter.read().method in ("measured", "estimated")
        True
    """

    def __init__(
        self,
        gpus: Sequence[int] = (),
        *,
        interval: float = 10.0,
        openers: Mapping[str, Sequence[Callable[[], Counter]]] | None = None,
    ) -> None:
        self._openers = _openers(tuple(gpus)) if openers is None else openers
        self._interval = interval
        self._counters: dict[str, Counter] = {}
        self._measured: dict[str, float] = {}
        self._estimated: dict[str, float] = {}
        self._opened: dict[str, float] = {}
        self._metered: dict[str, float] = {}
        self._missing: list[str] = []
        self._began = self._ended = 0.0
        self._over = threading.Event()
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="energy", daemon=True)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._ended = time.perf_counter()

    def read(self) -> Energy:
        """What was drawn so far, or all in all once it is over."""
        if not self._over.is_set():
            self._read()
        with self._reading:
            return Energy(
                (self._ended or time.perf_counter()) - self._began,
                dict(self._measured),
                dict(self._estimated),
                tuple(self._missing),
                dict(self._metered),
            )

    def _work(self) -> None:
        with self._reading:
            for kind, openers in self._openers.items():
                counter = _first_that_opens(openers)
                if counter is None:
                    self._missing.append(kind)
                else:
                    self._counters[kind] = counter
                    self._opened[kind] = time.perf_counter()
        while not self._over.wait(self._interval):
            self._read()
        self._read()

    def _read(self) -> None:
        with self._reading:
            for kind, counter in list(self._counters.items()):
                kept = self._measured if counter.measured else self._estimated
                try:
                    drawn = counter.read()
                except Exception:  # a GPU fell off the bus, a driver was updated: no reason to end a run
                    del self._counters[kind]
                    self._missing.append(kind)
                    continue
                for name, joules in drawn.items():
                    kept[name] = kept.get(name, 0.0) + joules
                    self._metered[name] = time.perf_counter() - self._opened[kind]


def _openers(gpus: tuple[int, ...]) -> dict[str, Sequence[Callable[[], Counter]]]:
    """The counters of this machine by kind of device, the best first."""
    openers: dict[str, Sequence[Callable[[], Counter]]] = {"cpu": (PowercapCounter, BusyTime)}
    if gpus:
        openers["gpu"] = (lambda: NvidiaCounter(tuple(map(uuid_of, gpus))),)
    return openers


def _first_that_opens(openers: Iterable[Callable[[], Counter]]) -> Counter | None:
    for opener in openers:
        try:
            return opener()
        except Exception:  # what a machine lacks shows in many ways, and none of them is a reason to end a run
            continue
    return None
