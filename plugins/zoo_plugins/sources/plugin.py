"""Sources: where films and pictures come from."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Source, hookimpl


@hookimpl
def zoo_sources() -> Iterable[Source]:
    """The sources of this project."""
    return [
        Source(
            "folder",
            builder="zoo_plugins.sources.folder:folder",
            summary="Films or pictures in folders by class: PATH/train/CLASS/*.mp4, PATH/val/CLASS/*.mp4.",
            licence="apache-2.0",
        ),
        Source(
            "manifest",
            builder="zoo_plugins.sources.manifest:manifest",
            summary="A CSV or JSON-lines file that lists path, label or labels, start, end and split.",
            licence="apache-2.0",
        ),
        Source(
            "motions",
            builder="zoo_plugins.sources.motions:motions",
            summary="Small H.264 films of six motions that no single frame tells apart; written when first used.",
            licence="apache-2.0",
        ),
        Source(
            "shapes",
            builder="zoo_plugins.sources.shapes:shapes",
            summary="1,000 pictures of ten noisy coloured shapes, 32 x 32; written when first used.",
            licence="apache-2.0",
        ),
    ]
