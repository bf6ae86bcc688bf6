"""Features learnt by telling how fast a film is played."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleDict
from torch.nn.functional import cross_entropy, one_hot

from zoo_plugins.tasks.backbone import (
    body_parameters,
    check_staged,
    features_of,
    learning,
    pooled,
    width_of_features,
)
from zoo_plugins.tasks.representation_metrics import FEATURES, RepresentationMetrics, mean_of
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch, Figure, Matrix, Objective, Outputs, Task

CLIP = "clip_bcthw"


class SpeedPrediction(Task):
    """A `zoo_registry.protocols.Task`; see `speed_prediction`."""

    monitor: tuple[str, Literal["max", "min"]] = ("accuracy", "max")

    def __init__(self, backbone: Module, width: int, speeds: Sequence[int]) -> None:
        self.state = ModuleDict({"backbone": backbone, "classifier": Linear(width, len(speeds))})
        self.backbone, self.classifier, self.speeds = backbone, self.state["classifier"], tuple(speeds)

    def objectives(self) -> Sequence[Objective]:
        """One: cross-entropy of the speeds. The backbone's own head takes no part."""
        parameters = body_parameters(self.backbone) + learning(self.classifier)
        return [Objective("main", parameters, self._tell)]

    def result(self) -> Module:
        """The backbone; its head is what it was."""
        return self.backbone

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """Every clip at every speed, from its beginning.

        Returns:
            `{"logits_bss"}`, a row of logits for each true speed, `right_b`, the share of them that are told rightly,
            and `features_bc`, of the clip at the lowest speed.

        Raises:
            RecipeError: the model gives no features, as an exported file.
        """
        clip_bcthw = batch.inputs[CLIP]
        start_b = torch.zeros(len(batch), dtype=torch.int64, device=clip_bcthw.device)
        seen = [
            features_of(model, [self.played(clip_bcthw, torch.full_like(start_b, speed), start_b)], "speed_prediction")
            for speed in self.speeds
        ]
        logits_bss = torch.stack([self.classifier(features_bc) for features_bc in seen], dim=1).float()
        return {"logits_bss": logits_bss, "right_b": self._right(logits_bss), FEATURES: seen[0]}

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the views' probabilities, as logarithms, and of their features."""
        logits_bss = torch.stack([output["logits_bss"].softmax(2) for output in outputs]).mean(0).log()
        return {"logits_bss": logits_bss, "right_b": self._right(logits_bss), FEATURES: mean_of(outputs, FEATURES)}

    def metrics(self) -> RepresentationMetrics:
        """accuracy, of the speeds, knn (where there are labels) and spread."""
        return RepresentationMetrics({"accuracy": "right_b"})

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Which speed was taken for which."""
        names = tuple(f"x{speed}" for speed in self.speeds)
        told_ss = one_hot(outputs["logits_bss"].argmax(2), len(names)).sum(0)
        matrix = told_ss.cpu().numpy()
        return [Matrix("Speeds", names, names, matrix, row_axis="played", column_axis="told")]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"features"}` of each clip. A saved backbone has no classifier of speeds."""
        return [{"features": row} for row in outputs[FEATURES].tolist()]

    def played(self, clip_bcthw: Tensor, speed_b: Tensor, start_b: Tensor) -> Tensor:
        """Clips played at a speed: from a frame on, every so many frames.

        Args:
            clip_bcthw: clips (B, C, T, H, W).
            speed_b: (B,) int64, each one of `speeds`.
            start_b: (B,) int64, their first frames.

        Returns:
            (B, C, T / fastest, H, W).
        """
        step_l = torch.arange(clip_bcthw.shape[2] // max(self.speeds), device=clip_bcthw.device)
        frame_bl = start_b[:, None] + speed_b[:, None] * step_l
        index = frame_bl[:, None, :, None, None].expand(-1, clip_bcthw.shape[1], -1, *clip_bcthw.shape[3:])
        return clip_bcthw.gather(2, index)

    def _tell(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        clip_bcthw = batch.inputs[CLIP]
        device, frames = clip_bcthw.device, clip_bcthw.shape[2]
        class_b = torch.randint(len(self.speeds), (len(batch),), device=device)
        speed_b = self._speeds_on(device)[class_b]
        room_b = frames - 1 - speed_b * (frames // max(self.speeds) - 1)  # the last frame a clip may begin with
        start_b = (torch.rand(len(batch), device=device) * (room_b + 1)).long().minimum(room_b)
        features = self.backbone.forward_features(self.played(clip_bcthw, speed_b, start_b))  # type: ignore[operator]
        return {"total": cross_entropy(self.classifier(pooled(features)).float(), class_b)}

    def _speeds_on(self, device: torch.device) -> Tensor:
        """As a tensor, made where it is needed: a copy in every step would make the step wait."""
        return torch.stack([torch.full((), speed, dtype=torch.int64, device=device) for speed in self.speeds])

    def _right(self, logits_bss: Tensor) -> Tensor:
        true_s = torch.arange(len(self.speeds), device=logits_bss.device)
        return (logits_bss.argmax(2) == true_s).float().mean(1)


def speed_prediction(
    *,
    model: Provided[Module],
    inputs: Provided[Sequence[str]],
    clip: Provided[ClipSpec | None] = None,
    speeds: Annotated[list[Annotated[int, Range(ge=1, le=64)]], Range(ge=2)] = [1, 2, 4],  # noqa: B006
) -> SpeedPrediction:
    """The task of telling how fast a clip is played (pace prediction, Wang et al. 2020). It reads no labels.

    Of every clip of T frames the model sees T / F, F being the fastest speed: neighbouring ones, every second, every
    fourth. So `data.clip.frames` is F times what the model should see, and the model has to take clips of that length:
    one with a table of positions for T frames does not.

    Args:
        model: a recognition model with stages; its head takes no part.
        inputs: keys of `Batch.inputs`: the clip alone.
        clip: shape of the clips.
        speeds: every how many frames one is shown; each is a class.

    Returns:
        A task whose result is the backbone, and which watches `accuracy`, of the speeds.

    Raises:
        ParameterError: speeds that are not different, clips too short for the fastest, or a model of other inputs.
        RecipeError: a model without stages, or one that does not take the shorter clips.

    Example:
        >>> from zoo_plugins.basic.cnn3d import CNN3D
        >>> spec = ClipSpec(frames=8, size=16)
        >>> task = speed_prediction(model=CNN3D(6), inputs=("clip_bcthw",), clip=spec)
        >>> film = torch.arange(8.0).view(1, 1, 8, 1, 1)                   # frame t shows t
        >>> task.played(film, torch.tensor([4]), torch.tensor([1])).flatten()
        tensor([1., 5.])
    """
    check_staged(model, "speed_prediction")
    if len(set(speeds)) != len(speeds):
        raise ParameterError(f"speeds {speeds} has one twice", hint="each is a class of its own: [1, 2, 4, 8]")
    if tuple(inputs) != (CLIP,):
        raise ParameterError(
            f"speed_prediction plays clips, and the model takes {', '.join(inputs)}", hint="take a model of clips alone"
        )
    shape = (3, 16, 224, 224) if clip is None else (len(clip.mean), clip.frames, *clip.height_width)
    length = shape[1] // max(speeds)
    if length < 2:
        raise ParameterError(
            f"a clip of {shape[1]} frames leaves {length} at speed {max(speeds)}, and motion needs two",
            hint=f"set data.clip.frames to {max(speeds)} times as many as the model should see",
        )
    width = width_of_features(model, (shape[0], length, *shape[2:]), "speed_prediction")
    return SpeedPrediction(model, width, speeds)
