"""How processes that decode are started: from one that has imported everything and holds nothing of the server's."""

from __future__ import annotations

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

_PRELOADED = "zoo.serving.film_reader"


def reader_context() -> BaseContext:
    """The context to start them with. Where it can be forked from, that process is started now and imports meanwhile.

    A process that was forked from it is there in some hundredths of a second, so that those which hostile films bring
    down are soon replaced. It has none of the server's connections and files.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    forkserver.ensure_running()
    return context
