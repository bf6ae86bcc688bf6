"""Films as they happen: windows of a file, a camera or a stream, answered one after the other.

>>> import zoo
>>> for answer in zoo.stream("runs/motions", "rtsp://door.local/live"):                     # doctest: +SKIP
...     print(answer.end, answer.row["top5"][0])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.streaming.answer import Answer, Summary
    from zoo.streaming.live import LiveStream, stream

_HOMES = {"Answer": "answer", "LiveStream": "live", "Summary": "answer", "stream": "live"}

__all__ = ["Answer", "LiveStream", "Summary", "stream"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.streaming' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.streaming.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
