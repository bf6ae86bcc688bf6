"""Reads a model folder: built without memory, restored, and filled with weights that fit key by key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.artefact.manifest import WEIGHTS, Manifest, read_manifest
from zoo.artefact.weights import differences, misfit, read_weights
from zoo.model import ZooModel
from zoo_registry.errors import ArtefactError, MissingExtra, PluginError
from zoo_registry.names import Name

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from zoo_registry.catalog import Listed

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def load_model(folder: str | Path, *, device: str | torch.device = "cpu", uri: str | None = None) -> ZooModel:
    """Load a model folder, strictly.

    Nothing in the folder is trusted: no pickle is opened, no code or import path is taken from it, the checksum of the
    weights is verified, and every key must fit the architecture that is built here.

    Args:
        folder: with `model.json` and `model.safetensors`.
        device: where the model goes.
        uri: what the model says it was loaded from; the folder by default.

    Returns:
        The model in eval mode.

    Raises:
        ArtefactError: a folder that cannot be trusted, or weights that do not fit.
        PluginError: the model comes from a plugin that is not installed or cannot build it.

    Example:
        >>> load_model("runs/quickstart/model").predict("film.mp4")    # doctest: +SKIP
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    weights = read_weights(folder / WEIGHTS, sha256=manifest.weights.sha256)
    listed = _resolve(manifest)
    network = _empty(lambda: _build(listed, manifest), lambda built: _check(built, weights, manifest, folder))
    _fill(network, weights)
    model = ZooModel(
        network,
        name=manifest.model,
        params=manifest.params,
        num_classes=manifest.num_classes,
        inputs=manifest.inputs,
        clip=manifest.clip,
        audio=manifest.audio,
        labels=manifest.labels,
        task=manifest.task.model_dump() if manifest.task else None,
        structure=tuple(step.model_dump() for step in manifest.structure),
        licence=manifest.licence,
        metrics=manifest.metrics,
        uri=uri or f"file:{folder}",
    )
    return model.to(device).eval()


def _resolve(manifest: Manifest) -> Listed:
    """The architecture, once the plugins that brought it and its compression are known to be here."""
    from zoo_registry.catalog import catalog

    names = [Name.parse(text) for text in (manifest.model, *(step.strategy for step in manifest.structure))]
    known = {plugin.namespace for plugin in catalog().plugins}
    for name in names:
        wanted = manifest.plugins.get(name.namespace or "")
        # The name of a distribution comes from a stranger, and somebody may paste the line below into a shell.
        if wanted and name.namespace not in known and _DISTRIBUTION.fullmatch(wanted.distribution):
            raise MissingExtra(
                f"{name} comes from the plugin {name.namespace!r} ({wanted.distribution} {wanted.version}), "
                "which is not installed here",
                hint=f"pip install {wanted.distribution}",
            )
    return catalog().resolve("model", names[0])


def _build(listed: Listed, manifest: Manifest) -> Module:
    from zoo.build import build

    # Weights of models inside models come with the state dict, never from where they were first published.
    module: Module = build(listed, manifest.params, manifest.provided(), load_weights=lambda *_: None)
    if manifest.structure:
        from zoo.compress.structure import restore_structure

        module = restore_structure(module, [step.model_dump() for step in manifest.structure])
    return module


def _empty(build: Callable[[], Module], check: Callable[[Module], None]) -> Module:
    """Build without memory or initialisation, unless the model computes something that no state dict holds."""
    try:
        with torch.device("meta"):
            module = build()
    except (PluginError, NotImplementedError, RuntimeError):
        # Some builders read numbers back from tensors, which have none on the meta device. A real fault comes up again.
        module = None
    if module is not None:
        check(module)  # before any memory is taken: the parameters of the builder are untrusted
        if not _computes_outside_state(module):
            return module
    with torch.random.fork_rng(devices=[]):
        module = build()
    check(module)
    return module


def _computes_outside_state(module: Module) -> bool:
    """Whether there are tensors without memory that the state dict will not fill, such as relative position indices."""
    for part in module.modules():
        hidden = [part._buffers[name] for name in part._non_persistent_buffers_set]
        if any(_has_meta(value) for value in hidden):
            return True
        own = {name: value for name, value in vars(part).items() if name not in ("_parameters", "_buffers", "_modules")}
        if any(_has_meta(value) for value in own.values()):
            return True
    return False


def _has_meta(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.is_meta
    if isinstance(value, Mapping):
        return any(_has_meta(item) for item in value.values())
    return isinstance(value, list | tuple) and any(_has_meta(item) for item in value)


def _check(module: Module, weights: Mapping[str, Tensor], manifest: Manifest, folder: Path) -> None:
    wrong = differences(module.state_dict(), weights)
    if wrong:
        raise misfit(manifest.model, wrong.values(), str(folder / WEIGHTS))


def _fill(module: Module, weights: Mapping[str, Tensor]) -> None:
    tied = _tied(module)
    module.load_state_dict(weights, strict=True, assign=True)
    for first, *others in tied:
        parameter = module.get_parameter(first)
        for name in others:
            owner, _, attribute = name.rpartition(".")
            if not torch.equal(module.get_parameter(name), parameter):
                raise ArtefactError(f"{first!r} and {name!r} are one parameter of the model, but differ in the file")
            setattr(module.get_submodule(owner), attribute, parameter)
    left = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
    if left:
        raise ArtefactError(f"the state dict leaves {left[0]!r} without values", hint="report this to the plugin")


def _tied(module: Module) -> list[list[str]]:
    """Names of parameters that are one and the same, which assigning would separate."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return [group for group in names.values() if len(group) > 1]
