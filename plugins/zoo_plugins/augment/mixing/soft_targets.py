"""What is known about a mixture of two samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_plugins.augment.mixing.pairs import Pairs
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

ROWS = "label_bk"
_NUMBERS = (ROWS, "value_b", "value_bk")


def mixed_targets(batch: Batch, pairs: Pairs, num_classes: int | None, name: str) -> dict[str, Any]:
    """The targets of mixed samples.

    `label_bk` (class probabilities, also multi-hot rows), `value_b` and `value_bk` are mixed by the shares. Where there
    are only class indices (`label_b`), `label_bk` is made of them and goes before them in training; `label_b`, like
    everything else, stays what it is of the sample itself.

    Args:
        batch: before mixing.
        pairs: partners and shares.
        num_classes: K, needed where there are only indices.
        name: of the augmentation, for the message.

    Raises:
        ParameterError: class indices without a number of classes.
    """
    targets = dict(batch.targets)
    if "label_b" in targets and ROWS not in targets:
        targets[ROWS] = _rows(targets["label_b"], num_classes, name)
    for key in _NUMBERS:
        if key in targets:
            targets[key] = _mixed(targets[key], pairs)
    return targets


def _rows(label_b: Tensor, num_classes: int | None, name: str) -> Tensor:
    """(B, K) float32, one at each sample's class; unlike `one_hot` it reads nothing back to check it."""
    if num_classes is None:
        raise ParameterError(
            f"{name} mixes class labels, and nobody says how many classes there are",
            hint="the source of the data names them; outside a run, write num_classes",
        )
    return (label_b.unsqueeze(1) == torch.arange(num_classes, device=label_b.device)).float()


def _mixed(rows: Tensor, pairs: Pairs) -> Tensor:
    rows = rows if rows.is_floating_point() else rows.float()
    share = pairs.share_b.to(rows.dtype).to(rows.device, non_blocking=True).view(-1, *[1] * (rows.ndim - 1))
    return rows * share + rows.index_select(0, pairs.partner_b(rows.device)) * (1 - share)
