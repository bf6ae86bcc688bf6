"""What all layouts share: keys are renamed by rules, and nothing is left out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo_registry.errors import ArtefactError

Rules = Iterable[tuple[str, str]]
"""(pattern, replacement) as for `re.sub`; all are applied, in order."""


def renamed(state: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """The same tensors under the names that rules give; keys that no rule knows stay as they are.

    Raises:
        ArtefactError: two keys would get one name.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in compiled:
            name = pattern.sub(replacement, name)
        if name in result:
            raise ArtefactError(f"both {key!r} and another key of these weights stand for {name!r}")
        result[name] = value
    return result


def with_counters(state: dict[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """The state with the `num_batches_tracked` that older files and synchronised batch norms do not have, as zero."""
    counter = "num_batches_tracked"
    counters = {
        key: torch.zeros((), dtype=torch.long)
        for key in module.state_dict()
        if key.endswith(counter) and key not in state and key.replace(counter, "running_mean") in state
    }
    return {**state, **counters}


def without_shortcut_norms(state: dict[str, Tensor], module: nn.Module, eps: float = 1e-5) -> dict[str, Tensor]:
    """The state with the norms of shortcuts that the module does not have put into the layers beside them.

    What scales goes into the shortcut's convolution, what is added into the bias of the branch's last norm, so that in
    evaluation nothing changes. X3D's first shortcut has such a norm in PySlowFast and mmaction2, and none in
    PyTorchVideo, whose number of parameters is the published one.
    """
    own = module.state_dict()
    surplus = [key for key in state if key.endswith("shortcut_norm.running_var") and key not in own]
    for key in surplus:
        block = key.removesuffix("shortcut_norm.running_var")
        convolution, bias = f"{block}shortcut_conv.weight", f"{block}norm_c.bias"
        norm = {name: state[f"{block}shortcut_norm.{name}"] for name in ("weight", "bias", "running_mean")}
        scale = norm["weight"] / (state[key] + eps).sqrt()
        folded = {
            convolution: state[convolution] * scale[:, None, None, None, None],
            bias: state[bias] + norm["bias"] - norm["running_mean"] * scale,
        }
        kept = {name: value for name, value in state.items() if not name.startswith(f"{block}shortcut_norm.")}
        state = kept | folded
        warnings.warn(
            f"{block}shortcut_norm went into the layers beside it: same answers, but training goes on without it",
            stacklevel=2,
        )
    return state
