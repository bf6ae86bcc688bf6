"""The conformance kit: what every component of a kind must hold, as test classes to subclass. Needs pytest.

    from zoo.testing import ModelConformance

    class TestTiny(ModelConformance):
        name = "acme/tiny"
        clip = {"frames": 4, "size": 32}        # smaller than the model's own, to be quick

`pytest` then runs every check on `acme/tiny`: it is listed without torch, its signature is a schema, it builds, its
gradients are finite, it is saved and loaded without loss, and so on. All built-in components pass the same classes.
`zoo plugins check NAME` runs them on every component of an installed plugin (`zoo.testing.installed`).
"""

from zoo.testing.adapter import AdapterConformance
from zoo.testing.augmentation import AugmentationConformance
from zoo.testing.component import ComponentConformance, ListedConformance, NeedsItsOwnTest
from zoo.testing.compression import CompressionConformance
from zoo.testing.exporter import ExporterConformance
from zoo.testing.fetcher import FetcherConformance
from zoo.testing.loss import LossConformance
from zoo.testing.model import ModelConformance
from zoo.testing.observer import ObserverConformance
from zoo.testing.recipe import RecipeConformance
from zoo.testing.source import SourceConformance
from zoo.testing.task import TaskConformance

__all__ = [
    "AdapterConformance",
    "AugmentationConformance",
    "ComponentConformance",
    "CompressionConformance",
    "ExporterConformance",
    "FetcherConformance",
    "ListedConformance",
    "LossConformance",
    "ModelConformance",
    "NeedsItsOwnTest",
    "ObserverConformance",
    "RecipeConformance",
    "SourceConformance",
    "TaskConformance",
]
