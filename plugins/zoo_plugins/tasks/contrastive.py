"""Features learnt by telling which two clips are of one film."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import Module, ModuleDict

from zoo_plugins.tasks.backbone import (
    body_parameters,
    check_staged,
    features_of,
    inputs_of,
    learning,
    pooled,
    width_of_features,
)
from zoo_plugins.tasks.contrastive_losses import info_nce, nt_xent
from zoo_plugins.tasks.gathering import gathered, processes
from zoo_plugins.tasks.key_queue import KeyQueue
from zoo_plugins.tasks.representation_metrics import FEATURES, RepresentationMetrics, mean_of
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch, Objective, Outputs, Task

Method = Literal["moco", "simclr"]


class Contrastive(Task):
    """What both methods have in common; a `zoo_registry.protocols.Task`, see `contrastive`.

    Args:
        backbone: with stages.
        projector: features (B, C) to projections (B, D).
        inputs: keys of `Batch.inputs` in the order the backbone takes them.
        temperature: of the similarities.
    """

    views = 2
    monitor: tuple[str, Literal["max", "min"]] = ("knn", "max")

    def __init__(self, backbone: Module, projector: Module, inputs: Sequence[str], temperature: float) -> None:
        self.state = ModuleDict({"backbone": backbone, "projector": projector})
        self.backbone, self.projector = backbone, projector
        self.inputs, self.temperature = tuple(inputs), temperature
        self._paired = False

    def objectives(self) -> Sequence[Objective]:
        """One: the loss of telling which clips belong together. The backbone's head takes no part."""
        parameters = body_parameters(self.backbone) + learning(self.projector)
        return [Objective("main", parameters, self._contrast)]

    def result(self) -> Module:
        """The backbone; its head is what it was."""
        return self.backbone

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """`{"features_bc"}`: what comes before the head, averaged over the clip.

        Raises:
            RecipeError: the model gives none, as an exported file.
        """
        return {FEATURES: features_of(model, inputs_of(batch, self.inputs), "contrastive")}

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' features."""
        return {FEATURES: mean_of(outputs, FEATURES)}

    def metrics(self) -> RepresentationMetrics:
        """knn, where there are labels, and spread."""
        return RepresentationMetrics({})

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"features"}` of each clip."""
        return [{"features": row} for row in outputs[FEATURES].tolist()]

    def _contrast(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        raise NotImplementedError

    def _two_views(self, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """What the backbone takes of the first and of the second clip of every sample.

        Raises:
            DataError: the batch does not hold two of each, one after the other.
        """
        if not self._paired:  # once, as reading the index makes a step on a GPU wait
            index = batch.index.tolist()
            if index[0::2] != index[1::2]:
                raise DataError(
                    f"the contrastive task compares two clips of each sample, and a batch holds samples {index[:8]}",
                    hint="rows 2 i and 2 i + 1 are views of one sample, as a loader with views=2 gives them; "
                    "run.micro_batch has to be even",
                )
            self._paired = True
        values = inputs_of(batch, self.inputs)
        return [value[0::2] for value in values], [value[1::2] for value in values]


class SimClr(Contrastive):
    """Every other clip of the batch is a negative (Chen et al. 2020)."""

    _seen_several = False

    def _contrast(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        one, other = self._two_views(batch)
        if not self._seen_several:  # the last batch of an epoch may be one film, the first may not
            if len(one[0]) * processes() < 2:
                raise DataError(
                    "simclr tells the clips of a batch apart, and a batch has one film",
                    hint="write a larger run.batch (and run.micro_batch), or method: moco",
                )
            self._seen_several = True
        both = [torch.cat(pair) for pair in zip(one, other, strict=True)]
        projected_bd = self.projector(pooled(self.backbone.forward_features(*both)))  # type: ignore[operator]
        one_bd, other_bd = projected_bd.chunk(2)
        loss, right = nt_xent(one_bd, other_bd, self.temperature)
        return {"total": loss, "top1": right}


class MoCo(Contrastive):
    """Keys of earlier clips, made by an encoder that follows slowly, are the negatives (He et al. 2020)."""

    def __init__(
        self,
        backbone: Module,
        projector: Module,
        inputs: Sequence[str],
        temperature: float,
        queue: KeyQueue,
        momentum: float,
    ) -> None:
        super().__init__(backbone, projector, inputs, temperature)
        slow = ModuleDict({"backbone": copy.deepcopy(backbone), "projector": copy.deepcopy(projector)})
        self.slow, self.queue, self.momentum = slow.requires_grad_(False), queue, momentum
        self.state.update({"slow": slow, "queue": queue})
        self._keys: list[Tensor] = []

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Let the momentum encoder follow, and put the keys of the step, those of all processes, into the queue."""
        pairs = [(self.slow["backbone"], self.backbone), (self.slow["projector"], self.projector)]
        slow: list[Tensor] = [parameter for follower, _ in pairs for parameter in follower.parameters()]
        fast: list[Tensor] = [parameter for _, leader in pairs for parameter in leader.parameters()]
        torch._foreach_lerp_(slow, fast, 1 - self.momentum)
        if self._keys:
            key_bd, _ = gathered(torch.cat(self._keys))
            self._keys.clear()
            self.queue.push(key_bd)

    def _contrast(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        one, other = self._two_views(batch)
        query_bd = self.projector(pooled(self.backbone.forward_features(*one)))  # type: ignore[operator]
        with torch.no_grad():
            slow: Any = self.slow
            key_bd = slow["projector"](pooled(slow["backbone"].forward_features(*other)))
        loss, right = info_nce(query_bd, key_bd, self.queue.keys_nd, self.temperature)
        self._keys.append(key_bd.detach().float())
        self.queue.check(sum(map(len, self._keys)))
        return {"total": loss, "top1": right}


def contrastive(
    *,
    model: Provided[Module],
    inputs: Provided[Sequence[str]],
    clip: Provided[ClipSpec | None] = None,
    method: Method = "moco",
    temperature: Annotated[float, Range(gt=0)] | None = None,
    projection: Annotated[int, Range(ge=2)] = 128,
    queue: Annotated[int, Range(ge=1)] = 4096,
    momentum: Annotated[float, Range(ge=0, lt=1)] = 0.999,
) -> Contrastive:
    """The task of telling which two clips are of one film, among many (Qian et al. 2021). It reads no labels.

    Two clips of every film are drawn at other times and augmented differently; what the backbone makes of them,
    averaged over the clip and projected by two layers, is to be alike, and unlike that of other films. What is learnt
    depends on the augmentations: name crops, flips and colours in the recipe's `augment`.

    `moco` (MoCo v2, He et al. 2020, Chen et al. 2020) compares with a queue of keys, which a slow copy of the network
    made of earlier clips; `simclr` (Chen et al. 2020) with the other clips of the batch, which should then be large.
    In a distributed run the queue gets the keys of all processes, and `simclr` compares with the clips of all of them.
    Keys are not shuffled among processes: use synchronised batch norm, or a backbone without batch norm, so that
    statistics do not tell which clips were seen together. With `run.micro_batch` the clips of a part are the batch.

    Args:
        model: a recognition model with stages; its head takes no part.
        inputs: keys of `Batch.inputs` in the order the model takes them.
        clip: shape of the clips.
        method: one of the two.
        temperature: of the similarities; 0.2 with `moco` and 0.1 with `simclr` by default, as published.
        projection: D, numbers of a projection.
        queue: N, keys in the queue; at least the samples of a step, and best fewer than there are films.
        momentum: part of the slow copy that stays at a step.

    Returns:
        A task whose result is the backbone, and which watches `knn`: with labels in the validation data the share of
        films that their nearest neighbours classify rightly, without them the last epoch is kept.

    Raises:
        RecipeError: a model without stages.

    Example:
        >>> from zoo_plugins.basic.cnn3d import CNN3D
        >>> spec = ClipSpec(frames=4, size=16)
        >>> task = contrastive(model=CNN3D(6), inputs=("clip_bcthw",), clip=spec, method="simclr", projection=16)
        >>> task.views, type(task.result()).__name__
        (2, 'CNN3D')
    """
    check_staged(model, "contrastive")
    shape = (3, 16, 224, 224) if clip is None else (len(clip.mean), clip.frames, *clip.height_width)
    width = width_of_features(model, shape, "contrastive")
    projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, projection))
    if method == "simclr":
        return SimClr(model, projector, inputs, 0.1 if temperature is None else temperature)
    ring = KeyQueue(queue, projection)
    return MoCo(model, projector, inputs, 0.2 if temperature is None else temperature, ring, momentum)
