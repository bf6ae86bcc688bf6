"""Early exits: clips that are easy are answered from the middle of the network.

Teerapittayanon et al., BranchyNet, ICPR 2016, https://arxiv.org/abs/1709.01686.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo_plugins.compress.answers import answers
from zoo_plugins.compress.exiting_network import ExitHead, ExitingNetwork
from zoo_plugins.compress.fine_tune import fine_tune
from zoo_plugins.compress.record import fields, refuse
from zoo_registry import Range
from zoo_registry.errors import ParameterError, RunError
from zoo_registry.protocols import CompressionContext, Stage, StagedNetwork

WHAT = "early_exit"
_CLASSES = 1_000_000


def early_exit(
    model: nn.Module,
    context: CompressionContext,
    *,
    after: str | None = None,
    threshold: Annotated[float, Range(gt=0, le=1)] = 0.9,
    epochs: Annotated[int, Range(ge=1)] = 1,
    lr: Annotated[float, Range(gt=0)] = 1e-3,
    batches: Annotated[int, Range(ge=1)] | None = None,
    task: Annotated[float, Range(ge=0)] = 1.0,
    teacher: Annotated[float, Range(ge=0)] = 1.0,
    temperature: Annotated[float, Range(gt=0)] = 2.0,
) -> tuple[nn.Module, dict[str, Any]]:
    """Put a head on a stage and train it; rows of a batch that it is sure of do not go any further.

    The network itself stays as it is. What one clip costs afterwards depends on the clip: latency measured on a single
    one is either that of the exit or that of all of it.

    Args:
        model: a classifier that is a `StagedNetwork`; it becomes a part of what is returned.
        context: trains the head; the validation split tells how many clips exit, or calibration data without one.
        after: name of the stage, such as `stage3` or `block6`; by default that in the middle.
        threshold: exit where the largest probability is at least this much.
        epochs: to train the head.
        lr: learning rate at the start; a cosine takes it to zero.
        batches: of an epoch; None for all.
        task: weight of the task's own loss.
        teacher: weight of the divergence from what the original answers.
        temperature: softens both for that.

    Returns:
        The network with its exit and the record: where it is, the share of clips that exit, and multiply-adds to the
        exit, of the whole network and on average.

    Raises:
        ParameterError: no StagedNetwork, no classifier, no such stage, or one that a row cannot leave alone.
        RunError: the recipe has no training data or loss.
    """
    stage = _stage(model, after)
    end = _end(stage)
    with torch.no_grad():
        answer = model(*context.example)
    if not isinstance(answer, Tensor) or answer.dim() != 2 or answer.shape[1] < 2:
        raise ParameterError("early_exit wants a classifier: one whose answer is logits (B, K) of two classes or more")
    head = ExitHead(stage.channels or 0, answer.shape[1]).to(answer.device)
    exiting = ExitingNetwork(model, end, head, threshold).eval()
    _check_rows(exiting, context, stage.name)
    fine_tune(
        _Early(exiting), context, epochs=epochs, lr=lr, batches=batches,
        task=task, teacher=teacher, answers="classes", temperature=temperature,
    )  # fmt: skip
    exiting.eval()
    return exiting, {
        "after": stage.name,
        "classes": answer.shape[1],
        "threshold": threshold,
        "measured": _measured(exiting, context),
    }


def restore(model: nn.Module, record: Mapping[str, Any]) -> nn.Module:
    """Give the freshly built model its exit, ready for its weights.

    Raises:
        ArtefactError: the record does not fit the model.
    """
    after, classes, threshold, _ = fields(
        record, {"after": str, "classes": int, "threshold": (int, float), "measured": Mapping}, WHAT
    )
    try:
        stage = _stage(model, after)
        end = _end(stage)
    except ParameterError as error:
        raise refuse(WHAT, f"is of another network: {error.problems[0].message}") from error
    if not 2 <= classes <= _CLASSES or not 0 < threshold <= 1:
        raise refuse(WHAT, f"has {classes} classes and a threshold of {threshold}")
    with torch.device(next(model.parameters()).device):
        head = ExitHead(stage.channels or 0, classes)
    return ExitingNetwork(model, end, head, threshold)


def _stage(model: nn.Module, after: str | None) -> Stage:
    """The stage of that name, or the middle one.

    Raises:
        ParameterError: there is none.
    """
    if not isinstance(model, StagedNetwork):
        raise ParameterError(
            f"early_exit cannot leave a {type(model).__name__} early: it does not say what its stages are",
            hint="its plugin's author adds that, see zoo_registry.protocols.StagedNetwork",
        )
    inner = [stage for stage in model.stages() if stage.channels is not None][1:-1]  # neither stem nor the last
    names = [stage.name for stage in inner]
    if not names or (after is not None and after not in names):
        raise ParameterError(
            f"early_exit finds no stage {after or 'between the first and the last'} in a {type(model).__name__}",
            hint=f"these can be left early: {', '.join(names) or 'none'}",
        )
    return inner[names.index(after)] if after is not None else inner[(len(inner) - 1) // 2]


def _end(stage: Stage) -> str:
    """Name of the module whose output is the stage's: of several paths side by side, what holds them all."""
    parts = [name.split(".") for name in stage.layers[-1]]
    if len(parts) == 1:
        return stage.layers[-1][0]
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, zip(*parts, strict=False))]
    if not shared:
        raise ParameterError(f"early_exit cannot leave after {stage.name}: it ends in {', '.join(stage.layers[-1])}")
    return ".".join(shared)


def _check_rows(exiting: ExitingNetwork, context: CompressionContext, name: str) -> None:
    """See whether rows can leave alone: what they leave behind must get the same answers as before.

    Raises:
        ParameterError: the stage gives other channels than it says, or more than it gives goes on to what follows.
    """
    inputs = tuple(torch.cat([tensor, tensor.flip(0)])[:2] for tensor in context.example)
    keep_b = torch.tensor([False, True], device=inputs[0].device)
    try:
        with torch.no_grad():
            expected = exiting.network(*inputs)[1:]
            exiting.early(*inputs)
            found = exiting.rest(keep_b, *inputs)
        alone = found is not None and found.shape == expected.shape
        alone = alone and torch.allclose(found.float(), expected.float(), rtol=1e-2, atol=1e-3)  # type: ignore[union-attr]
        reason = "the rows that stay get other answers than before"
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        alone, reason = False, str(error).partition("\n")[0][:200]
    if not alone:
        raise ParameterError(
            f"early_exit cannot leave after {name}: more than what it gives goes on to the stages behind it ({reason})",
            hint="another stage may do; networks that see each frame by itself, or carry skip connections, cannot",
        )


class _Early(nn.Module):
    """The exit alone, to be trained; the network in front is no part of it, so that nothing else learns."""

    def __init__(self, exiting: ExitingNetwork) -> None:
        super().__init__()
        self.exit = exiting.exit
        self._exiting = (exiting,)  # a tuple hides it from parameters() and train()

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._exiting[0].early(*inputs)


def _measured(exiting: ExitingNetwork, context: CompressionContext) -> dict[str, Any]:
    """The share of clips that exit, and what that saves."""
    exiting.seen = exiting.exited = 0
    try:
        context.score(exiting)
        data = "validation data"
    except RunError:
        for _ in answers(exiting, context.calibration(8)):
            pass
        data = "training data"
    share = exiting.exited / max(1, exiting.seen)
    to_exit = context.gmacs(_Early(exiting).eval())
    threshold, exiting.threshold = exiting.threshold, 2.0  # nothing exits
    whole = context.gmacs(exiting)
    exiting.threshold = threshold
    exiting.seen = exiting.exited = 0
    figures: Sequence[tuple[str, float]] = (
        ("share", share), ("gmacs_to_exit", to_exit), ("gmacs_whole", whole),
        ("gmacs_mean", share * to_exit + (1 - share) * whole),
    )  # fmt: skip
    return {"on": data, **{name: float(f"{value:.5g}") for name, value in figures}}
