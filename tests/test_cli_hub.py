"""`zoo pull`, `zoo push` and `zoo search`, in processes of their own, against the loopback Hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from .zoo.hub.server import HubServer

WEIGHTS = "model.safetensors"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder that nothing here could build: pulling and pushing need no network to be built."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"weight": torch.arange(6.0).view(2, 3)}, folder / WEIGHTS)
    content = (folder / WEIGHTS).read_bytes()
    manifest = {
        "format": 1,
        "model": "somebody/net",
        "num_classes": 2,
        "labels": ["left", "right"],
        "metrics": {"val/accuracy": 0.75},
        "weights": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
    }
    (folder / "model.json").write_text(json.dumps(manifest))
    (folder / "labels.json").write_text('["left", "right"]')
    return folder


@pytest.fixture
def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def zoo(*words: object, hub: HubServer, home: Path, token: str | None = None) -> subprocess.CompletedProcess[str]:
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "zoo.cli", *map(str, words)],
        env=ours | hub.environment(home / "hf", token),
        cwd=home,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


# ---------------------------------------------------------------------------------------------------- pull


def test_pull_says_where_it_lies_its_size_sha256_and_licence(
    hub: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    manifest = json.loads(files["model.json"]) | {"licence": "mit"}
    hub.put("me/ours", files | {"model.json": json.dumps(manifest).encode()})
    hub.put("org/theirs", {WEIGHTS: files[WEIGHTS], "README.md": b"---\nlicense: apache-2.0\n---\n"})
    done = zoo("pull", "hf://me/ours", "hf://org/theirs", hub=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    sha256 = hashlib.sha256(files[WEIGHTS]).hexdigest()
    assert [row[:4] for row in rows] == [
        ["hf://me/ours", f"{len(files[WEIGHTS])} B", sha256, "mit"],
        ["hf://org/theirs", f"{len(files[WEIGHTS])} B", sha256, "apache-2.0"],
    ]
    assert all((Path(row[4]) / WEIGHTS).read_bytes() == files[WEIGHTS] for row in rows)


def test_pull_takes_names_of_the_catalogue_with_a_tag(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.put("timm/test_resnet.r160_in1k", {WEIGHTS: files[WEIGHTS], "config.json": b"{}", "x.bin": b"no"})
    done = zoo("pull", "timm/test_resnet.r160_in1k", hub=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    name, _, sha256, licence, path = done.stdout.strip().split("\t")
    assert (name, licence) == ("timm/test_resnet.r160_in1k", "apache-2.0")
    assert sha256 == hashlib.sha256(files[WEIGHTS]).hexdigest()
    assert sorted(file.name for file in Path(path).iterdir()) == ["config.json", WEIGHTS]


def test_pull_goes_on_after_a_failure_and_ends_with_2(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.put("me/ours", files)
    done = zoo("pull", "hf://me/none", "nothing_like_it", "hf://me/ours", "hf://x", hub=hub, home=tmp_path)
    assert done.returncode == 2
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["hf://me/ours"]
    assert "hf://me/none: there is no model me/none on the Hub" in done.stderr
    assert "nothing_like_it: no model is called" in done.stderr
    assert "hf://x: 'hf://x' names no repository" in done.stderr


def test_pull_looks_into_what_calls_itself_weights(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.put("org/pickle", {WEIGHTS: b"PK\x03\x04 and so on", "config.json": b"{}"})
    hub.put("org/junk", {WEIGHTS: b"\xff" * 64, "config.json": b"{}"})
    hub.put("org/lost", {"model.json": files["model.json"], "model-00001-of-00001.safetensors": files[WEIGHTS]})
    hub.put("me/ours", files)
    names = ["hf://org/pickle", "hf://org/junk", "hf://org/lost", "hf://me/ours"]
    done = zoo("pull", *names, hub=hub, home=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["hf://me/ours"]
    assert "this is a pickle" in done.stderr
    assert "not a safetensors file" in done.stderr
    assert "has no model.safetensors" in done.stderr or "has a model.json and no model.safetensors" in done.stderr


def test_pull_needs_no_torch(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.put("me/ours", files)
    probe = "import sys; from zoo.hub.pull import pull; pull('hf://me/ours'); sys.exit('torch' in sys.modules)"
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment = ours | hub.environment(tmp_path / "hf")
    done = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_pull_refuses_weights_that_the_manifest_does_not_describe(
    hub: HubServer, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.put("me/ours", files | {WEIGHTS: files[WEIGHTS][:-1] + b"\x7f"})
    done = zoo("pull", "hf://me/ours", hub=hub, home=tmp_path)
    assert done.returncode == 2
    assert "not those that model.json describes" in done.stderr


def test_pull_takes_a_pickle_only_when_told_to(hub: HubServer, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights")
    hub.put("org/old", {"config.json": b"{}", "pytorch_model.bin": (tmp_path / "weights").read_bytes()})
    refused = zoo("pull", "hf://org/old", hub=hub, home=tmp_path)
    assert refused.returncode == 2
    assert "as a pickle only (pytorch_model.bin)" in refused.stderr
    taken = zoo("pull", "hf://org/old", "--allow-pickle", hub=hub, home=tmp_path)
    assert taken.returncode == 0, taken.stderr
    assert "has its weights as a pickle (pytorch_model.bin)" in taken.stderr


def test_pull_of_a_shared_folder_verifies_it(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    done = zoo("pull", f"file:{folder}", hub=hub, home=tmp_path)
    assert done.stdout.split("\t")[4].strip() == str(folder)
    assert hub.requests == []


def test_what_a_card_says_cannot_move_the_cursor(hub: HubServer, files: dict[str, bytes], tmp_path: Path) -> None:
    card = b'---\nlicense: "mit\\e[2J\\e]0;owned\\a"\n---\n<script>alert(1)</script>\n'
    hub.put("org/theirs", {WEIGHTS: files[WEIGHTS], "README.md": card})
    done = zoo("pull", "hf://org/theirs", hub=hub, home=tmp_path)
    assert done.stdout.split("\t")[3] == "unknown"
    assert "\x1b" not in done.stdout + done.stderr


# ---------------------------------------------------------------------------------------------------- push


def test_push_demands_a_licence(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    done = zoo("push", folder, "--to", "me/net", hub=hub, home=tmp_path, token="hf_writer")
    assert done.returncode == 2
    assert "nothing says under which licence" in done.stderr
    assert hub.repositories == {}


def test_a_dry_run_shows_files_sizes_and_card_and_sends_nothing(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    done = zoo("push", folder, "--to", "me/net", "--licence", "mit", "--dry-run", hub=hub, home=tmp_path)
    assert done.returncode == 0, done.stderr
    first, *_ = [line for line in done.stdout.splitlines() if line.startswith(WEIGHTS)]
    assert first.split()[1:] == [str((folder / WEIGHTS).stat().st_size), "B"]
    assert "4 files" in done.stdout
    assert "license: mit" in done.stdout
    assert "zoo.load('hf://me/net')" in done.stdout
    assert hub.repositories == {}
    assert [request for request in hub.requests if not request.startswith("GET ")] == []


def test_push_keeps_what_was_written_by_hand(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    words = ["push", folder, "--to", "me/net", "--licence", "mit"]
    first = zoo(*words, "--tag", "v1", hub=hub, home=tmp_path, token="hf_writer")
    assert first.stdout.strip() == f"hf://me/net@{hub.repositories['me/net'].tags['v1']}"
    published = {name: blob.content for name, blob in hub.repositories["me/net"].commits[-1][1].items()}
    hub.put("me/net", published | {"README.md": published["README.md"] + b"\nFilmed on a rainy day.\n"})
    second = zoo(*words, "--tag", "v2", hub=hub, home=tmp_path, token="hf_writer")
    assert second.returncode == 0, second.stderr
    card = hub.repositories["me/net"].commits[-1][1]["README.md"].content.decode()
    assert card.endswith("\nFilmed on a rainy day.\n")
    assert "zoo.load('hf://me/net@v2')" in card
    assert "@v1" not in card


def test_push_to_a_shared_folder_keeps_it_too(hub: HubServer, folder: Path, tmp_path: Path) -> None:
    words = ["push", folder, "--to", "file:shared/net", "--licence", "mit"]
    zoo(*words, hub=hub, home=tmp_path)
    card = tmp_path / "shared/net/README.md"
    card.write_text(card.read_text() + "\nBy hand.\n")
    assert zoo(*words, hub=hub, home=tmp_path).returncode == 0
    assert card.read_text().endswith("\nBy hand.\n")


# ---------------------------------------------------------------------------------------------------- search


@pytest.fixture
def listed(hub: HubServer, files: dict[str, bytes]) -> HubServer:
    card = "---\nlicense: {}\npipeline_tag: {}\nlibrary_name: {}\n---\n"
    hub.put(
        "org/videomae-small",
        {WEIGHTS: files[WEIGHTS], "README.md": card.format("mit", "video-classification", "transformers").encode()},
    )
    hub.put("org/videomae-text", {"README.md": card.format("mit", "text-generation", "transformers").encode()})
    hub.put("me/videomae-secret", {"README.md": card.format("mit", "video-classification", "x").encode()}, private=True)
    return hub  # fmt: skip


def test_search_finds_what_is_here_and_what_the_hub_lists(listed: HubServer, tmp_path: Path) -> None:
    done = zoo("search", "videomae", "--task", "classification", hub=listed, home=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    names = [row[0] for row in rows]
    assert "transformers/videomae_b" in names
    assert "transformers/videomae_b_pretraining" not in names
    assert rows[-1] == ["hf://org/videomae-small", "video-classification", "0.00 M", "mit", "for transformers"]


def test_search_filters_by_licence_and_size(listed: HubServer, tmp_path: Path) -> None:
    done = zoo("search", "videomae", "--licence", "cc-by-nc-4.0", "--max-params", "100", hub=listed, home=tmp_path)
    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert "transformers/videomae_b.k400" in names
    assert not any("videomae_l" in name or name.startswith("hf:") for name in names)


def test_search_without_a_connection_shows_what_is_here(listed: HubServer, tmp_path: Path) -> None:
    listed.stop()
    done = zoo("search", "videomae", hub=listed, home=tmp_path)
    assert done.returncode == 0
    assert "transformers/videomae_b" in done.stdout
    assert "only what is installed here: the Hub cannot be reached" in done.stderr
