"""What `zoo.load` returns: a network that knows what it wants to see and what its answers mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from zoo.inputs import refusals_in_words
from zoo_registry.errors import (
    ArtefactError,
    DataError,
    NameProblem,
    ParameterError,
    PluginError,
    Problem,
    UndecodableMedia,
    ZooError,
)
from zoo_registry.names import reference_kind
from zoo_registry.protocols import Batch, Sample, StagedNetwork, Task, select_rows

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed
    from zoo_registry.entries import AudioSpec, ClipSpec


class ZooModel(nn.Module):
    """A network in eval mode, with everything needed to use it.

    Attributes:
        network: the module itself, as its builder made it and compression left it.
        name: qualified name of the architecture.
        params: parameters of its builder.
        num_classes: outputs of its head, or None.
        inputs: keys of `Batch.inputs`, in the order `forward` takes them.
        clip, audio: what the inputs look like.
        labels: names of the classes; empty when unknown.
        task: `{name, params}` of the task that reads its outputs, or None.
        structure: what compression changed: `{strategy, version, record}` in order.
        licence: SPDX identifier of the weights; None when unknown.
        metrics: what was measured, or what the publisher claims.
        uri: where it came from, pinned.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        params: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
        inputs: Sequence[str] = ("clip_bcthw",),
        clip: ClipSpec | None = None,
        audio: AudioSpec | None = None,
        labels: Sequence[str] = (),
        task: Mapping[str, Any] | None = None,
        structure: Sequence[Mapping[str, Any]] = (),
        licence: str | None = None,
        metrics: Mapping[str, float | None] | None = None,
        uri: str = "",
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.params = dict(params or {})
        self.num_classes = num_classes
        self.inputs = tuple(inputs)
        self.clip = clip
        self.audio = audio
        self.labels = tuple(labels)
        self.task = dict(task) if task else None
        self.structure = tuple(structure)
        self.licence = licence
        self.metrics = dict(metrics or {})
        self.uri = uri

    def forward(self, *inputs: Tensor) -> Any:
        """The network's outputs.

        Args:
            *inputs: preprocessed, in the order of `inputs`: normalised float clips (B, C, T, H, W), audio (B, C, N).

        Raises:
            DataError: the network failed on inputs that are not as `clip` and `audio` say.
        """
        if torch.compiler.is_compiling():
            return self.network(*inputs)
        with refusals_in_words(self.name, self.inputs, inputs, self.clip, self.audio):
            return self.network(*inputs)

    def forward_features(self, *inputs: Tensor) -> Tensor:
        """What the network's head gets: a map (B, C, T', H', W'), or tokens (B, N, C).

        Args:
            *inputs: as `forward` takes them.

        Raises:
            PluginError: the network does not tell its head from the rest.
        """
        from zoo.features import Pyramid

        network = self.network.network if isinstance(self.network, Pyramid) else self.network
        if not isinstance(network, StagedNetwork):
            raise PluginError(
                f"{self.name} does not tell its head from the rest",
                hint="its plugin's author adds that, see zoo_registry.protocols.StagedNetwork",
            )
        return network.forward_features(*inputs)

    def as_backbone(self) -> ZooModel:
        """The same network without its head, which is taken out of it; see `features_only` of `zoo.load`."""
        from zoo.features import Pyramid

        return ZooModel(
            Pyramid(self.network, self.name),
            name=self.name,
            params=self.params,
            inputs=self.inputs,
            clip=self.clip,
            audio=self.audio,
            structure=self.structure,
            licence=self.licence,
            uri=self.uri,
        ).eval()

    @torch.no_grad()  # what a network keeps from inference mode could not be trained with later
    def predict(
        self,
        media: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        views: int = 1,
        crops: Literal[1, 3] = 1,
        start: float | None = None,
        end: float | None = None,
    ) -> list[dict[str, Any]]:
        """What the model says about films or pictures.

        Args:
            media: a path, or several.
            views: clips taken from each film, spread evenly over it; their answers are merged into one.
            crops: of each clip: its centre, or both ends of the longer side besides; merged likewise.
            start: of the span, in seconds.
            end: of the span, in seconds; the end of the film by default.

        Returns:
            One row per film, as the model's task words it: for a classifier the likeliest labels with their scores.

        Raises:
            UndecodableMedia: a film that cannot be decoded.
            ArtefactError: the model has no task that could read its outputs.

        Example:
            >>> zoo.load("file:runs/quickstart/model").predict("film.mp4", views=3)[0]    # doctest: +SKIP
        """
        if views < 1:
            raise DataError(f"views is {views}, at least one clip is needed")
        if crops not in (1, 3):
            raise DataError(f"crops is {crops}", hint="1 is the centre, 3 both ends of the longer side besides")
        paths = [media] if isinstance(media, str | os.PathLike) else list(media)
        samples = [Sample(os.fspath(path), start=start, end=end) for path in paths]
        training = self.training
        self.eval()
        try:
            return [self._row(batch) for batch in self._batches(samples, views, crops)]
        except UndecodableMedia as error:
            # Loading hints at the settings of a run, which there is none of here.
            raise UndecodableMedia(Problem(item.message, item.where) for item in error.problems) from error
        finally:
            self.train(training)

    def _batches(self, samples: Sequence[Sample], views: int, crops: Literal[1, 3]) -> Iterator[Batch]:
        """One batch for each film, its rows the views and crops: read and prepared exactly as evaluation does."""
        from zoo.data import Loader, Preprocess, Split

        loader = Loader(
            Split("predict", samples, ()),
            inputs=self.inputs,
            clip=self.clip,
            audio=self.audio,
            batch=1,
            views=views,
            crops=crops,
            train=False,
            workers=0,
            on_bad="raise",
        )
        preprocess = Preprocess(self.clip).to(self.device)
        for batch in loader.epoch(0):
            yield preprocess(batch.to(self.device))

    def _row(self, batch: Batch) -> dict[str, Any]:
        outputs = self.reader.predict(self, batch)
        merged = self.reader.merge([select_rows(outputs, slice(view, view + 1)) for view in range(len(batch))])
        return dict(self.reader.readable(merged)[0])

    @cached_property
    def reader(self) -> Task:
        """The task that reads the network's outputs and words them.

        Raises:
            ArtefactError: the model was saved without a task.
        """
        from zoo.build import build
        from zoo_registry.catalog import catalog

        if self.task is None:
            raise ArtefactError(
                f"{self.name} was saved without a task, so nothing can read its outputs",
                hint="call the model itself with tensors: model(*inputs)",
            )
        provided = {
            "model": self.network,
            "losses": {},
            "num_classes": self.num_classes,
            "labels": self.labels or tuple(f"class {index}" for index in range(self.num_classes or 0)),
            "inputs": self.inputs,
            "clip": self.clip,
            "audio": self.audio,
        }
        listed = catalog().resolve("task", self.task["name"])
        # What only training uses, such as a distillation's teacher, needs no weights to read outputs.
        task: Task = build(listed, self.task.get("params", {}), provided, load_weights=lambda *_: None)
        return task

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((tensor.device for tensor in [*self.parameters(), *self.buffers()]), torch.device("cpu"))

    def __repr__(self) -> str:
        parts = [repr(self.name)]
        if self.clip is not None:
            frames, stride = self.clip.frames, self.clip.stride
            parts.append(f"clip of {frames} frames, stride {stride}, {self.clip.size_in_words}")
        if self.audio is not None:
            parts.append(f"{self.audio.samples} audio samples at {self.audio.rate} Hz")
        if self.labels:
            shown = ", ".join(self.labels[:3]) + (", …" if len(self.labels) > 3 else "")
            parts.append(f"{len(self.labels)} labels ({shown})")
        elif self.num_classes is not None:
            parts.append(f"{self.num_classes} classes")
        parts.append(f"{sum(parameter.numel() for parameter in self.parameters()):,} parameters")
        parts.extend(step["strategy"] for step in self.structure)
        parts.append(f"licence {self.licence or 'unknown'}")
        if self.uri:
            parts.append(f"from {self.uri}")
        return f"ZooModel({', '.join(parts)})"


def load(
    reference: str | os.PathLike[str],
    *,
    pretrained: bool = True,
    num_classes: int | None = None,
    features_only: bool = False,
    params: Mapping[str, Any] | None = None,
    clip: Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
    allow_pickle: bool = False,
    trust: bool = False,
) -> ZooModel:
    """Load a model by name, from a run, a folder, a store or an exported file.

    Args:
        reference: a name from the catalogue, with a tag or not (`torchvision/r3d_18`, `r3d_18.k400`); a run or a model
            folder (`./runs/x`, or `runs/x` where no model is called so); a URI (`file:runs/x/model`,
            `hf://org/name@commit`), also of what timm, transformers and others put on the Hub, where a plugin
            recognises it; an exported file (`runs/x/model.onnx`) of any format that an installed plugin knows.
        pretrained: for names: published weights (those of the tag, else the first), or random ones.
        num_classes: for names: outputs of the head; by default as many as the published weights have. Where it is not
            what the weights were trained for, the head starts from random values and a warning says so.
        features_only: without the head: the model answers with the map (B, C, T', H', W') of every stage, finest first;
            `model.network.stages` has their names, channels and strides.
        params: for names: parameters of the builder, as in a recipe's `model.params`: `{"in_channels": 1}` (published
            weights are folded), `{"drop_path": 0.2}`; `zoo show NAME` lists them.
        clip: for names: changes of the clip spec, as in a recipe's `data.clip`: `{"frames": 8, "size": 160}`.
        device: where the model goes.
        allow_pickle: for repositories and folders of other libraries: weights may be a pickle. Only tensors are read
            from it (`weights_only=True`), and a warning says so.
        trust: for exported files: open also those of formats that run code of the file's author when they are opened.

    Returns:
        The model in eval mode: the same kind of thing, wherever it came from.

    Raises:
        UnknownName: no such name; the hint has the nearest ones.
        ArtefactError: weights that cannot be trusted or do not fit, or a name without published weights.
        ParameterError: `num_classes` is needed, because no published weights say it; a parameter or clip that the
            architecture cannot take; a device that this machine does not have.
        PluginError: `features_only` of a network that has no stages.
        HubError: a store that cannot be reached.

    Example:
        >>> load("torchvision/r3d_18", pretrained=False).clip.frames    # doctest: +SKIP
        16
    """
    _check_options(num_classes, {"params": params, "clip": clip}, device)
    text = os.fspath(reference)
    if (file := _exported(reference, text)) is not None:
        _refuse_changes(text, features_only, not pretrained, num_classes, params, clip)
        from zoo.export.file_model import load_file

        return load_file(*file, device=device, trust=trust)
    kind = "path" if isinstance(reference, os.PathLike) else reference_kind(text)
    if kind == "name":
        from zoo.pretrained import load_by_name

        try:
            return load_by_name(
                text,
                pretrained=pretrained,
                num_classes=num_classes,
                features_only=features_only,
                params=params or {},
                clip=clip or {},
                device=device,
            )
        except NameProblem as error:
            # `runs/x` has the form of a name, and is what people type for the run of that name: a name that nobody
            # has may be a folder. Names come first, so a folder never hides a model.
            if not _holds_model(Path(text)):
                raise _neither_name_nor_folder(text, error) from None
    if not pretrained or num_classes is not None or params or clip:
        raise ArtefactError(
            f"{text!r} brings its own weights, classes and clip spec",
            hint="`pretrained`, `num_classes`, `params` and `clip` go with names from the catalogue; to train on, name "
            "the folder as `model.weights` of a recipe",
        )
    uri = text if kind == "uri" else f"file:{text}"
    return _load_from(uri, device, features_only=features_only, allow_pickle=allow_pickle)


def _exported(reference: object, text: str) -> tuple[Path, Listed] | None:
    """The file and format of an exported model; None for everything else."""
    from zoo.export.file_format import file_reference

    if isinstance(reference, os.PathLike) and not text.startswith(("./", "../", "/")):
        text = f"./{text}"
    return file_reference(text)


def _refuse_changes(text: str, *changes: object) -> None:
    """A file is what it is.

    Raises:
        ArtefactError: something is to be changed in it.
    """
    if any(change not in (None, False, {}) for change in changes):
        raise ArtefactError(
            f"{text!r} is an exported file, which cannot be changed any more",
            hint="`features_only`, `pretrained`, `num_classes`, `params` and `clip` go with names from the catalogue",
        )


def _check_options(num_classes: object, mappings: Mapping[str, object], device: str | torch.device) -> None:
    """What the caller can get wrong whatever is loaded, said before anything is fetched."""
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise ParameterError(
            f"num_classes is {num_classes!r}, a head has at least one output", hint="give it a whole number"
        )
    for name, given in mappings.items():
        if given is not None and not isinstance(given, Mapping):
            raise ParameterError(f"{name} is {given!r}, not a mapping from names to values")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # what torch raises of what it does not have
        raise ParameterError(
            f"{str(device)!r} is no device of this machine: {str(error).partition(chr(10))[0]}",
            hint="device is cpu, cuda or cuda:N",
        ) from None


def _load_from(uri: str, device: str | torch.device, *, features_only: bool, allow_pickle: bool) -> ZooModel:
    from zoo.artefact.file_names import MANIFEST, WEIGHTS
    from zoo.artefact.load import load_model
    from zoo.pretrained import fetch
    from zoo.pretrained.described import DESCRIBED_BY
    from zoo.pretrained.foreign import load_foreign
    from zoo.pretrained.state_dicts import model_folder

    fetched = fetch(uri, files=(MANIFEST, *DESCRIBED_BY))
    folder = model_folder(fetched.path)
    if folder is None:
        return load_foreign(fetched, features_only=features_only, allow_pickle=allow_pickle, device=device)
    fetch(fetched.uri, files=(MANIFEST, WEIGHTS))
    model = load_model(folder, device=device, uri=fetched.uri, immutable=fetched.immutable)
    return model.as_backbone() if features_only else model


def _neither_name_nor_folder(text: str, error: NameProblem) -> ZooError:
    """What to say of a reference that is no name of a model, and no folder of one."""
    from zoo.export.file_format import format_of

    folder = Path(text)
    if not folder.exists() and (listed := format_of(text)) is not None:
        return ArtefactError(f"there is no file {text}", hint=f"a run with `export` writes it ({listed.name})")
    if (folder / "recipe.resolved.yaml").is_file():
        return ArtefactError(f"the run {text} left no model", hint=f"zoo run --resume {text} goes on with it")
    if folder.is_dir():
        return ArtefactError(f"the folder {text} holds no model", hint="give the folder of a run, or its model folder")
    if "/" not in text or _is_model(text.partition(".")[0]):  # it is the tag that nobody knows
        return error
    problem = error.problems[0]
    return type(error)(f"{problem.message}, and there is no folder {text}", hint=problem.hint)


def _is_model(name: str) -> bool:
    """Whether the catalogue has a model of that name."""
    from zoo_registry.catalog import catalog

    try:
        catalog().resolve("model", name)
    except NameProblem:
        return False
    return True


def _holds_model(folder: Path) -> bool:
    """Whether a folder is a model's, or that of a run which left one."""
    from zoo.artefact.file_names import MANIFEST

    return any((place / MANIFEST).is_file() for place in (folder, folder / "model"))
