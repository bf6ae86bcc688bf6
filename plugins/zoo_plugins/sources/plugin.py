"""Sources: where films and pictures come from."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_registry import Source, hookimpl


@hookimpl
def zoo_sources() -> Iterable[Source]:
    """The sources of this project."""
    return [
        Source(
            "ava",
            builder="zoo_plugins.sources.ava:ava",
            summary="AVA's official lists: persons in keyframes, each with a box and several actions.",
            licence="apache-2.0",
        ),
        Source(
            "charades",
            builder="zoo_plugins.sources.charades:charades",
            summary="Charades' official lists: several actions in a film, or a sample for each action's span.",
            licence="apache-2.0",
        ),
        Source(
            "films",
            builder="zoo_plugins.sources.films:films",
            summary="Films or pictures in a folder, without labels: PATH/*.mp4, or PATH/train/*.mp4, PATH/val/*.png.",
            licence="apache-2.0",
        ),
        Source(
            "folder",
            builder="zoo_plugins.sources.folder:folder",
            summary="Films or pictures in folders by class: PATH/train/CLASS/*.mp4, PATH/val/CLASS/*.mp4.",
            licence="apache-2.0",
        ),
        Source(
            "hf",
            builder="zoo_plugins.sources.hf:hf",
            summary="Data sets of the `datasets` library with a column of films: on the Hub, or on a disk.",
            licence="apache-2.0",
            requires=("datasets",),
            extra="videozoo[hf]",
        ),
        Source(
            "hmdb51",
            builder="zoo_plugins.sources.hmdb51:hmdb51",
            summary="HMDB-51's official lists: 51 classes, three folds.",
            licence="apache-2.0",
        ),
        Source(
            "kinetics",
            builder="zoo_plugins.sources.kinetics:kinetics",
            summary="Kinetics-400, -600 and -700 by the official CSV or JSON lists; films cut or whole.",
            licence="apache-2.0",
        ),
        Source(
            "manifest",
            builder="zoo_plugins.sources.manifest:manifest",
            summary="A CSV or JSON-lines file that lists films with classes, values, spans, boxes, targets and split.",
            licence="apache-2.0",
        ),
        Source(
            "motions",
            builder="zoo_plugins.sources.motions:motions",
            summary="Small H.264 films of six motions that no single frame tells apart; written when first used.",
            licence="apache-2.0",
        ),
        Source(
            "something_something_v2",
            builder="zoo_plugins.sources.something_something_v2:something_something_v2",
            summary="Something-Something v2's official JSON lists.",
            licence="apache-2.0",
        ),
        Source(
            "shapes",
            builder="zoo_plugins.sources.shapes:shapes",
            summary="1,000 pictures of ten noisy coloured shapes, 32 x 32; written when first used.",
            licence="apache-2.0",
        ),
        Source(
            "ucf101",
            builder="zoo_plugins.sources.ucf101:ucf101",
            summary="UCF-101's official lists: 101 classes, three folds.",
            licence="apache-2.0",
        ),
        Source(
            "webdataset",
            builder="zoo_plugins.sources.webdataset:webdataset",
            summary="Tar shards of films: indexed where they lie on a disk, streamed from elsewhere.",
            licence="apache-2.0",
        ),
    ]
