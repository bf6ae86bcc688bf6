"""Publishing: everything in one commit, the tag last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.artefact.checksums import sha256_of
from zoo.artefact.file_names import LABELS, MANIFEST, WEIGHTS
from zoo.artefact.manifest import Manifest, read_manifest
from zoo.hub.card import LICENCES, model_card
from zoo.hub.client import LOGIN, NotThere, Unreachable, api, check_tag, clear_words, patience, split_reference
from zoo.hub.layout import CARD, EXTRA, is_extra, is_ours
from zoo.hub.shared import local_path
from zoo_registry.errors import ArtefactError, HubError, Location, Problem, RecipeError
from zoo_registry.names import nearest

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Release = dict[str, Path | bytes]
"""What is published: content by name in the repository."""


@dataclass(frozen=True)
class Plan:
    """What publishing would send, and where to.

    Attributes:
        address: `hf://org/name` or `file:PATH`.
        files: content by name in the repository; the card is `README.md`.
    """

    address: str
    files: Release

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes by name."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in sorted(self.files.items())
        }

    @property
    def card(self) -> str:
        """The text of the card."""
        content = self.files[CARD]
        return content.decode() if isinstance(content, bytes) else content.read_text("utf-8")


def publish(
    folder: str | Path,
    to: str,
    *,
    licence: str | None = None,
    private: bool = False,
    tag: str | None = None,
    message: str | None = None,
    extra_files: Mapping[str, str | Path] | None = None,
) -> str:
    """Publish a model folder with its recipe, figures and card.

    The checksum of the weights is verified first. On the Hub all files go in one commit, and files of an earlier
    release that this one lacks are deleted with it; a shared folder is replaced as a whole. Of a card that is there the
    parts written by hand are kept, see `zoo.hub.card_parts`.

    Args:
        folder: as `save_model` wrote it; or a run, whose recipe, lock, summary, report and figures go along.
        to: `org/name` or `hf://org/name` on the Hub, or `file:PATH`.
        licence: SPDX identifier of the weights; by default the one in `model.json`.
        private: whether a repository that is made new is private.
        tag: name set on the commit after everything arrived.
        message: of the commit.
        extra_files: what else goes along, by name in the repository: `recipe.resolved.yaml`, `zoo.lock`,
            `metrics.json`, `summary.json`, `report.html`, `figures/*.png`.

    Returns:
        The pinned URI that `zoo.load` takes: `hf://org/name@commit`, or `file:PATH`.

    Raises:
        ArtefactError: a model folder that is not whole, or a file that must not be published.
        HubError: no licence, no token, no access, a tag that exists, or a Hub that cannot be reached. Nothing is
            half-published.

    Example:
        >>> publish("runs/x/model", "me/hand-waves", licence="apache-2.0", tag="v1")    # doctest: +SKIP
        'hf://me/hand-waves@1f3c...'
    """
    planned = plan(folder, to, licence=licence, tag=tag, extra_files=extra_files)
    message = message or f"Publish {read_manifest(_places(Path(folder))[0]).model}"
    return send(planned, private=private, tag=tag, message=message)


def send(planned: Plan, *, private: bool, tag: str | None, message: str, beside_a_model: bool = True) -> str:
    """Carry a plan out.

    Args:
        planned: where to, and what.
        private: whether a repository that is made new is private.
        tag: name set on the commit after everything arrived.
        message: of the commit.
        beside_a_model: whether a model that is there may be replaced.

    Returns:
        The pinned URI.

    Raises:
        HubError: no access, a tag that exists, a model that may not be replaced, or a Hub that cannot be reached.
    """
    if not planned.address.startswith("file:"):
        repository, _ = split_reference(planned.address)
        return _to_hub(
            planned.files, repository, private=private, tag=tag, message=message, beside_a_model=beside_a_model
        )
    target = local_path(planned.address)
    if not beside_a_model and (target / MANIFEST).is_file():
        raise _holds_a_model(str(target))
    return _to_folder(planned.files, target)


def _holds_a_model(place: str) -> HubError:
    return HubError(
        f"{place} holds a model, and would lose it to a recipe alone; nothing was published",
        hint="give the recipe a place of its own; a model's own recipe goes along with it",
    )


def plan(
    folder: str | Path,
    to: str,
    *,
    licence: str | None = None,
    tag: str | None = None,
    extra_files: Mapping[str, str | Path] | None = None,
) -> Plan:
    """What `publish` would send; sends nothing. Arguments and errors are those of `publish`."""
    from zoo.recipe.lock import LOCK, read_lock

    places = _places(Path(folder))
    manifest = read_manifest(places[0])
    address = address_of(to, tag)
    licence = licence or manifest.licence
    if licence is None and address != f"file:{places[0].resolve()}":
        raise HubError(
            "nothing says under which licence the model is published",
            hint="give its SPDX identifier, such as --licence apache-2.0 (in a recipe publish.licence)",
        )
    if licence is not None:
        check_licence(licence)
    manifest = manifest.model_copy(update={"licence": licence})
    files = _release(places[0], manifest, {**_beside(places), **(extra_files or {})})
    tagged = address if tag is None else f"{address}@{tag}"
    lock = files.get(LOCK)
    facts = None
    with suppress(RecipeError):  # one that cannot be read says nothing on the card
        facts = read_lock(lock) if isinstance(lock, Path) else None
    card = model_card(manifest, tagged, files=files, lock=facts, summary=_summary(files), earlier=earlier_card(address))
    return Plan(address, {**files, CARD: card.encode()})


def _summary(files: Mapping[str, object]) -> Mapping[str, Any]:
    """The headline numbers that go along; none where they cannot be read."""
    path = files.get("summary.json")
    try:
        found = json.loads(path.read_text("utf-8")) if isinstance(path, Path) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def address_of(to: str, tag: str | None) -> str:
    """The destination as a URI; says what cannot be one, or no tag."""
    if not to.startswith("file:"):
        if to.startswith((".", "/", "~")):
            raise HubError(f"{to!r} is a path", hint=f"write file:{to}")
        if tag is not None:
            check_tag(tag)
        repository, revision = split_reference(to)
        if revision is not None:
            raise HubError(f"{to!r} names a revision, publishing makes a new one", hint=f"publish to {repository!r}")
        return f"hf://{repository}"
    if tag is not None:
        raise HubError(f"a folder has no tags, asked for {tag!r}", hint="leave the tag out, or name the folder by it")
    return f"file:{local_path(to)}"


def earlier_card(address: str) -> str:
    """The card that is at the destination; empty where there is none."""
    if address.startswith("file:"):
        path = local_path(address) / CARD
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""
    repository, _ = split_reference(address)
    try:
        with clear_words(repository):
            info = api().model_info(repository, timeout=patience())
            if not any(file.rfilename == CARD for file in info.siblings or ()):
                return ""
            return Path(api().hf_hub_download(repository, CARD, revision=info.sha)).read_text("utf-8", "replace")
    except NotThere:
        return ""  # it will be made
    except Unreachable as error:
        raise _not_published(error) from error


def _not_published(error: Unreachable) -> HubError:
    return HubError(f"{error.problems[0].message}; nothing was published", hint=error.problems[0].hint)


def check_destination(to: str, *, tag: str | None = None) -> None:
    """Whether something could be published there, as far as that can be said before there is anything to publish.

    Raises:
        HubError: the address or the tag is none or taken, a folder holds other things, there is no token, or the Hub
            does not accept it. A Hub that cannot be reached now is none: it may be there at the end.
    """
    address = address_of(to, tag)
    if address.startswith("file:"):
        _refuse_strays(local_path(address))
        return
    _check_token()
    repository, _ = split_reference(address)
    with suppress(Unreachable), clear_words(repository):
        api().whoami()
        try:
            with clear_words(repository):
                _check_tag_is_free(api(), repository, tag)
        except NotThere:
            pass  # it will be made


def check_licence(licence: str) -> None:
    """Refuse what is no identifier.

    Raises:
        HubError: blanks or line ends; a word that is nearly one the Hub knows.
    """
    if not licence.strip() or not licence.isprintable():
        raise HubError(f"{licence!r} is no licence", hint="give its SPDX identifier, such as apache-2.0")
    near = nearest(licence.lower(), LICENCES)
    if licence.lower() not in LICENCES and near and abs(len(near[0]) - len(licence)) <= 2:
        raise HubError(f"no licence is called {licence!r}", hint=f"did you mean {' or '.join(near)}?")


def _check_tag_is_free(hub: HfApi, repository: str, tag: str | None) -> None:
    if tag is not None and any(known.name == tag for known in hub.list_repo_refs(repository).tags):
        raise HubError(f"{repository} has a tag {tag!r} already; nothing was published", hint="choose another tag")


def _check_token() -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError("publishing needs a token, and there is none on this machine", hint=LOGIN)


def _places(folder: Path) -> list[Path]:
    """The model folder, then the run that it is in where a run was given."""
    if (folder / MANIFEST).is_file() or not (folder / "model" / MANIFEST).is_file():
        return [folder]
    return [folder / "model", folder]


def _beside(places: list[Path]) -> dict[str, Path]:
    """What goes along with a model. A finished run keeps it in the model folder, without paths of its machine."""
    found: dict[str, Path] = {}
    for place in reversed(places):
        found |= {name: place / name for name in EXTRA if (place / name).is_file()}
        found |= {f"figures/{path.name}": path for path in sorted((place / "figures").glob("*.png"))}
    return found


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


def _refuse_strays(target: Path) -> None:
    """A shared folder is replaced as a whole: nothing may be in it that publishing did not put there."""
    if not target.is_dir():
        return
    strays = sorted(
        name
        for path in target.rglob("*")
        if path.is_file() and not is_ours(name := path.relative_to(target).as_posix())
    )
    if strays:
        more = f" and {len(strays) - 3} more" if len(strays) > 3 else ""
        raise HubError(
            f"{target} holds other things than a model, and would lose them: {', '.join(strays[:3])}{more}",
            hint="publish to a folder of its own; nothing was changed",
        )


def _to_folder(release: Release, target: Path) -> str:
    from zoo.artefact.folder import whole_folder

    _refuse_strays(target)
    with whole_folder(target) as temporary:
        for name, content in release.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copyfile(content, path)
    return f"file:{target}"


def _to_hub(
    release: Release, repository: str, *, private: bool, tag: str | None, message: str, beside_a_model: bool
) -> str:
    try:
        with clear_words(repository):
            hub = api()
            parent, there = _prepare(hub, repository, private=private, tag=tag)
            if not beside_a_model and MANIFEST in there:
                raise _holds_a_model(repository)
            commit = _commit(hub, repository, release, parent=parent, there=there, message=message)
    except Unreachable as error:
        raise _not_published(error) from error
    uri = f"hf://{repository}@{commit}"
    if tag is not None:
        try:
            with clear_words(repository):
                hub.create_tag(repository, tag=tag, revision=commit)
        except HubError as error:
            raise HubError(
                f"published as {uri}, but without the tag {tag!r}: {error.problems[0].message}",
                hint=f"hf repo tag create {repository} {tag} --revision {uri.partition('@')[2]} sets it",
            ) from error
    return uri


def _prepare(hub: HfApi, repository: str, *, private: bool, tag: str | None) -> tuple[str | None, set[str]]:
    """Make the repository if need be; the commit that the release follows, and the files that are there."""
    _check_token()
    hub.create_repo(repository, private=private, exist_ok=True)
    _check_tag_is_free(hub, repository, tag)
    info = hub.model_info(repository, timeout=patience())
    if private and info.private is False:
        raise HubError(
            f"{repository} is public, and --private changes nothing that is there; nothing was published",
            hint="make it private in its settings on the Hub, or leave --private out",
        )
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
