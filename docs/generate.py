"""Fills in the parts of the documentation that the code already says.

    python docs/generate.py            rewrite the marked parts of docs/*.md
    python docs/generate.py --check    say which pages are out of date, exit 1 if any is

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is a key of `PARTS`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from zoo.cli import cli
from zoo.recipe import schema
from zoo_registry import entries, errors, hookspecs
from zoo_registry.catalog import catalog
from zoo_registry.licences import is_non_commercial
from zoo_registry.protocols import PROVIDED

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# ------------------------------------------------------------------------------------------------ recipe


def recipe() -> str:
    """Every slot of a recipe: its keys, what they take, their defaults and what they mean."""
    parts = []
    for path, slot in _slots(schema.RecipeSchema):
        rows = [
            (f"`{key}`", _type(field), _default(field), field.description or "")
            for key, field in slot.model_fields.items()
        ]
        heading = f"### `{path}`" if path else "### The recipe"
        parts += [heading, inspect.cleandoc(slot.__doc__ or ""), table(("key", "takes", "default", "meaning"), rows)]
    return "\n\n".join(parts)


def _slots(slot: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """A slot and those below it, each once, with the path a recipe writes. Plain components are told in the text."""
    yield path, slot
    for key, field in slot.model_fields.items():
        plain = (schema.Component, schema.LossSlot)
        for below in _models(field.annotation):
            if below not in plain:
                below_key = f"{key}.NAME" if get_origin(field.annotation) is dict else key
                yield from _slots(below, f"{path}.{below_key}" if path else below_key)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _type(field: FieldInfo) -> str:
    """What a key takes, in words."""
    return _words(field.annotation, tuple(field.metadata))


def _words(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(arguments[0], arguments[1:])
    if origin in (Union, types.UnionType):
        return " or ".join(_words(argument, metadata) for argument in arguments if argument is not type(None))
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin is dict:
        return "mapping" if arguments[1] is Any else f"mapping of name to {_words(arguments[1])}"
    if origin in (list, tuple):
        pair = origin is tuple and arguments[-1] is not Ellipsis
        return f"[{', '.join(map(_words, arguments))}]" if pair else f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, schema.Component):
        return "component"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping, below"
    word = {int: "whole number", float: "number", str: "text", bool: "true or false"}[annotation]
    return " ".join([word, *_bounds(metadata)])


def _bounds(metadata: tuple[Any, ...]) -> Iterator[str]:
    """`Gt(0)` as `> 0`, also where pydantic keeps several bounds in one `Field`."""
    for item in metadata:
        inner = getattr(item, "metadata", None)
        if isinstance(inner, list | tuple):
            yield from _bounds(tuple(inner))
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if getattr(item, name, None) is not None:
                yield f"{sign} {getattr(item, name)}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ([], {}) or isinstance(value, BaseModel):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


# ------------------------------------------------------------------------------------------------ models


def models() -> str:
    """Every model of ours with its clip, parameters and published weights; large families by their number."""
    ours = [listed for listed in catalog().list("model") if listed.plugin.distribution == "videozoo"]
    by_namespace: dict[str, list[Any]] = {}
    for listed in ours:
        by_namespace.setdefault(listed.namespace, []).append(listed)
    parts = []
    for namespace, found in sorted(by_namespace.items(), key=lambda item: len(item[1])):
        if len(found) > 100:
            parts.append(_family(namespace, found))
            continue
        head = ("model", "what it is", "clip", "parameters", "GMACs", "weights (claimed)", "licence")
        parts += [f"### `{namespace}`", table(head, [_model(listed) for listed in found])]
    return "\n\n".join(parts)


def _model(listed: Any) -> tuple[str, ...]:
    entry = listed.entry
    count = f"{entry.parameters:,}" if entry.parameters else "–"
    gmacs = f"{entry.gmacs:.3f}" if entry.gmacs else "–"
    weights = "; ".join(f"`.{each.tag}`{_claims(each)}" for each in entry.weights) or "–"
    licences = "; ".join(dict.fromkeys(_licence(each.licence) for each in entry.weights)) or "–"
    limits = "".join(f" Not: {check} ({why})." for check, why in entry.limits.items())
    return f"`{listed.name}`", f"{entry.summary}{limits}", _clip(entry.clip), count, gmacs, weights, licences


def _licence(name: str | None) -> str:
    return f"{name or 'unknown'}{' (no commercial use)' if is_non_commercial(name) else ''}"


def _clip(clip: entries.ClipSpec | None) -> str:
    if clip is None:
        return "–"
    if clip.native:
        return f"{clip.frames} frame{'s' if clip.frames > 1 else ''}, as large as the film"
    height, width = clip.height_width
    return f"{clip.frames}×{height}×{width}, stride {clip.stride}"


def _claims(weights: entries.Weights) -> str:
    words = [f"{name} {value:g}" for name, value in weights.metrics.items()]
    return f" ({', '.join(words)})" if words else ""


def _family(namespace: str, found: list[Any]) -> str:
    floor = len(found) // 100 * 100  # the exact number changes with every release
    return (
        f"### `{namespace}`\n\nOver {floor:,} models, one for every architecture of `{namespace}`, such as "
        f"`{found[0].name}`; `zoo models '{namespace}/*'` lists those of the installed version."
    )


# ------------------------------------------------------------------------------------------------ hooks


def hooks() -> str:
    """Every hook with its arguments and when it is called, and the record it returns."""
    kinds = {cls.kind: cls for cls in _subclasses(entries.Entry)}
    parts = []
    for kind, hook in hookspecs.HOOKS.items():
        function = getattr(hookspecs, hook)
        arguments = ", ".join(inspect.signature(function).parameters)
        returns = str(function.__annotations__["return"]).replace("entries.", "")
        record = kinds[kind]
        parts += [
            f"### `{hook}({arguments}) -> {returns}`",
            inspect.cleandoc(function.__doc__ or ""),
            _record(record),
        ]
        if kind == entries.Model.kind:
            parts.append(_record(entries.Family))
    return "\n\n".join(parts)


def record() -> str:
    """The attributes that every entry has."""
    return table(("attribute", "meaning"), _attributes(entries.Entry))


def provided() -> str:
    """What a run gives to builders that ask for it."""
    return table(("parameter", "what the run provides"), [(f"`{name}`", text) for name, text in PROVIDED.items()])


def _record(record: type) -> str:
    text = inspect.cleandoc(record.__doc__ or "").partition("Attributes:")[0].strip()
    rows = _attributes(record)
    return f"**`{record.__name__}`**: {text}" + (f"\n\n{table(('attribute', 'meaning'), rows)}" if rows else "")


def _attributes(record: type) -> list[tuple[str, ...]]:
    """Name, default and meaning of a record's own attributes, from its docstring."""
    section = inspect.cleandoc(record.__doc__ or "").partition("Attributes:\n")[2]
    own = {field.name for field in dataclasses.fields(record)}
    rows: list[tuple[str, ...]] = []
    for line in section.splitlines():
        match = re.fullmatch(r" {4}([\w, ]+): (.*)", line)
        if match and all(name in own for name in match[1].split(", ")):
            rows.append((f"`{match[1]}`", match[2]))
        elif line.strip() and rows:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}")
    return rows


def _subclasses(cls: type) -> Iterator[Any]:
    for below in cls.__subclasses__():
        yield below
        yield from _subclasses(below)


# ------------------------------------------------------------------------------------------------ the rest


def commands() -> str:
    """What `zoo COMMAND --help` prints, for every command."""
    return "\n\n".join(_helps(click.Context(cli, info_name="zoo", help_option_names=["-h", "--help"])))


def _helps(parent: click.Context) -> Iterator[str]:
    group = parent.command
    assert isinstance(group, click.Group)
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is None:
            continue
        context = click.Context(command, info_name=name, parent=parent, terminal_width=88, max_content_width=88)
        yield f"## `{context.command_path}`"
        yield f"```text\n{command.get_help(context)}\n```"
        if isinstance(command, click.Group):
            yield from _helps(context)


def tree() -> str:
    """The errors, as the docstring of `zoo_registry.errors` draws them."""
    drawing = inspect.cleandoc(errors.__doc__ or "").partition("Example:")[0]
    lines = [line[4:] for line in drawing.splitlines() if line.startswith("    ")]
    return "```text\n" + "\n".join(lines) + "\n```"


PARTS: dict[str, Callable[[], str]] = {
    "recipe": recipe,
    "models": models,
    "hooks": hooks,
    "record": record,
    "provided": provided,
    "commands": commands,
    "tree": tree,
}


def fill(page: str) -> str:
    """A page with its generated parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}\n{PARTS[match['name']]()}\n\n{match[3]}", page)


def main(arguments: list[str]) -> int:
    """Rewrite the pages, or with `--check` say which ones would change."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        new = fill(page)
        if new != page:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    print(
        "\n".join(f"{name}: {'out of date' if '--check' in arguments else 'rewritten'}" for name in stale)
        or "up to date"
    )
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
