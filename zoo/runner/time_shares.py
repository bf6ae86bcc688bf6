"""Where the time of training goes: decoding, augmenting, copying, or the model; and a word when it is not the model.

No step waits for the device. A GPU works behind the host's back: what it does shows up where the host waits for it,
which is the reading of the losses, and that counts as the model's. How the model's time falls into forward passes,
backward passes and optimiser steps is taken from the host's clock, or from events that the GPU itself notes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Stage = Literal["decode", "augment", "copy", "forward", "backward", "step"]

DATA: tuple[Stage, ...] = ("decode", "augment", "copy")
MODEL: tuple[Stage, ...] = ("forward", "backward", "step")
STAGES: tuple[Stage, ...] = (*DATA, *MODEL)

STALLED = 0.5
"""A stage other than the model that takes more than this part of the time is worth a word."""

SURE_AFTER = 20.0
"""Seconds of training until then: the first batches always take their time."""


class TimeShares:
    """Measures the stages of training in the main process.

    Args:
        loader: of the training batches; what it says about its workers tells waiting for decoding from waiting for
            augmentations.
        clock: seconds that only grow; for tests.
        events: makes an event of the GPU that computes, None where the processor does.

    Example:
        >>> shares = TimeShares(object(), clock=iter([0.0, 0.0, 1.0, 4.0, 4.0]).__next__)
        >>> with shares.measure("augment"):
        ...     pass
        >>> shares.read()["augment"]
        0.25
    """

    def __init__(
        self,
        loader: Any,
        clock: Callable[[], float] = time.perf_counter,
        events: Callable[[], torch.cuda.Event] | None = None,
    ) -> None:
        self._loader, self._clock, self._events = loader, clock, events
        self._noted: list[tuple[Stage, torch.cuda.Event, torch.cuda.Event]] = []
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._whole = dict.fromkeys(STAGES, 0.0)
        self._warned = False
        self.restart()

    def restart(self) -> None:
        """Begin anew: what went before, such as validation, is no training time."""
        self._began = self._clock()
        self._spent = dict.fromkeys(STAGES, 0.0)
        self._noted = []
        self._at_start = self._of_loader()

    @contextmanager
    def measure(self, stage: Stage) -> Iterator[None]:
        """Count the time inside for a stage."""
        if self._events is not None and stage in MODEL:
            begin, end = self._events(), self._events()
            begin.record()
            yield
            end.record()
            self._noted.append((stage, begin, end))
            return
        began = self._clock()
        try:
            yield
        finally:
            self._spent[stage] += self._clock() - began

    def read(self) -> dict[Stage, float]:
        """The part of each stage since the last reading, or the restart; after the losses were read.

        What is left of the whole is the model's, in the proportion of what was measured of it.
        """
        total = self._clock() - self._began
        waited, decoding, augmenting = (
            now - before for now, before in zip(self._of_loader(), self._at_start, strict=True)
        )
        by_decoding = decoding / (decoding + augmenting) if decoding + augmenting else 1.0
        self._spent["decode"] += waited * by_decoding
        self._spent["augment"] += waited * (1 - by_decoding)
        for stage, begin, end in self._noted:
            self._spent[stage] += begin.elapsed_time(end)
        left = max(0.0, total - sum(self._spent[stage] for stage in DATA))
        measured = sum(self._spent[stage] for stage in MODEL)
        for stage in MODEL:
            self._spent[stage] *= left / measured if measured else 0.0
        for stage in STAGES:
            self._whole[stage] += self._spent[stage]
        shares = {stage: self._spent[stage] / total if total else 0.0 for stage in STAGES}
        self.restart()
        return shares

    def warning(self) -> str | None:
        """What to tell the user, once in a run: which stage the model waits for, and what helps."""
        total = sum(self._whole.values())
        slow = max(DATA, key=self._whole.__getitem__)
        if self._warned or total < SURE_AFTER or self._whole[slow] <= STALLED * total:
            return None
        self._warned = True
        return f"the model waits: {in_words(self._parts())}; {self._advice(slow)}"

    def _parts(self) -> dict[Stage, float]:
        total = sum(self._whole.values())
        return {stage: self._whole[stage] / total for stage in STAGES}

    def _advice(self, slow: Stage) -> str:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = int(getattr(self._loader, "workers", 0))
        if slow == "copy":
            return "a smaller data.clip.resize or run.batch makes copies smaller"
        if slow == "augment":
            return (
                "see which augmentation is slow; on a GPU leave `where: device`, without one `where: worker` "
                "spreads the work over data.workers"
            )
        more = (
            f"raise data.workers, now {workers}, as this machine has {cores} cores"
            if workers < cores - 1
            else f"all {cores} cores of this machine decode already"
        )
        return f"{more}; a smaller data.clip.resize, or films stored with a shorter side near it, decode faster"

    def _of_loader(self) -> tuple[float, float, float]:
        names = ("seconds_waited", "seconds_decoding", "seconds_augmenting")
        waited, decoding, augmenting = (float(getattr(self._loader, name, 0.0)) for name in names)
        return waited, decoding, augmenting


def in_words(shares: Mapping[Stage, float]) -> str:
    """`decode 80 % · augment 9 % · copy 4 % · forward 2 % · backward 4 % · step 1 %`.

    Example:
        >>> in_words({"decode": 0.81, "copy": 0.04, "forward": 0.15})
        'decode 81 % · copy 4 % · forward 15 %'
    """
    return " · ".join(f"{stage} {shares[stage]:.0%}".replace("%", " %") for stage in STAGES if stage in shares)
