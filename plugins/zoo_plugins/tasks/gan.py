"""Clips that a critic takes for real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import Module, ModuleDict

from zoo_plugins.tasks.backbone import check_staged, features_of
from zoo_plugins.tasks.clip_statistics import clip_statistics
from zoo_plugins.tasks.gan_losses import GanLoss, critic_loss, generator_loss, gradient_penalty, r1_penalty
from zoo_plugins.tasks.gan_metrics import GanMetrics
from zoo_plugins.tasks.pixels import ROWS, strip_hwc
from zoo_registry import ClipSpec, Model, Provided, Range, Ref
from zoo_registry.errors import PluginError
from zoo_registry.protocols import Batch, BeforeAfter, Figure, Objective, Outputs, Task

Penalty = Literal["none", "gradient", "r1"]

CLIP = "clip_bcthw"


class Gan(Task):
    """A `zoo_registry.protocols.Task`; see `gan`.

    Args:
        generator: noise of a clip's shape to clips.
        critic: clips to scores (B,).
        features: of which the distance of made from real clips is told; those of `clip_statistics` when None.
        loss: which loss.
        penalty: on the critic's slopes, and its weight.
        n_critic: steps of the critic for each of the generator.
        clip: mean and deviation of the clips, for pictures.
    """

    monitor: tuple[str, Literal["max", "min"]] = ("frechet", "min")

    def __init__(
        self,
        generator: Module,
        critic: Module,
        features: Module | None,
        loss: GanLoss,
        penalty: tuple[Penalty, float],
        n_critic: int,
        clip: ClipSpec | None,
    ) -> None:
        self.state = ModuleDict({"generator": generator, "critic": critic})
        self.generator, self.critic = generator, critic
        self.features = None if features is None else features.eval().requires_grad_(False)
        self.loss, self.penalty, self.n_critic, self.clip = loss, penalty, n_critic, clip

    def objectives(self) -> Sequence[Objective]:
        """The generator, at every `n_critic`-th step, and the critic, which then judges the same clips."""
        return [
            Objective("generator", list(self.generator.parameters()), self._generate, every=self.n_critic),
            Objective("critic", list(self.critic.parameters()), self._criticise),
        ]

    def result(self) -> Module:
        """The generator."""
        return self.generator

    def predict(self, model: Callable[..., Any], batch: Batch) -> Outputs:
        """`{"clip_bcthw"}`: a made clip for each of the batch, of noise that its index and view seed.

        Raises:
            PluginError: the generator answers another shape than that of the noise.
        """
        return {CLIP: self._made(model, noise_for(batch))}

    def merge(self, outputs: Sequence[Outputs]) -> Outputs:
        """The clip of the first view: a mean of several would look like none."""
        return outputs[0]

    def metrics(self) -> GanMetrics:
        """frechet, critic/real, critic/fake and critic/gap."""
        return GanMetrics(self.critic, self._described)

    def figures(self, outputs: Outputs, batch: Batch) -> Sequence[Figure]:
        """Frames of real and of made clips side by side."""
        pairs = zip(batch.inputs[CLIP][:ROWS], outputs[CLIP][:ROWS], strict=True)
        rows = tuple(tuple(strip_hwc(clip_cthw, self.clip) for clip_cthw in pair) for pair in pairs)
        return [BeforeAfter("Real and made clips", ("real", "made"), rows)]

    def readable(self, outputs: Outputs) -> Sequence[Mapping[str, Any]]:
        """`{"brightness", "motion"}` of each made clip: its mean, and the mean difference of neighbouring frames."""
        clips_bcthw = outputs[CLIP]
        motion_b = clips_bcthw.diff(dim=2).abs().flatten(1).mean(1) if clips_bcthw.shape[2] > 1 else None
        brightness = clips_bcthw.flatten(1).mean(1).tolist()
        moving = [0.0] * len(brightness) if motion_b is None else motion_b.tolist()
        return [{"brightness": one, "motion": other} for one, other in zip(brightness, moving, strict=True)]

    def _generate(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        """The generator's loss; its clips are left for the critic, which needs not make others."""
        made_bcthw = self._made(self.generator, torch.randn_like(batch.inputs[CLIP]))
        shared["made_bcthw"] = made_bcthw.detach()
        return {"total": generator_loss(self.loss, self.critic(made_bcthw))}

    def _criticise(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        real_bcthw = batch.inputs[CLIP]
        made_bcthw = shared.get("made_bcthw")
        if made_bcthw is None:  # a step without the generator's
            with torch.no_grad():
                made_bcthw = self._made(self.generator, torch.randn_like(real_bcthw))
        scores_b = self.critic(torch.cat([real_bcthw, made_bcthw.to(real_bcthw.dtype)]))
        real_b, made_b = scores_b.chunk(2)
        total = critic_loss(self.loss, real_b, made_b)
        terms = {"real": real_b.detach().float().mean(), "fake": made_b.detach().float().mean()}
        kind, weight = self.penalty
        if kind != "none":
            slopes = r1_penalty(self.critic, real_bcthw) if kind == "r1" else None
            terms["penalty"] = gradient_penalty(self.critic, real_bcthw, made_bcthw) if slopes is None else slopes
            total = total + weight * terms["penalty"]
        return {"total": total, **terms}

    def _made(self, generator: Callable[..., Any], noise_bcthw: Tensor) -> Tensor:
        made = generator(noise_bcthw)
        shape = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        if shape != tuple(noise_bcthw.shape):
            raise PluginError(
                f"the generator answered {shape} to noise of {tuple(noise_bcthw.shape)}",
                hint="it should make a clip of the shape of its noise",
            )
        return made  # type: ignore[no-any-return]

    def _described(self, clip_bcthw: Tensor) -> Tensor:
        """Features (B, D) of clips, real or made."""
        if self.features is None:
            return clip_statistics(clip_bcthw)
        return features_of(self.features, [clip_bcthw], "gan")


def noise_for(batch: Batch) -> Tensor:
    """Standard normal noise (B, C, T, H, W), each sample's from a seed that its index and view give.

    So a sample gets the same noise whatever batch it is in, and from whatever calls the generator.
    """
    clip_bcthw = batch.inputs[CLIP]
    rows = []
    for index, view in zip(batch.index.tolist(), batch.view.tolist(), strict=True):
        generator = torch.Generator().manual_seed((index << 16) + view)
        rows.append(torch.randn(clip_bcthw.shape[1:], generator=generator))
    return torch.stack(rows).to(clip_bcthw)


def gan(
    *,
    model: Provided[Module],
    discriminator: Ref[Model],
    clip: Provided[ClipSpec | None] = None,
    loss: GanLoss = "non_saturating",
    penalty: Penalty | None = None,
    penalty_weight: Annotated[float, Range(gt=0)] = 10.0,
    n_critic: Annotated[int, Range(ge=1)] = 1,
    features: Ref[Model] | None = None,
) -> Gan:
    """The task of making clips: a generator and a critic that learn against each other (Goodfellow et al. 2014).

    Two objectives, `generator` and `critic`, with an optimiser each: a recipe gives them their own learning rates in
    `optim.per_objective`. At a step of both, the critic judges the clips that the generator was just judged by.

    Args:
        model: the generator: takes noise of a clip's shape, standard normal, and returns clips (B, C, T, H, W) that
            look like the normalised clips of the data. Tanh networks want data of mean and deviation 0.5.
        discriminator: the critic: takes such clips, returns scores (B,).
        clip: mean and deviation of the clips, for pictures.
        loss: `non_saturating` (Goodfellow et al. 2014), `hinge` (Lim and Ye 2017) or `wasserstein` (Arjovsky et al.
            2017).
        penalty: `gradient` (Gulrajani et al. 2017, equation 3), `r1` (Mescheder et al. 2018, equation 9) or `none`; by
            default `gradient` with `wasserstein`, which needs it, and `none` with the others.
        penalty_weight: lambda of the former, gamma of the latter.
        n_critic: steps of the critic for each of the generator.
        features: whose features, averaged over the clip, the distance of made from real clips is of; without one it is
            of brightness, contrast and motion in a coarse grid. Distances of different features do not compare.

    Returns:
        A task whose result is the generator and which watches `frechet`.

    Raises:
        RecipeError: `features` is a network without stages.
    """
    critic: Module = discriminator  # type: ignore[assignment]
    described_by: Module | None = features  # type: ignore[assignment]
    if described_by is not None:
        check_staged(described_by, "gan")
    kind: Penalty = ("gradient" if loss == "wasserstein" else "none") if penalty is None else penalty
    return Gan(model, critic, described_by, loss, (kind, penalty_weight), n_critic, clip)
