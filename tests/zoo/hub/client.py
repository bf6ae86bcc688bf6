"""A client process: calls one function and prints what came of it. `HF_ENDPOINT` is read once, when the client of the
Hub is imported, so everything that talks to the loopback server runs in a process of its own.

    python client.py '{"call": "zoo.hub.push:publish", "args": [...], "options": {...}}'
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from typing import Any

from zoo_registry.errors import ZooError
from zoo_registry.protocols import Fetched


def main(order: dict[str, Any]) -> dict[str, Any]:
    module, _, name = order["call"].partition(":")
    function = globals()[name] if not module else getattr(importlib.import_module(module), name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer: dict[str, Any] = {"value": None, "error": None, "type": None}
        try:
            value = function(*order["args"], **order["options"])
            answer["value"] = [str(value.path), value.uri] if isinstance(value, Fetched) else value
        except ZooError as error:
            answer |= {"error": str(error), "type": type(error).__name__}
    return answer | {"warnings": [str(warning.message) for warning in caught]}


def forward(reference: str, clip: str, output: str) -> str:
    """Load a model, write what it says about a saved clip, and return its `repr`."""
    import torch
    from safetensors.torch import load_file, save_file

    import zoo

    model = zoo.load(reference)
    with torch.inference_mode():
        save_file({"output": model(load_file(clip)["clip_bcthw"])}, output)
    return repr(model)


def forward_each(orders: list[tuple[str, str, str]]) -> list[str]:
    """`forward` for several models in one process."""
    return [forward(*order) for order in orders]


def described(reference: str, **options: Any) -> str:
    """The `repr` of a model."""
    import zoo

    return repr(zoo.load(reference, **options))


def refusals(references: list[str]) -> list[str]:
    """What is said of models that must not load, in one process."""
    import zoo

    said = []
    for reference in references:
        try:
            said.append(f"LOADED {zoo.load(reference)!r}")
        except ZooError as error:
            said.append(str(error))
    return said


def load_without(distribution: str, reference: str) -> str:
    """`described` in an environment that lacks a distribution."""
    from zoo_registry import claims

    everything = claims.distributions
    claims.distributions = lambda: [each for each in everything() if each.metadata["Name"] != distribution]
    return described(reference)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
