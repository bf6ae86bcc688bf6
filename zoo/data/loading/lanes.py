"""Batches of a stream of shards: split by process and worker, shuffled, resumable, whatever the number of workers.

The shards of an epoch are dealt out to a fixed number of lanes. Every lane is read by one worker, has a shuffle buffer
of its own and gives batches in an order that follows from the seed; batches come from the lanes in turn. So which
worker reads which lane changes nothing.
"""

from __future__ import annotations

import itertools
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from zoo.data.decode.film import undecodable
from zoo.data.loading.draws import shard_order, shuffle_stream
from zoo.data.loading.reader import MOST_SUBSTITUTES, Answer, Row, failure
from zoo.data.stream_split import SHARD_BITS, index_in_stream
from zoo.data.targets import stacked_shapes
from zoo_registry.errors import DataError, Problem, UndecodableMedia, ZooError
from zoo_registry.protocols import Batch, select_rows

if TYPE_CHECKING:
    from zoo.data.loading.plan import Balance
    from zoo.data.loading.quarantine import BadFile
    from zoo.data.loading.reader import Reader
    from zoo.data.stream_split import StreamSplit
    from zoo_registry.protocols import Sample

LANES = 8
"""How many shards are read side by side at most: also the most workers that a stream can keep busy."""

ENOUGH = 64
"""Samples of a stream that have to be seen before their share of bad ones can stop a run."""

MOST_HELD = 512 * 1024**2
"""Bytes of media that a shuffle buffer holds at most, however few samples that are; there are up to `LANES` buffers."""

WHOLE_SHARD = (1 << SHARD_BITS) - 1
"""The place in a shard that stands for the shard itself, where it could not be read."""


@dataclass(frozen=True)
class LaneRequest:
    """The next batch of a lane.

    Attributes:
        epoch: whose shards.
        lane: which of them.
        number: of the batch in its lane; 0 begins the lane anew.
        decode: False for a batch that is passed over, because a resumed run has had it.
    """

    epoch: int
    lane: int
    number: int
    decode: bool


@dataclass(frozen=True)
class LaneAnswer(Answer):
    """What comes back.

    Attributes:
        attempted: samples that were taken out of the lane, the bad ones included.
        ended: the lane has no more.
        lane: which one; -1 for a request that only kept workers in step.
    """

    attempted: int = 0
    ended: bool = False
    lane: int = -1


class Lanes:
    """Asks for the batches of a stream and puts them in order; in the main process.

    Args:
        split: the stream.
        batch: samples per batch.
        workers: processes that read.
        balance: has to be `none`: a stream cannot be asked for samples of a class.
        repeat: how often in a row every sample comes.
        rank: number of this process where several train together.
        ranks: how many do; each reads its own shards, and ends after its part of the samples or when it has no more.

    Raises:
        DataError: something that a stream cannot do.
    """

    def __init__(
        self,
        split: StreamSplit,
        batch: int,
        workers: int,
        *,
        balance: Balance = "none",
        repeat: int = 1,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if balance != "none":
            raise DataError(
                f"data.balance: {balance} needs samples that can be asked for by number; the {split.name} split is a "
                "stream of shards",
                hint="shards on a local disk can be asked; or write `balance: none`",
            )
        self._split, self._batch, self._repeat, self._ranks = split, batch, repeat, ranks
        self.count = lane_count(split, rank, ranks)
        # Torch hands request i to worker i % workers: with a whole number of turns a lane keeps its worker.
        self._turns = -(-self.count // max(1, workers)) * max(1, workers)
        self._seen = self._most_seen = 0
        self._broken_shards: set[int] = set()

    @property
    def batches(self) -> int | None:
        """Batches per epoch, None where nobody knows."""
        count = self._split.stream.count
        return None if count is None else -(-count * self._repeat // (self._batch * self._ranks))

    def requests(self, epoch: int, start: int) -> Iterator[LaneRequest | None]:
        """Requests without an end; the first `start` of them give batches that nobody wants."""
        asked = 0
        for number in itertools.count():
            for lane in range(self._turns):
                if lane >= self.count:
                    yield None
                    continue
                yield LaneRequest(epoch, lane, number, decode=asked >= start)
                asked += 1

    def batches_of(self, answers: Iterable[Answer], start: int, *, cut: bool) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on.

        What is left at the end of the lanes is joined, as far as it fits into one batch.

        Args:
            answers: to `requests`, in order.
            start: batches to leave out.
            cut: whether the epoch ends after `batches`, and has to have as many.

        Raises:
            DataError: the stream is shorter than it said.
        """
        self._seen, given = 0, 0
        limit = self.batches if cut else None
        for batch in self._joined(answers):
            if given == limit:
                return
            given += 1
            if given > start and batch is not None:
                yield batch
        if limit is not None and given < limit and self._ranks == 1 and not self._broken_shards:
            held = self._seen // self._repeat
            raise DataError(
                f"the shards of the {self._split.name} split hold {held} samples, not {self._split.stream.count}",
                hint=f"write `samples: {held}` in the params of data.{self._split.name}",
            )

    def _joined(self, answers: Iterable[Answer]) -> Iterator[Batch | None]:
        """Whole batches as they come, the shorter ones at the end of a lane joined; None where all samples were bad."""
        rest: list[Batch] = []
        waiting, ended = 0, set()
        for answer in answers:
            assert isinstance(answer, LaneAnswer)
            if answer.attempted == self._batch:
                yield answer.batch
            elif answer.attempted:
                if waiting + answer.attempted > self._batch:
                    yield join(rest)
                    rest, waiting = [], 0
                rest += [] if answer.batch is None else [answer.batch]
                waiting += answer.attempted
            if answer.ended:
                ended.add(answer.lane)
            if len(ended - {-1}) == self.count:
                break
        if waiting:
            yield join(rest)

    def share_of_bad(self, answer: Answer, found: int) -> int | None:
        """Of how many samples `found` turned out bad; None while too few were seen to judge."""
        assert isinstance(answer, LaneAnswer)
        self._seen += answer.attempted
        self._most_seen = max(self._most_seen, self._seen)
        self._broken_shards |= {index for index in answer.bad if index % (1 << SHARD_BITS) == WHOLE_SHARD}
        if len(self._broken_shards) == len(self._split.stream.shards) and not self._most_seen:
            return found
        return max(found, self._most_seen) if self._most_seen >= ENOUGH else None


def lane_count(split: StreamSplit, rank: int = 0, ranks: int = 1) -> int:
    """How many lanes the shards of a process make."""
    own = len(range(rank, len(split.stream.shards), ranks))
    if not own:
        raise DataError(
            f"{len(split.stream.shards)} shards of the {split.name} split are too few for {ranks} processes",
            hint="write more, smaller shards",
        )
    return min(LANES, own)


def join(parts: list[Batch]) -> Batch | None:
    """Several batches as one; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    first = parts[0]
    kinds = {stacked_shapes(select_rows(part.targets, slice(0, 1))) for part in parts}
    if len(kinds) > 1:
        raise DataError(
            f"samples of a stream have targets of different shapes: {' or '.join(sorted(map(str, kinds)))}",
            hint="every sample of a split needs the same targets",
        )
    return Batch(
        {key: torch.cat([part.inputs[key] for part in parts]) for key in first.inputs},
        {key: _join([part.targets[key] for part in parts]) for key in first.targets},
        torch.cat([part.index for part in parts]),
        torch.cat([part.view for part in parts]),
    )


def _join(values: list[Any]) -> Any:
    return list(itertools.chain(*values)) if isinstance(values[0], list) else torch.cat(values)


@dataclass(frozen=True)
class _Taken:
    """Something that came out of a lane: a sample, or what could not be read."""

    index: int
    sample: Sample | None
    copy: int = 0
    bad: BadFile | None = None


@dataclass
class _Lane:
    """A lane under way.

    Attributes:
        epoch: whose shards it reads.
        number: of the batch that comes next.
        taken: what is still to come.
        stand_in: the sample in place of a batch of bad ones, once it was searched for.
    """

    epoch: int
    number: int
    taken: Iterator[_Taken]
    stand_in: _Taken | None = None


class LaneReader:
    """Reads the lanes of a stream; `torch.utils.data.DataLoader` takes it for a data set asked by `LaneRequest`.

    Args:
        reader: decodes samples.
        split: the stream.
        batch: samples per batch.
        repeat: how often in a row every sample comes.
        rank: see `Lanes`.
        ranks: likewise.
    """

    def __init__(
        self, reader: Reader, split: StreamSplit, batch: int, *, repeat: int = 1, rank: int = 0, ranks: int = 1
    ) -> None:
        self._reader, self._split, self._batch, self._repeat = reader, split, batch, repeat
        self._rank, self._ranks, self._count = rank, ranks, lane_count(split, rank, ranks)
        self._lanes: dict[int, _Lane] = {}

    def __getitem__(self, request: LaneRequest | None) -> LaneAnswer:
        if request is None:
            return LaneAnswer()
        try:
            return self._answer(request)
        except ZooError as error:
            return LaneAnswer(error=error)
        except Exception:
            return LaneAnswer(crash=f"while reading lane {request.lane}:\n{traceback.format_exc()}")

    def clip_of(self, index: int, view: int) -> torch.Tensor:
        """Not of a stream.

        Raises:
            DataError: always.
        """
        message = f"{self._split.name_of(index)} cannot be read again: the {self._split.name} split is a stream"
        raise DataError(message, hint="tar files on a disk without `stream: true` can be asked for a film")

    def _answer(self, request: LaneRequest) -> LaneAnswer:
        began = time.perf_counter()
        taken = list(self._take(request))
        bad = {one.index: one.bad for one in taken if one.bad is not None}
        samples = [one for one in taken if one.sample is not None]
        ended = len(samples) < self._batch
        rows: list[Row] = []
        if request.decode or ended:  # what is left of a lane may be joined with what is wanted
            rows = list(self._rows(samples, request.epoch, bad))
            if samples and not rows and self._reader.train:
                rows = self._stand_in(request)
        seconds = time.perf_counter() - began
        answer = self._reader.answer(rows, bad, seconds, request.epoch, request.lane, request.number)
        if answer.error is not None or answer.crash:
            return LaneAnswer(error=answer.error, crash=answer.crash)
        return LaneAnswer(
            answer.batch, bad, decode=seconds, augment=answer.augment,
            attempted=len(samples), ended=ended, lane=request.lane,
        )  # fmt: skip

    def _rows(self, samples: list[_Taken], epoch: int, bad: dict[int, BadFile]) -> Iterator[Row]:
        """The samples that can be read; the copies of one in one pass."""
        for index, copies in itertools.groupby(samples, key=lambda taken: taken.index):
            shown = list(copies)
            sample = shown[0].sample
            assert sample is not None
            try:
                with self._reader.reading(index):
                    yield self._reader.row(
                        sample, index, drawn_for=index, epoch=epoch, copies=[taken.copy for taken in shown]
                    )
            except UndecodableMedia as error:
                bad[index] = failure(self._split.name, sample, error)

    def _stand_in(self, request: LaneRequest) -> list[Row]:
        """A sample for a batch of bad ones: in training every request gives a batch, or a resumed run would miscount.

        It is the first of the lane that can be read, or of the lanes after it: so it depends on nothing that was read
        before, and a resumed run finds the same.
        """
        lane, given_up = self._lanes[request.lane], False
        bad: dict[int, BadFile] = {}  # told when their own turn comes
        if lane.stand_in is not None:
            return list(self._rows([lane.stand_in], request.epoch, bad))
        for turn in range(self._count):
            others = replace(request, lane=(request.lane + turn) % self._count)
            samples = (one for one in self._in_order(others) if one.sample is not None)
            for one in itertools.islice(samples, MOST_SUBSTITUTES):
                if rows := list(self._rows([one], request.epoch, bad)):
                    lane.stand_in = one
                    return rows
            given_up |= next(samples, None) is not None
        if given_up:
            told = [found.problem() for found in itertools.islice(bad.values(), 3)]
            share = f"none of {len(bad)} samples from the beginnings of the {self._split.name} shards can be read"
            raise DataError([Problem(share, hint="are they films, and whole?"), *told])
        return []

    def _take(self, request: LaneRequest) -> Iterator[_Taken]:
        """What makes the next batch of a lane."""
        if request.number == 0:
            taken = self._shuffled(request) if self._reader.train else self._in_order(request)
            self._lanes[request.lane] = _Lane(request.epoch, 0, taken)
        lane = self._lanes[request.lane]
        if (lane.epoch, lane.number) != (request.epoch, request.number):
            raise RuntimeError(f"batch {request.number} of lane {request.lane} was asked for out of turn")
        lane.number += 1
        wanted = self._batch
        while wanted and (one := next(lane.taken, None)) is not None:
            wanted -= one.sample is not None
            yield one

    def _in_order(self, request: LaneRequest) -> Iterator[_Taken]:
        """The samples of a lane's shards, one shard after the other."""
        stream, count = self._split.stream, len(self._split.stream.shards)
        order = shard_order(count, self._reader.seed, request.epoch) if self._reader.train else range(count)
        for number in order[self._rank :: self._ranks][request.lane :: self._count]:
            shard, place = int(number), 0
            try:
                samples = iter(stream.read(shard))
                while True:
                    with self._reader.reading(index_in_stream(shard, place)):
                        sample = next(samples, None)
                    if sample is None:
                        break
                    yield _Taken(index_in_stream(shard, place), sample)
                    place += 1
            except ZooError as error:
                yield _Taken(index_in_stream(shard, WHOLE_SHARD), None, bad=self._broken(shard, place, error))

    def _broken(self, shard: int, place: int, error: ZooError) -> BadFile:
        from zoo_registry.protocols import Sample

        name, problem = self._split.stream.shards[shard], error.problems[0]
        after = f" after {place} samples" if place else ""
        told = undecodable(name, f"the shard cannot be read{after}: {problem.message}")
        return replace(
            failure(self._split.name, Sample(name), told), traceback="".join(traceback.format_exception(error))
        )

    def _shuffled(self, request: LaneRequest) -> Iterator[_Taken]:
        """The same, mixed in a buffer: each sample leaves it from a drawn place, which the next one takes.

        The buffer is full when it holds as many samples as the stream says, or `MOST_HELD` bytes.
        """
        bits = shuffle_stream(self._reader.seed, request.epoch, request.lane + self._rank * LANES)
        held: list[_Taken] = []
        size = 0
        for one in self._in_order(request):
            if one.sample is None:
                yield one
                continue
            size += _bytes(one.sample)
            while held and (len(held) >= self._split.stream.buffer or size > MOST_HELD):
                at = int(bits.random_raw()) % len(held)
                held[at], held[-1] = held[-1], held[at]
                leaving = held.pop()
                size -= _bytes(leaving.sample)
                yield from self._copies(leaving)
            held.append(one)
        while held:
            at = int(bits.random_raw()) % len(held)
            held[at], held[-1] = held[-1], held[at]
            yield from self._copies(held.pop())

    def _copies(self, taken: _Taken) -> Iterator[_Taken]:
        return (replace(taken, copy=copy) for copy in range(self._repeat))


def _bytes(sample: Sample | None) -> int:
    """Of media that is in memory."""
    return len(sample.media) if sample is not None and isinstance(sample.media, bytes) else 0
