"""Answers to a stream, one window after the other."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from zoo.streaming.answer import Answer, Summary
from zoo.streaming.budget import Budget
from zoo.streaming.feed import Feed
from zoo.streaming.film_writer import FilmWriter, check_film_path
from zoo.streaming.ladder import ladder
from zoo.streaming.measures import Quantiles, resident_bytes
from zoo.streaming.overlay import caption_of
from zoo.streaming.pictures import Pictures, Sink
from zoo.streaming.plan import Wanted
from zoo.streaming.predictor import Predictor, same_answers
from zoo.streaming.screen import Screen
from zoo.streaming.source import Source, source_of
from zoo.streaming.windows import Drop, Window, WindowQueue
from zoo_registry.errors import DataError, ParameterError, Problem, RunError

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo.streaming.feed import Say

GLANCE = 0.04
"""Seconds between looks at what else happens while no window comes."""

PARTING = 2.0
"""Seconds to wait for a source that is being closed; one that does not answer ends with the process."""


class LiveStream(Iterator[Answer]):
    """What `zoo.stream` returns: answers as they come. Close it, or use it as a context, to end it early.

    Attributes:
        summary: what it came to so far.
    """

    def __init__(
        self,
        predictor: Predictor,
        feed: Feed,
        queue: WindowQueue,
        *,
        wanted: Wanted,
        budget: Budget | None,
        pictures: Pictures | None,
        screen: Screen | None,
        until: float | None,
        stopped: Callable[[], bool],
    ) -> None:
        self._predictor, self._feed, self._queue = predictor, feed, queue
        self._wanted, self._budget = wanted, budget
        self._pictures, self._screen = pictures, screen
        self._until, self._stopped = until, stopped
        self._latencies = Quantiles()
        self._began = time.monotonic()
        self._ended: float | None = None
        self._dropped = self._outdated = 0
        self._rss_start = self._rss_peak = 0
        # One that nobody closes ends when nobody has it any more, at the latest with the process: its film is whole.
        self._let_go = weakref.finalize(self, _end_threads, feed, pictures)
        if pictures is not None:
            pictures.start()
        feed.start()
        feed.ready.wait()
        if feed.error is not None and not feed.frames:
            self.close()
            raise feed.error

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __next__(self) -> Answer:
        """The next answer.

        Raises:
            UndecodableMedia: the source was lost for good, or is damaged.
            RunError: the film cannot be written any more.
        """
        while self._ended is None:
            if self._screen is not None:
                self._screen.refresh()
            if self._is_over:
                break
            window = self._queue.get(GLANCE)
            if window is not None and window.plan.wanted.clip != self._predictor.clip:
                self._queue.give_up()  # it was cut for what was in force before
                self._outdated += 1
            elif window is not None:
                return self._answered(window)
        self._end()
        raise StopIteration

    @property
    def summary(self) -> Summary:
        """What the stream came to so far."""
        return Summary(
            seconds=(self._ended or time.monotonic()) - self._began,
            windows=self._latencies.count,
            dropped=self._queue.dropped,
            frames=self._feed.frames,
            p50_ms=self._latencies.at(0.5),
            p95_ms=self._latencies.at(0.95),
            reconnects=self._feed.reconnects,
            unwritten=self._pictures.unwritten if self._pictures else 0,
            rss_start=self._rss_start,
            rss_end=resident_bytes(),
            rss_peak=self._rss_peak,
        )

    def close(self) -> None:
        """End the stream: the film is whole afterwards, the window gone."""
        if self._ended is not None:
            return
        self._ended = time.monotonic()
        self._let_go()
        self._feed.join(PARTING)
        if self._screen is not None:
            self._screen.destroy()

    @property
    def _is_over(self) -> bool:
        return (
            self._queue.drained
            or self._stopped()
            or (self._screen is not None and self._screen.closed)
            or (self._pictures is not None and self._pictures.error is not None)
            or (self._until is not None and time.monotonic() > self._until)
        )

    def _end(self) -> None:
        """Close everything; what went wrong in another thread is raised here."""
        self.close()
        for thread in (self._feed, self._pictures):
            if thread is not None and thread.error is not None:
                error, thread.error = thread.error, None
                raise error

    def _answered(self, window: Window) -> Answer:
        row = self._predictor(window)
        latency_ms = 1000 * (time.monotonic() - window.due)
        dropped, self._dropped = self._queue.dropped - self._dropped, self._queue.dropped
        self._latencies.add(latency_ms)
        memory = resident_bytes()
        self._rss_start = self._rss_start or memory
        self._rss_peak = max(self._rss_peak, memory)
        if self._pictures is not None:
            self._pictures.caption = caption_of(row, window.placement)
        if self._budget is not None:
            self._keep_budget(self._budget, latency_ms, dropped - self._outdated)
        self._outdated = 0
        return Answer(window.start, window.end, row, latency_ms, dropped)

    def _keep_budget(self, budget: Budget, latency_ms: float, dropped: int) -> None:
        before = budget.rung
        budget.note(latency_ms, dropped)
        if budget.rung is before:
            return
        rung = budget.rung
        if rung.predictor is not self._predictor:
            rung.predictor.forget()
            self._predictor = rung.predictor
        self._feed.turn_to(
            Wanted(rung.predictor.clip, self._wanted.slide, factor=rung.factor, window=self._wanted.window)
        )


def _end_threads(feed: Feed, pictures: Pictures | None) -> None:
    feed.stop()
    if pictures is not None:
        pictures.close()


def stream(
    model: ZooModel | str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    stride: int | None = None,
    window: float | None = None,
    drop: Drop = "oldest",
    queue: int = 2,
    budget: float | None = None,
    fallback: ZooModel | str | os.PathLike[str] | None = None,
    real_time: bool = True,
    seconds: float | None = None,
    out: str | os.PathLike[str] | None = None,
    show: bool = False,
    timeout: float = 10.0,
    reconnect: int = 5,
    back_off: float = 0.5,
    reuse: bool = True,
    device: str | torch.device = "cpu",
    say: Say = lambda text: None,
    stopped: Callable[[], bool] = lambda: False,
) -> LiveStream:
    """Answers to a film, a camera or a stream while it happens.

    A thread reads the source, scales each frame that is wanted once, and cuts windows out of it; no more than `queue`
    of them ever wait. Nothing grows with the length of the stream.

    Args:
        model: one that takes a clip; or a name, a run, a folder or a URI, as `zoo.load` takes it.
        source: a file, `camera:0`, or an address (`rtsp:`, `rtsps:`, `http:`, `https:`).
        stride: from window to window, in frames (at the clip's fps, where it has one); by default the least multiple of
            the clip's stride that lasts a third of a second.
        window: seconds of a window, for models whose frames are spread over it (`sampling: segments`); 4 by default.
        drop: what is given up when windows come faster than answers: the `oldest` that waits, the `newest`, or `none`,
            and the source waits.
        queue: how many windows may wait.
        budget: milliseconds that an answer may take. Where the 95th percentile is above it, windows slide further, then
            get smaller (where the model takes that), then `fallback` answers; and back when there is room.
        fallback: a smaller model with the same labels.
        real_time: play a file as fast as it was filmed; False reads it as fast as answers come, with `drop="none"`
            every window of it.
        seconds: how much of the stream to watch; None for all of it.
        out: a film to write (.mp4, .mkv, .mov) with the answers drawn in. An answer is drawn into the frames that are
            shown after it.
        show: show that film in a window.
        timeout: seconds to wait for a server or camera.
        reconnect: how often in a row to try to reach a lost source again; a file cannot be lost.
        back_off: seconds before the first of these tries; each waits twice as long as the one before, at most 30 s.
        reuse: let networks that can (`zoo_registry.protocols.StreamingNetwork`) look at each frame once.
        device: where models that are loaded here go.
        say: told what a person should know: that a source was lost, or that windows slide further.
        stopped: asked 25 times a second whether to stop.

    Returns:
        An iterator over `Answer`s; `.summary` says what it came to. The source is open, and its first frame decoded.

    Raises:
        DataError, UndecodableMedia: a source that is not there, does not answer or holds no film.
        ParameterError: a number that makes no sense, a `window` for a model whose clips have a length of their own, or
            a fallback with other labels.
        ArtefactError: a model whose task does not read answers to clips.
        RunError: a film that cannot be written, or a window that cannot be shown.

    Example:
        >>> with zoo.stream(model, "camera:0", stride=8, budget=400) as live:               # doctest: +SKIP
        ...     for answer in live:
        ...         print(f"{answer.end:.1f} s", answer.row["top5"][0])
        ...     print(live.summary)
    """
    _check_numbers(stride, window, queue, budget, seconds, timeout, reconnect, back_off)
    if drop not in ("oldest", "newest", "none"):
        raise ParameterError(f"drop is {drop!r}", hint="it is oldest, newest or none")
    if fallback is not None and budget is None:
        raise ParameterError("a fallback without a budget would never be used", hint="say budget too, in milliseconds")
    place, film = check_places(source, out)
    loaded, other = _loaded(model, device), None if fallback is None else _loaded(fallback, device)
    names = _called(model), "" if fallback is None else _called(fallback)
    predictor = _predictor(loaded, other, names, reuse)
    _check_window(window, predictor)
    predictor.warm_up()
    predictor.check_reader()
    rungs = Budget(budget, ladder(predictor, other, names), say) if budget is not None else None
    wanted = Wanted(predictor.clip, stride, window=window)
    windows = WindowQueue(queue, drop)
    screen = Screen(f"{names[0]}: {place.name}") if show else None
    sinks: list[Sink] = [screen] if screen is not None else []
    if film is not None:
        sinks.append(FilmWriter(film, 25))
    pictures = Pictures(sinks, wait=not real_time) if sinks else None
    feed = Feed(
        place,
        wanted,
        windows,
        real_time=real_time,
        seconds=seconds,
        timeout=timeout,
        reconnect=reconnect,
        back_off=back_off,
        show=pictures.show if pictures is not None else None,
        say=say,
    )
    return LiveStream(
        predictor,
        feed,
        windows,
        wanted=wanted,
        budget=rungs,
        pictures=pictures,
        screen=screen,
        until=time.monotonic() + seconds + timeout if seconds is not None and real_time else None,
        stopped=stopped,
    )


def check_places(source: str | os.PathLike[str], out: str | os.PathLike[str] | None) -> tuple[Source, Path | None]:
    """See that a source and the film to be written make sense, before a model is loaded.

    Returns:
        What `source` means, and where the film goes.

    Raises:
        DataError, UndecodableMedia: a file or camera that is not there, or an address that cannot be streamed.
        RunError: a film that cannot be written.
    """
    place = source_of(source)
    film = None if out is None else Path(out)
    if film is not None:
        check_film_path(film)
        if place.kind == "file" and film.exists() and film.samefile(place.text.removeprefix("file:")):
            raise RunError(f"{film} is what is read", hint="write to another file")
    return place, film


def _check_numbers(
    stride: int | None,
    window: float | None,
    queue: int,
    budget: float | None,
    seconds: float | None,
    timeout: float,
    reconnect: int,
    back_off: float,
) -> None:
    """See that every number makes sense; all that do not are said at once.

    Raises:
        ParameterError: some do not.
    """
    least_1 = {"stride": stride, "queue": queue}
    above_0 = {"window": window, "budget": budget, "seconds": seconds, "timeout": timeout}
    least_0 = {"reconnect": reconnect, "back_off": back_off}
    problems = [f"{name} is {value}, at least 1 is needed" for name, value in least_1.items() if not _least(value, 1)]
    problems += [
        f"{name} is {value:g}, it has to be above 0" for name, value in above_0.items() if not _least(value, 1e-9)
    ]
    problems += [f"{name} is {value}, it cannot be below 0" for name, value in least_0.items() if not _least(value, 0)]
    if problems:
        raise ParameterError(Problem(text) for text in problems)


def _least(value: float | None, bound: float) -> bool:
    return value is None or value >= bound  # False for NaN


def _check_window(window: float | None, predictor: Predictor) -> None:
    """See that the length of a window is only said where it makes a difference.

    Raises:
        ParameterError: the model's clips have a length of their own.
    """
    clip = predictor.clip
    if window is not None and clip.sampling == "dense":
        raise ParameterError(
            f"a window of {window:g} s cannot be had: {predictor.model.name} does not spread its frames over one, "
            f"its clips are {clip.frames} frames with a stride of {clip.stride}",
            hint="leave window out; stride says how far windows slide",
        )


def _called(model: ZooModel | str | os.PathLike[str]) -> str:
    """What the user calls a model."""
    return model.name if isinstance(model, torch.nn.Module) else os.fspath(model)


def _loaded(model: ZooModel | str | os.PathLike[str], device: str | torch.device) -> ZooModel:
    if isinstance(model, torch.nn.Module):
        return model
    from zoo.model import load

    return load(model, device=device)


def _predictor(model: ZooModel, fallback: ZooModel | None, names: tuple[str, str], reuse: bool) -> Predictor:
    """What answers at first; `names` are what the user calls the two.

    Raises:
        DataError: the model, or the fallback, takes no clip.
        ArtefactError: it has no task that could read its answers.
        ParameterError: the fallback means something else by its answers.
    """
    for each in (model, fallback):
        if each is None:
            continue
        if each.clip is None:
            raise DataError(f"{each.name} takes no clip, so it can say nothing about a stream")
        each.eval()
        _ = each.reader
    if fallback is not None and not same_answers(model, fallback):
        raise ParameterError(
            f"the fallback {names[1]} has other labels than {names[0]}",
            hint="both models need the same labels in the same order, and the same task",
        )
    assert model.clip is not None
    if fallback is not None and fallback.clip is not None:
        Predictor(fallback, fallback.clip)
    return Predictor(model, model.clip, reuse=reuse)
