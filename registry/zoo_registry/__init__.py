"""The plugin API of videozoo: everything a plugin imports. Needs pluggy only, never imports torch."""

from zoo_registry.entries import (
    Adapter,
    AudioSpec,
    Augmentation,
    ClipSpec,
    Compression,
    Entry,
    Exporter,
    Family,
    Fetcher,
    Loss,
    Model,
    Observer,
    Range,
    Recipe,
    Rounded,
    Source,
    Task,
    Weights,
)
from zoo_registry.errors import ArtefactError, Location, Problem, ZooError
from zoo_registry.hookspecs import hookimpl
from zoo_registry.names import Name
from zoo_registry.protocols import Provided, Ref

__version__ = "0.1.0"
API_VERSION = 1
"""The number in the entry-point group `zoo.plugins.v1`; a plugin of another number is refused with a word."""

__all__ = [
    "API_VERSION",
    "Adapter",
    "ArtefactError",
    "AudioSpec",
    "Augmentation",
    "ClipSpec",
    "Compression",
    "Entry",
    "Exporter",
    "Family",
    "Fetcher",
    "Location",
    "Loss",
    "Model",
    "Name",
    "Observer",
    "Problem",
    "Provided",
    "Range",
    "Recipe",
    "Ref",
    "Rounded",
    "Source",
    "Task",
    "Weights",
    "ZooError",
    "__version__",
    "hookimpl",
]
