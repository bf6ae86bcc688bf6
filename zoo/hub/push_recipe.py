"""Publishing a recipe alone, without a model: others run it, copy it and extend it by its address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.hub.card import card_of
from zoo.hub.layout import CARD
from zoo.hub.push import Plan, address_of, check_licence, earlier_card, send
from zoo_registry.errors import HubError

if TYPE_CHECKING:
    from zoo.recipe import LoadedRecipe

_FIELDS = ("task", "model", "loss", "augment", "optim", "compress", "export")


def publish_recipe(
    reference: str | os.PathLike[str],
    to: str,
    *,
    licence: str | None = None,
    private: bool = False,
    tag: str | None = None,
    message: str | None = None,
) -> str:
    """Publish a recipe with a card.

    It is published as it was written, comments included; in full instead, with every default, where it extends a file
    or names absolute paths, which nobody else has.

    Args:
        reference: a path or name, as `load_recipe` takes them.
        to: `org/name` or `hf://org/name` on the Hub, or `file:PATH`: a place without a model.
        licence: SPDX identifier of the recipe.
        private: whether a repository that is made new is private.
        tag: name set on the commit after everything arrived.
        message: of the commit.

    Returns:
        The pinned URI, for `zoo run`, `extends` and `zoo recipe copy`.

    Raises:
        RecipeError: a recipe that cannot be loaded.
        HubError: no licence, no token, no access, a place that holds a model. Nothing is half-published.

    Example:
        >>> publish_recipe("mine.yaml", "me/motions-recipe", licence="apache-2.0")                # doctest: +SKIP
        'hf://me/motions-recipe@1f3c...'
    """
    planned = plan_recipe(reference, to, licence=licence, tag=tag)
    return send(planned, private=private, tag=tag, message=message or "Publish a recipe", beside_a_model=False)


def plan_recipe(
    reference: str | os.PathLike[str], to: str, *, licence: str | None = None, tag: str | None = None
) -> Plan:
    """What `publish_recipe` would send; sends nothing. Arguments and errors are its own."""
    from zoo.recipe import RESOLVED, load_recipe

    address = address_of(to, tag)
    if licence is None:
        raise HubError(
            "nothing says under which licence the recipe is published",
            hint="give its SPDX identifier, such as --licence apache-2.0",
        )
    check_licence(licence)
    loaded = load_recipe(reference)
    text = _shareable(reference, loaded)
    tagged = address if tag is None else f"{address}@{tag}"
    card = card_of(
        {"tags": ["videozoo", "video", "recipe"]},
        licence,
        address,
        [_introduction(tagged), _table(loaded.data), f"```yaml\n{text.rstrip()}\n```"],
        earlier=earlier_card(address),
    )
    return Plan(address, {RESOLVED: text.encode(), CARD: card.encode()})


def _shareable(reference: str | os.PathLike[str], loaded: LoadedRecipe) -> str:
    """The text, without what only this machine has."""
    from zoo.recipe import dump, open_document, without_folders
    from zoo_registry.catalog import catalog
    from zoo_registry.names import reference_kind

    written = open_document(reference, catalog())
    extends = written.node.child("extends")
    elsewhere = extends is not None and reference_kind(str(extends.value)) == "path"
    if elsewhere or without_folders(loaded.data) != loaded.data:
        return dump(without_folders(loaded.data))
    return written.content.decode()


def _introduction(address: str) -> str:
    return (
        "A recipe for videozoo (`pip install videozoo`): it runs by its address, is copied to be changed, and other "
        f"recipes extend it.\n\n```sh\nzoo run {address}\nzoo recipe copy {address}\n```"
    )


def _table(data: Mapping[str, Any]) -> str:
    """The components that it names."""
    rows = [("data", ", ".join(f"{split}: {_names(data['data'][split])}" for split in ("train", "val", "test")
                               if split in data["data"]))]  # fmt: skip
    rows += [(field, _names(data[field])) for field in _FIELDS if data.get(field)]
    return "\n".join(["| slot | component |", "|---|---|", *(f"| {slot} | {names} |" for slot, names in rows)])


def _names(slot: Any) -> str:
    """The names in a slot: one, a list, or by role."""
    if isinstance(slot, Mapping):
        parts = [f"`{slot['name']}`"] if "name" in slot else [_names(each) for each in slot.values()]
    else:
        parts = [_names(each) for each in slot]
    return ", ".join(parts)
