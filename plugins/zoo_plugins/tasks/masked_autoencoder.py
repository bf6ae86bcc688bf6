"""Features learnt by painting what is hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import mse_loss

from zoo_plugins.tasks.backbone import learning, pooled
from zoo_plugins.tasks.pixels import ROWS, picture_hwc, unnormalised
from zoo_plugins.tasks.representation_metrics import FEATURES, RepresentationMetrics, mean_of
from zoo_registry import ClipSpec, Provided
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch, BeforeAfter, Figure, Objective, Outputs, Task

CLIP = "clip_bcthw"


@runtime_checkable
class MaskedNetwork(Protocol):
    """What the task asks of a network: an encoder that sees a part of the patches, and a decoder of the others.

    Called with a clip (B, C, T, H, W) and a mask (B, N), bool, it answers what it believes `target` to be, (B, M, P);
    called with the clip alone it hides the patches `mask_1n` of every clip.
    """

    mask_1n: Tensor

    def draw_mask(self, count: int, device: torch.device | str) -> Tensor:
        """Masks (B, N) for a training step, from torch's generator."""
        ...

    def target(self, clip01_bcthw: Tensor, mask_bn: Tensor) -> Tensor:
        """What the masked patches of clips in 0..1 show, (B, M, P)."""
        ...

    def painted(self, clip01_bcthw: Tensor, mask_bn: Tensor, pixels_bmp: Tensor | None = None) -> Tensor:
        """Clips (B, C, T, H, W) in 0..1 with an answer, or grey, in place of their masked patches."""
        ...

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        """The encoder's maps of whole clips, nothing of them masked."""
        ...


class MaskedAutoencoder(Task):
    """A `zoo_registry.protocols.Task`; see `masked_autoencoder`."""

    monitor: tuple[str, Literal["max", "min"]] = ("error", "min")

    def __init__(self, model: Module, clip: ClipSpec | None) -> None:
        self.state, self.clip = model, clip

    def objectives(self) -> Sequence[Objective]:
        """One: the mean squared error of the masked patches."""
        return [Objective("main", learning(self.state), self._paint)]

    def result(self) -> Module:
        """The network with its decoder. A recognition model takes its encoder as weights."""
        return self.state

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """What the model paints with the same patches of every clip hidden.

        Returns:
            `{"pixels_bmp", "error_b"}`, and of a network also `features_bc`: the encoder's, of whole clips.
        """
        clip_bcthw = batch.inputs[CLIP]
        pixels_bmp = model(clip_bcthw).float()
        error_b = (pixels_bmp - self._target(batch, self._mask(batch))).square().mean((1, 2))
        outputs = {"pixels_bmp": pixels_bmp, "error_b": error_b}
        network = getattr(model, "network", model)  # `zoo.load` gives a network in a wrapper
        if isinstance(network, MaskedNetwork):
            outputs[FEATURES] = pooled(network.forward_pyramid(clip_bcthw)[-1])
        return outputs

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of errors and features, and what was painted into the first view."""
        means = {key: mean_of(outputs, key) for key in ("error_b", FEATURES) if key in outputs[0]}
        return {**outputs[0], **means}

    def metrics(self) -> RepresentationMetrics:
        """error, knn (where there are labels) and spread."""
        return RepresentationMetrics({"error": "error_b"})

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """What a clip shows, what the encoder sees of it, and what it was painted as."""
        network: Any = self.state
        mask_bn, clip01_bcthw = self._mask(batch)[:ROWS], unnormalised(batch.inputs[CLIP][:ROWS], self.clip)
        seen_bcthw = network.painted(clip01_bcthw, mask_bn)
        painted_bcthw = network.painted(clip01_bcthw, mask_bn, outputs["pixels_bmp"][:ROWS])
        shown = zip(clip01_bcthw, seen_bcthw, painted_bcthw, strict=True)
        rows = tuple(tuple(picture_hwc(clip_cthw) for clip_cthw in row) for row in shown)
        return [BeforeAfter("Masked clips", ("clip", "seen", "painted"), rows)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"error"}` of each clip, and its `features` where there are any."""
        rows: list[dict[str, Any]] = [{"error": error} for error in outputs["error_b"].tolist()]
        for row, features in zip(rows, outputs[FEATURES].tolist() if FEATURES in outputs else (), strict=False):
            row["features"] = features
        return rows

    def _paint(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        clip_bcthw, network = batch.inputs[CLIP], self.state
        mask_bn = network.draw_mask(len(batch), clip_bcthw.device)  # type: ignore[operator]
        return {"total": mse_loss(network(clip_bcthw, mask_bn).float(), self._target(batch, mask_bn))}

    def _mask(self, batch: Batch) -> Tensor:
        mask_1n: Tensor = self.state.mask_1n  # type: ignore[assignment]
        return mask_1n.to(batch.inputs[CLIP].device).expand(len(batch), -1)

    def _target(self, batch: Batch, mask_bn: Tensor) -> Tensor:
        clip01_bcthw = unnormalised(batch.inputs[CLIP], self.clip)
        target_bmp: Tensor = self.state.target(clip01_bcthw, mask_bn)  # type: ignore[operator]
        return target_bmp


def masked_autoencoder(*, model: Provided[Module], clip: Provided[ClipSpec | None] = None) -> MaskedAutoencoder:
    """The task of painting masked patches, as VideoMAE is pre-trained (Tong et al. 2022). It reads no labels.

    The loss is the mean squared error of the masked patches, each normalised by its own mean and deviation. How many
    are masked is a parameter of the network, `mask_ratio`; in training they are drawn for every clip, in evaluation
    they are always the same.

    Args:
        model: a `MaskedNetwork`, such as transformers/videomae_b_pretraining.
        clip: mean and deviation of the clips; pixels are painted as they were before.

    Returns:
        A task that watches `error`. A run's `model/` starts a recognition model of the same encoder: `model: {name:
        transformers/videomae_b, weights: "file:runs/pretrain/model"}`.

    Raises:
        RecipeError: the network paints nothing.
    """
    if not isinstance(model, MaskedNetwork):
        raise RecipeError(
            f"the masked_autoencoder task wants a network that paints masked patches, which a {type(model).__name__} "
            "does not",
            hint="take one with a decoder: `zoo models --task masked_autoencoder` lists them",
        )
    return MaskedAutoencoder(model, clip)
