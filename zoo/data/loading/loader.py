"""Batches of a split, in an order and with draws that follow from the seed alone."""

from __future__ import annotations

import itertools
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import torch
from torch.utils.data import DataLoader

from zoo.data.decode.film import Decoder
from zoo.data.loading.lanes import LaneReader, Lanes
from zoo.data.loading.plan import Balance, Request, Sampling, Share, dealt, in_order, requests
from zoo.data.loading.quarantine import BadFile, Quarantine
from zoo.data.loading.reader import Answer, Reader
from zoo.data.loading.watch import Watch
from zoo.data.stream_split import StreamSplit, name_of
from zoo_registry.errors import DataError, Problem, UndecodableMedia

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.split import Split
    from zoo_registry.entries import AudioSpec, ClipSpec
    from zoo_registry.protocols import Augment, Batch

T = TypeVar("T")

MOST_WORKERS = 8
"""What `auto` stops at: beyond it one process that collects the batches is the bottleneck."""

PATIENCE = 300.0
"""Seconds that one sample may take to read; decoding has a shorter limit of its own, this is for what never returns."""

LOOK = 5.0
"""Seconds without an answer after which the loader looks at what its workers are doing."""

MOST_REPLACED = 3
"""Times in a row that a worker which died is replaced before the run ends; one that hangs always is."""

FEW = 3
"""So many bad files stop no run by their share alone; all files of a split always do."""


class Loader:
    """Reads a split batch by batch; its worker processes live until it is closed.

    In training clips lie on `clip.canvas` with position and window drawn per clip, and a file that cannot be read is
    replaced by another sample. In evaluation clips are spread evenly over the film and cropped to `clip.size`, and a
    bad file is left out. Either way it is put in quarantine, once, with its reason.

    Order, draws and substitutes are functions of (seed, epoch), (seed, epoch, index, view) and (seed, epoch, index);
    the number of workers changes nothing. Of a `StreamSplit`, which `zoo.data.loading.lanes` reads, bad samples are
    left out.

    Args:
        split: samples and labels.
        inputs: keys of `Batch.inputs`, in the order the model takes them: `clip_bcthw`, `audio_bcn`.
        clip: what clips look like, None when the model takes none.
        audio: what the sound looks like, None when the model takes none.
        batch: samples per batch; the last one of an epoch may be smaller. In evaluation of films as large as they are
            it is one.
        views: clips per sample.
        crops: of every clip in evaluation, 1 or 3: the centre, or both ends of the longer side besides. Rows
            `i * V + v` of a batch hold view v of its i-th sample, V = views * crops, v = clip * crops + crop.
        train: drawn clips in drawn order, or all clips in order.
        seed: of everything drawn.
        balance: in training, how often samples of rare classes are shown; see `zoo.data.loading.plan.Sampling`.
        repeat: in training, how often in a row every sample is shown, with draws of its own.
        augment: changes of every batch that are made in the worker.
        workers: processes that decode; 0 decodes in this one; `auto` is what `choose_workers` says.
        decoder: what decodes films. Clips that stay on a GPU are decoded in this process.
        on_bad: `quarantine`, or `raise` the first failure.
        quarantine: where bad files go; None keeps them in memory.
        max_bad: the run stops when more than this part of the split turned out bad.
        pin_memory: page-locked batches for faster copies to a GPU; None when CUDA is there.
        patience: seconds that a worker may spend on one sample; then it is replaced, and the sample counts as bad.
        share: which part of each epoch this process reads, where several work together; None asks `torch.distributed`.
            Together they show every sample once; in training all have the same number of batches, for which a sample
            may come again. A stream's shards are dealt out whole.

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
        crops: Literal[1, 3] = 1,
        train: bool,
        seed: int = 0,
        balance: Balance = "none",
        repeat: int = 1,
        augment: Augment | None = None,
        workers: int | Literal["auto"] = "auto",
        decoder: Decoder = Decoder(),
        on_bad: Literal["quarantine", "raise"] = "quarantine",
        quarantine: Quarantine | None = None,
        max_bad: float = 0.5,
        pin_memory: bool | None = None,
        patience: float = PATIENCE,
        share: Share | None = None,
    ) -> None:
        if clip is not None and clip.native and not train:
            batch = 1
        self.split, self.batch, self.views, self.train, self.seed = split, batch, views * crops, train, seed
        self.quarantine = Quarantine() if quarantine is None else quarantine
        self.bad: dict[int, BadFile] = {}
        """Index and reason of every sample found bad so far."""
        self.seconds_waited = 0.0
        """How long `epoch` has kept its caller waiting for data, in all."""
        self.seconds_decoding = 0.0
        """How long workers have read and decoded, in all and added up."""
        self.seconds_augmenting = 0.0
        """How long they have augmented."""
        self._on_bad, self._max_bad, self._patience = on_bad, max_bad, patience
        self._look = min(LOOK, patience)
        self._share = Share.own() if share is None else share
        if decoder.stays_on_device and workers not in ("auto", 0):
            raise DataError(
                f"clips that stay on a GPU cannot come from {workers} other processes",
                hint="write `data.workers: 0`, or leave `data.decoder.hardware` out",
            )
        self.workers = choose_workers(_count(split), decoder) if workers == "auto" else workers
        self._watch = Watch(self.workers)
        reader = Reader(
            split, inputs=inputs, clip=clip, audio=audio, views=views, crops=crops, train=train, seed=seed,
            augment=augment, watch=self._watch, decoder=decoder,
        )  # fmt: skip
        self._reader: Reader | LaneReader = reader
        self._lanes: Lanes | None = None
        self._sampling: Sampling | None = None
        if isinstance(split, StreamSplit):
            repeat = repeat if train else 1
            dealt = {"repeat": repeat, "rank": self._share.rank, "ranks": self._share.ranks}
            self._lanes = Lanes(split, batch, self.workers, balance=balance if train else "none", **dealt)
            self._reader = LaneReader(reader, split, batch, **dealt)
        elif train:
            self._sampling = Sampling(split, seed, balance, repeat, self._share)
        # In training every process comes across all samples in time, in evaluation only across its own.
        self._readable = -(-len(split.samples) // (1 if train else self._share.ranks))
        self._pin = torch.cuda.is_available() and not decoder.stays_on_device if pin_memory is None else pin_memory
        self._plan, self._turn = _Plan(), object()
        self._answers: DataLoader[Answer] | None = None

    @property
    def batches(self) -> int | None:
        """Batches per epoch of this process; None for a stream of which nobody knows how long it is."""
        if self._lanes is not None:
            return self._lanes.batches
        count = len(self.split.samples) if self._sampling is None else len(self._sampling)
        return requests(count, self.batch, self._share, level=self.train)

    def __len__(self) -> int:
        """Batches per epoch.

        Raises:
            TypeError: nobody knows; see `batches`.
        """
        if self.batches is None:
            raise TypeError(f"nobody knows how many batches the {self.split.name} split has: it is a stream")
        return self.batches

    def weight(self, number: int) -> float:
        """How much the loss of a training batch counts, so that the mean over all processes is that over all samples.

        1 where every process has as many samples in the step, 0 where a sample of the epoch's beginning stands in.

        Args:
            number: of the batch in the epoch, the first is 0.
        """
        if self._sampling is None:
            return 1.0
        left = len(self._sampling) - number * self.batch * self._share.ranks
        _, size = dealt(left, self.batch, self._share)
        return size * self._share.ranks / min(self.batch * self._share.ranks, left)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch; one epoch of a loader at a time.

        Args:
            epoch: decides order and draws in training; evaluation is the same every time.
            start: batches already consumed; what follows is exactly what would have followed them.

        Yields:
            uint8 clips on the CPU. In evaluation a batch is smaller by its bad files, and missing when nothing is left.

        Raises:
            UndecodableMedia: a bad file, with `on_bad="raise"`.
            DataError: too many files are bad, worker processes die again and again, or one hangs on a stream.
        """
        if self._lanes is not None:
            epoch = epoch if self.train else 0
            answered = self._answered(self._lanes.requests(epoch, start))
            batches = self._lanes.batches_of(answered, start, cut=self.train)
            return batches if start else self._some(batches)
        if self._sampling is not None:  # bad files are substituted: every request gives a batch and may be left out
            return self._batches(self._sampling.plan(epoch, self.batch, start))
        plan = in_order(len(self.split.samples), epoch, self.batch, self._share)
        return itertools.islice(self._batches(plan), start, None)

    def _some(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches of a stream; one that ends without any had bad samples only."""
        batch = None
        for batch in batches:
            yield batch
        if batch is None and self.bad:
            self._refuse(len(self.bad), len(self.bad))

    def clip(self, index: int, view: int = 0) -> Tensor:
        """The clip that evaluation showed as this view of this sample: uint8 (C, T, H, W)."""
        return self._reader.clip_of(index, view)

    def close(self) -> None:
        """End the worker processes; the loader starts new ones when it is used again."""
        self._answers = None

    def _batches(self, plan: Iterable[Request]) -> Iterator[Batch]:
        return (answer.batch for answer in self._answered(plan) if answer.batch is not None)

    def _answered(self, plan: Iterable[Any]) -> Iterator[Answer]:
        """Answers without an error; what they say about bad files and time is taken in."""
        for answer in self._read(plan):
            if answer.crash:
                raise RuntimeError(answer.crash)
            if answer.error is not None:
                raise answer.error
            self.seconds_decoding += answer.decode
            self.seconds_augmenting += answer.augment
            self._take_in(answer)
            yield answer

    def _read(self, plan: Iterable[Any]) -> Iterator[Answer]:
        """Answers in the order of the plan, however many workers give them."""
        turn = self._turn = object()
        given, died = 0, 0
        answers = self._begin(plan)
        while True:
            began = time.perf_counter()
            try:
                answer = self._next(answers)
            except _WorkerLost as lost:
                died = 0 if lost.index is not None else died + 1
                del answers  # ends the workers
                self._replace(lost, died)
                answers = self._begin(itertools.islice(plan, given, None))
                continue
            finally:
                self.seconds_waited += time.perf_counter() - began
            if answer is None:
                return
            if self._turn is not turn:
                raise RuntimeError("another epoch of this loader was started: one at a time")
            given, died = given + 1, 0
            yield answer

    def _begin(self, plan: Iterable[Any]) -> Iterator[Answer]:
        """A new epoch of workers that live on; torch first waits for what an epoch left early had asked for."""
        if self._answers is None:
            self._answers = self._start()
        self._plan.requests = plan
        answers = self._answers
        return self._patiently(lambda: iter(answers))

    def _next(self, answers: Iterator[Answer]) -> Answer | None:
        """The next answer, None after the last."""
        return self._patiently(lambda: next(answers, None))

    def _patiently(self, wait: Callable[[], T]) -> T:
        """What workers are waited for, as long as they live and work."""
        while True:
            try:
                return wait()
            except RuntimeError as error:
                if "DataLoader timed out" in str(error):
                    self._see_that_none_hangs()
                    continue  # they are busy: keep waiting
                if "DataLoader worker" not in str(error):
                    raise
                lost = _WorkerLost(f"a process that reads the {self.split.name} split died: {error}")
            raise lost

    def _see_that_none_hangs(self) -> None:
        longest = self._watch.longest()
        if longest is None or longest[1] < self._patience:
            return
        index, seconds = longest
        raise _WorkerLost(
            f"a process that reads the {self.split.name} split has been at {name_of(self.split, index)} for "
            f"{seconds:.0f} s and does not come back",
            index,
        )

    def _replace(self, lost: _WorkerLost, died: int) -> None:
        """Start new workers on what was not answered, without the sample that one of them hung at.

        Raises:
            DataError: they die again and again, or read a stream, which cannot be entered in the middle.
        """
        self.close()
        self._watch.forget()
        if isinstance(self._reader, LaneReader) or died > MOST_REPLACED:
            raise DataError(lost.said, hint=_HANGS if lost.index is not None else _DIES) from lost
        warnings.warn(f"{lost.said}; it was replaced", stacklevel=2)
        if lost.index is not None:
            self._reader.give_up(lost.index, "a process that read it did not come back and was replaced")

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
            timeout=self._look if self.workers else 0,
            generator=torch.Generator(),  # without one every epoch would draw from torch's global generator
        )

    def _take_in(self, answer: Answer) -> None:
        """Keep failures; stop when there are too many."""
        for index, failure in answer.bad.items():
            if self._on_bad == "raise":
                raise UndecodableMedia(failure.problem("`data.on_bad: quarantine` sets such files aside"))
            self.bad[index] = failure
            self.quarantine.add(failure)
        found = len(self.bad)
        of = self._lanes.share_of_bad(answer, found) if self._lanes is not None else self._readable
        if answer.bad and of is not None and (found == of or (found >= FEW and found > self._max_bad * of)):
            self._refuse(found, of)

    def _refuse(self, found: int, of: int) -> NoReturn:
        examples = [failure.problem() for failure in itertools.islice(self.bad.values(), FEW)]
        share = f"{found} of {of} files of the {self.split.name} split cannot be read"
        raise DataError([Problem(share, hint="`data.max_bad` is the part that is tolerated"), *examples])


_HANGS = (
    "a disk or network folder that does not answer, or a file that a decoder never finishes; "
    "take the file out of the list and go on with `zoo run --resume`"
)
_DIES = "often memory, or a small /dev/shm: try `--set data.workers=0`"


class _WorkerLost(Exception):
    """A worker died, or hangs at the sample `index`."""

    def __init__(self, said: str, index: int | None = None) -> None:
        super().__init__(said)
        self.said, self.index = said, index


class _Plan:
    """The requests of the coming epoch; what `DataLoader` asks for the order of its samples."""

    def __init__(self) -> None:
        self.requests: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.requests)


def choose_workers(samples: int | None, decoder: Decoder = Decoder()) -> int:
    """What `workers: auto` means: a process per core but one; none for a handful of samples, or clips left on a GPU.

    Where several processes train on this machine (LOCAL_WORLD_SIZE, as torchrun sets it) they share its cores.

    Args:
        samples: in the split; None where nobody knows.
        decoder: what decodes films.
    """
    if decoder.stays_on_device:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return 0 if samples is not None and samples < 32 else min(MOST_WORKERS, max(1, cores - 1))


def _count(split: Split) -> int | None:
    return split.stream.count if isinstance(split, StreamSplit) else len(split.samples)


def _as_it_is(answer: Any) -> Any:
    return answer


def _begin_worker(number: int) -> None:
    """Leave Ctrl-C to the main process: it finishes its step, writes a checkpoint and then ends its workers."""
    del number
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
