"""What a licence allows, as far as its name says it."""

from __future__ import annotations

import re

_NON_COMMERCIAL = re.compile(r"(^|[^a-z])nc([^a-z]|$)|non-?commercial", re.IGNORECASE)


def is_non_commercial(licence: str | None) -> bool:
    """Whether a licence, by its SPDX identifier or in words, forbids commercial use.

    Example:
        >>> is_non_commercial("cc-by-nc-4.0"), is_non_commercial("apache-2.0"), is_non_commercial(None)
        (True, False, False)
    """
    return licence is not None and _NON_COMMERCIAL.search(licence) is not None
