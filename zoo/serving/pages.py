"""The pages of a server: each whole in one answer, and forbidden to load or run anything else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

_TITLE = "{{title}}"


@dataclass(frozen=True)
class Page:
    """A page and what a browser lets it do.

    Attributes:
        html: all of it.
        policy: value of the header `Content-Security-Policy`.
    """

    html: str
    policy: str


def front_page(title: str) -> Page:
    """The page to drop a film on.

    Args:
        title: its heading, any text.
    """
    return _page(_template("front_page.html").replace(_TITLE, escape(title)))


def reference_page(openapi: Mapping[str, Any]) -> Page:
    """What every address of the server takes and gives, without a script.

    Args:
        openapi: the description in the OpenAPI format.
    """
    parts = [
        _operation(method, path, operation)
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    parts += [_schema(name, schema) for name, schema in openapi.get("components", {}).get("schemas", {}).items()]
    title = escape(str(openapi["info"]["title"]))
    return _page(_template("reference_page.html").replace(_TITLE, title).replace("{{parts}}", "\n".join(parts)))


@cache
def _template(name: str) -> str:
    return files("zoo.serving").joinpath(name).read_text(encoding="utf-8")


def _page(html: str) -> Page:
    """The page with a policy that knows its own style and script by their hashes (CSP level 2)."""
    policy = ["default-src 'none'", "connect-src 'self'", "img-src data:", "media-src blob:"]
    for kind, element in (("style-src", "style"), ("script-src", "script")):
        found = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
        policy.append(f"{kind} " + (" ".join(f"'sha256-{each}'" for each in hashes) or "'none'"))
    policy += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]
    return Page(html, "; ".join(policy))


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    answers = "".join(
        f"<tr><td><code>{escape(str(code))}</code></td><td>{escape(str(each.get('description', '')))}</td>"
        f"<td>{_named(each.get('content', {}))}</td></tr>"
        for code, each in operation.get("responses", {}).items()
    )
    body = ", ".join(f"<code>{escape(kind)}</code>" for kind in operation.get("requestBody", {}).get("content", {}))
    said = escape(str(operation.get("description") or operation.get("summary", "")))
    return (
        f"<section><h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2><p>{said}</p>"
        + (f"<p>Body: {body}</p>" if body else "")
        + f"<table><tr><th>status</th><th>meaning</th><th>gives</th></tr>{answers}</table></section>"
    )


def _named(content: Mapping[str, Any]) -> str:
    names = [str(each.get("schema", {}).get("$ref", kind)).rpartition("/schemas/")[2] for kind, each in content.items()]
    return ", ".join(f"<code>{escape(name)}</code>" for name in names)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td>{escape(_type(field))}</td>"
        f"<td>{escape(str(field.get('description', '')))}</td></tr>"
        for key, field in schema.get("properties", {}).items()
    )
    said = escape(str(schema.get("description", "")))
    return (
        f"<section><h2><code>{escape(name)}</code></h2><p>{said}</p>"
        f"<table><tr><th>key</th><th>type</th><th>meaning</th></tr>{rows}</table></section>"
    )


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))
