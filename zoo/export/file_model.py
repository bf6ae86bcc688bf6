"""Opens exported files: whatever the format, they predict like any other model."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from zoo.export.description import Description, parse
from zoo.export.raw_clips import CLIP, whole_frames
from zoo.model import ZooModel
from zoo_registry.errors import (
    ArtefactError,
    DataError,
    ExportError,
    Location,
    ParameterError,
    ZooError,
)
from zoo_registry.protocols import Batch, Sample, Task

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed


class FileModel(ZooModel):
    """An exported file behind the face of `ZooModel`: `predict`, labels, clip spec, licence.

    It has no parameters to train, and runs where its format does.

    Attributes:
        path: the file.
        format: qualified name of its exporter.
        prepares: whether it takes uint8 frames of any size and prepares them itself.
        described: whether the file says what it is; else it can only be called with tensors.
        bytes: of the file, and of those that belong to it.
    """

    def __init__(
        self, run: Callable[..., Any], described: Description | None, *, path: Path, listed: Listed, device: str
    ) -> None:
        known = described or Description(model=path.name, inputs=tuple(getattr(run, "inputs", ())))
        super().__init__(
            _Called(run), name=known.model, num_classes=known.num_classes, inputs=known.inputs, clip=known.clip,
            audio=known.audio, labels=known.labels, task=known.task.model_dump() if known.task else None,
            structure=[{"strategy": name} for name in known.structure], licence=known.licence, uri=f"file:{path}",
        )  # fmt: skip
        self.path, self.format, self.described = path, listed.name, described is not None
        self.prepares = known.preprocess
        self.bytes = sum(Path(file).stat().st_size for file in getattr(run, "files", (path,)))
        self._device = torch.device(device)
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        """The file's outputs.

        Args:
            *inputs: in the order of `inputs`: what a `ZooModel` takes, or where the file prepares pixels itself uint8
                clips (B, C, T, H, W) of any height and width.

        Raises:
            DataError: the inputs are not what the file takes.
        """
        if self.prepares and not self._raw(inputs):
            raise DataError(
                f"{self.path.name} prepares pixels itself: it takes clips as uint8 (B, C, T, H, W), 0..255, RGB",
                hint="give frames as they are, without resizing, mean or std",
            )
        try:
            # What a file that prepares pixels takes is not what `clip` says: that becomes of it inside.
            return self.network(*inputs) if self.prepares else super().forward(*inputs)
        except (ZooError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # runtimes raise classes of their own
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            given = ", ".join(f"{str(each.dtype).removeprefix('torch.')} {tuple(each.shape)}" for each in inputs)
            raise DataError(f"{self.path.name} cannot take {given or 'nothing'}: {first[:200]}") from error

    def _raw(self, inputs: Sequence[Tensor]) -> bool:
        clip = dict(zip(self.inputs, inputs, strict=False)).get(CLIP)
        return clip is None or (clip.dtype == torch.uint8 and clip.dim() == 5)

    def forward_features(self, *inputs: Tensor) -> Tensor:
        """Not of a file.

        Raises:
            ArtefactError: always.
        """
        raise ArtefactError(
            f"{self.path.name} is an exported file, which gives nothing but its answer",
            hint="load the model that it was written from",
        )

    def as_backbone(self) -> ZooModel:
        """Not of a file; see `forward_features`."""
        self.forward_features()
        raise AssertionError

    def _batches(self, samples: Sequence[Sample], views: int, crops: Literal[1, 3]) -> Iterator[Batch]:
        self._refuse_unknown()
        if not self.prepares or self.clip is None:
            yield from super()._batches(samples, views, crops)
            return
        if crops != 1:
            raise DataError(
                f"{self.path.name} crops clips itself, at their centre: there is no crops={crops}", hint="leave it out"
            )
        if self.inputs != (CLIP,):
            raise DataError(f"{self.path.name} takes {', '.join(self.inputs)}: call it with tensors")
        for sample in samples:
            frames = [whole_frames(sample, self.clip, view, views) for view in range(views)]
            index = torch.zeros(views, dtype=torch.long)
            yield Batch({CLIP: torch.stack(frames)}, {}, index, torch.arange(views))

    @property
    def reader(self) -> Task:
        """The task that reads the file's outputs and words them.

        Raises:
            ArtefactError: the file does not say what it is.
        """
        self._refuse_unknown()
        return super().reader

    def _refuse_unknown(self) -> None:
        if self.described:
            return
        takes = f" ({', '.join(self.inputs)})" if self.inputs else ""
        raise ArtefactError(
            f"{self.path.name} was not written by videozoo, or lost its description: it says nothing of its clip "
            "spec, its labels or the task that reads its answers",
            hint=f"call it with tensors{takes}, or write it again with `zoo export`",
        )

    @property
    def device(self) -> torch.device:
        """Where the file runs."""
        return self._device

    def __repr__(self) -> str:
        own = f"{self.path.name}, {self.format}, {self.bytes:,} bytes"
        if not self.described:
            return f"FileModel({own}, takes {', '.join(self.inputs) or 'unnamed inputs'}, says nothing of itself)"
        parts = super().__repr__().removeprefix("ZooModel(").removesuffix(")").replace("0 parameters, ", "")
        return f"FileModel({own}{', prepares pixels itself' if self.prepares else ''}, {parts})"


class _Called(nn.Module):
    """What a format's `load` gave, as a module."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self._run = (run,)  # in a tuple, so that a module in it does not count as a part of this one

    def forward(self, *inputs: Tensor) -> Any:
        return self._run[0](*inputs)


def load_file(
    path: str | os.PathLike[str], listed: Listed, *, device: str | torch.device = "cpu", trust: bool = False,
    precision: str = "fp32",
) -> FileModel:  # fmt: skip
    """Open an exported file.

    Args:
        path: the file.
        listed: its exporter, see `format_of`.
        device: where it runs; most formats run on the CPU alone.
        trust: open it even where that runs code of its author.
        precision: `fp32`, or `bf16` where the format can compute in it.

    Raises:
        ArtefactError: there is no such file, opening it would run code, or its description is none.
        ExportError: a damaged file.
        MissingExtra: the format's packages are not installed.
        ParameterError: a device or precision that the format does not have.
    """
    path = Path(path)
    where = Location(str(path))
    if not path.is_file():
        raise ArtefactError(f"there is no file {path}", hint=f"a run with `export` writes it ({listed.name})")
    runs = getattr(listed.entry, "runs", "")
    if runs and not trust:
        raise ArtefactError(
            f"opening a file of {listed.name} runs {runs}; it was not opened",
            where=where,
            hint="if you trust who made it: zoo.load(..., trust=True), --trust on the command line; .onnx files are "
            "data alone",
        )
    opened = listed.resolve_builder("load")
    options = _options(opened, listed, device=str(device), precision=precision)
    try:
        run = opened(path, **options)
    except (ZooError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ExportError(
            f"{listed.name} cannot read this file: {type(error).__name__}: {error}", where=where
        ) from error
    metadata = getattr(run, "metadata", None)
    described = parse(metadata, str(path)) if isinstance(metadata, Mapping) else None
    return FileModel(run, described, path=path, listed=listed, device=str(device))


def _options(opened: Callable[..., Any], listed: Listed, **asked: str) -> dict[str, str]:
    """The keywords that a format's `load` takes; asking for more than it has is an error."""
    takes = inspect.signature(opened).parameters
    usual = {"device": "cpu", "precision": "fp32"}
    for name, value in asked.items():
        if name not in takes and value != usual[name]:
            raise ParameterError(
                f"{listed.name} has no {name} {value!r}: its files run on the CPU in the numbers that they hold",
                hint=f"leave {name} at {usual[name]}",
            )
    return {name: value for name, value in asked.items() if name in takes}
