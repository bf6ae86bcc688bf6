"""Films as they happen: windows of a file, a camera or a stream, answered one after the other.

>>> import zoo
>>> for answer in zoo.stream("runs/motions", "rtsp://door.local/live"):                     # doctest: +SKIP
...     print(answer.end, answer.row["top5"][0])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.lazy_names import lazily

if TYPE_CHECKING:
    from zoo.streaming.answer import Answer, Summary
    from zoo.streaming.live import LiveStream, stream

_HOMES = {"Answer": "answer", "LiveStream": "live", "Summary": "answer", "stream": "live"}

__all__ = ["Answer", "LiveStream", "Summary", "stream"]

__getattr__ = lazily(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
