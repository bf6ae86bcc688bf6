"""Films that are decoded wait for each other a little, and the model is asked about several at once."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.preprocess import Preprocess
from zoo.serving.film_reader import Wanted
from zoo.serving.limits import Limits
from zoo.serving.measures import Measures
from zoo_registry.errors import ZooError
from zoo_registry.protocols import Batch, select_rows

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo_registry.entries import ClipSpec

log = logging.getLogger("zoo.serving")

Inputs = dict[str, Tensor]
"""Of one film: each (V, ...), a row for every view."""


@dataclass(frozen=True)
class Answered:
    """What the model said of a film.

    Attributes:
        row: as its task words it; numbers that JSON has no word for are None.
        waited: seconds until the model was asked.
        seconds: that it took, for all films of the batch together.
        films: how many those were.
    """

    row: dict[str, Any]
    waited: float
    seconds: float
    films: int


@dataclass
class _Waiting:
    inputs: Inputs
    done: Callable[[], None]
    came: float = field(default_factory=time.perf_counter)
    answer: Future[Answered] = field(default_factory=Future)


class Batches:
    """The one thread that asks the model.

    It takes what waits, and while that is less than a batch holds, what comes within `limits.wait` of the first. Films
    that fail together are asked about one by one, so that none fails for another. It asks about no more bytes at once
    than one film may have.

    Args:
        model: in eval mode; nobody else may use it.
        limits: `batch`, `wait` and `clip`.
        measures: is told how large batches were.
    """

    def __init__(self, model: ZooModel, limits: Limits, measures: Measures) -> None:
        self._model, self._limits, self._measures = model, limits, measures
        self._reader = model.reader
        self._preprocess = None if prepares(model) else Preprocess(model.clip).to(model.device)
        self._most = limits.batch
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def ask(self, inputs: Inputs, done: Callable[[], None]) -> Future[Answered]:
        """Have a film answered; cancelled before its turn it costs nothing.

        Args:
            inputs: of the film.
            done: called when they are not needed any more, in the thread that asks the model.
        """
        waiting = _Waiting(inputs, done)
        self._queue.put(waiting)
        return waiting.answer

    def close(self) -> None:
        """Answer nothing more."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(2)

    @property
    def length(self) -> int:
        """Films that wait."""
        return self._queue.qsize()

    def answers(self) -> bool:
        """Whether the model can be asked: its thread lives, and has not been at one batch for too long."""
        since = self._busy_since
        return self._thread.is_alive() and (since is None or time.perf_counter() - since < self._limits.timeout)

    def warm_up(self, wanted: Wanted) -> str | None:
        """Ask about films of nothing, one and as many as a batch holds: the first answers take several times as long.

        Returns:
            What to tell the user: that the model takes no batches, as a file that was exported for one clip does.

        Raises:
            ZooError: it cannot answer about a single one.
        """
        film = _nothing(wanted, self._model.clip)
        if film is None:
            return None
        self._answer([film])
        try:
            if self._most > 1:
                self._answer([film] * self._most)
        except Exception as error:  # whatever a runtime raises of a batch that it was not made for
            self._most = 1
            return f"{self._model.name} is asked about one film at a time: it takes no batch ({_first_line(error)})"
        return None

    def _run(self) -> None:
        for waiting in self._batches():
            together = []
            for film in waiting:
                if film.answer.set_running_or_notify_cancel():
                    together.append(film)
                else:
                    film.done()
            for films in _alike(together, self._limits.clip):
                self._busy_since = time.perf_counter()
                self._answer_each(films)
                self._busy_since = None

    def _batches(self) -> Iterator[list[_Waiting]]:
        """What is asked about together; ends when nothing more is answered."""
        while True:
            first = self._queue.get()
            if first is None:
                return
            films = [first]
            until = first.came + self._limits.wait
            while len(films) < self._most:
                try:
                    left = until - time.perf_counter()
                    film = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
                except queue.Empty:
                    break
                if film is None:
                    yield films
                    return
                films.append(film)
            yield films

    def _answer_each(self, films: Sequence[_Waiting]) -> None:
        """Answer films of one shape."""
        began = time.perf_counter()
        try:
            rows = self._answer([film.inputs for film in films])
        except Exception as error:
            if len(films) > 1:
                log.warning("%d films failed together (%s); they are asked about alone", len(films), _first_line(error))
                traceback.clear_frames(error.__traceback__)
                for film in films:
                    self._answer_each([film])
                return
            traceback.clear_frames(error.__traceback__)  # they hold the film
            films[0].done()
            films[0].answer.set_exception(error)
            return
        took = time.perf_counter() - began
        self._measures.batch_films.observe(len(films))
        for film, row in zip(films, rows, strict=True):
            film.done()
            film.answer.set_result(Answered(row, began - film.came, took, len(films)))

    @torch.no_grad()
    def _answer(self, films: Sequence[Inputs]) -> list[dict[str, Any]]:
        """A row for each film: read as `ZooModel.predict` does it."""
        inputs = {
            key: torch.cat([film[key] for film in films]) if len(films) > 1 else films[0][key]
            for key in self._model.inputs
        }
        views = len(next(iter(films[0].values())))
        index = torch.arange(len(films)).repeat_interleave(views)
        view = torch.arange(views).repeat(len(films))
        batch = Batch(inputs, {}, index, view).to(self._model.device)
        if self._preprocess is not None:
            batch = self._preprocess(batch)
        outputs = self._reader.predict(self._model, batch)
        rows = []
        for film in range(len(films)):
            places = range(film * views, (film + 1) * views)
            merged = self._reader.merge([select_rows(outputs, slice(place, place + 1)) for place in places])
            rows.append(as_json(dict(self._reader.readable(merged)[0])))
        return rows


def as_json(value: Any) -> Any:
    """A value as JSON has it: there, numbers are finite.

    Example:
        >>> as_json({"psnr": float("inf"), "top5": ({"score": 0.5},)})
        {'psnr': None, 'top5': [{'score': 0.5}]}
    """
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _alike(films: Sequence[_Waiting], most: int) -> list[list[_Waiting]]:
    """Films whose inputs can be stacked, of so many bytes together, or one.

    Those of a model that leaves films as large as they are differ.
    """
    groups: list[list[_Waiting]] = []
    open_groups: dict[tuple[Any, ...], list[_Waiting]] = {}
    for film in films:
        shapes = tuple((key, tuple(tensor.shape)) for key, tensor in film.inputs.items())
        group = open_groups.get(shapes)
        size = sum(tensor.nbytes for tensor in film.inputs.values())  # of each one in the group
        if group is None or (len(group) + 1) * size > most:
            group = open_groups[shapes] = []
            groups.append(group)
        group.append(film)
    return groups


def prepares(model: ZooModel) -> bool:
    """Whether a model is an exported file that takes frames as films have them, and prepares them itself."""
    return bool(getattr(model, "prepares", False))


def _nothing(wanted: Wanted, clip: ClipSpec | None) -> Inputs | None:
    """A dark and silent film; None where nobody can know how large one is."""
    inputs: Inputs = {}
    for key in wanted.inputs:
        if key == "audio_bcn" and wanted.audio is not None:
            inputs[key] = torch.zeros(wanted.views, wanted.audio.channels, wanted.audio.samples)
        elif clip is None or clip.native:
            return None
        else:
            inputs[key] = torch.zeros(wanted.views, 3, clip.frames, *clip.height_width, dtype=torch.uint8)
    return inputs


def _first_line(error: Exception) -> str:
    said = error.problems[0].message if isinstance(error, ZooError) else str(error).partition("\n")[0]
    return f"{type(error).__name__}: {said}"[:200]
