"""A model compiled by torch's own compiler into machine code: an AOTInductor package."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zoo_plugins.export.free_axes import axes_of, batch_of
from zoo_plugins.export.in_parts import run_in_parts
from zoo_plugins.export.kept_json import from_text, to_text
from zoo_plugins.export.program import exported_program, quiet, reason
from zoo_registry import Provided, Range
from zoo_registry.errors import ExportError

_KEY, _BATCH_KEY = "videozoo_json", "videozoo_batch"
"""What `kept_json` names are among a package's texts: they become a C++ map, whose keys are plain words."""


def write(
    model: nn.Module,
    example_inputs: tuple[Tensor, ...],
    path: Path,
    *,
    inputs: Provided[tuple[str, ...] | None] = None,
    metadata: Provided[Mapping[str, Any] | None] = None,
    free_axes: Provided[Mapping[str, Sequence[int]] | None] = None,
    dynamic_batch: bool = True,
    largest_batch: Annotated[int, Range(ge=2)] = 256,
    max_autotune: bool = False,
) -> None:
    """Compile a model for this machine's processor. Needs a C++ compiler, and takes a minute or more.

    The package runs on processors with the same instructions, with the same release of torch.

    Args:
        model: in eval mode, on the CPU.
        example_inputs: one batch of what it takes, in order.
        path: the file.
        inputs: names of the inputs, which say what axes are.
        metadata: kept in the package as a text.
        free_axes: axes that may have any length, such as height and width of pictures.
        dynamic_batch: the file takes batches of any size up to `largest_batch`, else exactly one sample.
        largest_batch: which the compiler plans for.
        max_autotune: try more ways to compute each product, which takes minutes.

    Raises:
        ExportError: no C++ compiler, or a model that cannot be compiled.
    """
    _need_compiler()
    example = batch_of(2 if dynamic_batch else 1, example_inputs)
    names = inputs or tuple(f"input_{index}" for index in range(len(example)))
    axes = axes_of(names, batch=dynamic_batch, more=free_axes)
    program = exported_program(model, example, axes, largest={"batch": largest_batch})
    text = to_text(metadata, ascii_only=True)  # it is written into C++
    settings: dict[str, Any] = {"max_autotune": max_autotune}
    kept = ({_KEY: text} if text else {}) | ({} if dynamic_batch else {_BATCH_KEY: "1"})
    if kept:
        settings["aot_inductor.metadata"] = kept
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "model.pt2"
        try:
            with quiet(), torch.no_grad():
                torch._inductor.aoti_compile_and_package(program, package_path=str(draft), inductor_configs=settings)
        except Exception as error:  # the compiler's, and those of what it calls
            raise ExportError(f"torch's compiler cannot make a package of this model: {reason(error)}") from error
        shutil.move(draft, path)


def _need_compiler() -> None:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:
        raise ExportError(
            "an AOTInductor package needs a C++ compiler, and this machine has none",
            hint="install g++ or clang++, or name one in the environment as CXX",
        ) from error


def load(path: Path) -> InductorPackage:
    """Open a package. Only one whose author is trusted: its machine code runs in this process.

    Raises:
        ExportError: this is no package, or one for another machine or release of torch.
    """
    return InductorPackage(path)


class InductorPackage:
    """An AOTInductor package as a callable.

    Attributes:
        metadata: how the package describes its model; None where it does not.
    """

    def __init__(self, path: Path) -> None:
        try:
            with quiet():
                self._model = torch._inductor.aoti_load_package(str(path))
                kept = self._model.loader.get_metadata()  # type: ignore[attr-defined]
        except Exception as error:
            raise ExportError(
                f"torch cannot open the package {Path(path).name}: {reason(error)}",
                hint="a package runs where it was compiled: on such a processor, with the same release of torch",
            ) from error
        self.metadata = from_text(kept.get(_KEY))
        self._name, self._batch = Path(path).name, 1 if kept.get(_BATCH_KEY) == "1" else None

    def __call__(self, *inputs: Tensor) -> Any:
        """What the model returns for its inputs; a package for one sample runs once for each."""
        return run_in_parts(self._name, self._run, inputs, self._batch)

    def _run(self, *inputs: Tensor) -> Any:
        return self._model(*(tensor.contiguous() for tensor in inputs))
