"""Published image weights of timm, in the keys of the frame encoder."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from torch import Tensor

from zoo_plugins.timm.frame_encoder import FrameEncoder


def of_frame_encoder(state: Mapping[str, Tensor], encoder: FrameEncoder) -> dict[str, Tensor]:
    """Give timm's keys the names they have in a frame encoder.

    Args:
        state: as timm publishes it: the backbone and, for most tags, the classifier.
        encoder: the module it is meant for.

    Returns:
        `backbone.*`, and `head.*` where timm's classifier is one linear layer on the same features. Any other is left
        out.

    Example:
        >>> of_frame_encoder(timm.create_model("resnet18").state_dict(), encoder)["head.bias"].shape    # doctest: +SKIP
        torch.Size([1000])
    """
    own = encoder.backbone.state_dict()
    # Batch norm's counters came with PyTorch 0.4.1, some files are older; PyTorch itself does without them.
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    published = counters | _in_todays_names(state, encoder)
    left = {key: value for key, value in published.items() if key not in own and key.startswith(_heads(encoder))}
    backbone = {f"backbone.{key}": value for key, value in published.items() if key not in left}
    return backbone | _linear(left, encoder.head.in_features)


def _in_todays_names(state: Mapping[str, Tensor], encoder: FrameEncoder) -> dict[str, Tensor]:
    """What timm's own loading does first: every architecture's file may hold a filter for its older checkpoints."""
    architecture = sys.modules[type(encoder.backbone).__module__]
    adapt = getattr(architecture, "checkpoint_filter_fn", None)
    return dict(adapt(dict(state), encoder.backbone) if adapt else state)


def _heads(encoder: FrameEncoder) -> tuple[str, ...]:
    """What the keys of a classifier begin with, and those of layers beside it; distilled models have two."""
    named = encoder.backbone.pretrained_cfg.get("classifier") or ()
    classifiers = (named,) if isinstance(named, str) else named
    return tuple(f"{classifier.rpartition('.')[0] or classifier}." for classifier in classifiers)


def _linear(classifier: Mapping[str, Tensor], features: int) -> dict[str, Tensor]:
    """The classifier as the encoder's head, if it is one linear layer (or the same as a convolution of 1x1)."""
    parts = {key.rpartition(".")[2]: value for key, value in classifier.items()}
    if len(classifier) != 2 or set(parts) != {"weight", "bias"} or parts["weight"][0].numel() != features:
        return {}
    return {"head.weight": parts["weight"].flatten(1), "head.bias": parts["bias"]}
