"""Clips that a critic takes for real ones: losses, penalties, who sees what when, and what is measured."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.plugins.tasks.training import recipe_of, train
from zoo.build import check_params
from zoo_plugins.basic.clip_discriminator import ClipDiscriminator, clip_discriminator
from zoo_plugins.basic.clip_generator import ClipGenerator, clip_generator
from zoo_plugins.tasks.clip_statistics import clip_statistics
from zoo_plugins.tasks.frechet import frechet_distance
from zoo_plugins.tasks.gan import gan
from zoo_plugins.tasks.gan_losses import gradient_penalty, r1_penalty
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError, PluginError, RecipeError
from zoo_registry.protocols import Batch

SPEC = ClipSpec(frames=8, size=16, mean=(0.5,) * 3, std=(0.5,) * 3)


def batch_of(count: int = 4, start: int = 0, seed: int = 0) -> Batch:
    clip_bcthw = torch.rand(count, 3, 8, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return Batch(
        {"clip_bcthw": clip_bcthw}, {}, torch.arange(start, start + count), torch.zeros(count, dtype=torch.int64)
    )


def task_of(**options: Any):
    torch.manual_seed(0)
    options = {"model": ClipGenerator((3, 8, 16, 16), 2), "discriminator": ClipDiscriminator(3, 2)} | options
    return gan(clip=SPEC, **options)


class Linear(nn.Module):
    """A critic whose slope is `weight` everywhere."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, clip_bcthw):
        return clip_bcthw.flatten(1) @ self.weight


def slope_of(length: float, count: int = 3 * 2 * 2 * 2) -> torch.Tensor:
    weight = torch.randn(count, generator=torch.Generator().manual_seed(1))
    return weight / weight.norm() * length


@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_the_penalty_of_a_plane_is_the_square_of_its_slope_less_one(length):
    """Gulrajani et al. 2017, equation 3, without lambda."""
    real, made = torch.rand(2, 5, 3, 2, 2, 2)
    assert gradient_penalty(Linear(slope_of(length)), real, made).item() == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_r1_of_a_plane_is_half_the_square_of_its_slope():
    """Mescheder et al. 2018, equation 9, without gamma."""
    assert r1_penalty(Linear(slope_of(3.0)), torch.rand(5, 3, 2, 2, 2)).item() == pytest.approx(4.5, rel=1e-5)


def test_penalties_teach_the_critic():
    critic = Linear(slope_of(3.0))
    gradient_penalty(critic, *torch.rand(2, 5, 3, 2, 2, 2)).backward()
    expected = 2 * (3.0 - 1) * critic.weight.detach() / 3.0
    torch.testing.assert_close(critic.weight.grad, expected, rtol=1e-4, atol=1e-5)


def test_a_compiled_critic_can_be_penalised():
    """What torch.compile makes cannot be differentiated twice: the penalty runs as written."""
    critic, (real, made) = ClipDiscriminator(3, 2), torch.rand(2, 2, 3, 8, 16, 16)
    torch.manual_seed(3)
    expected = gradient_penalty(critic, real, made)
    critic.compile(backend="aot_eager")
    critic(real).sum().backward()
    torch.manual_seed(3)
    penalty = gradient_penalty(critic, real, made)
    penalty.backward()
    torch.testing.assert_close(penalty, expected)


def test_the_distance_is_the_one_that_torchmetrics_computes():
    compute = pytest.importorskip("torchmetrics.image.fid")._compute_fid
    generator = torch.Generator().manual_seed(2)
    one, other = torch.randn(50, 6, generator=generator), torch.randn(40, 6, generator=generator) * 2 + 1
    moments = [moment for rows in (one.double(), other.double()) for moment in (rows.mean(0), rows.T.cov())]
    assert frechet_distance(one, other) == pytest.approx(float(compute(*moments)), rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_one_clip_alone_has_no_distance():
    assert math.isnan(frechet_distance(torch.zeros(1, 3), torch.zeros(4, 3)))


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "wasserstein"])
@pytest.mark.parametrize("penalty", [None, "none", "gradient", "r1"])
def test_every_loss_goes_with_every_penalty(loss, penalty):
    task, batch, shared = task_of(loss=loss, penalty=penalty), batch_of(), {}
    for objective in task.objectives():
        terms = objective.loss(batch, shared)
        terms["total"].backward()
        assert all(value.isfinite() for value in terms.values())
    penalised = penalty in ("gradient", "r1") or (loss == "wasserstein" and penalty is None)
    assert ("penalty" in terms) == penalised


def test_the_critic_judges_the_clips_that_the_generator_made_in_the_same_step():
    task, batch, shared = task_of(), batch_of(), {}
    made, judged = [], []
    task.generator.register_forward_hook(lambda module, inputs, output: made.append(output.detach()))
    generator, critic = task.objectives()
    generator.loss(batch, shared)
    task.critic.register_forward_pre_hook(lambda module, inputs: judged.append(inputs[0].detach()))
    critic.loss(batch, shared)
    assert len(made) == 1
    assert torch.equal(judged[0], torch.cat([batch.inputs["clip_bcthw"], made[0]]))
    critic.loss(batch, {})  # a step of its own
    assert len(made) == 2


def test_the_critics_loss_leaves_the_generator_alone_and_the_other_way_round():
    task = task_of(loss="wasserstein")
    for objective, other in zip(task.objectives(), reversed(task.objectives()), strict=True):
        for parameter in other.parameters:
            parameter.requires_grad_(False)  # as the loop does
        objective.loss(batch_of(), {})["total"].backward()
        assert all(parameter.grad is None for parameter in other.parameters)
        assert all(parameter.grad is not None for parameter in objective.parameters)
        task.state.zero_grad()
        task.state.requires_grad_(True)


def test_a_sample_gets_the_same_clip_whatever_batch_it_is_in():
    task = task_of()
    task.state.eval()
    four, last = batch_of(4), batch_of(1, start=3)
    whole, alone = (task.predict(task.result(), batch)["clip_bcthw"] for batch in (four, last))
    torch.testing.assert_close(whole[3:], alone)
    assert not torch.allclose(whole[0], whole[1])


def test_made_clips_that_are_the_real_ones_have_no_distance_from_them():
    task, batch = task_of(), batch_of(6)
    metrics = task.metrics()
    metrics.update({"clip_bcthw": batch.inputs["clip_bcthw"]}, batch)
    values = metrics.compute()
    assert values["frechet"] == pytest.approx(0, abs=1e-6)
    assert values["critic/gap"] == pytest.approx(0, abs=1e-6)


def test_grey_clips_are_farther_from_films_than_other_films_are():
    """Their means are right, and that is all."""
    films = torch.rand(64, 3, 8, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    real, others = films.chunk(2)
    grey = torch.zeros_like(real)
    described = [clip_statistics(clip_bcthw) for clip_bcthw in (real, others, grey)]
    assert frechet_distance(described[0], described[2]) > 2 * frechet_distance(described[0], described[1])


def test_a_clip_that_stands_still_has_contrast_and_no_motion():
    """Halves of 0 and 1 in every cell: mean and deviation are 0.5."""
    columns = torch.tensor([0.0, 1.0]).repeat(8).expand(1, 1, 4, 16, 16)
    mean, deviation, motion = clip_statistics(columns).view(3, 32)
    assert mean.tolist() == pytest.approx([0.5] * 32)
    assert deviation.tolist() == pytest.approx([0.5] * 32)
    assert motion.tolist() == [0.0] * 32
    turning = torch.stack([columns[:, :, 0], 1 - columns[:, :, 0]] * 2, dim=2)  # every pixel changes by 1
    assert clip_statistics(turning).view(3, 32)[2].mean().item() == pytest.approx(3 / 4)  # but for the first frame


def test_the_distance_may_be_of_another_networks_features():
    from zoo_plugins.basic.cnn3d import CNN3D

    task, batch = task_of(features=CNN3D(5)), batch_of(6)
    assert task._described(batch.inputs["clip_bcthw"]).shape == (6, 64)
    assert not any(name.startswith("features") for name in task.state.state_dict())
    metrics = task.metrics()
    metrics.update(task.predict(task.result(), batch), batch)
    assert metrics.compute()["frechet"] > 0


def test_pictures_show_real_frames_beside_made_ones():
    task, batch = task_of(), batch_of(2)
    (figure,) = task.figures(task.predict(task.result(), batch), batch)
    assert figure.columns == ("real", "made")
    first = ((batch.inputs["clip_bcthw"][0, :, 0] + 1) / 2 * 255).round().byte()
    assert figure.rows[0][0].shape == (16, 4 * 16, 3)
    assert (figure.rows[0][0][:, :16] == first.permute(1, 2, 0).numpy()).all()


@pytest.mark.parametrize(
    ("build", "clip", "said"),
    [
        (clip_generator, ClipSpec(frames=12, size=32), "frames in multiples of 8 .* the clip has 12 of 32x32"),
        (clip_generator, ClipSpec(frames=8, size=40), "sides in multiples of 16; the clip has 8 of 40x40"),
        (clip_discriminator, ClipSpec(frames=4, size=32), "nothing is left of 4 frames of 32x32"),
    ],
)
def test_clips_that_do_not_go_through_are_refused(build, clip, said):
    with pytest.raises(ParameterError, match=said):
        build(clip=clip)


def test_bad_parameters_are_said_before_anything_is_built():
    listed = catalog().resolve("task", "tasks/gan")
    problems = check_params(listed, {"n_critic": 0, "discriminator": "basic/clip_discriminater", "loss": "hings"})
    told = "\n".join(map(str, problems))
    assert "n_critic" in told
    assert "clip_discriminator" in told
    assert "hings" in told


def test_features_of_a_network_without_stages_are_refused():
    with pytest.raises(RecipeError, match="the gan task wants features, and a Linear does not tell"):
        task_of(features=Linear(torch.ones(1)))


def test_a_generator_of_something_else_is_named():
    task = task_of(model=nn.Flatten())
    with pytest.raises(PluginError, match=r"the generator answered \(4, 6144\) to noise of \(4, 3, 8, 16, 16\)"):
        task.predict(task.result(), batch_of())


def recipe(**params: Any) -> dict[str, Any]:
    critic = {"name": "basic/clip_discriminator", "params": {"width": 4}}
    found = recipe_of(
        {"name": "gan", "params": {"discriminator": critic, "loss": "wasserstein", "n_critic": 2, **params}},
        {"name": "basic/clip_generator", "params": {"width": 4}},
        clip={"frames": 8, "size": 32},
    )
    found["optim"]["per_objective"] = {"critic": {"params": {"lr": 4e-3}}}
    return found


def test_the_generator_learns_at_every_second_step_and_each_at_its_own_rate(tmp_path):
    run = train(recipe(), tmp_path / "run")
    rows = run.rows("train")
    assert [row["step"] for row in rows if "generator/loss" in row] == [1, 3, 5, 7, 9]
    assert [row["step"] for row in rows if "critic/loss" in row] == list(range(1, 10))
    assert (rows[0]["generator/lr"], rows[0]["critic/lr"]) == (1e-3, 4e-3)
    assert rows[-1]["critic/loss"] < rows[0]["critic/loss"]
    assert run.task.result() is run.pipeline.network
