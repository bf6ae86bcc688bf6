"""Starts a server and ends it in good order."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING

from zoo.serving.limits import Limits
from zoo.serving.reader_context import reader_context
from zoo_registry.errors import MissingExtra, ParameterError, RunError

if TYPE_CHECKING:
    import uvicorn

    from zoo.model import ZooModel
    from zoo.serving.service import Service

EXTRA = 'pip install "videozoo[serve]"'
BACKLOG = 2048
MOST_FILES = 4096
"""Files and connections that a server has open at the most, also where the system would allow more."""

log = logging.getLogger("zoo.serving")


def serve(
    model: str | os.PathLike[str] | ZooModel,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    limits: Limits | None = None,
    views: int = 1,
    allow_urls: Iterable[str] = (),
    allow_private: bool = False,
    title: str | None = None,
    trust: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Answer films that are posted to an address, until SIGTERM or Ctrl-C; what was begun is answered first.

    Args:
        model: whatever `zoo.load` takes, or a loaded model.
        host: address to listen on; the default is seen by this machine only.
        port: 0 for any that is free.
        device: auto, cpu, cuda or cuda:N.
        limits: of films and requests.
        views: clips of each film, spread evenly over it; their answers are merged.
        allow_urls: hosts that films may be fetched from, see `zoo.serving.addresses.AllowList`.
        allow_private: whether these may lead to private addresses.
        title: heading of the page; the model's name by default.
        trust: open exported files also where that runs code of their author.
        say: is told where the server listens, and that it ends.

    Raises:
        MissingExtra: a package of the extra `serve` is not installed.
        ParameterError: limits or hosts that are none.
        RunError: the address cannot be listened on.
        ArtefactError: the model has no task that could read its outputs.

    Example:
        >>> serve("runs/quickstart", port=0)                                        # doctest: +SKIP
    """
    check_packages()
    from zoo.serving.addresses import AllowList

    if views < 1:
        raise ParameterError(f"views is {views}, at least one clip is needed")
    allowed = AllowList(allow_urls, private=allow_private)
    limits = limits or Limits()
    with bound_socket(host, port) as listening:  # a port that is taken is said before anything takes time
        reader_context()  # what it imports, it imports while the model is loaded
        from zoo.serving.app import make_app
        from zoo.serving.service import Service

        loaded = _loaded(model, device, trust)
        service = Service(loaded, limits, views=views)
        try:
            for note in service.notes:
                say(note)
            app = make_app(service, allowed, title=title or loaded.name, views=views)
            say(f"{loaded.name} answers on {address_of(listening)} (Ctrl-C ends it)")
            server = draining_server(app, service, say)
            server.run(sockets=[listening])
        finally:
            service.close()


def check_packages() -> None:
    """See that what a server needs is installed.

    Raises:
        MissingExtra: it is not; the hint is the pip line.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f"serving a model needs the package {error.name}", hint=EXTRA) from error


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        RunError: it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except (OSError, UnicodeError) as error:
        hint = "127.0.0.1 is seen by this machine only, 0.0.0.0 by all that reach it"
        raise RunError(f"{host!r} is no address of this machine ({error})", hint=hint) from None
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = "choose another --port, or 0 for any that is free; those below 1024 need permission"
        raise RunError(f"nothing can listen on {host}:{port} ({reason})", hint=hint) from None


def address_of(listening: socket.socket) -> str:
    """Where a socket listens, for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def draining_server(app: object, service: Service, say: Callable[[str], None]) -> uvicorn.Server:
    """A server that on the first signal lets nothing more in, answers what was begun, and ends."""
    import uvicorn

    from zoo.serving.connection import PatientConnection

    class Draining(uvicorn.Server):  # type: ignore[misc]  # uvicorn is not imported by the type checker
        def handle_exit(self, number: int, frame: FrameType | None) -> None:
            if service.draining:
                self.should_exit = self.force_exit = True
                return
            service.draining = True
            say(f"{signal.Signals(number).name}: {service.in_work} requests are answered first")

        async def on_tick(self, counter: int) -> bool:
            # Until the last answer new requests are told so, and health and measures can still be asked for.
            if service.draining and not service.in_work:
                self.should_exit = True
            return bool(await super().on_tick(counter))

    config = uvicorn.Config(
        app,
        http=PatientConnection,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
        limit_concurrency=most_connections(service.limits),
        backlog=BACKLOG,
    )
    return Draining(config)


def most_connections(limits: Limits) -> int | None:
    """Connections that there is room for beside the files of the server: with more of them uvicorn says 503 itself."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(MOST_FILES, most)
    if files != resource.RLIM_INFINITY and files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return max(16, wanted - limits.queue - 64)


def log_to(say: Callable[[str], None]) -> None:
    """Hand the lines of the log on, each with its time; strangers' words in them are escaped already."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
            say(f"{stamp} {self.format(record)}")

    for logger in (log, logging.getLogger("uvicorn.error"), logging.getLogger("asyncio")):
        logger.handlers = [Handler()]
        logger.propagate = False
    log.setLevel(logging.INFO)


def _loaded(model: str | os.PathLike[str] | ZooModel, device: str, trust: bool) -> ZooModel:
    from zoo.model import ZooModel, load
    from zoo.runner.device import choose_device

    chosen = str(choose_device(device))
    return model.to(chosen).eval() if isinstance(model, ZooModel) else load(model, device=chosen, trust=trust)
