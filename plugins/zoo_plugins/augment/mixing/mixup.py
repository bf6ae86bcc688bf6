"""Samples laid over each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from torch import Generator

from zoo_plugins.augment.geometry import CLIP, MASK
from zoo_plugins.augment.mixing.blend import blended
from zoo_plugins.augment.mixing.pairs import Per, draw_pairs, refuse_boxes
from zoo_plugins.augment.mixing.soft_targets import mixed_targets
from zoo_plugins.augment.ranges import Alpha
from zoo_registry import Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch


@dataclass(frozen=True)
class Mixup:
    """See `mixup`."""

    alpha: float
    p: float
    per: Per
    num_classes: int | None
    name: str = "mixup"

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """The batch with every sample laid over another."""
        self.check(batch)
        pairs = draw_pairs(len(batch), self.alpha, self.p, self.per, generator)
        targets = mixed_targets(batch, pairs, self.num_classes, self.name)
        if CLIP in targets:
            targets[CLIP] = blended(targets[CLIP], pairs)
        inputs = {name: blended(values, pairs) for name, values in batch.inputs.items()}
        return replace(batch, inputs=inputs, targets=targets)

    def check(self, batch: Batch) -> None:
        """See that nothing lives in the picture that cannot be of two pictures at once."""
        refuse_boxes(batch, self.name)
        if MASK in batch.targets:
            raise ParameterError(
                f"{self.name} cannot mix {MASK}: a pixel is of one class", hint="cutmix and video_mix keep masks right"
            )


def mixup(
    *,
    num_classes: Provided[int | None] = None,
    alpha: Alpha = 0.2,
    p: Annotated[float, Range(ge=0, le=1)] = 1.0,
    per: Per = "sample",
) -> Augment:
    """Lay every sample over another one of its batch (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization").

    Clips, sound and target clips become `share * own + (1 - share) * partner's`, and so do the labels: class indices
    (`label_b`) become probabilities in `label_bk`, which tasks and losses take first; rows that are there
    (`label_bk`) and numbers (`value_b`, `value_bk`) are mixed, and so is what is known of each frame (`label_bt` as
    `label_btk`). Partners are a random permutation of the batch; one
    that is alone stays as it is. Everything else stays that of the sample itself.

    Args:
        num_classes: K, from the run.
        alpha: shares are from Beta(alpha, alpha): near 0 or 1 for a small alpha, uniform for 1.
        p: probability that something is mixed.
        per: `sample` draws a share for every sample, `batch` one for all (torchvision's way; timm has both).

    Raises:
        ParameterError: when used on samples with boxes or masks, or on class indices without a number of classes.
    """
    return Mixup(alpha, p, per, num_classes)
