"""Writes down by which shapes and sizes a pruned network differs from the built one, and gives a built one those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from zoo_plugins.compress.attention_heads import HEADS, WIDTHS, attentions, head_form
from zoo_plugins.compress.cuts import set_tensor, sizes
from zoo_plugins.compress.record import fields, module_of_type, refuse

Shapes = dict[str, list[int]]
Attributes = dict[str, dict[str, int]]


def shapes_of(model: nn.Module) -> tuple[Shapes, Attributes]:
    """The shape of every parameter and buffer, and the attributes of every module that repeat sizes."""
    shapes = {name: list(tensor.shape) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    attributes = {name: _attributes(module) for name, module in model.named_modules()}
    return shapes, attributes


def changes(before: tuple[Shapes, Attributes], model: nn.Module) -> dict[str, Any]:
    """What differs now: `{shapes, attributes}`, as `reshape` reads it."""
    shapes, attributes = shapes_of(model)
    return {
        "shapes": {name: shape for name, shape in shapes.items() if shape != before[0].get(name)},
        "attributes": {
            name: changed
            for name, values in attributes.items()
            if (changed := {key: value for key, value in values.items() if value != before[1][name].get(key)})
        },
    }


def reshape(model: nn.Module, record: Mapping[str, Any], what: str) -> nn.Module:
    """Give a freshly built model the shapes of a pruned one, in place; values come with the state dict.

    Raises:
        ArtefactError: the record does not fit the model, or would make anything of it larger.
    """
    shapes, attributes = fields(record, {"shapes": Mapping, "attributes": Mapping}, what)
    for name, shape in shapes.items():
        _reshape(model, name, shape, what)
    for name, values in attributes.items():
        module = module_of_type(model, name, (nn.Module,), what)
        if not isinstance(values, Mapping):
            raise refuse(what, f"gives {name[:80]!r} attributes that are not a mapping")
        for key, value in values.items():
            _set_attribute(module, name, key, value, what)
    _complain_about_contradictions(model, shapes, what)
    return model


def _attributes(module: nn.Module) -> dict[str, int]:
    own = {key: getattr(module, key) for key in (*HEADS, *WIDTHS) if type(getattr(module, key, None)) is int}
    return {**own, **{key: getattr(module, key) for key in sizes(module)}}


def _reshape(model: nn.Module, name: object, shape: object, what: str) -> None:
    owner, _, tensor_name = str(name).rpartition(".")
    module = module_of_type(model, owner, (nn.Module,), what)
    tensor = {**module._parameters, **module._buffers}.get(tensor_name)
    if tensor is None:
        raise refuse(what, f"gives a shape to {str(name)[:80]!r}, which the model lacks")
    if not isinstance(shape, list) or len(shape) != tensor.dim() or any(type(size) is not int for size in shape):
        raise refuse(what, f"gives {name!r} a shape that is not {tensor.dim()} whole numbers")
    if any(not 1 <= size <= built for size, built in zip(shape, tensor.shape, strict=True)):
        raise refuse(what, f"gives {name!r} the shape {shape}, which does not fit into {list(tensor.shape)}")
    set_tensor(module, tensor_name, tensor.detach().new_empty(shape))


def _set_attribute(module: nn.Module, name: str, key: object, value: object, what: str) -> None:
    built = _attributes(module).get(key) if isinstance(key, str) else None
    if built is None:
        raise refuse(what, f"sets {str(key)[:40]!r} of {name[:80]!r}, which holds no size of that name")
    if type(value) is not int or not 1 <= value <= built:
        raise refuse(what, f"sets {key!r} of {name[:80]!r} to {str(value)[:40]}, which is not within 1..{built}")
    setattr(module, str(key), value)


def _complain_about_contradictions(model: nn.Module, shapes: Mapping[str, Any], what: str) -> None:
    """Sizes that a layer states must be those of its tensors, and heads must fill the layers around them."""
    for owner in {str(name).rpartition(".")[0] for name in shapes}:
        module = model.get_submodule(owner)
        wrong = {key: size for key, size in sizes(module).items() if getattr(module, key) != size}
        if wrong:
            raise refuse(what, f"states sizes of {owner!r} that its tensors have not: {sorted(wrong)}")
    reshaped = {str(name).rpartition(".")[0] for name in shapes}
    for name in attentions(model):
        if any(layer.startswith(f"{name}.") for layer in reshaped) and head_form(model, name) is None:
            raise refuse(what, f"gives {name!r} heads that do not fill its layers")
