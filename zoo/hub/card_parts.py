"""What a card that exists consists of: the metadata in its head, and the text that was written by hand.

---
library_name: videozoo            ours; keys that are not ours stay
---
<!-- videozoo: written by `zoo push`, which writes this part anew each time -->
...
<!-- videozoo: end -->
Written by hand: stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from zoo_registry.errors import HubError

BEGIN = "<!-- videozoo: written by `zoo push`, which writes this part anew each time -->"
END = "<!-- videozoo: end -->"
LARGEST = 2**20
"""Characters of the longest card that is read."""

_HEAD = re.compile(r"---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|$)", re.DOTALL)


@dataclass(frozen=True)
class Card:
    """A card in parts.

    Attributes:
        head: its metadata.
        before, after: what stands before and after the generated part; all of it is `after` where there is none.
    """

    head: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = ""


def split_card(text: str) -> Card:
    r"""Take a card apart.

    Raises:
        HubError: a head that is no mapping in YAML, or a card of more than a mebibyte.

    Example:
        >>> split_card("---\nlicense: mit\n---\nTrained on a rainy day.").after
        'Trained on a rainy day.'
    """
    if len(text) > LARGEST:
        raise HubError("the card that is there is longer than a mebibyte", hint="shorten its README.md")
    text = text.lstrip("\ufeff").replace("\r\n", "\n")
    found = _HEAD.match(text)
    head = _read_head(found[1] or "") if found else {}
    body = text[found.end() :] if found else text
    before, begin, rest = body.partition(BEGIN)
    if not begin or END not in rest:
        return Card(head, after=body.strip())
    return Card(head, before.strip(), rest.partition(END)[2].strip())


def _read_head(text: str) -> Mapping[str, Any]:
    try:
        head = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise HubError(
            f"the head of the card that is there cannot be read: {str(error).splitlines()[0]}",
            hint="mend the lines between --- and --- in its README.md",
        ) from None
    if head is None:
        return {}
    if not isinstance(head, dict):
        raise HubError("the head of the card that is there is no mapping", hint="mend its README.md")
    return head
