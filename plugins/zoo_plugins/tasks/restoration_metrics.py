"""How near restored frames come to the originals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import nan
from statistics import fmean

import torch
from torch import Tensor

from zoo_registry.protocols import Batch, Outputs

LEAST = 11
"""Pixels on a side that SSIM's window takes."""


def psnr_b(restored_bcthw: Tensor, sharp_bcthw: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (B,) in decibels: of every frame, then the mean over frames.

    Args:
        restored_bcthw: values in 0..1; what lies outside is cut off.
        sharp_bcthw: likewise.

    Example:
        >>> float(psnr_b(torch.zeros(1, 1, 1, 4, 4), torch.full((1, 1, 1, 4, 4), 0.1)))
        20.0
    """
    error_bt = (restored_bcthw.clamp(0, 1) - sharp_bcthw).double().square().mean((1, 3, 4))
    return (-10 * error_bt.log10()).mean(1).float()


def ssim_b(restored_bcthw: Tensor, sharp_bcthw: Tensor) -> Tensor:
    """Structural similarity (B,) likewise, by torchmetrics (Wang et al. 2004); NaN for frames smaller than its window.

    Args:
        restored_bcthw: values in 0..1; what lies outside is cut off.
        sharp_bcthw: likewise.
    """
    count, _, frames, height, width = sharp_bcthw.shape
    if min(height, width) < LEAST:
        return sharp_bcthw.new_full((count,), nan)
    from torchmetrics.functional.image import structural_similarity_index_measure

    pictures = (each.transpose(1, 2).flatten(0, 1) for each in (restored_bcthw.clamp(0, 1), sharp_bcthw))
    ssim = structural_similarity_index_measure(*pictures, data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)
    return ssim.view(count, frames).mean(1)


class RestorationMetrics:
    """Running means of what was measured of each film; a `zoo_registry.protocols.Metrics`.

    `compute` gives the mean over films of each of `measures`, with `each` also `MEASURE/FILM` by the target `film` that
    says what a film is called, and `loss` where there is one.

    Args:
        measures: names, whose values are outputs (B,) called `NAME_b`.
        loss: `(restored, sharp)` to scalar, or None.
        each: whether to tell the measures of every film.

    Example:
        >>> metrics = RestorationMetrics(("psnr",), None, each=True)
        >>> rows = torch.arange(2)
        >>> metrics.update({"psnr_b": torch.tensor([30.0, 32.0])}, Batch({}, {"film": ["a", "b"]}, rows, rows))
        >>> metrics.compute()
        {'psnr': 31.0, 'psnr/a': 30.0, 'psnr/b': 32.0}
    """

    def __init__(self, measures: Sequence[str], loss: Callable[[Tensor, Tensor], Tensor] | None, *, each: bool) -> None:
        self._measures, self._loss, self._each = tuple(measures), loss, each
        self._values: dict[str, list[Tensor]] = {}
        self._films: list[str] = []

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Take in one batch."""
        for name in self._measures:
            self._values.setdefault(name, []).append(outputs[f"{name}_b"].detach())
        if self._loss is not None:
            loss = self._loss(outputs["clip_bcthw"], batch.targets["clip_bcthw"]).detach()
            self._values.setdefault("loss", []).append(loss.expand(len(batch)))
        names = batch.targets.get("film") or [str(index) for index in batch.index.tolist()]
        self._films += names

    def compute(self) -> Mapping[str, float]:
        """The measures so far; NaN where nothing was seen."""
        names = (*self._measures, *(["loss"] if self._loss else []))
        values = {name: torch.cat(seen).tolist() for name, seen in self._values.items()}
        answer = {name: fmean(values[name]) if name in values else nan for name in names}
        if self._each:
            for name in self._measures if values else ():
                for film in dict.fromkeys(self._films):
                    own = [value for value, of in zip(values[name], self._films, strict=True) if of == film]
                    answer[f"{name}/{film}"] = fmean(own)
        return answer

    def merge(self, other: RestorationMetrics) -> None:
        """Take in what another has seen of the same split, such as another process; the other stays as it is."""
        for name, seen in other._values.items():
            self._values.setdefault(name, []).extend(seen)
        self._films += other._films

    def reset(self) -> None:
        """Forget everything."""
        self._values, self._films = {}, []
