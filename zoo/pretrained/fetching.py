"""Files behind a URI, through the fetcher of its scheme."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry.names import reference_kind
from zoo_registry.protocols import Fetch, Fetched


def fetch(uri: str, *, files: Iterable[str] | None = None) -> Fetched:
    """Bring what a URI points at, through the fetcher of its scheme.

    Raises:
        UnknownName: no plugin knows the scheme.
        HubError: it cannot be reached.
    """
    from zoo.build import build
    from zoo_registry.catalog import catalog

    fetcher: Fetch = build(catalog().resolve("fetcher", uri.partition(":")[0]), {})
    return fetcher(uri, files=files)


def uri_of(reference: str) -> str:
    """A path as a URI; a URI as it is.

    Example:
        >>> uri_of("runs/x"), uri_of("hf://org/name")
        ('file:runs/x', 'hf://org/name')
    """
    return reference if reference_kind(reference) == "uri" else f"file:{reference}"
