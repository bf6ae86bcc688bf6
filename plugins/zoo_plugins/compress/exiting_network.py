"""A network that answers early where it is sure: a head in its middle, and the rest for the rows that need it.

Teerapittayanon et al., BranchyNet: Fast Inference via Early Exiting from Deep Neural Networks, ICPR 2016,
https://arxiv.org/abs/1709.01686.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo_registry.errors import ExportError


class ExitHead(nn.Module):
    """From what a stage gives to logits: the mean over time and space, normalised, through a linear layer.

    Args:
        channels: of the stage.
        classes: K.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        self.norm = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C, ...) or (B, ..., C), whose channels together are those of the stage, to logits (B, K)."""
        pooled = [self._pooled(each, len(maps)) for each in maps]
        logits_bk: Tensor = self.linear(self.norm(torch.cat(pooled, dim=1).to(self.norm.weight.dtype)))
        return logits_bk

    def _pooled(self, maps: Tensor, paths: int) -> Tensor:
        first = maps.dim() > 3 and (paths > 1 or maps.shape[1] == self.channels)
        return maps.flatten(2).mean(2) if first else maps.flatten(1, -2).mean(1)


@dataclass
class _Call:
    """One forward pass on its way.

    Attributes:
        by: whose.
        keep: rows that go on, (B,) bool: decided by the head unless given.
        only_exit: stop at the head for all rows.
        learns: whether the head is followed by gradients.
        logits_bk: of the head.
    """

    by: nn.Module
    rows: int
    keep: Tensor | None = None
    only_exit: bool = False
    learns: bool = False
    logits_bk: Tensor | None = field(default=None, init=False)


class _AllAnswered(Exception):
    """No row needs the rest of the network."""


_CALL: ContextVar[_Call | None] = ContextVar("early exit", default=None)


class ExitingNetwork(nn.Module):
    """Answers rows of a batch from a stage in the middle where the largest probability there reaches a threshold.

    In training all rows go through the whole network. What it computes depends on the values it sees, so no exporter
    can write it down.

    Args:
        network: a classifier.
        end: name of the module in it that the stage ends with.
        head: answers from what that gives.
        threshold: probability, above 0; over 1 nothing exits.

    Attributes:
        seen, exited: rows answered in eval mode since somebody set them to zero.
        refuses_training: why `fine_tune` leaves it alone.
    """

    refuses_training = "its exit would go on answering for the network as it was; put early_exit last"

    def __init__(self, network: nn.Module, end: str, head: ExitHead, threshold: float) -> None:
        super().__init__()
        self.network, self.exit, self.threshold = network, head, threshold
        self.seen = self.exited = 0
        network.get_submodule(end).register_forward_hook(self._at_exit)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs of the network to logits (B, K).

        Raises:
            ExportError: somebody records what is computed.
        """
        if torch.jit.is_tracing() or torch.compiler.is_exporting():  # type: ignore[no-untyped-call]
            raise ExportError(
                "a network with an early exit cannot be exported: which part of it runs depends on what it sees",
                hint="leave early_exit out of `compress` for export, or serve the model with torch",
            )
        if self.training:
            answer: Tensor = self.network(*inputs)
            return answer
        call = _Call(self, len(inputs[0]))
        rest = self._run(inputs, call)
        assert call.logits_bk is not None
        self.seen += call.rows
        if rest is None:
            self.exited += call.rows
            return call.logits_bk
        assert call.keep is not None
        self.exited += call.rows - len(rest)
        answer = call.logits_bk.to(rest.dtype)
        answer[call.keep] = rest
        return answer

    def early(self, *inputs: Tensor) -> Tensor:
        """The head's answers (B, K) to all rows; gradients reach the head only, the rest of the network is not run."""
        call = _Call(self, len(inputs[0]), only_exit=True, learns=torch.is_grad_enabled())
        with torch.no_grad():
            self._run(inputs, call)
        assert call.logits_bk is not None
        return call.logits_bk

    def rest(self, keep_b: Tensor, *inputs: Tensor) -> Tensor | None:
        """The network's own answers to the rows that are kept at the exit."""
        return self._run(inputs, _Call(self, len(inputs[0]), keep=keep_b))

    def extra_repr(self) -> str:
        """What decides."""
        return f"threshold={self.threshold}"

    def _run(self, inputs: tuple[Tensor, ...], call: _Call) -> Tensor | None:
        """The network's own answers to the rows that go on, None where none does."""
        token = _CALL.set(call)
        try:
            answer: Tensor = self.network(*inputs)
        except _AllAnswered:
            return None
        finally:
            _CALL.reset(token)
        return answer

    def _at_exit(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        call = _CALL.get()
        if call is None or call.by is not self or call.logits_bk is not None:
            return None
        maps = [tensor for tensor in _tensors(output) if len(tensor) == call.rows]
        if not maps:
            raise ValueError("it gives no tensor of one row a clip")
        with torch.set_grad_enabled(call.learns):
            call.logits_bk = self.exit(maps)
        if call.only_exit:
            raise _AllAnswered
        if call.keep is None:
            call.keep = call.logits_bk.float().softmax(-1).amax(-1) < self.threshold
        if not call.keep.any():
            raise _AllAnswered
        return None if call.keep.all() else _rows(output, call.keep)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple) else []


def _rows(value: Any, keep_b: Tensor) -> Any:
    """The kept rows of all tensors that have one row a sample."""
    if isinstance(value, Tensor):
        return value[keep_b] if value.dim() and len(value) == len(keep_b) else value
    return type(value)(_rows(item, keep_b) for item in value) if isinstance(value, list | tuple) else value
