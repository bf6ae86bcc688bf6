"""The Hub's own client, imported only here and only when used, with its errors put into words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo_registry.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
LOGIN = "`hf auth login`, or set HF_TOKEN"


class Unreachable(HubError):
    """The Hub does not answer, or not now; what is in the cache can still serve."""


class NotThere(HubError):
    """There is no such repository, as far as this token may see."""


def set_environment() -> None:
    """What the client must find when it is first imported: it reads its environment once."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_UPDATE_CHECK", "1")


def api() -> HfApi:
    """The client. `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` mean what they always do."""
    set_environment()
    from huggingface_hub import HfApi

    from zoo_registry import __version__

    return HfApi(library_name="videozoo", library_version=__version__)


def patience() -> float:
    """Seconds that the Hub has to answer a question: `HF_HUB_ETAG_TIMEOUT`, 10 by default.

    It is asked once before anything is downloaded, so a Hub that is down costs this and no more.
    """
    set_environment()
    from huggingface_hub import constants

    return float(constants.HF_HUB_ETAG_TIMEOUT)


def split_reference(text: str) -> tuple[str, str | None]:
    """`hf://org/name@revision`, or the same without `hf://`, as (`org/name`, revision or None).

    Raises:
        HubError: neither.
    """
    repository, at, revision = text.removeprefix("hf://").partition("@")
    if not _REPOSITORY.fullmatch(repository) or (at and not _REVISION.fullmatch(revision)):
        raise HubError(
            f"{text!r} names no repository",
            hint="a repository is org/name; in a URI hf://org/name or hf://org/name@revision",
        )
    return repository, revision or None


def check_tag(tag: str) -> None:
    """Make sure that a name can be a tag, and is read back as one in `hf://org/name@tag`.

    Raises:
        HubError: it cannot.
    """
    if not _REVISION.fullmatch(tag) or tag == "main" or re.fullmatch(r"[0-9a-f]{7,40}", tag):
        raise HubError(f"{tag!r} cannot be a tag", hint="a tag is a word such as v1.0, and neither main nor a commit")


@contextmanager
def clear_words(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turn whatever the client raises into a `HubError`; what will pass by itself into `Unreachable`."""
    set_environment()
    from huggingface_hub import errors
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    try:
        yield
    # A gated repository is also a RepositoryNotFoundError, so it comes first.
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repository} is gated: its owner gives access on request",
            hint=f"ask for it on {_page(repository)}, then {LOGIN}",
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotThere(
            f"there is no model {repository} on the Hub, or it is private and this token may not see it",
            hint=f"check the name; for a private one {LOGIN}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(
            f"{repository} has no revision {revision!r}", hint=f"{_page(repository)}/commits/main lists them"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("HF_HUB_OFFLINE is set", hint="unset HF_HUB_OFFLINE to ask the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, errors.FileMetadataError):
            raise _no_hub(error.__cause__) from error
        raise Unreachable(
            f"the Hub stopped answering: {error.__cause__ or 'no connection'}", hint="check the connection and retry"
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise HubError("there is no token for the Hub on this machine", hint=LOGIN) from error
    except errors.HfHubHTTPError as error:
        raise _by_status(error.response.status_code, repository, error) from error
    except httpx.HTTPError as error:
        raise Unreachable(
            f"the Hub cannot be reached: {error or type(error).__name__}",
            hint="check the connection, HTTPS_PROXY and HF_ENDPOINT; if transfers stall, set HF_HUB_DISABLE_XET=1",
        ) from error
    except errors.FileMetadataError as error:
        raise _no_hub(error) from error
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise Unreachable(f"a file of {repository} arrived incomplete", hint="try again") from error
        raise HubError(f"{repository}: {error}", hint="check the disk that holds HF_HOME") from error


def _no_hub(error: Exception) -> Unreachable:
    """Headers are missing that the Hub always sends."""
    return Unreachable(
        f"what answers for the Hub is none: {_first_line(error)}",
        hint="check HF_ENDPOINT; a mirror may need HF_HUB_DISABLE_XET=1",
    )


def _by_status(status: int, repository: str, error: Exception) -> HubError:
    if status == 401:
        return HubError(
            "the Hub does not accept this token", hint=f"make a new one at {_page('settings/tokens')}, then {LOGIN}"
        )
    if status == 403:
        return HubError(f"this token may not do that with {repository}", hint="use a token with write access to it")
    if status == 409:
        return HubError(f"{repository}: {_first_line(error)}", hint="it exists already; choose another name")
    if status == 412:
        return HubError(f"{repository} was changed by someone else meanwhile", hint="nothing was published; try again")
    if status == 429:
        return Unreachable("the Hub asks to slow down (429)", hint="wait a few minutes; a token raises the limit")
    if status >= 500 or status == 408:
        return Unreachable(
            f"the Hub is not well (HTTP {status})", hint="try again later; https://status.huggingface.co"
        )
    return HubError(f"the Hub refused: {_first_line(error)}", hint=f"look at {_page(repository)}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _page(path: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{path}"
