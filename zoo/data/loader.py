"""Batches of a split, in an order and with draws that follow from the seed alone."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import DataLoader

from zoo.data.draws import order
from zoo.data.quarantine import BadFile, Quarantine
from zoo.data.reader import Answer, Reader, Request
from zoo_registry.errors import DataError, Problem, UndecodableMedia

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.split import Split
    from zoo_registry.entries import AudioSpec, ClipSpec
    from zoo_registry.protocols import Batch

MOST_WORKERS = 8
"""What `auto` stops at: beyond it one process that collects the batches is the bottleneck."""

FEW = 3
"""So many bad files stop no run by their share alone; all files of a split always do."""


class Loader:
    """Reads a split batch by batch; its worker processes live until it is closed.

    In training clips lie on `clip.canvas` with position and window drawn per clip, and a file that cannot be read is
    replaced by another sample. In evaluation clips are spread evenly over the film and cropped to `clip.size`, and a
    bad file is left out. Either way it is put in quarantine, once, with its reason.

    Order, draws and substitutes are functions of (seed, epoch), (seed, epoch, index, view) and (seed, epoch, index);
    the number of workers changes nothing.

    Args:
        split: samples and labels.
        inputs: keys of `Batch.inputs`, in the order the model takes them: `clip_bcthw`, `audio_bcn`.
        clip: what clips look like, None when the model takes none.
        audio: what the sound looks like, None when the model takes none.
        batch: samples per batch; the last one of an epoch may be smaller.
        views: clips per sample; rows `i * views + v` of a batch hold view v of its i-th sample.
        train: drawn clips in drawn order, or all clips in order.
        seed: of everything drawn.
        workers: processes that decode; 0 decodes in this one; `auto` leaves one core to the training.
        on_bad: `quarantine`, or `raise` the first failure.
        quarantine: where bad files go; None keeps them in memory.
        max_bad: the run stops when more than this part of the split turned out bad.
        pin_memory: page-locked batches for faster copies to a GPU; None when CUDA is there.

    Example:
        >>> loader = Loader(split, inputs=("clip_bcthw",), clip=clip, batch=8, train=True)       # doctest: +SKIP
        >>> for batch in loader.epoch(0):                                                        # doctest: +SKIP
        ...     batch.inputs["clip_bcthw"].shape                     # (8, 3, T, H, W), uint8
    """

    def __init__(
        self,
        split: Split,
        *,
        inputs: Sequence[str],
        clip: ClipSpec | None,
        audio: AudioSpec | None = None,
        batch: int,
        views: int = 1,
        train: bool,
        seed: int = 0,
        workers: int | Literal["auto"] = "auto",
        on_bad: Literal["quarantine", "raise"] = "quarantine",
        quarantine: Quarantine | None = None,
        max_bad: float = 0.5,
        pin_memory: bool | None = None,
    ) -> None:
        self.split, self.batch, self.views, self.train, self.seed = split, batch, views, train, seed
        self.quarantine = Quarantine() if quarantine is None else quarantine
        self.bad: dict[int, BadFile] = {}
        """Index and reason of every sample found bad so far."""
        self.seconds_waited = 0.0
        """How long `epoch` has kept its caller waiting for data, in all."""
        self._on_bad, self._max_bad = on_bad, max_bad
        self._reader = Reader(split, inputs=inputs, clip=clip, audio=audio, views=views, train=train, seed=seed)
        self.workers = choose_workers(len(split.samples)) if workers == "auto" else workers
        self._pin = torch.cuda.is_available() if pin_memory is None else pin_memory
        self._plan = _Plan()
        self._answers: DataLoader[Answer] | None = None

    def __len__(self) -> int:
        """Batches per epoch."""
        return math.ceil(len(self.split.samples) / self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch; one epoch of a loader at a time.

        Args:
            epoch: decides order and draws in training; evaluation is the same every time.
            start: batches already consumed; what follows is exactly what would have followed them.

        Yields:
            uint8 clips on the CPU. In evaluation a batch is smaller by its bad files, and missing when nothing is left.

        Raises:
            UndecodableMedia: a bad file, with `on_bad="raise"`.
            DataError: too many files are bad, or a worker process died.
        """
        count = len(self.split.samples)
        indexes = [int(index) for index in order(count, self.seed, epoch)] if self.train else list(range(count))
        plan = [Request(epoch, tuple(indexes[at : at + self.batch])) for at in range(0, count, self.batch)]
        if self.train:  # bad files are substituted, so every request gives a batch and may be left out unread
            return self._batches(plan[start:])
        return itertools.islice(self._batches(plan), start, None)

    def clip(self, index: int, view: int = 0) -> Tensor:
        """The clip that evaluation showed as this view of this sample: uint8 (C, T, H, W)."""
        return self._reader.clip_of(index, view)

    def close(self) -> None:
        """End the worker processes; the loader starts new ones when it is used again."""
        self._answers = None

    def _batches(self, plan: Sequence[Request]) -> Iterator[Batch]:
        for answer in self._read(plan):
            if answer.crash:
                raise RuntimeError(answer.crash)
            if answer.error is not None:
                raise answer.error
            self._take_in(answer.bad)
            if answer.batch is not None:
                yield answer.batch

    def _read(self, plan: Sequence[Request]) -> Iterator[Answer]:
        """Answers in the order of the plan, however many workers give them."""
        if self._answers is None:
            self._answers = self._start()
        self._plan.requests = plan
        answers = iter(self._answers)
        while True:
            began = time.perf_counter()
            try:
                answer = next(answers, None)
            except RuntimeError as error:
                if "DataLoader worker" not in str(error):
                    raise
                raise DataError(
                    f"a process that reads the {self.split.name} split died: {error}",
                    hint="often memory, or a small /dev/shm: try `--set data.workers=0`",
                ) from error
            self.seconds_waited += time.perf_counter() - began
            if answer is None:
                return
            if self._plan.requests is not plan:
                raise RuntimeError("another epoch of this loader was started: one at a time")
            yield answer

    def _start(self) -> DataLoader[Answer]:
        return DataLoader(
            self._reader,  # type: ignore[arg-type]  # torch types data sets as Dataset[T], any __getitem__ serves
            sampler=self._plan,
            batch_size=None,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=_as_it_is,
            worker_init_fn=_begin_worker,
            pin_memory=self._pin,
            generator=torch.Generator(),  # without one every epoch would draw from torch's global generator
        )

    def _take_in(self, bad: dict[int, BadFile]) -> None:
        """Keep failures; stop when there are too many."""
        for index, failure in bad.items():
            if self._on_bad == "raise":
                raise UndecodableMedia(failure.problem("`data.on_bad: quarantine` sets such files aside"))
            self.bad[index] = failure
            self.quarantine.add(failure)
        found, count = len(self.bad), len(self.split.samples)
        if bad and (found == count or (found >= FEW and found > self._max_bad * count)):
            examples = [failure.problem() for failure in itertools.islice(self.bad.values(), FEW)]
            share = f"{found} of {count} files of the {self.split.name} split cannot be read"
            raise DataError([Problem(share, hint="`data.max_bad` is the part that is tolerated"), *examples])


class _Plan:
    """The requests of the coming epoch; what `DataLoader` asks for the order of its samples."""

    def __init__(self) -> None:
        self.requests: Sequence[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)


def choose_workers(samples: int) -> int:
    """What `workers: auto` means: a process per core but one, and none for a handful of samples.

    Args:
        samples: in the split.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if samples < 32 else min(MOST_WORKERS, max(1, cores - 1))


def _as_it_is(answer: Any) -> Any:
    return answer


def _begin_worker(number: int) -> None:
    """Leave Ctrl-C to the main process: it finishes its step, writes a checkpoint and then ends its workers."""
    del number
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
