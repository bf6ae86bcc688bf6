"""Where energy can be read: NVIDIA's counter of each GPU, Linux's counters of processors, else busy time.

Every counter gives the joules since it was last read. Making one raises `OSError` where the machine has none, or does
not let this process read it.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_BUSY_THREAD = 4.0
"""What a hardware thread draws while it computes: CodeCarbon's figure for processors that it does not know.

Server processors draw less for each of their many threads (225 W over 128 of an EPYC 7742), laptops up to this.
"""


class Counter(Protocol):
    """Something that knows how much energy was drawn.

    Attributes:
        measured: whether it is read from the hardware.
    """

    measured: bool

    def read(self) -> Mapping[str, float]:
        """Joules since the last reading, or since it was made, by device: its kind and its name."""
        ...


class NvidiaCounter:
    """The energy counters of GPUs (Volta or newer), which NVIDIA's driver keeps in millijoules.

    Read through the driver's own library, so that nothing has to be installed. The whole GPU counts, whoever uses it.

    Args:
        uuids: of the GPUs, such as `GPU-8f1e...`; see `uuid_of`.

    Raises:
        OSError: no driver, or a GPU without counter (parts of a GPU, such as MIG, have none).
    """

    measured = True

    def __init__(self, uuids: tuple[str, ...]) -> None:
        name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
        self._library = ctypes.CDLL(name)
        self._call("nvmlInit_v2")
        self._handles = {}
        for uuid in uuids:
            handle = ctypes.c_void_p()
            self._call("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle))
            self._handles[f"gpu {uuid}"] = handle
        self._last = self._totals()

    def read(self) -> Mapping[str, float]:
        """See `Counter.read`."""
        before, self._last = self._last, self._totals()
        return {name: (total - before[name]) / 1000 for name, total in self._last.items()}

    def _totals(self) -> dict[str, int]:
        totals = {}
        for name, handle in self._handles.items():
            millijoules = ctypes.c_ulonglong()
            self._call("nvmlDeviceGetTotalEnergyConsumption", handle, ctypes.byref(millijoules))
            totals[name] = millijoules.value
        return totals

    def _call(self, function: str, *arguments: object) -> None:
        try:
            code = getattr(self._library, function)(*arguments)
        except AttributeError:
            raise OSError(f"NVIDIA's driver has no {function}") from None
        if code:
            raise OSError(f"{function} of NVIDIA's driver gave error {code}")


class PowercapCounter:
    """The energy counters of processors and their memory (RAPL), which Linux shows under /sys/class/powercap.

    Of the whole machine, whoever uses it. Most systems let only root read them; see docs/energy.md.

    Args:
        folder: where the zones are.

    Raises:
        OSError: no zone of a processor, or none that may be read.
    """

    measured = True

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._zones = _zones(folder)
        if not self._zones:
            raise FileNotFoundError(f"there is no energy counter of a processor in {folder}")
        self._range = {zone: _microjoules(zone / "max_energy_range_uj") for zone in self._zones}
        self._last = {zone: _microjoules(zone / "energy_uj") for zone in self._zones}
        self._device = f"cpu {socket.gethostname()}"

    def read(self) -> Mapping[str, float]:
        """See `Counter.read`. The counters run over within the hour, so it has to be called every few minutes."""
        now = {zone: _microjoules(zone / "energy_uj") for zone in self._zones}
        drawn = {
            zone: total - self._last[zone] + (self._range[zone] if total < self._last[zone] else 0)
            for zone, total in now.items()
        }
        self._last = now
        return {self._device: sum(drawn.values()) / 1e6}


class BusyTime:
    """An estimate of what processors draw: the time that this process and those it started were computing.

    Of this process alone, without what the machine draws anyway: several processes add up.
    """

    measured = False

    def __init__(self) -> None:
        self._device = f"cpu {socket.gethostname()} busy"  # as a measurement of an earlier attempt is not called
        self._last = self._seconds()

    def read(self) -> Mapping[str, float]:
        """See `Counter.read`."""
        now = self._seconds()
        drawn = {process: seconds - self._last.get(process, 0.0) for process, seconds in now.items()}
        self._last = now
        return {self._device: sum(drawn.values()) * WATTS_PER_BUSY_THREAD}

    def _seconds(self) -> dict[tuple[int, float], float]:
        """By process and when it began: numbers of processes are used again."""
        import psutil  # type: ignore[import-untyped]

        own = psutil.Process()
        found = {}
        for process in (own, *own.children(recursive=True)):
            try:
                times = process.cpu_times()
                found[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:  # it ended just now
                continue
        return found


def uuid_of(index: int) -> str:
    """What NVIDIA's driver calls a GPU, whatever CUDA_VISIBLE_DEVICES makes of its number.

    Args:
        index: as in `cuda:1`.
    """
    import torch

    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"


def _zones(folder: Path) -> list[Path]:
    """Packages, and memory beside them. What lies inside a package is in its sum, and `psys` would count all twice."""
    try:
        names = {zone: (zone / "name").read_text().strip() for zone in sorted(folder.glob("intel-rapl:*"))}
    except NotADirectoryError:
        return []
    return [zone for zone, name in names.items() if name.startswith("package") or name == "dram"]


def _microjoules(file: Path) -> int:
    text = file.read_text()
    try:
        return int(text)
    except ValueError:
        raise OSError(f"{file} holds no number") from None
