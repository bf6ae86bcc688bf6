"""Models that another library published, as models of the catalogue: through the adapter that recognises them.

An adapter belongs to the plugin whose models can take the weights. It looks at `config.json` and the card, and says
which model of the catalogue that is and with which parameters; nothing of the repository is imported or run.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.artefact.empty import build_empty, fill
from zoo.artefact.file_names import WEIGHTS
from zoo.hub.layout import PICKLES
from zoo.model import ZooModel
from zoo.pretrained.described import describe, licence_of
from zoo.pretrained.fetching import fetch
from zoo.pretrained.fitting import Fitted, fitted_as, meant_for
from zoo.pretrained.state_dicts import PICKLED, Published, pickle_in, read_checkpoint
from zoo_registry.errors import ArtefactError, Location, PluginError, ZooError
from zoo_registry.licences import is_non_commercial

if TYPE_CHECKING:
    import torch
    from torch.nn import Module

    from zoo_registry.protocols import Fetched, Recognised


def load_foreign(fetched: Fetched, *, features_only: bool, allow_pickle: bool, device: str | torch.device) -> ZooModel:
    """Load what another library published; see `zoo.load`.

    Args:
        fetched: the folder that describes the model; its weights are fetched once it is known which one that is.
        features_only: as for `zoo.load`.
        allow_pickle: likewise.
        device: likewise.

    Raises:
        ArtefactError: no installed plugin recognises it, its weights are a pickle, or do not fit key by key.
        ParameterError: it is recognised, but the catalogue has no model like it.
    """
    from zoo.build import build
    from zoo_registry.catalog import catalog

    described = describe(fetched.path)
    known = recognise(described, fetched.uri)
    listed = catalog().resolve("model", known.model)
    entry = listed.model
    if known.num_classes is None and not features_only:
        raise ArtefactError(
            f"{fetched.uri} has no classifier", hint="zoo.load(..., features_only=True) gives its features"
        )
    clip = known.clip or entry.clip
    provided = {
        "num_classes": known.num_classes or 1,
        "labels": known.labels,
        "inputs": entry.inputs,
        "clip": clip,
        "audio": entry.audio,
    }

    def make() -> Module:
        module: Module = build(listed, known.params, provided, load_weights=lambda *_: None)
        return module

    published = read_foreign(fetched.uri, allow_pickle=allow_pickle)
    fits: list[Fitted] = []  # compared before any memory is taken for the network
    network = build_empty(make, lambda built: fits.append(fitted_as(built, published, listed, known.convert)))
    fit = fits[-1]
    if fit.loaded.skipped:
        if not features_only:
            raise ArtefactError(
                f"the classifier of {fetched.uri} is not one that {listed.name} has: the weights are "
                f"{meant_for(fit.loaded.classes)}",
                hint="zoo.load(..., features_only=True) gives its features",
            )
        network = make()
        network.load_state_dict(fit.state, strict=False)
    else:
        fill(network, fit.state)
    licence = licence_of(described)
    if is_non_commercial(licence):
        warnings.warn(f"the weights {fetched.uri} are licensed {licence}: no commercial use", stacklevel=4)
    model = ZooModel(
        network,
        name=listed.name,
        params=known.params,
        num_classes=known.num_classes,
        inputs=entry.inputs,
        clip=clip,
        audio=entry.audio,
        labels=known.labels,
        task={"name": catalog().resolve("task", entry.task).name, "params": {}},
        licence=licence,
        uri=fetched.uri,
    )
    return (model.as_backbone() if features_only else model).to(device).eval()


def read_foreign(uri: str, *, allow_pickle: bool) -> Published:
    """The weights of a repository of another library.

    Raises:
        ArtefactError: a pickle, and it was not allowed; or one that holds more than tensors.
    """
    fetched = fetch(uri, files=(WEIGHTS, *(PICKLES if allow_pickle else ())))
    pickle = pickle_in(fetched.path)
    if pickle is None:
        state, sha256 = read_checkpoint(fetched.path, immutable=fetched.immutable)
        return Published(state, fetched.uri, sha256)
    if not allow_pickle:
        raise ArtefactError(
            f"{fetched.uri} has its weights as a pickle only ({pickle.name}), which is not opened",
            hint="ask its authors for safetensors; if you trust them, zoo.load(..., allow_pickle=True) reads tensors "
            "from it and nothing else",
        )
    state, sha256 = read_checkpoint(pickle)
    warnings.warn(f"the weights {fetched.uri} ({pickle.name}) were {PICKLED}", stacklevel=5)
    return Published(state, fetched.uri, sha256, pickle=True)


def recognise(described: Mapping[str, Mapping[str, Any]], uri: str) -> Recognised:
    """Ask the adapters of all plugins, ours first.

    Raises:
        ArtefactError: none of them knows it, or several do.
        ZooError: what the one that knows it says is not there.
        PluginError: an adapter that fails.
    """
    from zoo.build import build
    from zoo_registry.catalog import catalog

    adapters = catalog().list("adapter")
    answers: dict[str, Recognised] = {}
    failures: list[ZooError] = []  # of one adapter, such as packages that are not installed: another may know it
    for listed in adapters:
        try:
            answer = build(listed, {})(described)
        except ZooError as error:
            failures.append(error)
            continue
        except Exception as error:  # an adapter may raise anything when it is given what it does not know
            failures.append(
                PluginError(
                    f"the adapter {listed.name} failed at {uri}: {type(error).__name__}: {error}",
                    where=listed.plugin.where,
                )
            )
            continue
        if answer is not None:
            answers[listed.name] = answer
    if failures and not answers:
        if len(failures) == 1:
            raise failures[0]
        raise ArtefactError(problem for failure in failures for problem in failure.problems)
    if len(answers) > 1:
        raise ArtefactError(f"several plugins take {uri} for their own: {', '.join(answers)}", where=Location(uri))
    if not answers:
        known = ", ".join(listed.name for listed in adapters)
        raise ArtefactError(
            f"{uri} is no model of videozoo: it has no model.json, and no library that is known here wrote it",
            where=Location(uri),
            hint=f"installed plugins recognise {known}; where you know the architecture, name the repository as "
            "`model.weights` of a recipe",
        )
    return next(iter(answers.values()))
