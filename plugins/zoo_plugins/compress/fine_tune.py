"""Trains a compressed model further, so that it finds back to what it said before.

After pruning this is the retraining of Han et al. 2015; after simulated quantisation it is quantisation-aware training
(Jacob et al. 2018, section 3); with `teacher` it is distillation (Hinton et al. 2015) from the model before the first
strategy, which needs no labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_plugins.compress.record import fields
from zoo_registry import Range
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch, CompressionContext


def fine_tune(
    model: nn.Module,
    context: CompressionContext,
    *,
    epochs: Annotated[int, Range(ge=1)] = 1,
    lr: Annotated[float, Range(gt=0)] = 1e-4,
    batches: Annotated[int, Range(ge=1)] | None = None,
    task: Annotated[float, Range(ge=0)] = 1.0,
    teacher: Annotated[float, Range(ge=0)] = 0.0,
    answers: Literal["auto", "classes", "numbers"] = "auto",
    temperature: Annotated[float, Range(gt=0)] = 1.0,
    keep_zeros: bool = True,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train on the recipe's training data, with its loss, its augmentation and its optimiser.

    With validation data the best epoch is kept, by the metric that the task monitors; the model as it was, where no
    epoch is as good.

    Args:
        model: changed in place.
        context: trains, and holds the original.
        epochs: passes over the training data.
        lr: learning rate at the start; a cosine takes it to zero.
        batches: of an epoch; None for all.
        task: weight of the task's own loss; with 0 nothing needs labels.
        teacher: weight of the distance from the original's answers to the same clips.
        answers: how that distance is measured: `classes` by the Kullback-Leibler divergence of softened answers, times
            the squared temperature; `numbers` by the mean squared difference; `auto` is classes for answers (B, K).
        temperature: softens both answers, for classes.
        keep_zeros: what pruning has set to zero stays zero.

    Returns:
        The model and the record: nothing of the structure has changed.

    Raises:
        ParameterError: neither the task nor the teacher counts, or a part of the model that cannot be trained.
        RunError: the recipe has no training data or loss, or the model is of 16 bits.
    """
    if not (task or teacher):
        raise ParameterError("fine_tune has nothing to learn from", hint="give task or teacher a weight above 0")
    for part in model.modules():
        if reason := getattr(part, "refuses_training", ""):
            raise ParameterError(f"fine_tune cannot train a {type(part).__name__}: {reason}")
    zeros = _zeros(model) if keep_zeros else []
    said = _Said(model)
    original = context.original.to(context.device).eval()

    def loss(batch: Batch, task_loss: Callable[[], Tensor]) -> Tensor:
        said.forget()
        terms = [task * task_loss()] if task else []
        if teacher:
            inputs = said.inputs if task else tuple(batch.inputs.values())
            answer = said.output if task else model(*inputs)
            with torch.no_grad():
                right = original(*inputs)
            terms.append(teacher * distance(answer, right, answers, temperature))
        return torch.stack(terms).sum()

    try:
        context.train(model, epochs=epochs, lr=lr, batches=batches, loss=loss, after_step=lambda: _erase(zeros))
    finally:
        said.remove()
    return model.eval(), {"epochs": epochs}


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """The model as it is: training changes values only.

    Raises:
        ArtefactError: the record is not one of this strategy.
    """
    fields(record, {"epochs": int}, "fine_tune")
    return model


def distance(answer: Any, right: Any, answers: str, temperature: float) -> Tensor:
    """How far a model's answer is from its teacher's, averaged over tensors where there are several.

    Args:
        answer: of the model: a tensor, or a mapping or sequence of them.
        right: of the teacher, alike.
        answers: `classes`, `numbers` or `auto`; see `fine_tune`.
        temperature: for classes.

    Example:
        >>> distance(torch.zeros(2, 3), torch.zeros(2, 3), "auto", 2.0)
        tensor(0.)
    """
    pairs = list(zip(_tensors(answer), _tensors(right), strict=True))
    if not pairs:
        raise ParameterError("the model answers with no tensor that could be compared with its teacher's")
    terms = []
    for one, other in pairs:
        if answers == "classes" or (answers == "auto" and one.dim() == 2 and one.shape[1] > 1):
            ours, theirs = (F.log_softmax(each.float() / temperature, -1) for each in (one, other))
            terms.append(F.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2)
        else:
            terms.append(F.mse_loss(one.float(), other.float()))
    return torch.stack(terms).mean()


class _Said:
    """Remembers what went into a model and came out of it at its first call of a step."""

    def __init__(self, model: nn.Module) -> None:
        self.inputs: tuple[Any, ...] = ()
        self.output: Any = None
        self._handle = model.register_forward_hook(self._heard)

    def forget(self) -> None:
        self.inputs, self.output = (), None

    def remove(self) -> None:
        self._handle.remove()

    def _heard(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self.output is None:
            self.inputs, self.output = args, output


def _zeros(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Weights with zeros, and where these are; biases and norms start at zero and shall learn.

    Values that clustered weights share have one dimension, and a zero among them is of pruning too.
    """
    weights = (
        parameter
        for name, parameter in model.named_parameters()
        if (parameter.dim() > 1 or "parametrizations." in name) and parameter.is_floating_point()
    )
    marked = ((weight, weight.detach() == 0) for weight in weights)
    return [(weight, zero) for weight, zero in marked if zero.any()]


@torch.no_grad()
def _erase(zeros: Sequence[tuple[nn.Parameter, Tensor]]) -> None:
    for weight, zero in zeros:
        weight.masked_fill_(zero, 0)


def _tensors(answer: Any) -> list[Tensor]:
    if isinstance(answer, Tensor):
        return [answer]
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    return [tensor for item in answer for tensor in _tensors(item)] if isinstance(answer, list | tuple) else []
