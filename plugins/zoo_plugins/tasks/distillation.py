"""One label for each clip, with the help of a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from torch import Tensor
from torch.nn import Conv3d, Module, ModuleDict

from zoo_plugins.tasks.backbone import check_staged, learning
from zoo_plugins.tasks.classification import Classification
from zoo_plugins.tasks.distillation_losses import attention_loss, hint_loss, relational_loss, soft_label_loss
from zoo_plugins.tasks.one_model import Loss
from zoo_plugins.tasks.stage_pairs import Pair, pairs_of
from zoo_plugins.tasks.teacher import TASK, Teacher
from zoo_registry import ClipSpec, Model, Provided, Range, Ref
from zoo_registry.errors import RecipeError
from zoo_registry.protocols import Batch, Objective

CLIP = "clip_bcthw"
Weight = Annotated[float, Range(ge=0)]


class Distillation(Classification):
    """A `zoo_registry.protocols.Task`; see `distillation`. It predicts and measures as `classification` does.

    Args:
        student: what learns.
        teacher: what it learns from.
        weights: of `hard`, `soft`, `hint`, `attention` and `relational`.
        temperature: softens both answers.
        pairs: stages whose maps are compared.
        loss, labels, inputs: of classification.
    """

    name = TASK

    def __init__(
        self,
        student: Module,
        teacher: Teacher,
        weights: Mapping[str, float],
        temperature: float,
        pairs: Sequence[Pair],
        loss: Loss | None,
        labels: Sequence[str],
        inputs: Sequence[str],
    ) -> None:
        super().__init__(student, loss, labels, inputs)
        self.student, self.teacher, self.teacher_network = student, teacher, teacher.network
        self.weights, self.temperature, self.pairs = dict(weights), temperature, tuple(pairs)
        hints = ModuleDict()
        if self.weights["hint"]:
            hints.update({pair.name: Conv3d(pair.channels, pair.teacher_channels, 1) for pair in pairs})
        self.hints, self.state = hints, ModuleDict({"student": student, "hints": hints})

    def objectives(self) -> Sequence[Objective]:
        """One: the weighted sum of what labels, answers and maps say.

        Raises:
            RecipeError: labels are to count, and there is no loss of them.
        """
        if self.weights["hard"] and self.loss is None:
            raise RecipeError(f"the {TASK} task has no loss of labels", hint="write loss: cross_entropy")
        if self.weights["soft"] or self.pairs:
            self.teacher.say_if_untaught()
        return [Objective("main", learning(self.state), self._learn)]

    def result(self) -> Module:
        """The student."""
        return self.student

    def _learn(self, batch: Batch, shared: dict[str, Any]) -> Mapping[str, Tensor]:
        shown_bcthw = self.teacher.shown(batch.inputs[CLIP])
        terms = self._of_answers(batch, shown_bcthw)
        if self.pairs:
            terms |= self._of_maps(batch, shown_bcthw)
        total = sum(self.weights[name] * term for name, term in terms.items())
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}  # type: ignore[dict-item]

    def _of_answers(self, batch: Batch, shown_bcthw: Tensor) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        if not (self.weights["hard"] or self.weights["soft"]):
            return terms
        logits_bk = self.predict(self.student, batch)[self.answer]
        if self.weights["hard"] and self.loss is not None:
            terms["hard"] = self.loss(logits_bk, self.target(batch))
        if self.weights["soft"]:
            terms["soft"] = soft_label_loss(logits_bk, self.teacher.logits(shown_bcthw), self.temperature)
        return terms

    def _of_maps(self, batch: Batch, shown_bcthw: Tensor) -> dict[str, Tensor]:
        student: Any = self.student
        ours, theirs = student.forward_pyramid(batch.inputs[CLIP]), self.teacher.maps(shown_bcthw)
        terms: dict[str, Tensor] = {}
        for pair in self.pairs:
            map_bcthw, teacher_bcthw = ours[pair.index], theirs[pair.teacher_index]
            if self.weights["hint"]:
                hint = hint_loss(self.hints[pair.name](map_bcthw), teacher_bcthw)
                terms["hint"] = terms["hint"] + hint if "hint" in terms else hint
            if self.weights["attention"]:
                looked = attention_loss(map_bcthw, teacher_bcthw) / 2
                terms["attention"] = terms["attention"] + looked if "attention" in terms else looked
        if self.weights["relational"]:
            last = self.pairs[-1]
            terms["relational"] = relational_loss(ours[last.index], theirs[last.teacher_index])
        return terms


def distillation(
    *,
    model: Provided[Module],
    losses: Provided[Mapping[str, Loss]],
    labels: Provided[Sequence[str]],
    inputs: Provided[Sequence[str]],
    clip: Provided[ClipSpec | None] = None,
    teacher: Ref[Model],
    temperature: Annotated[float, Range(gt=0)] = 4.0,
    hard: Weight = 0.1,
    soft: Weight = 0.9,
    hint: Weight = 0.0,
    attention: Weight = 0.0,
    relational: Weight = 0.0,
    stages: dict[str, str] | None = None,
) -> Distillation:
    """The task of giving each clip one label, learnt from labels and from a teacher that knows the classes.

    The teacher is frozen and no part of what is saved. It is shown the student's clips in the length, size, mean and
    deviation that its weights saw: frames are picked evenly over the clip, pictures are resized. A network that takes
    one shape alone, such as a transformer with a table of positions, is built for the run's clip and shown that; a
    warning says so. With `hint`, `attention` or `relational` student and teacher each make a second forward pass, for
    their maps.

    Args:
        model: the student: takes the inputs in order, returns logits (B, K).
        losses: role `loss`, of the labels; `(logits_bk, target)` to scalar.
        labels: the K class names.
        inputs: keys of `Batch.inputs` in the order the student takes them.
        clip: what the student sees.
        teacher: a model and its weights, by name: `{name: torchvision/r3d_18, weights: "file:runs/large/model"}`. It
            takes a clip.
        temperature: softens both answers (Hinton et al. 2015, section 2).
        hard: weight of the loss of the labels.
        soft: weight of the Kullback-Leibler divergence of softened answers, times the squared temperature.
        hint: weight of the squared difference of maps, the student's through a learnt projection (FitNets, Romero et
            al. 2015, equation 3), added over stages.
        attention: beta, weight of attention transfer (Zagoruyko and Komodakis 2017, equation 2; they take 1000),
            added over stages.
        relational: weight of how differently the clips of a batch lie to one another in the last pair of stages, by
            distances and angles (Park et al. 2019; they take 25). Wants batches of a few clips.
        stages: whose maps are compared: a stage of the teacher for each of the student's, such as `{stage3: stage4}`.
            By default stages of one name, but for the stem.

    Returns:
        A task whose result is the student, and which watches `accuracy`.

    Raises:
        RecipeError: a teacher of other classes or channels, nothing to learn from it, or stages that are not there.

    Example:
        >>> from zoo_plugins.basic.cnn3d import CNN3D
        >>> spec = ClipSpec(frames=4, size=16)
        >>> task = distillation(model=CNN3D(2), losses={}, labels=("cat", "dog"), inputs=("clip_bcthw",), clip=spec,
        ...                     teacher=CNN3D(2), hint=1.0)
        >>> [pair.name for pair in task.pairs], type(task.result()).__name__
        (['stage1'], 'CNN3D')
    """
    if not soft and not hint and not attention and not relational:
        raise RecipeError(
            f"the {TASK} task learns nothing from its teacher: soft, hint, attention and relational are 0",
            hint="give one of them a weight, or write task: classification",
        )
    network: Module = teacher  # type: ignore[assignment]
    guide = Teacher(network, clip, len(labels))
    if soft:
        guide.check_answers()
    pairs: list[Pair] = []
    if hint or attention or relational:
        for each in (model, network):
            check_staged(each, TASK)
        pairs = pairs_of(model, network, stages)
    weights = {"hard": hard, "soft": soft, "hint": hint, "attention": attention, "relational": relational}
    return Distillation(model, guide, weights, temperature, pairs, losses.get("loss"), labels, inputs)
