"""The fetcher of `file:`."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.hub.shared import fetch_folder
from zoo_registry.errors import HubError


def test_a_folder_is_found_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b%20c").mkdir()
    monkeypatch.chdir(tmp_path)
    for uri in ("file:a b%20c", f"file:{tmp_path}/a b%20c", f"file://{tmp_path}/a b%20c"):
        fetched = fetch_folder(uri)
        assert fetched.path == tmp_path / "a b%20c"
        assert fetched.uri == f"file:{tmp_path}/a b%20c"


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="there is nothing at"):
        fetch_folder(f"file:{tmp_path}/absent")


@pytest.mark.parametrize("uri", ["file:", "file://server/share"])
def test_what_names_no_path_here_is_refused(uri: str) -> None:
    with pytest.raises(HubError, match=r"file:PATH") as caught:
        fetch_folder(uri)
    assert caught.value.problems[0].hint is not None
