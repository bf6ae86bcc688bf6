"""The model card: `README.md` of a published model, with the metadata that the Hub reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml

from zoo.artefact.manifest import Manifest
from zoo.hub.card_energy import emissions, energy_line, is_ours
from zoo.hub.card_parts import BEGIN, END, split_card
from zoo_registry.errors import ZooError

LICENCES = frozenset(
    {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0"}
    | {"cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0"}
    | {"unlicense", "openrail", "unknown", "other"}
)
"""Identifiers that the Hub knows; any other is written as `other` with its name beside it."""

_SPLITS = ("val", "test")


def model_card(
    manifest: Manifest,
    address: str,
    *,
    files: Collection[str] = (),
    lock: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
    earlier: str = "",
) -> str:
    """Write the card.

    What is generated stands between two comments. Whatever else an earlier card has was written by hand and stays: the
    text before and after the comments, and the keys of the head that are not ours.

    Args:
        manifest: of the model.
        address: the URI to load it from.
        files: names of what is published with it; pictures and the recipe are shown or linked when there.
        lock: what the run was made of (`zoo.lock`), where there is one.
        summary: its headline numbers (`summary.json`), where there are any.
        earlier: the card that this one takes the place of.

    Returns:
        Markdown with a YAML head.

    Raises:
        HubError: the earlier card's head cannot be read.

    Example:
        >>> print(model_card(manifest, "hf://me/hand-waves"))    # doctest: +SKIP
    """
    parts = [
        _introduction(manifest),
        f'```python\nimport zoo\n\nmodel = zoo.load({address!r})\nmodel.predict("film.mp4")\n```',
        _results(manifest),
        _pictures(files),
        _input(manifest),
        _limits(manifest),
        _provenance(manifest, address, files, lock or {}, summary or {}),
    ]
    metadata = _metadata(manifest, title_of(address), lock or {})
    if emitted := emissions(summary or {}, (lock or {}).get("hardware")):
        metadata["co2_eq_emissions"] = emitted
    return card_of(metadata, manifest.licence, address, parts, earlier=earlier)


def card_of(
    metadata: Mapping[str, Any], licence: str | None, address: str, parts: Iterable[str], *, earlier: str = ""
) -> str:
    """Put a card together; see `model_card`.

    Args:
        metadata: our keys of the head but the licence.
        licence: SPDX identifier; None for unknown.
        address: the URI, whose last part is the title.
        parts: the generated text, in paragraphs.
        earlier: the card that this one takes the place of.

    Raises:
        HubError: the earlier card's head cannot be read.
    """
    kept = split_card(earlier)
    merged = _merged(kept.head, {"library_name": "videozoo", **_licence(licence), **metadata})
    head = yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)
    generated = "\n\n".join(part for part in (BEGIN, f"# {_inline(title_of(address))}", *parts, END) if part)
    body = "\n\n".join(part for part in (kept.before, generated, kept.after) if part)
    return f"---\n{head}---\n\n{body}\n"


def title_of(address: str) -> str:
    """The last part of a URI, without a revision."""
    return address.partition("@")[0].rpartition("/")[2]


def _licence(licence: str | None) -> dict[str, str]:
    """As the Hub writes it."""
    name = (licence or "unknown").lower()
    return {"license": name} if name in LICENCES else {"license": "other", "license_name": name}


def _merged(earlier: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The head of an earlier card with ours in it; tags of both."""
    stale = ("license_name", "license_link", "model-index")  # of what was there before
    tags = earlier.get("tags")
    more = [tag for tag in tags if tag not in ours["tags"]] if isinstance(tags, list) else []
    others = {key: value for key, value in earlier.items() if key not in ours and key not in stale}
    if is_ours(others.get("co2_eq_emissions")):
        del others["co2_eq_emissions"]
    return {**ours, "tags": [*ours["tags"], *more], **others}


def _metadata(manifest: Manifest, title: str, lock: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if base := _base_model(lock):
        metadata["base_model"] = base
    pipeline = _pipeline_tag(manifest)
    if pipeline:
        metadata["pipeline_tag"] = pipeline
    metadata["tags"] = ["videozoo", "video", manifest.model.rpartition("/")[2]]
    results = _model_index(manifest, pipeline)
    if results:
        metadata["model-index"] = [{"name": title, "results": results}]
    return metadata


def _base_model(lock: Mapping[str, Any]) -> str | None:
    """The repository on the Hub that training started from."""
    weights = lock.get("weights")
    uri = str(weights.get("uri", "")) if isinstance(weights, Mapping) else ""
    return uri.removeprefix("hf://").partition("@")[0] if uri.startswith("hf://") else None


def _pipeline_tag(manifest: Manifest) -> str | None:
    """What the Hub calls the model's task, where its plugin is here."""
    try:
        return pipeline_tag(manifest.task.name) if manifest.task else None
    except ZooError:
        return None


def pipeline_tag(task: str) -> str | None:
    """What the Hub calls a task; the task's plugin declares it.

    Raises:
        NameProblem: there is no such task.
    """
    from zoo_registry.catalog import catalog

    tag: str | None = getattr(catalog().resolve("task", task).entry, "pipeline_tag", None)
    return tag


def _model_index(manifest: Manifest, pipeline: str | None) -> list[dict[str, Any]]:
    """Measured figures, in the form that the Hub lists; `val/accuracy` is the accuracy on the validation split."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for name, value in manifest.metrics.items():
        split, _, metric = name.partition("/")
        if split in _SPLITS and value is not None and "/" not in metric:
            splits.setdefault(split, []).append({"type": metric, "name": metric, "value": round(value, 6)})
    return [
        {
            "task": {"type": pipeline or "other"},
            "dataset": {"type": "custom", "name": "data of the recipe", "split": split},
            "metrics": rows,
        }
        for split, rows in splits.items()
    ]


def _introduction(manifest: Manifest) -> str:
    classes = f" for {manifest.num_classes} classes" if manifest.num_classes and not manifest.untrained else ""
    changed = ", ".join(f"`{step.strategy}`" for step in manifest.structure)
    compressed = f" Compressed with {changed}." if changed else ""
    backbone = " A backbone to start from: its head was not trained." if manifest.untrained else ""
    return f"`{manifest.model}`{classes}, trained with videozoo (`pip install videozoo`).{backbone}{compressed}"


def _results(manifest: Manifest) -> str:
    if not manifest.metrics:
        return ""
    whole = {name: value for name, value in manifest.metrics.items() if name.count("/") < 2}
    rows = [f"| {_inline(name)} | {'–' if value is None else format(value, '.4g')} |" for name, value in whole.items()]
    single = "" if len(whole) == len(manifest.metrics) else " Those of single classes are in `metrics.json`."
    return "\n".join(
        ["## Results", "", f"Measured by the run that made this model.{single}", "",
         "| metric | value |", "|---|---|", *rows]
    )  # fmt: skip


def _pictures(files: Collection[str]) -> str:
    figures = [name for name in sorted(files) if name.startswith("figures/")]
    return "\n".join(f"![{_inline(name.rpartition('/')[2][:-4])}](<{name}>)" for name in figures)


def _input(manifest: Manifest) -> str:
    lines = ["## Input", "", f"In this order: {', '.join(f'`{key}`' for key in manifest.inputs)}.", ""]
    if manifest.clip is not None:
        clip = manifest.clip
        lines.append(
            f"- clips of {clip.moments}, {clip.size_in_words}, RGB, mean "
            f"{_numbers(clip.mean)}, standard deviation {_numbers(clip.std)} (of values in 0..1)"
        )
    if manifest.audio is not None:
        audio = manifest.audio
        lines.append(f"- sound: {audio.samples} samples at {audio.rate} Hz, {audio.channels} channel(s)")
    if manifest.labels:
        shown = ", ".join(_inline(label) for label in manifest.labels[:20])
        more = f" and {len(manifest.labels) - 20} more (`labels.json`)" if len(manifest.labels) > 20 else ""
        lines.extend(["", f"Classes: {shown}{more}."])
    return "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    """What holds for whatever a run made, and nobody should have to find out."""
    lines = [
        "## Limits",
        "",
        "- Measured on the data of its recipe alone: films of other places and cameras may be harder.",
    ]
    if manifest.labels:
        lines.append(f"- Whatever it is shown, it answers in terms of its {len(manifest.labels)} classes.")
    if manifest.clip is not None:
        lines.append(f"- It sees clips of {manifest.clip.moments}, and nothing of what lies between or before them.")
    if manifest.licence is None:
        lines.append("- Nobody says under which licence the weights may be used.")
    return "\n".join(lines)


def _provenance(
    manifest: Manifest, address: str, files: Collection[str], lock: Mapping[str, Any], summary: Mapping[str, Any]
) -> str:
    lines = ["## Provenance", "", f"- weights: `model.safetensors`, sha256 `{manifest.weights.sha256}`"]
    packages = lock.get("packages")
    known = packages if isinstance(packages, Mapping) else {}
    made = [str(lock[fact]) for fact in ("hardware", "platform") if lock.get(fact)]
    made += [f"{name} {known[name]}" for name in ("videozoo", "torch") if name in known]
    if made:
        lines.append(f"- made on {_inline(', '.join(made))}")
    if line := energy_line(summary):
        lines.append(_inline(line))
    if isinstance(lock.get("weights"), Mapping):
        lines.append(f"- began with {_inline(str(lock['weights'].get('uri')))}")
    lines.extend(
        f"- plugin `{name}`: {plugin.distribution} {plugin.version}" for name, plugin in manifest.plugins.items()
    )
    if {"recipe.resolved.yaml", "zoo.lock"} <= set(files):
        lines.append(f"- `zoo run {address} --locked` repeats the run, or says what is other here")
    if "report.html" in files:
        lines.append("- [report.html](report.html): curves, pictures, tables and the recipe")
    return "\n".join(lines)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(format(value, "g") for value in values)


def _inline(text: str) -> str:
    """Text from files, harmless inside Markdown."""
    return "".join(
        f"\\{character}" if character in "\\`*_[]<>|#" else character for character in text if character.isprintable()
    )
