"""The fetchers of `file:`, `hf://` and `https://`, declared like anybody else's."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Fetcher, hookimpl


@hookimpl
def zoo_fetchers() -> Iterable[Fetcher]:
    """What URIs can start with."""
    return [
        Fetcher("file", builder="zoo.hub.shared:folder_fetcher", summary="A folder or file on this or a shared disk."),
        Fetcher(
            "hf", builder="zoo.hub.repository:hub_fetcher", summary="A model repository: hf://org/name[@revision]."
        ),
        Fetcher("https", builder="zoo.hub.download:web_fetcher", summary="One file: https://...[#sha256=...]."),
    ]
