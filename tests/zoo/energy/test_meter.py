"""Energy: counters as drivers and the kernel show them, the estimate by busy time, and what a run sums up."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from zoo.energy import counters
from zoo.energy.counters import WATTS_PER_BUSY_THREAD, BusyTime, NvidiaCounter, PowercapCounter, uuid_of
from zoo.energy.log import EnergyLog
from zoo.energy.meter import Energy, EnergyMeter, together
from zoo.report.energy import energy_table
from zoo.report.wording import quantity

# -------------------------------------------------------------------------------- the kernel's counters


def zone(folder: Path, name: str, label: str, microjoules: int, most: int = 262_143_328_850) -> Path:
    """A zone as the kernel's documentation of powercap shows it."""
    path = folder / name
    path.mkdir(parents=True)
    for file, content in (("name", label), ("energy_uj", microjoules), ("max_energy_range_uj", most)):
        (path / file).write_text(f"{content}\n")
    return path


def test_packages_and_their_memory_are_counted_once(tmp_path):
    """Cores are in their package's sum, and psys would count everything again."""
    names = {
        "intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:2": "dram",
        "intel-rapl:1": "package-1", "intel-rapl:2": "psys",
    }  # fmt: skip
    zones = {label: zone(tmp_path, name, label, 1_000_000) for name, label in names.items()}
    counter = PowercapCounter(tmp_path)
    for label, joules in {"package-0": 5, "core": 100, "dram": 2, "package-1": 4, "psys": 1000}.items():
        (zones[label] / "energy_uj").write_text(f"{1_000_000 + joules * 1_000_000}\n")
    (joules,) = counter.read().values()
    assert joules == pytest.approx(11)
    assert list(counter.read().values()) == [0]


def test_a_counter_that_runs_over_goes_on_from_zero(tmp_path):
    place = zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, most=10_000_000)
    counter = PowercapCounter(tmp_path)
    (place / "energy_uj").write_text("2000000\n")
    assert list(counter.read().values()) == [pytest.approx(3)]


@pytest.mark.parametrize("labels", [[], ["psys"], ["core"]])
def test_a_machine_without_counters_is_said_to_have_none(tmp_path, labels):
    for number, label in enumerate(labels):
        zone(tmp_path, f"intel-rapl:{number}", label, 1)
    with pytest.raises(OSError, match="no energy counter"):
        PowercapCounter(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_counters_that_only_root_may_read_are_none(tmp_path):
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").chmod(0)
    with pytest.raises(PermissionError):
        PowercapCounter(tmp_path)


# -------------------------------------------------------------------------------- the driver's counters

DRIVER = """
static unsigned long long drawn = 5000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (uuid[4] == 'x') return 6;                     /* NVML_ERROR_NOT_FOUND */
    *device = (void *)(long)uuid[4];
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    if ((long)device == 'm') return 3;                /* NVML_ERROR_NOT_SUPPORTED */
    *energy = drawn += 1500;
    return 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with the three functions of NVML that are called, as its header declares them: no GPU is needed."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "nvml.c").write_text(DRIVER)
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "nvml.c")], check=True)
    return library


@pytest.fixture
def nvidia(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = ctypes.CDLL
    monkeypatch.setattr(counters.ctypes, "CDLL", lambda name: load(str(driver)))


def test_gpus_are_counted_by_the_drivers_millijoules(nvidia):
    counter = NvidiaCounter(("GPU-a", "GPU-b"))  # the totals are then 6.5 J and 8 J
    assert counter.read() == {"gpu GPU-a": 3.0, "gpu GPU-b": 3.0}


@pytest.mark.parametrize(
    ("uuid", "message"),
    [("GPU-x", "nvmlDeviceGetHandleByUUID .* error 6"), ("GPU-m", "TotalEnergyConsumption .* error 3")],
)
def test_a_gpu_without_a_counter_is_an_error(nvidia, uuid, message):
    with pytest.raises(OSError, match=message):
        NvidiaCounter((uuid,))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver")
def test_a_machine_without_a_driver_is_an_error():
    with pytest.raises(OSError, match="nvidia-ml"):
        NvidiaCounter(("GPU-a",))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_that_works_draws_more_than_nothing_and_less_than_two_kilowatts():
    counter, began = NvidiaCounter((uuid_of(0),)), time.perf_counter()
    matrix = torch.randn(4096, 4096, device="cuda")
    while time.perf_counter() - began < 2:
        matrix @ matrix
        torch.cuda.synchronize()
    (joules,) = counter.read().values()
    assert 20 < joules / (time.perf_counter() - began) < 2000


# -------------------------------------------------------------------------------- the estimate


def test_busy_time_of_this_process_and_of_those_it_started_is_estimated():
    counter = BusyTime()
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    spin = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()  # it has spun
        (joules,) = counter.read().values()
        child.stdin.close()
    assert joules >= (0.2 + 0.3 - 0.05) * WATTS_PER_BUSY_THREAD  # the kernel counts in hundredths of a second
    assert joules <= (time.process_time() - began + 0.6) * WATTS_PER_BUSY_THREAD


# -------------------------------------------------------------------------------- the meter


class Scripted:
    def __init__(self, *readings, measured=True, name="cpu here"):
        self.readings, self.measured, self.name = list(readings), measured, name

    def read(self):
        if not self.readings:
            return {self.name: 0.0}
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return {self.name: reading}


def meter(**kinds):
    return EnergyMeter(
        interval=3600, openers={kind: (lambda counter=counter: counter,) for kind, counter in kinds.items()}
    )


def test_readings_are_added_up_and_may_be_asked_for_in_between():
    with meter(cpu=Scripted(3.0, 4.0)) as counting:
        assert counting.read().measured == {"cpu here": 3.0}
    energy = counting.read()
    assert energy.measured == {"cpu here": 7.0}
    assert energy.seconds > 0


def test_what_is_measured_and_what_is_estimated_stay_apart():
    with meter(gpu=Scripted(3.6e6, name="gpu 0"), cpu=Scripted(1.8e6, measured=False)) as counting:
        pass
    energy = counting.read()
    assert (energy.kwh, energy.kwh_of("gpu"), energy.kwh_of("cpu")) == (1.5, 1.0, 0.5)
    assert energy.method == "partly measured"


def test_a_counter_that_fails_is_left_out_and_said_to_be_missing():
    fails = Scripted(1.0, OSError("fell off the bus"), name="gpu 0")
    with meter(gpu=fails, cpu=Scripted(2.0, 3.0)) as counting:
        counting.read()
    energy = counting.read()
    assert energy.measured == {"gpu 0": 1.0, "cpu here": 5.0}
    assert energy.missing == ("gpu",)
    assert energy.seconds_of("gpu 0") < energy.seconds_of("cpu here") <= energy.seconds
    assert energy.facts(clips=0)["energy/method"] == "partly measured, without gpu"


def test_the_next_best_counter_is_taken_where_the_best_cannot_be_made():
    def none():
        raise OSError("no counter")

    with EnergyMeter(openers={"cpu": (none, lambda: Scripted(1.0, measured=False)), "gpu": (none,)}) as counting:
        pass
    energy = counting.read()
    assert (energy.estimated, energy.missing, energy.method) == ({"cpu here": 1.0}, ("gpu",), "estimated")


def test_nothing_waits_for_counters_to_open():
    opened, may_open = threading.Event(), threading.Event()

    def slow():
        may_open.wait(10)
        opened.set()
        return Scripted(1.0)

    with EnergyMeter(openers={"cpu": (slow,)}) as counting:
        assert not opened.is_set()  # entered already
        may_open.set()
    assert counting.read().measured == {"cpu here": 1.0}


def test_a_real_machine_has_an_answer():
    with EnergyMeter() as counting:  # its counters are opened beside what is counted
        began = time.monotonic()
        while counting.read().kwh == 0 and time.monotonic() - began < 30:
            sum(range(100_000))
    energy = counting.read()
    assert energy.kwh > 0
    assert energy.method in ("measured", "estimated")


# -------------------------------------------------------------------------------- what is made of it


def test_facts_of_a_run_by_hand():
    """0.2 kWh over 4000 clips are 0.05 kWh per 1000; at 400 g/kWh they are 80 g."""
    energy = Energy(3600, measured={"gpu a": 540_000.0}, estimated={"cpu here 1": 180_000.0})
    assert energy.facts(clips=4000, intensity=400) == {
        "energy/kwh": pytest.approx(0.2),
        "energy/gpu_kwh": pytest.approx(0.15),
        "energy/cpu_kwh": pytest.approx(0.05),
        "energy/kwh_per_1000_clips": pytest.approx(0.05),
        "energy/co2_g": pytest.approx(80),
        "energy/method": "partly measured",
    }
    assert "energy/co2_g" not in energy.facts(clips=1)


def test_devices_that_several_processes_read_count_once():
    first = Energy(10, measured={"gpu a": 5.0, "cpu here": 100.0}, estimated={"cpu there busy": 2.0})
    second = Energy(11, measured={"gpu b": 6.0, "cpu here": 101.0}, estimated={"cpu there busy": 3.0})
    both = together([first, second])
    assert both.measured == {"gpu a": 5.0, "gpu b": 6.0, "cpu here": 101.0}
    assert both.estimated == {"cpu there busy": 5.0}  # each process estimates itself alone
    assert both.seconds == 11


def test_attempts_of_a_resumed_run_are_added_up(tmp_path):
    log = EnergyLog(tmp_path)
    assert log.total() == Energy(0)
    log.add(Energy(10, measured={"gpu a": 5.0}, missing=("cpu",)))
    log.add(Energy(20, measured={"gpu a": 7.0}, estimated={"cpu here busy": 1.0}, metered={"cpu here busy": 19.0}))
    with log.path.open("a") as file:
        file.write('[]\n{"seconds": 3}\n{"seconds": 1, "mea')  # written by nobody, and by a process that was killed
    metered = {"gpu a": 30.0, "cpu here busy": 19.0}
    assert log.total() == Energy(30, {"gpu a": 12.0}, {"cpu here busy": 1.0}, ("cpu",), metered)


def test_attempts_on_the_same_processors_are_one_device_with_its_own_watts(tmp_path):
    """As a resumed run of two processes: 4 W, 2 W of each, in both attempts."""
    for rank in (0, 1):
        for seconds in (10, 30):
            spin = (
                "import sys; from pathlib import Path; from zoo.energy.counters import BusyTime;"
                "from zoo.energy.log import EnergyLog; from zoo.energy.meter import Energy;"
                "(name,) = BusyTime().read(); folder, rank, seconds = Path(sys.argv[1]), *map(int, sys.argv[2:]);"
                "EnergyLog(folder, rank).add(Energy(seconds, estimated={name: 2.0 * seconds}))"
            )
            subprocess.run([sys.executable, "-c", spin, tmp_path, str(rank), str(seconds)], check=True)
    energy = together([EnergyLog(tmp_path, rank).total() for rank in (0, 1)])
    assert [(row[0], row[2]) for row in energy_table(energy).rows] == [("cpu 1", pytest.approx(4.0))]


def test_a_device_of_one_attempt_has_the_seconds_of_that_attempt(tmp_path):
    log = EnergyLog(tmp_path)
    log.add(Energy(10, measured={"gpu a": 1000.0}))
    log.add(Energy(40, measured={"gpu b": 8000.0, "cpu here": 400.0}, estimated={"cpu here busy": 80.0}))
    rows = [(name, watts, how) for name, _, watts, how in energy_table(log.total()).rows]
    assert rows == [
        ("gpu 1", 100.0, "measured"), ("gpu 2", 200.0, "measured"),
        ("cpu 1", 10.0, "measured"), ("cpu 1", 2.0, "estimated"),
    ]  # fmt: skip


def test_the_report_names_every_device_and_what_is_not_known():
    table = energy_table(Energy(100, measured={"gpu a": 36_000.0}, estimated={"cpu here 1": 3600.0}, missing=("disk",)))
    assert list(table.rows) == [("gpu 1", 0.01, 360.0, "measured"), ("cpu 1", 0.001, 36.0, "estimated")]
    assert table.note == "Of training. Nothing is known of the disk."


def test_energy_is_written_with_its_unit():
    assert quantity("energy/kwh", 0.012345) == "0.0123 kWh"
    assert quantity("energy/co2_g", 80.0) == "80 g"
    assert quantity("energy/co2_g", 12_345.0) == "12.3 kg"
    assert quantity("val/f1/g", 0.5) == "0.5"
