"""Reads a model folder: built without memory, restored, and filled with weights that fit key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.artefact.empty import build_empty, fill
from zoo.artefact.file_names import WEIGHTS
from zoo.artefact.manifest import Manifest, read_manifest
from zoo.artefact.weights import differences, misfit, read_weights
from zoo.model import ZooModel
from zoo_registry.errors import MissingExtra
from zoo_registry.names import Name

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

    from zoo_registry.catalog import Listed

_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def load_model(
    folder: str | Path, *, device: str | torch.device = "cpu", uri: str | None = None, immutable: bool = False
) -> ZooModel:
    """Load a model folder, strictly.

    Nothing in the folder is trusted: no pickle is opened, no code or import path is taken from it, the checksum of the
    weights is verified, and every key must fit the architecture that is built here.

    Args:
        folder: with `model.json` and `model.safetensors`.
        device: where the model goes.
        uri: what the model says it was loaded from; the folder by default.
        immutable: the folder is in a cache, see `zoo.artefact.weights.read_weights`.

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
    weights = read_weights(folder / WEIGHTS, sha256=manifest.weights.sha256, immutable=immutable)
    listed = _resolve(manifest)
    network = build_empty(lambda: _build(listed, manifest), lambda built: _check(built, weights, manifest, folder))
    fill(network, weights)
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


def _check(module: Module, weights: Mapping[str, Tensor], manifest: Manifest, folder: Path) -> None:
    wrong = differences(module.state_dict(), weights)
    if wrong:
        raise misfit(manifest.model, wrong.values(), str(folder / WEIGHTS))
