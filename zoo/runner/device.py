"""Where a run computes."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from zoo.distributed.processes import started_together
from zoo.runner.precision import set_matrix_products
from zoo_registry.errors import RunError

if TYPE_CHECKING:
    from zoo.recipe.schema import RunSlot
    from zoo_registry.protocols import Task


def choose_device(wanted: str = "auto") -> torch.device:
    """The device that `run.device` means.

    Args:
        wanted: `auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:N`. Of several processes on a machine each
            takes the GPU of its own number.

    Raises:
        RunError: no such device on this machine, or one for several processes.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return torch.device("cpu")
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", wanted)
    if match is None:
        raise RunError(f"{wanted!r} is not a device", hint="run.device is auto, cpu, cuda or cuda:N")
    if match[1] and started_together():
        raise RunError(f"several processes cannot all compute on {wanted}", hint="write run.device: auto, or cuda")
    number = int(match[1] or os.environ.get("LOCAL_RANK", "0"))
    if number >= gpus:
        there = f"cuda:0 to cuda:{gpus - 1}" if gpus > 1 else "cuda:0" if gpus else "no GPU that torch can use"
        raise RunError(f"there is no {wanted} on this machine: it has {there}", hint="write run.device: auto, or cpu")
    return torch.device("cuda", number)


def configure(run: RunSlot) -> torch.device:
    """Set what holds for the whole process (CPU threads, deterministic kernels) and return the device.

    Call it before anything is built: the number of threads decides in which order sums are added up.
    """
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    if run.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    if torch.are_deterministic_algorithms_enabled() != run.deterministic:  # saying it imports torch's compiler
        torch.use_deterministic_algorithms(run.deterministic)
    torch.backends.cudnn.benchmark = not run.deterministic
    device = choose_device(run.device)
    set_matrix_products(device, run.precision)
    return device


def hardware(device: torch.device) -> str:
    """What computes, for people: `NVIDIA H200`, or a processor with the cores that this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    with suppress(OSError):  # Linux says more
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def place(task: Task, device: torch.device, memory_format: str = "contiguous") -> None:
    """Move every module that a task holds to the device: its state, and those outside it, such as a teacher or losses.

    Modules are also found in lists, tuples, sets, mappings and dataclasses that the task holds, however deep.

    Args:
        task: what is trained.
        device: where it goes.
        memory_format: `contiguous`, `channels_last`, or `auto` for the latter on a GPU. A convolution computes in the
            format of its weights whatever its input has, so they are all that is arranged.
    """
    last = memory_format == "channels_last" or (memory_format == "auto" and device.type == "cuda")
    for module in (task.state, *modules_in(task)):
        module.to(device)
        set_memory_format(module, last)


def set_memory_format(module: torch.nn.Module, channels_last: bool) -> None:
    """Lay out the weights of convolutions with their channels last, or as they were made."""
    for parameter in module.parameters():
        if parameter.ndim in _CHANNELS_LAST:
            wanted = _CHANNELS_LAST[parameter.ndim] if channels_last else torch.contiguous_format
            parameter.data = parameter.data.contiguous(memory_format=wanted)


_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def modules_in(holder: object) -> Iterator[torch.nn.Module]:
    """The modules that an object holds, in lists, tuples, sets, mappings and dataclasses too, however deep."""
    return _modules_in(getattr(holder, "__dict__", {}), seen=set())


def _modules_in(value: object, seen: set[int]) -> Iterator[torch.nn.Module]:
    """The modules in a container; `seen` keeps it from going round in circles."""
    if id(value) in seen:
        return
    seen.add(id(value))
    parts: Iterable[object] = ()
    if isinstance(value, torch.nn.Module):
        yield value
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name, None) for field in fields(value)]
    for part in parts:
        yield from _modules_in(part, seen)
