"""What is known about a mixture of two samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_plugins.augment.mixing.pairs import Pairs
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

_SOFT = {"label_b": "label_bk", "label_bt": "label_btk"}
"""Class indices, and the rows of probabilities that stand for mixtures of them."""
_NUMBERS = ("label_bk", "value_b", "value_bk")
_NUMBERS_PER_FRAME = ("label_btk", "value_bt", "value_btk")


def mixed_targets(
    batch: Batch, pairs: Pairs, num_classes: int | None, name: str, share_bt: Tensor | None = None
) -> dict[str, Any]:
    """The targets of mixed samples.

    Class probabilities and multi-hot rows (`label_bk`) and numbers (`value_b`, `value_bk`) are mixed by the shares,
    those of each frame (`label_btk`, `value_bt`, `value_btk`) by the shares of the frames. Where there are only class
    indices (`label_b`, `label_bt`), rows are made of them, which go before them in training; the indices, like
    everything else, stay what they are of the sample itself. But indices of each frame follow frames that were
    exchanged whole.

    Args:
        batch: before mixing.
        pairs: partners and shares.
        num_classes: K, needed where there are only indices.
        name: of the augmentation, for the message.
        share_bt: (B, T) on the CPU, how much of each frame is the sample's own; None where it is the same for all. Of
            bools where frames are exchanged whole.

    Raises:
        ParameterError: class indices without a number of classes, or targets of another number of frames.
    """
    targets = dict(batch.targets)
    whole_frames = share_bt is not None and share_bt.dtype == torch.bool
    for indices, rows in _SOFT.items():
        if indices == "label_bt" and whole_frames:
            continue
        if indices in targets and rows not in targets and not targets[indices].is_floating_point():
            targets[rows] = _rows(targets[indices], num_classes, name)
    for key in _NUMBERS:
        if key in targets:
            targets[key] = _mixed(targets[key], pairs, pairs.share_b)
    for key in ("label_bt", *_NUMBERS_PER_FRAME):
        if key not in targets:
            continue
        share = pairs.share_b if share_bt is None else _of_frames(key, targets[key], share_bt, name)
        if key != "label_bt" or targets[key].is_floating_point():
            targets[key] = _mixed(targets[key], pairs, share)
        elif whole_frames:
            targets[key] = _exchanged(targets[key], pairs, share)
    return targets


def _rows(labels: Tensor, num_classes: int | None, name: str) -> Tensor:
    """(..., K) float32, one at each class; unlike `one_hot` it reads nothing back to check it."""
    if num_classes is None:
        raise ParameterError(
            f"{name} mixes class labels, and nobody says how many classes there are",
            hint="the source of the data names them; outside a run, write num_classes",
        )
    return (labels.unsqueeze(-1) == torch.arange(num_classes, device=labels.device)).float()


def _of_frames(key: str, values: Tensor, share_bt: Tensor, name: str) -> Tensor:
    if values.shape[1] != share_bt.shape[1]:
        raise ParameterError(
            f"{name} mixes frames, and the target {key} has {values.shape[1]} of them where the clip has "
            f"{share_bt.shape[1]}",
            hint=f"leave {name} out of this recipe",
        )
    return share_bt


def _mixed(rows: Tensor, pairs: Pairs, share: Tensor) -> Tensor:
    """`share * own + (1 - share) * partner's`; the share is (B,) or (B, T)."""
    rows = rows if rows.is_floating_point() else rows.float()
    share = share.to(rows.dtype).to(rows.device, non_blocking=True)
    share = share.view(*share.shape, *[1] * (rows.ndim - share.ndim))
    return rows * share + rows.index_select(0, pairs.partner_b(rows.device)) * (1 - share)


def _exchanged(label_bt: Tensor, pairs: Pairs, own_bt: Tensor) -> Tensor:
    own_bt = own_bt.to(label_bt.device, non_blocking=True)
    return torch.where(own_bt, label_bt, label_bt.index_select(0, pairs.partner_b(label_bt.device)))
