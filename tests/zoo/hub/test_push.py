"""Publishing: one commit, the tag last, and what comes back is what was saved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import zoo
from zoo.artefact import read_manifest
from zoo.hub import publish
from zoo_registry.errors import ArtefactError, HubError

from .conftest import Client
from .server import Fault, HubServer

WEIGHTS = "model.safetensors"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run" / "model"))


@pytest.fixture
def run(folder: Path) -> Path:
    """A run's folder, as the runner leaves it."""
    run = folder.parent
    for name in ("recipe.resolved.yaml", "zoo.lock", "summary.json", "report.html", "quarantine.jsonl"):
        (run / name).write_text(f"{name} of the run\n")
    (run / "figures").mkdir()
    (run / "figures" / "confusion matrix.png").write_bytes(PNG)
    return run


def test_a_published_model_answers_alike_in_a_new_process_with_an_empty_cache(
    hub: HubServer, writer: Client, stranger: Client, folder: Path, tmp_path: Path
) -> None:
    uri = writer.publish(folder, "me/waves").value
    assert uri == f"hf://me/waves@{hub.repositories['me/waves'].head}"
    save_file({"clip_bcthw": torch.randn(2, 3, 16, 32, 32)}, tmp_path / "clip")
    answer = stranger(":forward", uri, tmp_path / "clip", tmp_path / "output")
    assert answer.error is None
    assert f"licence apache-2.0, from {uri}" in answer.value
    with torch.inference_mode():
        expected = zoo.load(folder)(load_file(tmp_path / "clip")["clip_bcthw"])
    assert torch.equal(load_file(tmp_path / "output")["output"], expected)


def test_a_model_of_a_plugin_answers_alike_and_says_what_is_missing_without_it(
    hub: HubServer, writer: Client, stranger: Client, tmp_path: Path
) -> None:
    from zoo.artefact import save_model

    network = zoo.load("acme/tiny3d", pretrained=False, num_classes=2)
    save_model(tmp_path / "model", network.network, model="acme/tiny3d", params={}, clip=network.clip, num_classes=2)
    uri = writer.publish(tmp_path / "model", "me/tiny").value
    save_file({"clip_bcthw": torch.randn(2, 3, 8, 32, 32)}, tmp_path / "clip")
    assert stranger(":forward", uri, tmp_path / "clip", tmp_path / "output").error is None
    with torch.inference_mode():
        expected = network(load_file(tmp_path / "clip")["clip_bcthw"])
    assert torch.equal(load_file(tmp_path / "output")["output"], expected)
    missing = stranger(":load_without", "zoo-acme", uri)
    assert missing.type == "MissingExtra"
    assert "comes from the plugin 'acme' (zoo-acme 0.1.0), which is not installed here" in missing.error
    assert "pip install zoo-acme" in missing.error


def test_a_run_is_published_with_everything_that_belongs_to_it(hub: HubServer, writer: Client, run: Path) -> None:
    assert writer.publish(run, "hf://me/waves", tag="v1", private=True).error is None
    repository = hub.repositories["me/waves"]
    assert repository.private
    assert repository.tags == {"v1": repository.head}
    assert sorted(repository.commits[-1][1]) == [
        ".gitattributes",
        "README.md",
        "figures/confusion matrix.png",
        "labels.json",
        "model.json",
        WEIGHTS,
        "recipe.resolved.yaml",
        "report.html",
        "summary.json",
        "zoo.lock",
    ]


def test_everything_arrives_in_one_commit_and_the_tag_comes_last(hub: HubServer, writer: Client, run: Path) -> None:
    writer.publish(run, "me/waves", tag="v1")
    changes = [request for request in hub.requests if "/commit/" in request or "/tag/" in request]
    commit = hub.repositories["me/waves"].head
    assert changes == ["POST /api/models/me/waves/commit/main", f"POST /api/models/me/waves/tag/{commit}"]


def test_a_new_release_drops_figures_of_the_old_one_and_keeps_what_is_not_ours(
    hub: HubServer, writer: Client, run: Path
) -> None:
    writer.publish(run, "me/waves")
    hub.put(
        "me/waves",
        {"notes.txt": b"mine", **{n: b.content for n, b in hub.repositories["me/waves"].commits[-1][1].items()}},
    )
    (run / "figures" / "confusion matrix.png").unlink()
    writer.publish(run, "me/waves")
    names = hub.repositories["me/waves"].commits[-1][1]
    assert "figures/confusion matrix.png" not in names
    assert "notes.txt" in names


def test_publishing_the_same_again_gives_the_same_commit(hub: HubServer, writer: Client, folder: Path) -> None:
    first = writer.publish(folder, "me/waves").value
    assert writer.publish(folder, "me/waves").value == first


def test_a_tag_that_exists_is_refused_before_anything_is_sent(hub: HubServer, writer: Client, folder: Path) -> None:
    writer.publish(folder, "me/waves", tag="v1")
    before = len(hub.repositories["me/waves"].commits)
    answer = writer.publish(folder, "me/waves", tag="v1", licence="mit")
    assert "me/waves has a tag 'v1' already; nothing was published" in answer.error
    assert len(hub.repositories["me/waves"].commits) == before


def test_a_tag_that_fails_says_that_the_model_is_there(hub: HubServer, writer: Client, folder: Path) -> None:
    hub.faults.append(Fault("/tag/", method="POST", status=500))
    answer = writer.publish(folder, "me/waves", tag="v1")
    assert f"published as hf://me/waves@{hub.repositories['me/waves'].head}, but without the tag 'v1'" in answer.error


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "publishing needs a token"),
        ("hf_reader", "this token may not do that with me/waves"),
        ("hf_expired", "the Hub does not accept this token"),
    ],
)
def test_a_token_that_will_not_do_is_said(
    token: str | None, words: str, hub: HubServer, folder: Path, tmp_path: Path
) -> None:
    answer = Client(hub, tmp_path / "home", token).publish(folder, "me/waves")
    assert answer.type == "HubError"
    assert words in answer.error
    assert hub.repositories == {}


def test_somebody_elses_commit_in_between_is_noticed(hub: HubServer, writer: Client, folder: Path) -> None:
    writer.publish(folder, "me/waves")
    hub.faults.append(Fault("/commit/", method="POST", status=412))
    answer = writer.publish(folder, "me/waves", licence="mit")
    assert "me/waves was changed by someone else meanwhile" in answer.error


def test_a_hub_that_is_down_is_said_at_once(hub: HubServer, writer: Client, folder: Path) -> None:
    hub.stop()
    assert "nothing was published" in writer.publish(folder, "me/waves").error


def test_a_licence_that_the_hub_does_not_list_is_written_as_other(hub: HubServer, writer: Client, folder: Path) -> None:
    writer.publish(folder, "me/waves", licence="LicenseRef-Studio")
    card = hub.repositories["me/waves"].commits[-1][1]["README.md"].content.decode()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert (metadata["license"], metadata["license_name"]) == ("other", "licenseref-studio")


# ---------------------------------------------------------------------------------------------------- folders


def test_a_folder_that_is_shared_holds_the_same_files(run: Path, tmp_path: Path) -> None:
    uri = publish(run, f"file:{tmp_path}/shared/waves", licence="mit")
    assert uri == f"file:{tmp_path}/shared/waves"
    model = zoo.load(uri)
    assert (model.licence, model.labels) == ("mit", ("left", "right"))
    assert (tmp_path / "shared/waves/figures/confusion matrix.png").read_bytes() == PNG
    assert (tmp_path / "shared/waves/README.md").read_text().startswith("---\nlibrary_name: videozoo\n")


def test_publishing_to_a_folder_again_replaces_it(run: Path, tmp_path: Path) -> None:
    publish(run, f"file:{tmp_path}/waves", licence="mit")
    shutil.rmtree(run / "figures")
    publish(run, f"file:{tmp_path}/waves", licence="apache-2.0")
    assert zoo.load(f"file:{tmp_path}/waves").licence == "apache-2.0"
    assert not (tmp_path / "waves/figures").exists()


def test_a_finished_run_is_published_as_its_model_folder_has_it(run: Path, tmp_path: Path) -> None:
    (run / "model" / "recipe.resolved.yaml").write_text("without folders of this machine")
    publish(run, f"file:{tmp_path}/waves", licence="mit")
    assert (tmp_path / "waves" / "recipe.resolved.yaml").read_text() == "without folders of this machine"


def test_the_licence_of_the_model_folder_serves(folder: Path, tmp_path: Path) -> None:
    publish(folder, f"file:{tmp_path}/waves", licence="mit")
    publish(f"{tmp_path}/waves", f"file:{tmp_path}/again")
    assert zoo.load(f"file:{tmp_path}/again").licence == "mit"


def test_nothing_is_published_without_a_licence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="nothing says under which licence"):
        publish(folder, f"file:{tmp_path}/waves")
    assert not (tmp_path / "waves").exists()


def test_a_folder_has_no_tags(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="a folder has no tags"):
        publish(folder, f"file:{tmp_path}/waves", licence="mit", tag="v1")


# ---------------------------------------------------------------------------------------------------- what is sent


def test_weights_that_changed_since_they_were_saved_are_not_published(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0")
    with pytest.raises(ArtefactError, match=r"not those that model\.json describes"):
        publish(folder, f"file:{tmp_path}/waves", licence="mit")
    assert not (tmp_path / "waves").exists()


@pytest.mark.parametrize("name", [WEIGHTS, "report.html", "figures/x.png"])
def test_links_are_not_published(name: str, folder: Path, tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_text("private")
    link.symlink_to(secret)
    extra = {name: link}
    if name == WEIGHTS:
        extra = {}
        (folder / WEIGHTS).unlink()
        (folder / WEIGHTS).symlink_to(secret)
    with pytest.raises(ArtefactError, match="links are not published"):
        publish(folder, f"file:{tmp_path}/waves", licence="mit", extra_files=extra)
    assert not (tmp_path / "waves").exists()


@pytest.mark.parametrize("name", ["../up.txt", "/etc/passwd", "run.py", "figures/../../x.png", "README.md", "x.pth"])
def test_other_names_are_not_published(name: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is not a file that goes with a model"):
        publish(folder, f"file:{tmp_path}/waves", licence="mit", extra_files={name: folder / "labels.json"})


def test_all_files_that_cannot_go_along_are_said_at_once(folder: Path, tmp_path: Path) -> None:
    extra = {"x.py": folder / "labels.json", "report.html": tmp_path / "absent.html"}
    with pytest.raises(ArtefactError) as caught:
        publish(folder, f"file:{tmp_path}/waves", licence="mit", extra_files=extra)
    assert len(caught.value.problems) == 2


def test_publishing_leaves_the_models_own_folder_as_it_is(folder: Path, tmp_path: Path) -> None:
    publish(folder, f"file:{tmp_path}/waves", licence="mit")
    assert read_manifest(folder).licence is None


def test_a_shared_folder_with_other_things_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    """A clone of a repository, say: it has a model in it, and much more."""
    shared = tmp_path / "shared"
    publish(folder, f"file:{shared}", licence="mit")
    (shared / ".git").mkdir()
    (shared / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (shared / "NOTES.md").write_text("mine")
    before = sorted(path.name for path in shared.rglob("*"))
    with pytest.raises(HubError, match=r"would lose them: .git/HEAD, NOTES.md"):
        publish(folder, f"file:{shared}", licence="mit")
    assert sorted(path.name for path in shared.rglob("*")) == before


@pytest.mark.parametrize("tag", ["v 2", "main", "", "abcdef1", "a..b"])
def test_what_cannot_be_read_back_as_a_tag_is_refused(tag: str, folder: Path) -> None:
    with pytest.raises(HubError, match="cannot be a tag"):
        publish(folder, "me/waves", licence="mit", tag=tag)


@pytest.mark.parametrize(
    ("licence", "words"),
    [("apche-2.0", "did you mean apache-2.0"), (" ", "is no licence"), ("mit\nx: y", "is no licence")],
)
def test_what_is_no_licence_is_refused(licence: str, words: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=words):
        publish(folder, f"file:{tmp_path / 'out'}", licence=licence)


def test_a_public_repository_does_not_become_private_by_the_way(hub: HubServer, writer: Client, folder: Path) -> None:
    writer.publish(folder, "me/waves")
    answer = writer.publish(folder, "me/waves", private=True)
    assert answer.type == "HubError"
    assert "me/waves is public" in answer.error
