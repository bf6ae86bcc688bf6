"""Learning from a teacher: each term by its paper, what the teacher is shown, and teachers that cannot teach."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.plugins.tasks.training import assembled, recipe_of, train
from zoo.recipe import load_recipe
from zoo.runner.pipeline import assemble
from zoo_plugins.basic.cnn3d import CNN3D
from zoo_plugins.tasks.distillation import distillation
from zoo_plugins.tasks.distillation_losses import attention_loss, hint_loss, relational_loss, soft_label_loss
from zoo_registry import ClipSpec
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch

SPEC = ClipSpec(frames=4, size=16, mean=(0.5,) * 3, std=(0.25,) * 3)
LABELS = ("wave", "jump", "run")


def with_weights(network: nn.Module, clip: ClipSpec | None = SPEC, **facts: Any) -> nn.Module:
    """As `zoo.pretrained` leaves it."""
    network.loaded_weights = SimpleNamespace(**{"uri": "file:x", "skipped": (), "classes": None, "clip": clip} | facts)
    return network


def task_of(**options: Any):
    torch.manual_seed(0)
    options = {
        "model": CNN3D(3), "teacher": with_weights(CNN3D(3)), "losses": {"loss": nn.functional.cross_entropy},
        "labels": LABELS, "inputs": ("clip_bcthw",), "clip": SPEC,
    } | options  # fmt: skip
    return distillation(**options)


def batch_of(count: int = 4) -> Batch:
    clip_bcthw = torch.randn(count, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    label_b = torch.arange(count) % 3
    return Batch({"clip_bcthw": clip_bcthw}, {"label_b": label_b}, torch.arange(count), torch.zeros_like(label_b))


def learn(task, batch=None) -> dict[str, torch.Tensor]:
    (objective,) = task.objectives()
    return objective.loss(batch_of() if batch is None else batch, {})


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_soft_loss_is_the_divergence_times_the_squared_temperature(temperature):
    """Hinton et al. 2015: gradients near dC/dz = (q - p) / T for the mean over classes, times T^2."""
    student, teacher = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)).double()
    p, q = ((logits / temperature).softmax(1) for logits in (teacher, student))
    expected = temperature**2 * (p * (p / q).log()).sum(1).mean()
    student.requires_grad_()
    loss = soft_label_loss(student, teacher, temperature)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(student.grad, temperature * (q - p) / 5, rtol=1e-4, atol=1e-6)


def test_a_hint_is_half_the_squared_difference_whatever_the_size():
    small, large = torch.full((2, 3, 1, 2, 2), 1.0), torch.full((2, 3, 2, 4, 4), 4.0)
    assert hint_loss(small, large).item() == pytest.approx(4.5)


def points(*rows: tuple[float, ...]) -> torch.Tensor:
    """A map whose mean over time and space is one point a clip."""
    return torch.tensor(rows)[:, :, None, None, None].expand(-1, -1, 2, 3, 3)


def test_relations_are_distances_and_angles():
    """A right-angled triangle of sides 3, 4, 5 and one with all angles of 60 degrees, by hand.

    Distances by their mean: 3/4, 1, 5/4 and 1, 1, 1: squares of the differences 1/16, 0, 1/16, halved, over 9 pairs of
    which each comes twice. Cosines at the corners: 0, 3/5, 4/5 and 1/2 each, squares 1/4, 1/100, 9/100, halved; each is
    there twice among 27, and the other cosines are 1 or 0 in both.
    """
    right = points((0.0, 0.0), (3.0, 0.0), (0.0, 4.0))
    even = points((0.0, 0.0), (1.0, 0.0), (0.5, 3**0.5 / 2))
    distances = 2 * (1 / 16 + 1 / 16) / 2 / 9
    angles = 2 * (1 / 4 + 1 / 100 + 9 / 100) / 2 / 27
    assert relational_loss(right, even).item() == pytest.approx(distances + 2 * angles, rel=1e-4)


def test_relations_do_not_change_with_place_turn_or_size_and_need_no_equal_channels():
    flat = points((0.0, 0.0), (3.0, 0.0), (0.0, 4.0), (1.0, 1.0))
    turned = points((7.0, 5.0, 5.0), (7.0, 5.0, 11.0), (7.0, 13.0, 5.0), (7.0, 7.0, 7.0))
    assert relational_loss(flat, turned).item() == pytest.approx(0, abs=1e-6)
    assert relational_loss(flat[:1], turned[:1]).item() == 0


def test_relations_of_equal_clips_have_a_finite_gradient():
    same = points((1.0, 2.0), (1.0, 2.0), (3.0, 1.0)).clone().requires_grad_()
    relational_loss(same, points((0.0, 0.0), (3.0, 0.0), (0.0, 4.0))).backward()
    assert same.grad.isfinite().all()


def test_attention_is_compared_by_where_and_not_by_how_much():
    """Zagoruyko and Komodakis 2017, equation 2, worked by hand for two cells."""
    student = torch.tensor([[1.0, 1.0], [0.0, 1.0]]).view(1, 2, 1, 1, 2)  # two channels; squares add up to 1, 2
    teacher = torch.tensor([[3.0, 1.0]]).view(1, 1, 1, 1, 2)  # 9, 1
    ours, theirs = (torch.tensor(each) / math.hypot(*each) for each in ((1.0, 2.0), (9.0, 1.0)))
    assert attention_loss(student, teacher).item() == pytest.approx(math.dist(ours.tolist(), theirs.tolist()), rel=1e-5)
    assert attention_loss(student, 100 * student).item() == pytest.approx(0, abs=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn_but_labels():
    network = CNN3D(3)
    teacher = with_weights(CNN3D(3))
    teacher.load_state_dict(network.state_dict())
    task = task_of(model=network.eval(), teacher=teacher, attention=1.0)
    terms = learn(task)
    assert terms["soft"].item() == pytest.approx(0, abs=1e-6)
    assert terms["attention"].item() == pytest.approx(0, abs=1e-5)
    assert terms["total"].item() == pytest.approx(0.1 * terms["hard"].item(), abs=1e-5)


def test_terms_are_weighted_and_added():
    task = task_of(hard=0.5, soft=2.0, hint=3.0, attention=4.0, relational=5.0, temperature=2.0)
    terms = learn(task)
    weights = {"hard": 0.5, "soft": 2.0, "hint": 3.0, "attention": 4.0, "relational": 5.0}
    expected = sum(weight * terms[name] for name, weight in weights.items())
    assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_teacher_is_outside_the_state_and_stays_as_it_was():
    task = task_of(hint=1.0)
    teacher, before = task.teacher.network, {n: v.clone() for n, v in task.teacher.network.state_dict().items()}
    task.state.train()
    learn(task)["total"].backward()
    assert {name.partition(".")[0] for name in task.state.state_dict()} == {"student", "hints"}
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is not None for parameter in task.hints.parameters())


def test_features_alone_can_teach_a_student_of_other_classes_than_the_weights():
    skipped = with_weights(CNN3D(3), skipped=("classifier.5.weight",), classes=400)
    terms = learn(task_of(teacher=skipped, soft=0.0, hint=1.0))
    assert terms.keys() == {"total", "hard", "hint"}


def test_the_teacher_is_shown_the_clip_that_its_weights_saw():
    own = ClipSpec(frames=2, size=(8, 24), mean=(0.0,) * 3, std=(1.0,) * 3)
    task = task_of(teacher=with_weights(CNN3D(3), own))
    film = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(2, 3, 4, 16, 16)  # frame t shows 0.25 t + 0.5 of 0..1
    shown = task.teacher.shown(film)
    assert shown.shape == (2, 3, 2, 8, 24)
    torch.testing.assert_close(shown[0, 0, :, 0, 0], torch.tensor([0.5, 1.25]))  # the first frame and the last


def test_a_clip_that_both_see_alike_is_passed_on_untouched():
    clip_bcthw = batch_of().inputs["clip_bcthw"]
    assert task_of().teacher.shown(clip_bcthw) is clip_bcthw


class OneShape(nn.Module):
    """Takes clips of 4 frames of 16x16 alone, as networks with tables of positions do."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classifier = nn.Linear(3 * 4 * 16 * 16, classes)

    def forward(self, clip_bcthw):
        return self.classifier(clip_bcthw.flatten(1))


def test_a_teacher_built_for_the_runs_clip_is_shown_that_and_a_warning_says_so():
    own = ClipSpec(frames=8, size=32, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.warns(UserWarning, match="saw 8 frames of 32x32, and it was built for the run's 4 of 16x16"):
        task = task_of(teacher=with_weights(OneShape(), own))
    clip_bcthw = batch_of().inputs["clip_bcthw"]
    torch.testing.assert_close(task.teacher.shown(clip_bcthw), clip_bcthw * 0.25 + 0.5)


def test_a_teacher_without_weights_is_doubted():
    with pytest.warns(UserWarning, match="the teacher has no weights"):
        task_of(teacher=CNN3D(3)).objectives()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"teacher": CNN3D(5)}, r"answers \(5,\) to a clip, and the student tells 3 classes apart"),
        (
            {"teacher": with_weights(CNN3D(3), skipped=("classifier.5.weight",), classes=400)},
            "weights file:x are for 400 classes, the data has others",
        ),
        ({"teacher": with_weights(CNN3D(3), ClipSpec(frames=4, size=16, mean=(0.5,), std=(0.5,)))}, "saw 1 channels"),
        ({"teacher": with_weights(nn.Conv2d(3, 3, 1))}, "the teacher, a Conv2d, does not take the clips of this run"),
        ({"soft": 0.0}, "learns nothing from its teacher"),
        ({"hint": 1.0, "stages": {"stage1": "stag1"}}, "the teacher has no stage 'stag1'\n.*did you mean 'stage1'"),
        ({"hint": 1.0, "stages": {"layer4": "stage1"}}, "the student has no stage 'layer4'"),
        ({"attention": 1.0, "teacher": with_weights(OneShape())}, "a OneShape does not tell its features"),
    ],
)
def test_what_cannot_be_taught_is_said_before_the_first_step(options, said):
    with pytest.raises(RecipeError, match=said):
        task_of(**options)


def test_labels_without_a_loss_are_said_before_the_first_step():
    with pytest.raises(RecipeError, match="no loss of labels"):
        task_of(losses={}).objectives()
    assert len(task_of(losses={}, hard=0.0).objectives()) == 1


def test_no_stages_in_common_is_said():
    transformers = pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    assert transformers
    from zoo_plugins.transformers.videomae import videomae

    sizes = {"width": 16, "blocks": 2, "heads": 2, "mlp_width": 32}
    teacher = with_weights(videomae(size="s", num_classes=3, clip=SPEC, **sizes))
    with pytest.raises(RecipeError, match=r"no stage of the student \(stem, stage1\).*\(stem, block1, block2\)"):
        task_of(teacher=teacher, hint=1.0)
    terms = learn(task_of(teacher=teacher, hint=1.0, attention=1.0, stages={"stage1": "block2"}))
    assert terms["total"].isfinite()


def distilling(weights: str, **params: Any) -> dict[str, Any]:
    teacher = {"name": "basic/cnn3d", "weights": weights}
    return recipe_of(
        {"name": "distillation", "params": {"teacher": teacher, **params}},
        {"name": "basic/cnn3d", "params": {"dropout": 0.1}},
        clip={"frames": 4, "size": 32},
        loss="cross_entropy",
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of six classes, on longer and larger clips than the student's."""
    import zoo

    folder = tmp_path_factory.mktemp("teacher") / "run"
    recipe = recipe_of("classification", "basic/cnn3d", clip={"frames": 8, "size": 48}, loss="cross_entropy", epochs=1)
    zoo.run(recipe, out=folder, quiet=True)
    return f"file:{folder / 'model'}"


def test_a_run_of_ones_own_teaches(teacher, tmp_path):
    run = train(distilling(teacher, hint=0.1, attention=10.0), tmp_path / "run")
    rows = run.rows("train")
    assert {"loss/hard", "loss/soft", "loss/hint", "loss/attention"} <= rows[0].keys()
    assert sum(row["loss/soft"] for row in rows[-3:]) < sum(row["loss/soft"] for row in rows[:3])
    clip = run.task.teacher.clip
    assert (clip.frames, clip.height_width) == (8, (48, 48))
    assert run.task.result() is run.pipeline.network
    assert "accuracy" in run.rows("val")[0]


def test_weights_for_other_classes_than_the_datas_are_refused_by_their_number(teacher, tmp_path):
    recipe = distilling(teacher)
    recipe["data"] |= {"train": "shapes", "val": "shapes"}  # ten classes
    with pytest.raises(RecipeError, match=r"the teacher's weights file:.* are for 6 classes, the data has others"):
        assemble(load_recipe(recipe))


def test_a_saved_student_is_read_as_a_classifier(teacher, tmp_path):
    import zoo

    recipe = distilling(teacher)
    recipe["run"]["epochs"] = 1
    zoo.run(recipe, out=tmp_path / "run", quiet=True)
    film = assembled(recipe).splits["val"].samples[0].media
    loaded = zoo.load(tmp_path / "run")
    assert loaded.task == {"name": "tasks/classification", "params": {}}
    assert len(loaded.predict(film)[0]["top5"]) == 5
