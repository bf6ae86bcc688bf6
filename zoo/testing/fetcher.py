"""What holds for every fetcher."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from zoo.testing.component import ComponentConformance, NeedsItsOwnTest
from zoo_registry.errors import ZooError
from zoo_registry.protocols import Fetch, Fetched


class FetcherConformance(ComponentConformance):
    """Checks for a fetcher. Subclass it as `Test...`, put something behind a URI and say which.

    Attributes:
        folder: an empty folder for each check, which `uri` may fill.

    Example:
        >>> class TestZipped(FetcherConformance):
        ...     name = "acme/zipped"
        ...     def uri(self):
        ...         (self.folder / "model.json").write_text("{}")
        ...         return f"zipped://{self.folder}"
        ...     def missing(self):
        ...         return "zipped:///nowhere"
    """

    kind = "fetcher"
    strings: ClassVar[tuple[str, ...]] = ("builder",)
    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path / "store"
        self.folder.mkdir()
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))

    def uri(self) -> str:
        """A URI behind which there is a folder of at least one file, or a file."""
        raise NeedsItsOwnTest(f"{self.name} needs uri() and missing(), which are URIs")

    def missing(self) -> str:
        """A URI behind which there is nothing."""
        raise NeedsItsOwnTest(f"{self.name} needs uri() and missing(), which are URIs")

    def fetch(self) -> Fetch:
        """The fetcher."""
        built: Fetch = self.build()
        return built

    def test_its_name_is_a_scheme(self) -> None:
        name = self.listed.entry.name
        assert re.fullmatch(r"[a-z][a-z0-9]*", name), f"{name!r} is no URI scheme: letters and digits, no underscore"

    def test_brings_what_is_there(self) -> None:
        fetched = self.fetch()(self.uri())
        assert isinstance(fetched, Fetched), f"{self.name} returns a {type(fetched).__name__}, not a Fetched"
        assert fetched.path.exists(), f"{self.name} says that {fetched.path} was fetched, and it is not there"
        scheme = f"{self.listed.entry.name}:"
        assert fetched.uri.startswith(scheme), f"the pinned URI {fetched.uri!r} does not start with {scheme!r}"

    def test_its_pinned_uri_brings_the_same(self) -> None:
        fetch = self.fetch()
        first = fetch(self.uri())
        contents = _contents(first.path)
        again = fetch(first.uri)
        assert _contents(again.path) == contents, f"{first.uri!r} brings other files than the URI it was pinned from"
        assert again.uri == first.uri, f"{first.uri!r} is pinned anew as {again.uri!r}"

    def test_brings_named_files(self) -> None:
        whole = _contents(self.fetch()(self.uri()).path)
        name = sorted(whole)[0]
        fetched = self.fetch()(self.uri(), files=[name])
        path = fetched.path / name if fetched.path.is_dir() else fetched.path
        assert path.is_file(), f"{self.name} was asked for {name} and did not bring it"
        assert path.read_bytes() == whole[name], f"{name} is another file when it is asked for by name"

    def test_says_in_words_that_nothing_is_there(self) -> None:
        fetch, uri = self.fetch(), self.missing()
        try:
            fetched: Any = fetch(uri)
        except ZooError:
            return
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise AssertionError(f"{self.name} answers a URI of nothing with {words}: raise HubError") from error
        raise AssertionError(f"{self.name} brings {fetched.path} for a URI of nothing: raise HubError")


def _contents(path: Path) -> Mapping[str, bytes]:
    """The files of a folder by their paths in it, or a file by its name."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
