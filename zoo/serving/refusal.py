"""What a request is refused with."""

from __future__ import annotations


class Refusal(Exception):
    """A request that gets no answer, with the HTTP status and the reason that its sender is told.

    Args:
        status: 400 not understood, 403 an address that is not allowed, 413 too large, 415 no film, 422 a film that
            cannot be decoded or fetched, 429 too many at a time, 499 its sender left, 503 too late or shutting down.
        reason: in words, without anything that the sender does not know.
        retry_after: seconds after which it is worth another try.
    """

    def __init__(self, status: int, reason: str, *, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry_after = status, reason, retry_after
