"""A model as torch's own graph in a .pt2 file: for Python without the model's code, and the start of torch's tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_plugins.export.free_axes import axes_of, batch_of
from zoo_plugins.export.in_parts import run_in_parts
from zoo_plugins.export.kept_json import BATCH_KEY, KEY, from_text, to_text
from zoo_plugins.export.program import exported_program, quiet, reason
from zoo_registry import Provided
from zoo_registry.errors import ExportError


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    free_axes: Provided[Mapping[str, Sequence[int]] | None] = None,
    dynamic_batch: bool = True,
    dynamic_frames: bool = False,
) -> None:
    """Write a model with `torch.export.save`. Any type of number that torch computes in will do.

    Args:
        model: in eval mode, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file.
        inputs: names of the inputs, which say what axes are.
        metadata: kept in the file as an extra file of JSON.
        free_axes: axes that may have any length, such as height and width of pictures.
        dynamic_batch: the file takes batches of any size, else exactly one sample.
        dynamic_frames: the file takes clips of any number of frames, where the network does.

    Raises:
        ExportError: torch.export cannot follow the model; names the module.
    """
    example = batch_of(2 if dynamic_batch else 1, example_inputs)
    names = inputs or tuple(f"input_{index}" for index in range(len(example)))
    program = exported_program(
        model, example, axes_of(names, batch=dynamic_batch, frames=dynamic_frames, more=free_axes)
    )
    text = to_text(metadata)
    kept = ({KEY: text} if text else {}) | ({} if dynamic_batch else {BATCH_KEY: "1"})
    program._example_inputs = None  # clips of somebody are not part of a model
    with quiet():
        torch.export.save(program, path, extra_files=kept or None)


# The entry says `runs`: torch.export.load unpickles what is in the archive with weights_only=False (tensors that cannot
# be written raw, constants, example inputs; torch 2.15, export/pt2_archive/_package.py) and gives the sizes written
# in it to sympy, which evaluates them. The archive of a stranger can run anything.
def load(path: Path, *, device: str = "cpu") -> TorchProgram:
    """Open a .pt2 file. Only one whose author is trusted: opening it can run code of theirs.

    Args:
        path: the file.
        device: where it runs.

    Raises:
        ExportError: this is no exported program, or a damaged one.
    """
    return TorchProgram(path, device)


class TorchProgram:
    """A .pt2 file as a callable.

    Attributes:
        metadata: how the file describes its model; None where it does not.
    """

    def __init__(self, path: Path, device: str) -> None:
        extra = {KEY: "", BATCH_KEY: ""}
        try:
            with quiet():
                program = torch.export.load(path, extra_files=extra)
                if torch.device(device).type != "cpu":
                    from torch.export.passes import move_to_device_pass

                    program = move_to_device_pass(program, device)
        except Exception as error:  # zipfile, pickle and torch raise what they like
            raise ExportError(f"torch cannot read {Path(path).name}: {reason(error)}") from error
        self.metadata = from_text(_text(extra[KEY]))
        self._name, self._batch = Path(path).name, 1 if _text(extra[BATCH_KEY]) == "1" else None
        self._module, self._device = program.module(), device

    def __call__(self, *inputs: Tensor) -> Any:
        """What the model returns for its inputs; a file for one sample runs once for each."""
        return run_in_parts(self._name, self._module, [tensor.to(self._device) for tensor in inputs], self._batch)


def _text(kept: Any) -> str:
    return kept.decode("utf-8", "replace") if isinstance(kept, bytes) else str(kept)
