"""The data that a recipe names, audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data.audit.audit import Audit, audit_splits
from zoo.data.audit.label_check import Judge
from zoo.data.decode.film import Decoder
from zoo_registry.errors import DataError

if TYPE_CHECKING:
    from zoo.data.split import Split
    from zoo.runner.progress import Progress


def audit_recipe(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    splits: Sequence[str] = (),
    judge: Judge | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    before: Callable[[Mapping[str, Split]], None] = lambda splits: None,
) -> tuple[Audit, dict[str, Split]]:
    """Read every file of a recipe's data once and say what is wrong.

    Args:
        recipe: name, path or URI of a recipe. Its data and its model's clip are used, nothing is trained.
        overrides: changes, such as `"data.train.params.path=films.csv"`.
        splits: which of `train`, `val` and `test`; all that the recipe names by default.
        judge: who judges labels; nobody by default.
        workers: processes that read; None for one per core, 0 reads here.
        progress: shows how far it is.
        before: called with the opened splits before the first file is read; may raise to stop.

    Returns:
        What was found, and the splits it was found in.

    Raises:
        ZooError: a recipe, data or a model that cannot be used; what is wrong with files is in the answer instead.

    Example:
        >>> found, splits = audit_recipe("my.yaml")                                 # doctest: +SKIP
        >>> [finding.message for finding in found.of("leak")]                       # doctest: +SKIP
    """
    from zoo.data.clip_changes import changed_clip
    from zoo.pretrained import clip_of
    from zoo.recipe import load_recipe, resolve_recipe
    from zoo.runner.pipeline import open_splits
    from zoo_registry.catalog import cache_folder, catalog

    loaded = resolve_recipe(load_recipe(recipe, overrides))
    schema = loaded.schema
    listed = catalog().resolve("model", schema.model.name)
    clip_changes = schema.data.clip.model_dump(exclude_none=True)
    clip = changed_clip(clip_of(listed, schema.model.weights), clip_changes, schema.model.params)
    provided: dict[str, Any] = {
        "seed": schema.run.seed,
        "cache": cache_folder(),
        "base": loaded.base,
        "clip": clip,
        "audio": listed.model.audio,
        "inputs": listed.model.inputs,
    }
    opened = open_splits(schema, provided)
    if missing := [name for name in splits if name not in opened]:
        raise DataError(f"the recipe names no data.{missing[0]}", hint=f"it names {', '.join(opened)}")
    chosen = {name: split for name, split in opened.items() if not splits or name in splits}
    before(chosen)
    audit = audit_splits(
        chosen,
        title=loaded.name,
        clip=clip,
        inputs=listed.model.inputs,
        judge=judge,
        decoder=Decoder(**schema.data.decoder.model_dump()),
        workers=workers,
        progress=progress,
    )
    return audit, chosen
