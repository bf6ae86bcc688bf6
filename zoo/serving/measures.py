"""What a server measures of itself, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FILMS = (1, 2, 4, 8, 16, 32, 64, 128)

STAGES = ("receive", "wait_decoder", "decode", "wait_model", "inference")
"""What a request goes through: its film comes, waits for a process, is decoded, waits for others, is answered."""


class Measures:
    """Counters of one server.

    Attributes:
        requests: by path (of those that there are) and status.
        request_seconds: by path, from the head of the request to the end of the answer.
        stage_seconds: by stage, see `STAGES`.
        batch_films: films that the model was asked about at once.
        received_bytes: of films.
        readers_ended: processes that decode and were ended, by why (`time`, `crash`).
    """

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter("zoo_serve_requests", "Requests answered.", ["path", "code"], registry=registry)
        self.request_seconds = Histogram(
            "zoo_serve_request_seconds", "From request to answer.", ["path"], buckets=_SECONDS, registry=registry
        )
        self.stage_seconds = Histogram(
            "zoo_serve_stage_seconds", "Of one film, by stage.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.batch_films = Histogram(
            "zoo_serve_batch_films", "Films that the model was asked about at once.", buckets=_FILMS, registry=registry
        )
        self.received_bytes = Counter("zoo_serve_received_bytes", "Bytes of films.", registry=registry)
        self.readers_ended = Counter(
            "zoo_serve_readers_ended", "Decoding processes that were ended.", ["why"], registry=registry
        )
        self._in_work = Gauge("zoo_serve_in_work", "Requests uploading, waiting or being answered.", registry=registry)
        self._capacity = Gauge("zoo_serve_capacity", "Requests there may be at a time.", registry=registry)
        self._waiting = Gauge("zoo_serve_waiting_for_model", "Decoded films that wait.", registry=registry)
        self._model = Gauge("zoo_serve_model_info", "The model, always 1.", ["name"], registry=registry)
        ProcessCollector(registry=registry)

    def watch(self, in_work: Callable[[], int], capacity: int, waiting: Callable[[], int]) -> None:
        """Read the lengths of the queues whenever somebody asks."""
        self._in_work.set_function(in_work)
        self._capacity.set(capacity)
        self._waiting.set_function(waiting)

    def name_model(self, name: str) -> None:
        """Say which model answers."""
        self._model.labels(name).set(1)

    def took(self, seconds: Mapping[str, float]) -> None:
        """Count what one film took, by stage."""
        for stage in STAGES:
            self.stage_seconds.labels(stage).observe(seconds[stage])

    def page(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self._registry)
