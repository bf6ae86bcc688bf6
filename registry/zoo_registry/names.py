"""The grammar of a name, and the nearest names for a misspelt one.

    reference := uri | path | name
    name      := [namespace "/"] bare ["." tag]
    bare, namespace := [a-z][a-z0-9_]*      tag := [a-z0-9][a-z0-9_]*

One rule everywhere tells the three references apart: `scheme://` or `file:` is a URI; `./`, `../`, an absolute
path or anything that ends in `.yaml` is a path; everything else is a name.

Example:
    >>> Name.parse("video/x3d_s.k400")
    Name(bare='x3d_s', namespace='video', tag='k400')
    >>> reference_kind("hf://org/model"), reference_kind("./mine.yaml"), reference_kind("x3d_s")
    ('uri', 'path', 'name')
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from zoo_registry.errors import NameProblem

BARE = re.compile(r"[a-z][a-z0-9_]*")
TAG = re.compile(r"[a-z0-9][a-z0-9_]*")
_URI = re.compile(r"[a-z][a-z0-9+.-]*://|file:")
_GRAMMAR = "a name is [namespace/]name[.tag]: lower-case letters, digits and underscores, starting with a letter"


@dataclass(frozen=True, order=True)
class Name:
    """A reference to a component.

    Attributes:
        bare: the name itself.
        namespace: the plugin that must provide it, or None for whichever has it.
        tag: which weights, for models.
    """

    bare: str
    namespace: str | None = None
    tag: str | None = None

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read `[namespace/]name[.tag]`.

        Raises:
            NameProblem: the text breaks the grammar.
        """
        namespace, slash, rest = text.rpartition("/")
        bare, dot, tag = rest.partition(".")
        well_formed = (
            BARE.fullmatch(bare) and (not slash or BARE.fullmatch(namespace)) and (not dot or TAG.fullmatch(tag))
        )
        if not well_formed:
            raise NameProblem(f"{text!r} is not a name", hint=_GRAMMAR)
        return cls(bare, namespace or None, tag or None)

    def __str__(self) -> str:
        prefix = f"{self.namespace}/" if self.namespace else ""
        suffix = f".{self.tag}" if self.tag else ""
        return f"{prefix}{self.bare}{suffix}"


def reference_kind(text: str) -> Literal["uri", "path", "name"]:
    """Tell a URI, a path and a name apart, by the one rule of this module."""
    if _URI.match(text):
        return "uri"
    if text.startswith(("./", "../", "/", "~/", ".\\", "..\\")) or text in (".", "..") or _is_windows_absolute(text):
        return "path"
    return "path" if text.endswith((".yaml", ".yml")) else "name"


def _is_windows_absolute(text: str) -> bool:
    return re.match(r"[A-Za-z]:[\\/]", text) is not None


def nearest(wanted: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that a misspelt one most likely meant, best first; empty when none is near.

    Of equally near names the one that begins alike comes first: people mistype the end more often.

    Example:
        >>> nearest("adamv", ["adamw", "nadam", "radam", "adam", "sgd"])
        ['adam', 'adamw', 'nadam']
    """
    near = difflib.get_close_matches(wanted, list(known), n=4 * limit, cutoff=0.6)

    def rank(name: str) -> tuple[float, int, str]:
        ratio = difflib.SequenceMatcher(None, name, wanted).ratio()
        alike = next((at for at, (a, b) in enumerate(zip(name, wanted, strict=False)) if a != b), len(name))
        return -ratio, -alike, name

    return sorted(near, key=rank)[:limit]
