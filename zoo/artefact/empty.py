"""Networks that are built without memory or initialisation, and then filled with weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from zoo_registry.errors import ArtefactError, PluginError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


_PLAIN = (bool, int, float, str, type(None))
_IN_PLACE = frozenset(
    getattr(torch.Tensor, f"{name}_")
    for name in ("add", "clamp", "copy", "div", "erfinv", "fill", "mul", "normal", "sub", "uniform", "zero")
)
"""What initialisation is made of."""


class _WithoutInitialising(TorchFunctionMode):
    """Leaves out initialisation, which costs time on the meta device too, although there is nothing to initialise."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _IN_PLACE and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def build_empty(build: Callable[[], Module], check: Callable[[Module], None] = lambda _: None) -> Module:
    """Build without memory or initialisation, unless the model computes something that no state dict holds.

    Args:
        build: makes the module; called once more where the meta device does not do.
        check: raises where the module is not what it should be; called before any memory is taken.

    Returns:
        The module, on the meta device where that does.
    """
    try:
        with torch.device("meta"), _WithoutInitialising():
            module = build()
    except (PluginError, NotImplementedError, RuntimeError):
        # Some builders read numbers back from tensors, which have none on the meta device. A real fault comes up again.
        module = None
    if module is not None:
        check(module)
        if not _computes_outside_state(module):
            return module
    with torch.random.fork_rng(devices=[]):
        module = build()
    check(module)
    return module


def fill(module: Module, weights: Mapping[str, Tensor]) -> None:
    """Give a module weights that fit it key by key; what is tied stays tied.

    Raises:
        ArtefactError: one parameter of the module has two values, or something is left without any.
    """
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


def _computes_outside_state(module: Module) -> bool:
    """Whether there are tensors without memory that the state dict will not fill, such as relative position indices."""
    for part in module.modules():
        hidden = [part._buffers[name] for name in part._non_persistent_buffers_set]
        if any(_has_meta(value) for value in hidden):
            return True
        for name, value in vars(part).items():
            if name not in ("_parameters", "_buffers", "_modules") and _has_meta(value):
                return True
    return False


def _has_meta(value: Any) -> bool:
    if isinstance(value, _PLAIN):
        return False
    if isinstance(value, torch.Tensor):
        return value.is_meta
    if isinstance(value, Mapping):
        return any(_has_meta(item) for item in value.values())
    return isinstance(value, list | tuple) and any(_has_meta(item) for item in value)
