"""Fetching from the Hub: pinned, verified, and clear about what went wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.hub.client import split_reference
from zoo.hub.repository import fetch_repository
from zoo_registry.errors import HubError

from .conftest import Client
from .server import Fault, HubServer

WEIGHTS = "model.safetensors"
BOTH = ("model.json", WEIGHTS)


def test_a_branch_is_fetched_as_the_commit_it_is_now(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    first = hub.put("me/model", files)
    answer = stranger.fetch("hf://me/model", *BOTH)
    assert answer.error is None
    path, uri = answer.value
    assert uri == f"hf://me/model@{first}"
    assert {name: (Path(path) / name).read_bytes() for name in BOTH} == {name: files[name] for name in BOTH}
    second = hub.put("me/model", files | {"README.md": b"new"})
    assert stranger.fetch("hf://me/model", *BOTH).value[1] == f"hf://me/model@{second}"
    assert stranger.fetch(uri, *BOTH).value[1] == uri


def test_only_files_of_a_model_are_fetched(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files | {"evil.py": b"boom", "figures/x.png": b"png", "../up": b"x", "weights.bin": b"x"})
    path, _ = stranger.fetch("hf://me/model").value
    assert sorted(file.name for file in Path(path).rglob("*")) == ["labels.json", "model.json", WEIGHTS]


def test_a_pinned_copy_in_the_cache_asks_nothing(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    uri = f"hf://me/model@{hub.put('me/model', files)}"
    stranger.fetch(uri, *BOTH)
    hub.requests.clear()
    assert stranger.fetch(uri, *BOTH).error is None
    assert hub.requests == []


def test_a_connection_that_drops_is_resumed(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    hub.faults.append(Fault("/lfs/", drop_after=1000))
    path, _ = stranger.fetch("hf://me/model", *BOTH).value
    assert (Path(path) / WEIGHTS).read_bytes() == files[WEIGHTS]


def test_wrong_bytes_of_the_right_size_are_fetched_again(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    hub.put("me/model", files)
    hub.faults.append(Fault("/lfs/", corrupt=True))
    answer = stranger.fetch("hf://me/model", *BOTH)
    assert (Path(answer.value[0]) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert answer.warnings == [f"{WEIGHTS} of me/model is damaged here; fetching it again"]


def test_wrong_bytes_twice_are_refused(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    hub.faults.append(Fault("/lfs/", corrupt=True, times=2))
    answer = stranger.fetch("hf://me/model", *BOTH)
    assert answer.type == "HubError"
    assert "arrived damaged twice" in answer.error
    assert not list((stranger.home / "hub").rglob(f"snapshots/*/{WEIGHTS}")), "other libraries read this cache too"


@pytest.mark.parametrize("name", BOTH)
def test_a_copy_that_rotted_in_the_cache_is_fetched_again(
    name: str, hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/model", files)
    for uri in ("hf://me/model", f"hf://me/model@{commit}"):
        cached = Path(stranger.fetch(uri, *BOTH).value[0]) / name
        content = bytearray(cached.read_bytes())
        content[-2] ^= 1
        cached.resolve().write_bytes(content)
        answer = stranger.fetch(uri, *BOTH)
        assert (Path(answer.value[0]) / name).read_bytes() == files[name]
        assert "is damaged here" in answer.warnings[0]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("/api/models/", status=503, times=99), id="503"),
        pytest.param(Fault("/api/models/", status=429, times=99), id="429"),
        pytest.param(None, id="down"),
    ],
)
def test_when_the_hub_does_not_answer_the_cache_serves_and_says_so(
    fault: Fault | None, hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/model", files)
    stranger.fetch("hf://me/model", *BOTH)
    if fault:
        hub.faults.append(fault)
    else:
        hub.stop()
    answer = stranger.fetch("hf://me/model", *BOTH)
    assert answer.value[1] == f"hf://me/model@{commit}"
    assert f"using me/model at commit {commit[:12]} from the cache" in answer.warnings[-1]


def test_when_the_hub_is_down_and_nothing_is_cached_it_fails_at_once(hub: HubServer, stranger: Client) -> None:
    hub.stop()
    answer = stranger.fetch("hf://me/model", *BOTH)
    assert answer.type == "HubError"
    assert "cannot fetch me/model: the Hub cannot be reached" in answer.error
    assert "not in the cache" in answer.error


def test_offline_serves_the_cache_and_says_what_is_not_there(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    hub.put("me/model", files)
    stranger.fetch("hf://me/model", *BOTH)
    offline = {"HF_HUB_OFFLINE": "1"}
    assert stranger.fetch("hf://me/model", *BOTH, env=offline).error is None
    missing = stranger.fetch("hf://me/other", *BOTH, env=offline)
    assert "cannot fetch me/other: HF_HUB_OFFLINE is set, and it is not in the cache" in missing.error


def test_half_a_model_in_the_cache_is_no_model(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    stranger.fetch("hf://me/model", "model.json")
    hub.stop()
    assert "only a part of it is in the cache" in stranger.fetch("hf://me/model", *BOTH).error


def test_a_repository_that_is_not_there_is_said(stranger: Client) -> None:
    error = stranger.fetch("hf://me/nothing").error
    assert "there is no model me/nothing on the Hub, or it is private" in error


def test_a_private_repository_needs_a_token(
    hub: HubServer, stranger: Client, writer: Client, files: dict[str, bytes]
) -> None:
    hub.put("me/secret", files, private=True)
    assert "hf auth login" in stranger.fetch("hf://me/secret").error
    assert writer.fetch("hf://me/secret").error is None


def test_a_gated_repository_says_where_to_ask(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/gated", files, gated=True)
    error = stranger.fetch("hf://me/gated").error
    assert "me/gated is gated" in error
    assert f"{hub.url}/me/gated" in error


def test_a_token_that_is_no_longer_valid_is_said(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    answer = stranger.fetch("hf://me/model", env={"HF_TOKEN": "hf_expired"})
    assert "the Hub does not accept this token" in answer.error


def test_a_revision_that_is_not_there_is_said(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    assert "me/model has no revision 'v9'" in stranger.fetch("hf://me/model@v9").error


def test_pickles_are_not_fetched(hub: HubServer, stranger: Client) -> None:
    hub.put("me/old", {"pytorch_model.bin": b"\x80\x04", "config.json": b"{}"})
    error = stranger.fetch("hf://me/old", *BOTH).error
    assert "offers its weights as a pickle only (pytorch_model.bin)" in error
    assert not any("resolve" in request for request in hub.requests)


def test_weights_that_nothing_describes_are_no_model(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("timm/net", {WEIGHTS: files[WEIGHTS]})
    answer = stranger("zoo.model:load", "hf://timm/net")
    assert answer.type == "HubError"
    assert "timm/net holds no model: it has no model.json" in answer.error


def test_a_model_that_does_not_fit_its_own_description_is_refused(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    manifest = json.loads(files["model.json"]) | {"labels": ["a", "b", "c"], "num_classes": 3}
    hub.put("me/model", files | {"model.json": json.dumps(manifest).encode()})
    answer = stranger("zoo.model:load", "hf://me/model")
    assert answer.type == "ArtefactError"
    assert "(2, 128) in the file, (3, 128) in the model" in answer.error


@pytest.mark.parametrize(
    "text", ["hf://model", "hf://../x", "hf://a/b/c", "hf://me/model@", "hf://me/model@../x", "hf://me/a b", "hf://"]
)
def test_what_names_no_repository_is_refused(text: str) -> None:
    with pytest.raises(HubError, match="names no repository"):
        split_reference(text)


def test_other_files_cannot_be_asked_for() -> None:
    with pytest.raises(HubError, match=r"'\.\./secret' is no file of a model"):
        fetch_repository("hf://me/model", files=["../secret"])
