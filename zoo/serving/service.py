"""From a request to an answer: let in, received, decoded, asked about; each step is bounded."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo.serving.batches import Batches, prepares
from zoo.serving.film_file import FilmFile, FilmFolder
from zoo.serving.film_kind import refuse_other_kinds
from zoo.serving.film_reader import CLIP, Wanted
from zoo.serving.film_readers import Decoded, FilmReaders
from zoo.serving.limits import Limits
from zoo.serving.measures import Measures
from zoo.serving.refusal import Refusal

if TYPE_CHECKING:
    from zoo.model import ZooModel

Bring = Callable[[FilmFile], Awaitable[None]]
"""Writes the film of a request into a file, or refuses to."""

_MEMORY = 0.1
"""How much the newest answer counts in how fast answers come."""

LONGEST_WAIT = 30
"""Seconds after which those who are told to come back later may do so at the latest."""


@dataclass(frozen=True)
class Served:
    """An answer.

    Attributes:
        row: as the model's task words it.
        seconds: by stage, see `zoo.serving.measures.STAGES`, and `total`.
    """

    row: dict[str, Any]
    seconds: dict[str, float]


def wanted_of(model: ZooModel, views: int) -> Wanted:
    """What a model takes of a film. An exported file that prepares pixels itself gets frames as the film has them."""
    clip = model.clip
    if clip is not None and prepares(model):
        clip = replace(clip, size="native", resize=None)
    return Wanted(model.inputs, clip, model.audio, views)


def _drop(reading: Future[Decoded]) -> None:
    """Forget a film that was decoded for nobody."""
    if not reading.cancelled() and reading.exception() is None:
        reading.result().drop()


class Service:
    """A model that films are sent to.

    Args:
        model: in eval mode; from now on only this asks it.
        limits: see there.
        views: clips of each film, whose answers are merged.

    Attributes:
        measures: what it measured.
        draining: nothing more is let in.
        notes: what to tell the user about the model.

    Raises:
        ArtefactError: the model has no task that could read its outputs.
        RunError: processes that decode do not start.
    """

    def __init__(self, model: ZooModel, limits: Limits, *, views: int = 1) -> None:
        self.model, self.limits, self.measures = model, limits, Measures()
        self.draining = False
        wanted = wanted_of(model, views)
        self._batches = Batches(model, limits, self.measures)
        note = self._batches.warm_up(wanted)
        self.notes = () if note is None else (note,)
        self._readers = FilmReaders(wanted, limits, self.measures)
        self._folder = FilmFolder()
        self._batches.start()
        self._in_work = 0
        # Clips of large films are large: only so many lie decoded and wait, the other films wait as they are.
        self._decoded = asyncio.Semaphore(limits.workers + 2 * limits.batch)
        self._pace, self._last = 0.0, time.perf_counter()
        self.measures.watch(lambda: self._in_work, limits.queue, lambda: self._batches.length)
        self.measures.name_model(model.name)

    @property
    def in_work(self) -> int:
        """Requests that are uploaded, wait or are answered."""
        return self._in_work

    @property
    def ready(self) -> bool:
        """Whether a film that is sent now may be answered."""
        return not self.draining and self._batches.answers()

    async def answer(self, bring: Bring, gone: Callable[[], Awaitable[None]]) -> Served:
        """Answer a film.

        Args:
            bring: writes it into a file.
            gone: returns when nobody waits for the answer any more; it is called once the film is there.

        Raises:
            Refusal: there is none, and why.
        """
        began = time.perf_counter()
        with self._let_in():
            try:
                async with asyncio.timeout(self.limits.timeout):
                    served = await self._answer(bring, gone, began)
            except TimeoutError:
                reason = f"there was no answer within {self.limits.timeout:g} s"
                raise Refusal(503, reason, retry_after=self._come_back()) from None
        self._count(served)
        return served

    def close(self) -> None:
        """End everything; what is still being answered is not."""
        self._batches.close()
        self._readers.close()
        self._folder.close()

    @contextmanager
    def _let_in(self) -> Iterator[None]:
        if self.draining:
            raise Refusal(503, "this server is shutting down", retry_after=1)
        if self._in_work >= self.limits.queue:
            reason = f"{self.limits.queue} requests are being answered, no more are let in"
            raise Refusal(429, reason, retry_after=self._come_back())
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    async def _answer(self, bring: Bring, gone: Callable[[], Awaitable[None]], began: float) -> Served:
        with self._folder.film(self.limits.size) as film:
            await bring(film)
            self.measures.received_bytes.inc(film.size)
            refuse_other_kinds(film.head, sound=CLIP not in self.model.inputs)
            received = time.perf_counter()
            work = asyncio.ensure_future(self._decode_and_ask(film, received - began, began))
            watch = asyncio.ensure_future(gone())
            try:
                await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    raise Refusal(499, "the sender left")
                return work.result()
            finally:
                work.cancel()
                watch.cancel()

    async def _decode_and_ask(self, film: FilmFile, receive: float, began: float) -> Served:
        asked = time.perf_counter()
        async with self._decoded:
            held_up = time.perf_counter() - asked
            decoded = await self._decode(film)
            answered = await asyncio.wrap_future(self._batches.ask(decoded.inputs, decoded.drop))
        seconds = {
            "receive": receive,
            "wait_decoder": held_up + decoded.waited,
            "decode": decoded.seconds,
            "wait_model": answered.waited,
            "inference": answered.seconds,
            "total": time.perf_counter() - began,
        }
        return Served(answered.row, {stage: round(value, 4) for stage, value in seconds.items()})

    async def _decode(self, film: FilmFile) -> Decoded:
        reading = self._readers.read(film.path)
        try:
            return await asyncio.wrap_future(reading)
        except asyncio.CancelledError:
            reading.add_done_callback(_drop)  # the process may be at it all the same
            raise

    def _count(self, served: Served) -> None:
        now = time.perf_counter()
        # Time between answers says how fast they come only while there are requests to answer.
        between = min(now - self._last, served.seconds["total"])
        self._pace, self._last = (1 - _MEMORY) * self._pace + _MEMORY * between, now
        self.measures.took(served.seconds)

    def _come_back(self) -> int:
        """Seconds until those who are here now are answered, as fast as answers came lately."""
        return max(1, min(LONGEST_WAIT, math.ceil(self._pace * self._in_work)))
