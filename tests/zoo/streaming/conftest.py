"""Numbered films as fixtures, as the tests of data have them."""

from tests.zoo.data.conftest import numbered_film

__all__ = ["numbered_film"]
