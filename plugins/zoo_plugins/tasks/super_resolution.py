"""Small frames made large again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import Module

from zoo_plugins.tasks.bicubic import resized
from zoo_plugins.tasks.pixels import ROWS, picture_hwc, unnormalised
from zoo_plugins.tasks.restoration_metrics import RestorationMetrics, psnr_b, ssim_b
from zoo_registry import ClipSpec, Provided, Range
from zoo_registry.errors import DataError, PluginError, RecipeError
from zoo_registry.protocols import Batch, BeforeAfter, Figure, Objective, Outputs, Task

CLIP = "clip_bcthw"

MEASURES = ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim")

Loss = Callable[[Tensor, Tensor], Tensor]


class SuperResolution(Task):
    """A `zoo_registry.protocols.Task` that degrades what it is shown; see `super_resolution`."""

    monitor: tuple[str, Literal["max", "min"]] = ("psnr", "max")

    def __init__(self, model: Module, loss: Loss | None, clip: ClipSpec | None, scale: int, each: bool) -> None:
        self.state, self.loss, self.clip, self.scale, self.each = model, loss, clip, scale, each

    def degraded(self, batch: Batch) -> Batch:
        """Frames made small and large again as the input, the frames themselves as the target `clip_bcthw`.

        What is more than a multiple of the scale is cut off at the right and the bottom.

        Raises:
            DataError: the data bring target clips of their own, or frames are too small.
        """
        if CLIP in batch.targets:
            raise DataError(
                "the super_resolution task makes its own small frames, and the data bring target clips",
                hint="list the sharp films alone",
            )
        clip_bcthw = batch.inputs[CLIP].float()
        height, width = (side - side % self.scale for side in clip_bcthw.shape[-2:])
        if min(height, width) < 4 * self.scale:
            raise DataError(
                f"frames of {clip_bcthw.shape[-2]} x {clip_bcthw.shape[-1]} pixels are too small to be made "
                f"{self.scale} times smaller",
                hint=f"{4 * self.scale} pixels a side are the least",
            )
        sharp_bcthw = clip_bcthw[..., :height, :width]
        small_bcthw = resized(sharp_bcthw, Fraction(1, self.scale))
        enlarged = {CLIP: resized(small_bcthw, Fraction(self.scale))}
        return replace(batch, inputs=batch.inputs | enlarged, targets=batch.targets | {CLIP: sharp_bcthw})

    def objectives(self) -> Sequence[Objective]:
        """One: the loss of the restored frames."""
        return [Objective("main", list(self.state.parameters()), self._objective)]

    def result(self) -> Module:
        """The model."""
        return self.state

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """The restored frames, and what they are worth where there are sharp ones; else the batch's, enlarged.

        Returns:
            `{"clip_bcthw", "bicubic_bcthw"}` as the model sees and answers them, and (B,) each of MEASURES as `NAME_b`.

        Raises:
            PluginError: the model answers with another shape.
        """
        bicubic_bcthw = batch.inputs[CLIP]
        if CLIP not in batch.targets:
            bicubic_bcthw = resized(bicubic_bcthw.float(), Fraction(self.scale))
        outputs = {CLIP: _answer(model, bicubic_bcthw), "bicubic_bcthw": bicubic_bcthw}
        if CLIP in batch.targets:
            outputs |= self._measured(outputs, batch.targets[CLIP])
        return outputs

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The mean of the measures over views, and the frames of the first."""
        measured = {key for key in outputs[0] if key.endswith("_b")}
        means = {key: torch.stack([output[key] for output in outputs]).mean(0) for key in measured}
        return {**outputs[0], **means}

    def metrics(self) -> RestorationMetrics:
        """psnr, ssim, the same of bicubic enlargement, of every film where wanted, and loss."""
        return RestorationMetrics(MEASURES, self.loss, each=self.each)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Frames enlarged, restored and as they were."""
        shown = (outputs["bicubic_bcthw"], outputs[CLIP], batch.targets[CLIP])
        pictures = ([picture_hwc(each) for each in unnormalised(clip[:ROWS], self.clip)] for clip in shown)
        rows = tuple(zip(*pictures, strict=True))
        return [BeforeAfter("Restored frames", ("bicubic", "restored", "original"), rows)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """What was measured of each clip; without sharp frames how large it is now, and how much was added.

        `added` is the mean difference from bicubic enlargement, in grey levels of 255.
        """
        if "psnr_b" in outputs:
            columns = [outputs[f"{name}_b"].tolist() for name in MEASURES]
            return [dict(zip(MEASURES, row, strict=True)) for row in zip(*columns, strict=True)]
        height, width = outputs[CLIP].shape[-2:]
        difference_b = (outputs[CLIP] - outputs["bicubic_bcthw"]).abs().mean((1, 2, 3, 4)) * 255
        return [{"height": height, "width": width, "added": added} for added in difference_b.tolist()]

    def _measured(self, outputs: Outputs, sharp_bcthw: Tensor) -> Outputs:
        edge = slice(self.scale, -self.scale)  # convolutions and resizing know less there
        restored, bicubic, sharp = (
            self._luma(clip[..., edge, edge]) for clip in (outputs[CLIP], outputs["bicubic_bcthw"], sharp_bcthw)
        )
        return {
            "psnr_b": psnr_b(restored, sharp),
            "ssim_b": ssim_b(restored, sharp),
            "bicubic_psnr_b": psnr_b(bicubic, sharp),
            "bicubic_ssim_b": ssim_b(bicubic, sharp),
        }

    def _luma(self, clip_bcthw: Tensor) -> Tensor:
        """Grey frames as luma of ITU-R BT.601 in studio range, over 255; without a clip spec they are that already."""
        return clip_bcthw if self.clip is None else (unnormalised(clip_bcthw, self.clip) * 219 + 16) / 255

    def _objective(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        if self.loss is None:
            raise RecipeError("the super_resolution task has no loss to train with", hint="write loss: mse, or l1")
        return {"total": self.loss(_answer(self.state, batch.inputs[CLIP]), batch.targets[CLIP])}


def _answer(model: Callable[..., Any], clip_bcthw: Tensor) -> Tensor:
    said = model(clip_bcthw)
    shape = tuple(said.shape) if isinstance(said, Tensor) else type(said).__name__
    if shape != tuple(clip_bcthw.shape):
        raise PluginError(
            f"the model answered {shape} to clips of {tuple(clip_bcthw.shape)}",
            hint="a model for super_resolution takes enlarged frames and returns frames of that size",
        )
    restored: Tensor = said.float()
    return restored


def super_resolution(
    *,
    model: Provided[Module],
    losses: Provided[Mapping[str, Loss]],
    clip: Provided[ClipSpec | None] = None,
    scale: Annotated[int, Range(ge=2, le=4)] = 2,
    each: bool = False,
) -> SuperResolution:
    """The task of restoring frames that were made smaller. It reads no labels: sharp films are all it needs.

    Frames are made `scale` times smaller and as large again by bicubic filtering, the way MATLAB's `imresize` does,
    before the model sees them: in training, evaluation, calibration and export alike. `predict` of a model by itself
    enlarges what it is given instead.

    PSNR and SSIM are of the luma (ITU-R BT.601, studio range, as MATLAB's `rgb2ycbcr`) in floats, and a border of
    `scale` pixels is left out, as papers on super-resolution do since Timofte et al. (2014).

    Args:
        model: takes and returns clips (B, 1, T, H, W).
        losses: role `loss`, `(restored, sharp)` to scalar; empty when the model only predicts.
        clip: mean and deviation of the clips, which have one channel.
        scale: how many times smaller.
        each: whether to tell the measures of every film by its name, as in `psnr/bird`.

    Returns:
        A task whose `predict` gives `{"clip_bcthw", "bicubic_bcthw", "psnr_b", ...}` and which watches `psnr`.

    Raises:
        RecipeError: the model sees colours.

    Example:
        >>> task = super_resolution(model=torch.nn.Identity(), losses={})
        >>> noise = torch.rand(1, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
        >>> batch = task.degraded(Batch({"clip_bcthw": noise}, {}, torch.tensor([0]), torch.tensor([0])))
        >>> said = task.predict(task.result(), batch)
        >>> bool(said["psnr_b"] == said["bicubic_psnr_b"])                # the identity is as good as bicubic
        True
    """
    if clip is not None and len(clip.mean) != 1:
        raise RecipeError(
            f"the super_resolution task restores luma, one channel, and the model sees {len(clip.mean)}",
            hint="take one of those that `zoo models --task super_resolution` lists",
        )
    return SuperResolution(model, losses.get("loss"), clip, scale, each)
