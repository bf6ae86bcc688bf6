"""An augmentation of somebody else's package goes through the kit as ours do."""

from __future__ import annotations

from zoo.testing import AugmentationConformance


class TestTemporalFlip(AugmentationConformance):
    name = "acme/temporal_flip"
