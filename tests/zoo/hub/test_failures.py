"""Whatever goes wrong between here and the Hub: what its user reads, and that nothing half-written keeps a final name.

The modes are those of docs/hub.md, "When something goes wrong".
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Answer, Client
from .server import Fault, HubServer

WEIGHTS = "model.safetensors"
BOTH = ("model.json", WEIGHTS)
IMPATIENT = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}


def weights_here(client: Client) -> list[Path]:
    """Files in a cache that look like finished weights."""
    return [path for path in client.home.rglob("*") if path.name == WEIGHTS]


def fetch_with(fault: Fault, hub: HubServer, client: Client, files: dict[str, bytes], **env: str) -> Answer:
    hub.put("me/model", files)
    hub.faults.append(fault)
    return client.fetch("hf://me/model", *BOTH, env=env)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(Fault("/api/", status=503, times=99), "the Hub is not well (HTTP 503)", id="503"),
        pytest.param(Fault("/api/", status=429, times=99), "the Hub asks to slow down (429)", id="429"),
        pytest.param(Fault("/api/", stall=True, times=99), "the Hub cannot be reached", id="stalls"),
        pytest.param(Fault("/lfs/", status=403, times=99), "this token may not do that", id="storage-403"),
        pytest.param(Fault("/lfs/", stall=True, times=99), "cannot be reached: timed out", id="download-stalls"),
        pytest.param(Fault("/lfs/", drop_after=99, times=99), "cannot be reached", id="download-drops"),
        pytest.param(
            Fault("/resolve/", method="HEAD", times=99, strip=("X-Repo-Commit", "ETag", "X-Linked-Etag")),
            "HF_HUB_DISABLE_XET=1", id="mirror-strips-headers"),
    ],
)  # fmt: skip
def test_what_cannot_be_fetched_is_said_and_leaves_nothing(
    fault: Fault, words: str, hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    answer = fetch_with(fault, hub, stranger, files, **IMPATIENT)
    assert answer.type == "HubError"
    assert words in answer.error
    assert "\n  " in answer.error  # what to do next
    assert weights_here(stranger) == []


def test_a_hub_that_asks_to_wait_is_waited_for(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    fault = Fault("/lfs/", status=429, headers={"Retry-After": "0"})
    assert fetch_with(fault, hub, stranger, files).error is None


def test_a_connection_that_breaks_while_the_cache_has_it_all_falls_back(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/model", files)
    stranger.fetch("hf://me/model", *BOTH)
    hub.faults.append(Fault("/api/", stall=True, times=99))
    answer = stranger.fetch("hf://me/model", *BOTH, env=IMPATIENT)
    assert answer.value[1] == f"hf://me/model@{commit}"
    assert "from the cache" in answer.warnings[-1]


def test_a_download_host_that_stalls_is_not_needed_for_what_is_here(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    hub.put("me/model", files)
    stranger.fetch("hf://me/model", *BOTH)
    second = hub.put("me/model", files | {"README.md": b"new"})
    stranger.fetch("hf://me/model", *BOTH)
    hub.faults += [Fault("/resolve/", method=method, stall=True, times=99) for method in ("HEAD", "GET")]
    answer = stranger.fetch("hf://me/model", *BOTH, env=IMPATIENT)
    assert answer.value[1] == f"hf://me/model@{second}"


def test_a_damaged_copy_without_a_connection_is_not_used(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/model", files)
    path, _ = stranger.fetch("hf://me/model", *BOTH).value
    cached = (Path(path) / WEIGHTS).resolve()
    cached.write_bytes(cached.read_bytes()[:-1] + b"\1")
    hub.stop()
    for uri in ("hf://me/model", f"hf://me/model@{commit}"):
        answer = stranger.fetch(uri, *BOTH)
        assert answer.type == "HubError"
        assert f"{WEIGHTS} of me/model is damaged in the cache, and the Hub cannot be reached" in answer.error


def test_a_copy_without_links_is_verified_all_the_same(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    commit = hub.put("me/model", files)
    path, _ = stranger.fetch("hf://me/model", *BOTH).value
    for name in BOTH:  # as on a file system that has no links
        link = Path(path) / name
        content = link.read_bytes()
        link.unlink()
        link.write_bytes(content)
    (Path(path) / WEIGHTS).write_bytes(files[WEIGHTS][:-1] + b"\1")
    hub.stop()
    answer = stranger.fetch(f"hf://me/model@{commit}", *BOTH)
    assert answer.type == "HubError"


def test_a_tag_that_moved_is_noticed_by_the_commit(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    first = hub.put("me/model", files)
    hub.repositories["me/model"].tags["v1"] = first
    assert stranger.fetch("hf://me/model@v1", *BOTH).value[1].endswith(first)
    second = hub.put("me/model", files | {"README.md": b"new"})
    hub.repositories["me/model"].tags["v1"] = second
    assert stranger.fetch("hf://me/model@v1", *BOTH).value[1].endswith(second)
    assert stranger.fetch(f"hf://me/model@{first}", *BOTH).value[1].endswith(first)


def test_a_gated_repository_opens_with_the_users_token(
    hub: HubServer, stranger: Client, writer: Client, files: dict[str, bytes]
) -> None:
    hub.put("other/gated", files, gated=True)
    refused = stranger.fetch("hf://other/gated", *BOTH)
    assert "other/gated is gated" in refused.error
    assert weights_here(stranger) == []
    assert writer.fetch("hf://other/gated", *BOTH).error is None


def test_a_token_that_was_stored_by_logging_in_is_used(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    hub.put("me/secret", files, private=True)
    stranger.home.mkdir(parents=True)
    (stranger.home / "token").write_text("hf_writer")
    assert stranger.fetch("hf://me/secret", *BOTH).error is None


def test_the_cache_is_where_hf_home_says(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    hub.put("me/model", files)
    path, _ = stranger.fetch("hf://me/model", *BOTH).value
    assert Path(path).is_relative_to(stranger.home / "hub" / "models--me--model")


def test_offline_asks_nothing_at_all(hub: HubServer, stranger: Client, files: dict[str, bytes]) -> None:
    commit = hub.put("me/model", files)
    stranger.fetch("hf://me/model", *BOTH)
    shutil.rmtree(stranger.home / "hub" / "models--me--model" / "snapshots" / commit)
    hub.requests.clear()
    answer = stranger.fetch("hf://me/model", *BOTH, env={"HF_HUB_OFFLINE": "1"})
    assert "HF_HUB_OFFLINE is set" in answer.error
    assert hub.requests == []


def test_weights_in_shards_are_fetched_together(hub: HubServer, stranger: Client) -> None:
    shards = {f"model-0000{number}-of-00002.safetensors": b"shard" for number in (1, 2)}
    hub.put("org/large", {"config.json": b"{}", "model.safetensors.index.json": b"{}", "x.bin": b"no", **shards})
    path, _ = stranger.fetch("hf://org/large", "config.json", WEIGHTS).value
    assert sorted(file.name for file in Path(path).iterdir()) == [
        "config.json", *sorted(shards), "model.safetensors.index.json",
    ]  # fmt: skip
