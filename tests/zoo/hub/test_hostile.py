"""Repositories whose owner means harm: refused in words, nothing executed, nothing written outside the cache."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from zoo.hub.layout import is_fetched
from zoo.pretrained.state_dicts import read_checkpoint
from zoo_registry.errors import ArtefactError

from .conftest import Client
from .server import HubServer

WEIGHTS = "model.safetensors"


class Evil:
    """A pickle that makes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["OWNED"],)


def described(files: dict[str, bytes], weights: bytes, **changes: Any) -> dict[str, bytes]:
    """A model folder with these weights, whose manifest vouches for them."""
    manifest = json.loads(files["model.json"]) | changes
    manifest["weights"] = {"sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights)}
    return files | {WEIGHTS: weights, "model.json": json.dumps(manifest).encode()}


def header_of(length: int, text: bytes) -> bytes:
    return length.to_bytes(8, "little") + text


def test_models_that_must_not_load(
    hub: HubServer, stranger: Client, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owned = tmp_path / "owned"
    monkeypatch.setenv("OWNED", str(owned))
    far = b'{"w":{"dtype":"F32","shape":[274877906944],"data_offsets":[0,1099511627776]}}'
    evil_timm = {"timm": {"distribution": "evil-timm", "version": "1"}}
    shell = {"evil": {"distribution": "x; touch /tmp/owned", "version": "1"}}
    missing = {"evil": {"distribution": "evil-zoo", "version": "1"}}
    repositories = {
        "a/pickle": (described(files, pickle.dumps(Evil())), "this is a pickle"),
        "a/torch-zip": (described(files, b"PK\3\4" + bytes(64)), "this is a pickle"),
        "a/long-header": (described(files, header_of(2**40, b"{}")), "not a safetensors file"),
        "a/long-tensor": (described(files, header_of(len(far), far)), "not a safetensors file"),
        "a/link": (described(files, b"../../../../../../etc/passwd"), "not a safetensors file"),
        "a/shadow": (
            described(files, files[WEIGHTS], model="timm/evil", plugins=evil_timm),
            "timm has no model 'evil'",
        ),
        "a/shell": (described(files, files[WEIGHTS], model="evil/net", plugins=shell), "evil/net"),
        "a/plugin": (described(files, files[WEIGHTS], model="evil/net", plugins=missing), "pip install evil-zoo"),
        "a/import": (described(files, files[WEIGHTS], model="os:system"), "os:system"),
        "a/deep": (files | {"model.json": b"[" * 100_000}, "not JSON"),
        "a/extra": (described(files, files[WEIGHTS], builder="os:system"), "builder is not a key of model.json"),
    }
    for name, (content, _) in repositories.items():
        hub.put(name, content)
    answer = stranger(":refusals", [f"hf://{name}" for name in repositories])
    assert answer.error is None, answer.error
    for (name, (_, words)), said in zip(repositories.items(), answer.value, strict=True):
        assert words in said, f"{name}: {said}"
        assert "LOADED" not in said, name
    said_of = dict(zip(repositories, answer.value, strict=True))
    assert "evil-timm" not in said_of["a/shadow"]
    assert "touch" not in said_of["a/shell"]
    assert "root:" not in said_of["a/link"]
    assert not owned.exists()


def test_a_repository_that_claims_a_terabyte_is_refused_before_a_byte_is_asked_for(
    hub: HubServer, stranger: Client, files: dict[str, bytes]
) -> None:
    hub.put("a/huge", files)
    hub.claimed_sizes[WEIGHTS] = 2**50
    answer = stranger.fetch("hf://a/huge")
    assert answer.type == "HubError"
    assert "a/huge would take 1,125,899.9 GB" in answer.error
    assert not any("resolve" in request for request in hub.requests)


@pytest.mark.parametrize(
    "name",
    [
        "../model.json",
        "/etc/passwd",
        "..\\model.json",
        "figures/../../x.png",
        "model.json\0",
        "model-1-of-2.safetensors",
        "sub/model.safetensors",
        "model-00001-of-00002.safetensors/../../x",
        "MODEL.JSON",
        "sitecustomize.py",
        ".env",
    ],
)
def test_a_name_that_leads_elsewhere_is_never_fetched(name: str) -> None:
    assert not is_fetched(name)


def test_of_ten_thousand_files_only_those_of_a_model_are_touched(
    hub: HubServer, stranger: Client, files: dict[str, bytes], tmp_path: Path
) -> None:
    many = {f"shards/{number}/../../../../{number}.safetensors": b"x" for number in range(10_000)}
    hub.put("a/many", {**many, **files, "../../escaped": b"x", "setup.py": b"boom"})
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(stranger.home)}
    path, _ = stranger.fetch("hf://a/many").value
    assert sorted(file.name for file in Path(path).iterdir()) == ["labels.json", "model.json", WEIGHTS]
    assert len(hub.requests) < 20
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(stranger.home)}
    assert after - before <= {stranger.home}


def test_an_index_of_shards_cannot_name_files_elsewhere(tmp_path: Path, saved: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "secret.safetensors").write_bytes((saved / WEIGHTS).read_bytes())
    index = {"weight_map": {"w": "../secret.safetensors"}}
    (tmp_path / "repo" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ArtefactError, match="names no shards beside it"):
        read_checkpoint(tmp_path / "repo")


RECIPE = "zoo: 1\ntask: tasks/classification\nmodel: {name: %s}\ndata: {train: {name: sources/motions}}\n"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (RECIPE % "!!python/object/apply:os.system ['mkdir $OWNED']", "tag"),
        (RECIPE % "evil/net", "evil"),
        (RECIPE % "os:system", "os:system"),
        ("zoo: 1\nextends: /etc/passwd\n", "a fetched recipe cannot extend"),
        ("zoo: &a [1]\ntask: [*a, *a]\n", "alias"),
    ],
)
def test_a_recipe_that_reaches_for_code_or_files_is_refused(
    recipe: str, words: str, hub: HubServer, stranger: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWNED", str(tmp_path / "owned"))
    hub.put("a/recipe", {"recipe.resolved.yaml": recipe.encode()})
    answer = stranger("zoo.recipe.load:load_recipe", "hf://a/recipe")
    assert answer.type in ("RecipeError", "UnknownName", "NameProblem")
    assert words in answer.error
    assert not (tmp_path / "owned").exists()
