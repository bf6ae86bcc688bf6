"""What makes an entry well-formed. Plugins are other people's code: every field is checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo_registry.entries import (
    Adapter,
    AudioSpec,
    Augmentation,
    ClipSpec,
    Compression,
    Entry,
    Exporter,
    Family,
    Fetcher,
    Loss,
    Model,
    Observer,
    Recipe,
    Source,
    Task,
    Weights,
)
from zoo_registry.names import BARE, TAG

ENTRY_OF_KIND: Mapping[str, type[Entry]] = {
    entry.kind: entry
    for entry in (Model, Augmentation, Loss, Compression, Task, Source, Recipe, Exporter, Fetcher, Adapter, Observer)
}
"""The record that each kind's hook returns."""

_IMPORT_STRING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PACKAGE_FILE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:(?!/)(?!.*\.\.)[^\\:]+\.ya?ml")
_LABEL_FILE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:(?!/)(?!.*\.\.)[^\\:]+\.txt|hf://[^\s]+")
_SHA256 = re.compile(r"[0-9a-f]{6,64}")
_TUPLES = ("aliases", "requires", "inputs", "weights", "roles", "targets")
_TEXTS = ("summary", "task")
_TEXTS_OR_NONE = ("deprecated", "extra", "source", "licence")


def faults(entry: Entry) -> list[str]:
    """What is wrong with an entry, a sentence each; empty when nothing is.

    Example:
        >>> from zoo_registry import Loss
        >>> faults(Loss("Huber", builder="acme.losses:huber"))
        ["'Huber' is not a name: lower-case letters, digits and underscores, starting with a letter"]
    """
    if not (isinstance(entry.name, str) and BARE.fullmatch(entry.name)):
        return [f"{entry.name!r} is not a name: lower-case letters, digits and underscores, starting with a letter"]
    found = [*_field_faults(entry), *_import_faults(entry)]
    return found or (list(_model_faults(entry)) if isinstance(entry, Model) else [])


def family_faults(family: Family) -> list[str]:
    """What is wrong with the declaration of a family."""
    found = [] if _is_import_string(family.index) else [_no_import_string("index", family.index)]
    if not (isinstance(family.distribution, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", family.distribution)):
        found.append(f"distribution {family.distribution!r} is not the name of a pip distribution")
    return found


def _field_faults(entry: Entry) -> Iterator[str]:
    """Fields of the wrong type; a str or list where a tuple belongs is the common slip."""
    for field in _TUPLES:
        value = getattr(entry, field, ())
        if not isinstance(value, tuple):
            yield (
                f"{field} is a {type(value).__name__}, write a tuple: ({value!r},)"
                if isinstance(value, str)
                else (f"{field} is a {type(value).__name__}, write a tuple")
            )
        elif field != "weights" and not all(isinstance(item, str) for item in value):
            yield f"{field} holds something else than text: {value!r}"
    for field in (*_TEXTS, *_TEXTS_OR_NONE):
        value = getattr(entry, field, "")
        if not isinstance(value, str) and not (value is None and field in _TEXTS_OR_NONE):
            yield f"{field} is a {type(value).__name__}, it should be text"
    if isinstance(entry.aliases, tuple):
        yield from (f"alias {alias!r} is not a name" for alias in entry.aliases if not BARE.fullmatch(str(alias)))
    if not isinstance(entry.fixed, Mapping) or not _is_plain(entry.fixed):
        yield "fixed holds something else than plain data (text, numbers, true or false, lists, mappings)"


def _import_faults(entry: Entry) -> Iterator[str]:
    """Strings that cannot lead to a function, or for a recipe to a file."""
    if isinstance(entry, Recipe):
        if not (isinstance(entry.builder, str) and _PACKAGE_FILE.fullmatch(entry.builder)):
            yield f"builder {entry.builder!r} is not package:path/inside/it.yaml"
        return
    for field in ("builder", "restore", "load"):
        value = getattr(entry, field, None)
        if hasattr(entry, field) and not _is_import_string(value):
            yield _no_import_string(field, value)
    if isinstance(entry, Exporter) and not str(entry.suffix).startswith("."):
        yield f"suffix {entry.suffix!r} does not start with a dot"


def _model_faults(model: Model) -> Iterator[str]:
    """What else can be wrong with a model: its specs and its published weights."""
    if not (model.clip is None or isinstance(model.clip, ClipSpec)):
        yield f"clip is a {type(model.clip).__name__}, not a ClipSpec"
    if not (model.audio is None or isinstance(model.audio, AudioSpec)):
        yield f"audio is a {type(model.audio).__name__}, not an AudioSpec"
    if not model.inputs:
        yield "inputs is empty"
    yield from _layout_faults(model.layouts)
    layouts = model.layouts if isinstance(model.layouts, Mapping) else {}
    if model.gmacs is not None and not (isinstance(model.gmacs, int | float) and model.gmacs > 0):
        yield f"gmacs {model.gmacs!r} is not a number above zero"
    if not (isinstance(model.limits, Mapping) and all(isinstance(text, str) for text in model.limits.values())):
        yield "limits is not a mapping of the name of a check to a sentence"
    tags: set[str] = set()
    for weights in model.weights:
        if not isinstance(weights, Weights):
            yield f"weights holds a {type(weights).__name__}, not Weights"
            continue
        if not (isinstance(weights.tag, str) and TAG.fullmatch(weights.tag)):
            yield f"tag {weights.tag!r} is not lower-case letters, digits and underscores"
        elif weights.tag in tags:
            yield f"tag {weights.tag!r} occurs twice"
        else:
            tags.add(weights.tag)
        if not (isinstance(weights.source, str) and ":" in weights.source):
            yield f"source {weights.source!r} of weights {weights.tag!r} is not a URI"
        if weights.sha256 is not None and not _SHA256.fullmatch(str(weights.sha256)):
            yield f"sha256 {weights.sha256!r} of weights {weights.tag!r} is not 6 to 64 hexadecimal digits"
        if weights.convert is not None and not _is_import_string(weights.convert) and weights.convert not in layouts:
            yield (
                f"convert {weights.convert!r} of weights {weights.tag!r} is neither an import string, "
                "package.module:function, nor one of the model's layouts"
            )
        if weights.label_file is not None and not _is_label_file(weights.label_file):
            yield (
                f"label_file {weights.label_file!r} of weights {weights.tag!r} is neither package:path/inside/it.txt, "
                "hf://org/repo nor an import string, package.module:function"
            )


def _layout_faults(layouts: Any) -> Iterator[str]:
    """What can be wrong with the checkpoints of other projects that a model can read."""
    if not isinstance(layouts, Mapping):
        yield f"layouts is a {type(layouts).__name__}, write a mapping of name to import string"
        return
    for name, converter in layouts.items():
        if not (isinstance(name, str) and TAG.fullmatch(name)):
            yield f"layout {name!r} is not lower-case letters, digits and underscores"
        if not _is_import_string(converter):
            yield _no_import_string(f"layout {name!r}:", converter)


def _is_label_file(value: Any) -> bool:
    return isinstance(value, str) and (_LABEL_FILE.fullmatch(value) is not None or _is_import_string(value))


def _is_import_string(value: Any) -> bool:
    return isinstance(value, str) and _IMPORT_STRING.fullmatch(value) is not None


def _no_import_string(field: str, value: Any) -> str:
    return f"{field} {value!r} is not an import string, package.module:function"


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
