"""Telling which two clips are of one film: the losses of other libraries, the queue, the slow encoder, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from tests.plugins.tasks.training import assembled, recipe_of, train
from zoo_plugins.basic.cnn2d import CNN2D
from zoo_plugins.basic.cnn3d import CNN3D
from zoo_plugins.tasks.contrastive import contrastive
from zoo_plugins.tasks.contrastive_losses import info_nce, nt_xent
from zoo_plugins.tasks.nearest_neighbours import nearest_neighbour_accuracy
from zoo_plugins.tasks.representation_metrics import RepresentationMetrics, spread
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, RecipeError
from zoo_registry.protocols import Batch

SPEC = ClipSpec(frames=4, size=16)


def task_of(**options: Any):
    torch.manual_seed(0)
    options = {"model": CNN3D(3), "inputs": ("clip_bcthw",), "clip": SPEC, "projection": 8, "queue": 6} | options
    return contrastive(**options)


def batch_of(samples: int = 3, seed: int = 0) -> Batch:
    clip_bcthw = torch.randn(2 * samples, 3, 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    index = torch.arange(samples).repeat_interleave(2)
    return Batch({"clip_bcthw": clip_bcthw}, {}, index, torch.tensor([0, 1]).repeat(samples))


def rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    number = torch.arange(24.0).view(6, 4)
    queue = normalize(torch.sin(0.7 * torch.arange(40.0).view(10, 4) + 1), dim=1)
    return torch.sin(number), torch.cos(1.3 * number), queue


def test_nt_xent_is_that_of_other_libraries():
    """lightly 1.6.0 and pytorch-metric-learning 2.9.0 say 3.853874."""
    one, other, _ = rows()
    assert nt_xent(one, other, 0.3)[0].item() == pytest.approx(3.853874, abs=1e-5)


def test_info_nce_is_that_of_another_library():
    """lightly 1.6.0 with a memory bank says 5.475523."""
    one, other, queue = rows()
    assert info_nce(one, other, queue, 0.2)[0].item() == pytest.approx(5.475523, abs=1e-5)


def test_losses_stay_in_float32_under_autocast():
    one, other, queue = rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = nt_xent(one, other, 0.3)[0], info_nce(one, other, queue, 0.2)[0]
    assert [loss.item() for loss in losses] == pytest.approx([3.853874, 5.475523], abs=1e-5)


@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_the_head_takes_no_part(method):
    task = task_of(method=method)
    (objective,) = task.objectives()
    objective.loss(batch_of(), {})["total"].backward()
    assert all(parameter.grad is not None for parameter in objective.parameters)
    assert all(parameter.grad is None for parameter in task.backbone.classifier.parameters())
    assert len(objective.parameters) == len(list(task.backbone.features.parameters())) + 4


def test_the_slow_encoder_follows_by_its_momentum():
    task = task_of(momentum=0.9)
    slow, fast = (dict(each.named_parameters()) for each in (task.slow["backbone"], task.backbone))
    before = slow["features.0.weight"].clone()
    with torch.no_grad():
        fast["features.0.weight"].add_(1.0)
    task.after_step(0)
    torch.testing.assert_close(slow["features.0.weight"], before + 0.1)
    assert not any(parameter.requires_grad for parameter in slow.values())


def test_keys_of_a_step_enter_the_queue_after_it_and_the_oldest_leave():
    task = task_of()
    (objective,) = task.objectives()
    first = task.queue.keys_nd.clone()
    objective.loss(batch_of(2), {})
    objective.loss(batch_of(2, seed=1), {})  # two batches of one step
    assert torch.equal(task.queue.keys_nd, first)
    task.after_step(0)
    assert torch.equal(task.queue.keys_nd[4:], first[4:])
    keys = [
        normalize(task.slow["projector"](task.slow["backbone"].forward_features(clip).mean((2, 3, 4))), dim=1)
        for clip in (batch_of(2, seed=seed).inputs["clip_bcthw"][1::2] for seed in (0, 1))
    ]
    torch.testing.assert_close(task.queue.keys_nd[:4], torch.cat(keys))
    objective.loss(batch_of(3, seed=2), {})
    task.after_step(1)
    assert not torch.equal(task.queue.keys_nd[0], torch.cat(keys)[0])  # the ring has come round
    assert int(task.queue.next) == 1


def test_everything_that_changes_is_in_the_state():
    state = task_of().state.state_dict()
    assert {"queue.keys_nd", "queue.next", "slow.backbone.features.0.weight", "projector.0.weight"} <= state.keys()


def test_a_queue_smaller_than_a_step_is_refused_before_anything_is_learnt():
    task = task_of(queue=3)
    (objective,) = task.objectives()
    with pytest.raises(RecipeError, match="the queue holds 3 keys, and a step brings 4"):
        objective.loss(batch_of(4), {})


def test_one_clip_of_each_sample_is_refused():
    batch = batch_of()
    alone = Batch(batch.inputs, {}, torch.arange(6), batch.view)
    for method in ("moco", "simclr"):
        (objective,) = task_of(method=method).objectives()
        with pytest.raises(DataError, match=r"compares two clips of each sample, and a batch holds samples \[0, 1, 2"):
            objective.loss(alone, {})


def test_a_model_without_features_is_refused():
    with pytest.raises(RecipeError, match="a Sequential does not tell its features from its head"):
        task_of(model=nn.Sequential(nn.Flatten(), nn.Linear(96, 3)))


def test_a_clip_that_the_model_does_not_take_is_said_before_the_first_step():
    with pytest.raises(RecipeError, match="clips of 4 frames of 16x16, which it does not take"):
        task_of(model=CNN2D(3, (16, 16)))


def test_an_exported_file_has_no_features_to_read():
    with pytest.raises(RecipeError, match="gives only what its head says"):
        task_of().predict(lambda clip: clip, batch_of())


def test_features_that_fill_their_space_are_spread_and_equal_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    assert spread(torch.randn(4096, 64, generator=generator)) == pytest.approx(1, abs=0.02)
    assert spread(torch.ones(8, 64)) == pytest.approx(0, abs=1e-6)


def test_nearest_neighbours_find_separate_classes_and_guess_at_random_ones():
    generator = torch.Generator().manual_seed(0)
    label_n = torch.arange(300) % 3
    noise = torch.randn(300, 16, generator=generator)
    assert nearest_neighbour_accuracy(10 * torch.eye(3, 16)[label_n] + noise, label_n) == 1.0
    assert nearest_neighbour_accuracy(noise, label_n) == pytest.approx(1 / 3, abs=0.1)


def test_neighbours_are_those_of_scikit_learn():
    neighbours = pytest.importorskip("sklearn.neighbors")
    model_selection = pytest.importorskip("sklearn.model_selection")
    generator = torch.Generator().manual_seed(0)
    features = normalize(torch.randn(60, 4, generator=generator), dim=1)
    labels = (features[:, 0] + 0.5 * torch.randn(60, generator=generator) > 0).long()
    classifier = neighbours.KNeighborsClassifier(
        n_neighbors=5, metric="cosine", weights=lambda distances: torch.tensor(1 - distances).div(0.07).exp().numpy()
    )
    scores = model_selection.cross_val_score(classifier, features, labels, cv=model_selection.LeaveOneOut())
    assert nearest_neighbour_accuracy(features, labels, neighbours=5) == pytest.approx(scores.mean())


def test_films_without_labels_can_be_learnt_from():
    metrics = RepresentationMetrics({})
    metrics.update({"features_bc": torch.randn(4, 8)}, batch_of(2))
    values = metrics.compute()
    assert math.isnan(values["knn"])
    assert values["spread"] > 0


def test_a_backbone_is_what_a_run_starts_from(tmp_path):
    """What contrast taught is in the network that another recipe names by the run."""
    import zoo

    recipe = recipe_of(
        {"name": "contrastive", "params": {"queue": 8, "projection": 8}},
        "basic/cnn3d",
        clip={"frames": 4, "size": 32},
        epochs=1,
    )
    zoo.run(recipe, out=tmp_path / "pretrained", quiet=True)
    begun = {"name": "basic/cnn3d", "weights": f"file:{tmp_path / 'pretrained' / 'model'}"}
    pipeline = assembled(recipe_of("classification", begun, clip={"frames": 4, "size": 32}, loss="cross_entropy"))
    taught = zoo.load(tmp_path / "pretrained").network.state_dict()
    assert all(torch.equal(value, taught[name]) for name, value in pipeline.network.state_dict().items())


def test_it_learns_what_belongs_together(tmp_path):
    recipe = recipe_of(
        {"name": "contrastive", "params": {"method": "simclr", "projection": 16}},
        "basic/cnn3d",
        clip={"frames": 4, "size": 32},
        epochs=6,
    )
    losses = [row["loss"] for row in train(recipe, tmp_path / "run").rows("train")]
    assert sum(losses[-3:]) < sum(losses[:3])
