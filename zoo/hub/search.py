"""Models found by words: in the catalogue of this machine, and in the Hub's listing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.hub.card import pipeline_tag
from zoo.hub.client import clear_words, patience, set_environment

if TYPE_CHECKING:
    from zoo_registry.catalog import Listed

_SHOWN = 160


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        words: all of them have to occur, in any case.
        task: name of a task of the catalogue.
        licence: SPDX identifier of the weights.
        max_params: most parameters; models that do not say how many they have are left out.
    """

    words: Sequence[str]
    task: str | None = None
    licence: str | None = None
    max_params: float | None = None

    def admits(self, parameters: int | None) -> bool:
        """Whether a model is small enough."""
        return self.max_params is None or (parameters is not None and parameters <= self.max_params)


@dataclass(frozen=True)
class Found:
    """A model that was found.

    Attributes:
        name: what `zoo.load` takes.
        parameters: how many; None when nobody says it.
        licence: of the weights; None when nobody says it.
        task: of the catalogue, or what the Hub calls it.
        summary: one line.
    """

    name: str
    parameters: int | None
    licence: str | None
    task: str | None
    summary: str


def in_catalogue(query: Query) -> list[Found]:
    """Models of installed plugins; weights of other licences are left out where one is asked for."""
    from zoo_registry.catalog import catalog

    words = [word.lower() for word in query.words]
    return [
        found
        for listed in catalog().list("model")
        if query.task in (None, listed.model.task) and query.admits(listed.model.parameters)
        for found in _matching(listed, words, query.licence)
    ]


def _matching(listed: Listed, words: Sequence[str], licence: str | None) -> Iterator[Found]:
    model = listed.model
    text = " ".join((listed.name, *model.aliases, model.summary, model.task, *(each.tag for each in model.weights)))
    if not all(word in text.lower() for word in words):
        return
    licences = list(dict.fromkeys(each.licence for each in model.weights)) or [None]
    if licence is None:
        shown = ", ".join(each or "unknown" for each in licences) if model.weights else None
        yield Found(listed.name, model.parameters, shown, model.task, model.summary)
    else:
        for weights in model.weights:
            if weights.licence == licence:
                name = f"{listed.name}.{weights.tag}"
                yield Found(name, model.parameters, weights.licence, model.task, model.summary)


def on_hub(query: Query, *, limit: int = 20) -> list[Found]:
    """Repositories that the Hub lists for these words, the most downloaded first.

    Raises:
        Unreachable: the Hub cannot be asked, also with `HF_HUB_OFFLINE`.
        HubError: it refuses.
    """
    asked: dict[str, Any] = {
        "search": " ".join(query.words),
        "sort": "downloads",
        "limit": 5 * limit if query.max_params is not None else limit,
        "expand": ["safetensors", "cardData", "pipeline_tag", "library_name"],
    }
    if query.licence:
        asked["filter"] = f"license:{query.licence}"
    if query.task and (tag := pipeline_tag(query.task)):
        asked["pipeline_tag"] = tag
    rows = _listing(asked)
    found = [_found(row) for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)]
    return [each for each in found if query.admits(each.parameters)][:limit]


def _listing(asked: Mapping[str, Any]) -> list[Any]:
    """One page of the Hub's listing. The client's own call tries again for 20 seconds where nothing answers."""
    set_environment()
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    with clear_words("the listing"):
        answer = get_session().get(
            f"{constants.ENDPOINT}/api/models", params=asked, headers=build_hf_headers(), timeout=patience()
        )
        hf_raise_for_status(answer)
        rows = answer.json()
    return rows if isinstance(rows, list) else []


def _found(row: Mapping[str, Any]) -> Found:
    card, weights = row.get("cardData"), row.get("safetensors")
    parameters = weights.get("total") if isinstance(weights, Mapping) else None
    library = _text(row.get("library_name"))
    return Found(
        f"hf://{_text(row['id'])}",
        parameters if isinstance(parameters, int) else None,
        _text(card.get("license")) if isinstance(card, Mapping) else None,
        _text(row.get("pipeline_tag")),
        f"for {library}" if library else "",
    )


def _text(value: Any) -> str | None:
    """What strangers write, without what would move a terminal's cursor."""
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if character.isprintable())[:_SHOWN]
