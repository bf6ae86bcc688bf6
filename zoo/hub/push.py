"""Publishing: everything in one commit, the tag last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.artefact.file_names import LABELS, MANIFEST, WEIGHTS
from zoo.artefact.manifest import Manifest, read_manifest
from zoo.artefact.weights import sha256_of
from zoo.hub.card import model_card
from zoo.hub.client import LOGIN, TIMEOUT, Unreachable, api, clear_words, split_reference
from zoo.hub.layout import CARD, EXTRA, is_extra, is_ours
from zoo.hub.shared import local_path
from zoo_registry.errors import ArtefactError, HubError, Location, Problem

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Release = dict[str, Path | bytes]
"""What is published: content by name in the repository."""


def publish(
    folder: str | Path,
    to: str,
    *,
    licence: str | None,
    private: bool = False,
    tag: str | None = None,
    message: str | None = None,
    extra_files: Mapping[str, str | Path] | None = None,
) -> str:
    """Publish a model folder with its recipe, figures and card.

    The checksum of the weights is verified first. On the Hub all files go in one commit, and files of an earlier
    release that this one lacks are deleted with it; a shared folder is replaced as a whole.

    Args:
        folder: as `save_model` wrote it; or a run, whose recipe, lock, summary, report and figures go along.
        to: `org/name` or `hf://org/name` on the Hub, or `file:PATH`.
        licence: SPDX identifier of the weights; None is shown as unknown.
        private: whether a repository that is made new is private.
        tag: name set on the commit after everything arrived.
        message: of the commit.
        extra_files: what else goes along, by name in the repository: `recipe.resolved.yaml`, `zoo.lock`,
            `metrics.json`, `summary.json`, `report.html`, `figures/*.png`.

    Returns:
        The pinned URI that `zoo.load` takes: `hf://org/name@commit`, or `file:PATH`.

    Raises:
        ArtefactError: a model folder that is not whole, or a file that must not be published.
        HubError: no token, no access, a tag that exists, or a Hub that cannot be reached. Nothing is half-published.

    Example:
        >>> publish("runs/x/model", "me/hand-waves", licence="apache-2.0", tag="v1")    # doctest: +SKIP
        'hf://me/hand-waves@1f3c...'
    """
    folder, files = _found(Path(folder))
    manifest = read_manifest(folder).model_copy(update={"licence": licence})
    is_folder = to.startswith("file:")
    address = f"file:{local_path(to)}" if is_folder else f"hf://{split_reference(to)[0]}"
    release = _release(folder, manifest, {**files, **(extra_files or {})})
    card = model_card(manifest, address if tag is None or is_folder else f"{address}@{tag}", files=release)
    release[CARD] = card.encode()
    if is_folder:
        if tag is not None:
            raise HubError(
                f"a folder has no tags, asked for {tag!r}", hint="leave the tag out, or name the folder by it"
            )
        return _to_folder(release, local_path(to))
    repository, revision = split_reference(to)
    if revision is not None:
        raise HubError(f"{to!r} names a revision, publishing makes a new one", hint=f"publish to {repository!r}")
    return _to_hub(release, repository, private=private, tag=tag, message=message or f"Publish {manifest.model}")


def check_destination(to: str) -> None:
    """Whether something could be published there, as far as that can be said before there is anything to publish.

    Raises:
        HubError: the address is none, or the Hub would ask for a token that is not there.
    """
    if to.startswith("file:"):
        local_path(to)
        return
    split_reference(to)
    _check_token()


def _check_token() -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError("publishing needs a token, and there is none on this machine", hint=LOGIN)


def _found(folder: Path) -> tuple[Path, dict[str, Path]]:
    """The model folder, and what goes along with it when a run was given."""
    if (folder / MANIFEST).is_file() or not (folder / "model" / MANIFEST).is_file():
        return folder, {}
    figures = {f"figures/{path.name}": path for path in sorted((folder / "figures").glob("*.png"))}
    return folder / "model", {name: folder / name for name in EXTRA if (folder / name).is_file()} | figures


def _release(folder: Path, manifest: Manifest, extra: Mapping[str, str | Path]) -> Release:
    files = {WEIGHTS: folder / WEIGHTS, **{name: Path(path) for name, path in extra.items()}}
    problems = [problem for name, path in files.items() if (problem := _unfit(name, path))]
    if problems:
        raise ArtefactError(problems)
    if sha256_of(folder / WEIGHTS) != manifest.weights.sha256:
        raise ArtefactError(
            f"the weights are not those that {MANIFEST} describes",
            where=Location(str(folder / WEIGHTS)),
            hint="save the model again; nothing was published",
        )
    labels = json.dumps(list(manifest.labels), ensure_ascii=False) + "\n"
    return {**files, MANIFEST: manifest.to_json().encode(), LABELS: labels.encode()}


def _unfit(name: str, path: Path) -> Problem | None:
    where = Location(str(path))
    if name != WEIGHTS and not is_extra(name):
        return Problem(
            f"{name!r} is not a file that goes with a model", where, f"these do: {', '.join(EXTRA)}, figures/*.png"
        )
    if path.is_symlink() or ("/" in name and path.parent.is_symlink()):
        # A link could carry any file of this machine to the public.
        return Problem(f"{name!r} is a link, and links are not published", where, "put the file itself there")
    if not path.is_file():
        return Problem(f"{name!r} is missing", where, "leave it out, or write it first")
    return None


def _to_folder(release: Release, target: Path) -> str:
    from zoo.artefact.folder import whole_folder

    with whole_folder(target) as temporary:
        for name, content in release.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copyfile(content, path)
    return f"file:{target}"


def _to_hub(release: Release, repository: str, *, private: bool, tag: str | None, message: str) -> str:
    try:
        with clear_words(repository):
            hub = api()
            parent, there = _prepare(hub, repository, private=private, tag=tag)
            commit = _commit(hub, repository, release, parent=parent, there=there, message=message)
    except Unreachable as error:
        raise HubError(f"{error.problems[0].message}; nothing was published", hint=error.problems[0].hint) from error
    uri = f"hf://{repository}@{commit}"
    if tag is not None:
        try:
            with clear_words(repository):
                hub.create_tag(repository, tag=tag, revision=commit)
        except HubError as error:
            raise HubError(f"published as {uri}, but without the tag {tag!r}: {error.problems[0].message}") from error
    return uri


def _prepare(hub: HfApi, repository: str, *, private: bool, tag: str | None) -> tuple[str | None, set[str]]:
    """Make the repository if need be; the commit that the release follows, and the files that are there."""
    _check_token()
    hub.create_repo(repository, private=private, exist_ok=True)
    if tag is not None and any(known.name == tag for known in hub.list_repo_refs(repository).tags):
        raise HubError(f"{repository} has a tag {tag!r} already; nothing was published", hint="choose another tag")
    info = hub.model_info(repository, timeout=TIMEOUT)
    return info.sha, {file.rfilename for file in info.siblings or ()}


def _commit(hub: HfApi, repository: str, release: Release, *, parent: str | None, there: set[str], message: str) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    added = [CommitOperationAdd(name, content) for name, content in sorted(release.items())]
    stale = [CommitOperationDelete(name) for name in sorted(there) if is_ours(name) and name not in release]
    try:
        info = hub.create_commit(
            repository, [*added, *stale], commit_message=message, parent_commit=parent, revision="main"
        )
    except ValueError as error:
        raise HubError(f"the Hub refuses the card: {error}", hint="check the licence identifier") from error
    return str(info.oid)
