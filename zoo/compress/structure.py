"""Rebuilds the structure of a compressed model, so that its weights fit. Reads what a stranger may have written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.nn import Module

from zoo_registry.catalog import catalog
from zoo_registry.entries import Compression
from zoo_registry.errors import ArtefactError, NameProblem, ZooError

MOST_STEPS = 64
KEYS = {"strategy": str, "version": int, "record": Mapping}


def restore_structure(module: Module, structure: Sequence[Mapping[str, Any]]) -> Module:
    """Do to a freshly built model what compression did to the saved one, without data.

    Args:
        module: as its builder makes it, usually on the meta device.
        structure: steps `{strategy, version, record}` in the order they were applied.

    Returns:
        The module with the structure that the saved state dict fits; values come with the state dict.

    Raises:
        ArtefactError: a step that cannot be read, that no installed plugin knows, or that does not fit the model.
    """
    if not isinstance(structure, Sequence) or len(structure) > MOST_STEPS:
        raise ArtefactError(f"the structure of a model must be a list of at most {MOST_STEPS} steps")
    for step in structure:
        module = _restore(module, step)
    return module


def _restore(module: Module, step: Mapping[str, Any]) -> Module:
    if not isinstance(step, Mapping) or set(step) != set(KEYS):
        raise ArtefactError(f"a step of a model's structure must hold {', '.join(KEYS)}")
    if not all(isinstance(step[key], kind) for key, kind in KEYS.items()):
        raise ArtefactError("a step of a model's structure has a value of the wrong type")
    name, version = step["strategy"], step["version"]
    try:
        listed = catalog().resolve("compression", name)
    except NameProblem as error:
        raise ArtefactError(
            f"the model was compressed with {name[:80]!r}, which no installed plugin provides",
            hint=error.problems[0].hint,
        ) from error
    entry = listed.entry
    if not isinstance(entry, Compression) or entry.version != version:
        raise ArtefactError(
            f"the model was compressed with version {version} of {name}, here is {getattr(entry, 'version', 'none')}",
            hint=f"install the release of {listed.plugin.distribution} that the model names in its lock",
        )
    try:
        restored = listed.resolve_builder("restore")(module, step["record"])
    except ZooError:
        raise
    except Exception as error:  # whatever a plugin trips over in a record that nobody vouches for
        raise ArtefactError(f"the record of {name} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(restored, Module):
        raise ArtefactError(f"{name} restored no module")
    return restored
