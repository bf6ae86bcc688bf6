"""`zoo convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(epilog="Example:  zoo convert X3D_S.pyth --to video/x3d_s --labels k400 --licence apache-2.0")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--to", "model", required=True, metavar="NAME", help="The architecture, by name.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; by default named after the checkpoint.")
@click.option("--layout", metavar="NAME", help="How the checkpoint is written; found out by default.")
@click.option("--labels", metavar="FILE|TAG", help="Names of classes: a line each, or those of published weights.")
@click.option("--licence", "--license", metavar="SPDX", help="Of the weights; unknown by default.")
@click.option("--param", "params", multiple=True, metavar="KEY=VALUE", help="Parameter of the architecture.")
def convert(
    checkpoint: Path,
    model: str,
    out: Path | None,
    layout: str | None,
    labels: str | None,
    licence: str | None,
    params: tuple[str, ...],
) -> None:
    """Turn a checkpoint of another project into a model folder.

    CHECKPOINT is a .pth, .pyth, .pt, .bin, .ckpt or .safetensors file, or a folder of transformers. Pickles are read
    without running code. Every key has to fit; `zoo show NAME` says which layouts a model reads.
    """
    from zoo.pretrained.convert import convert as convert_checkpoint

    folder = out or Path(checkpoint.name.partition(".")[0] or "model")
    if folder.exists() and out is None:
        raise click.UsageError(f"there is a {folder} already; say --out")
    done = convert_checkpoint(
        checkpoint,
        model,
        folder,
        layout=layout,
        params=_values(params),
        labels=_names(model, labels) if labels else (),
        licence=licence,
    )
    click.echo(f"{done.model}, {done.parameters:,} parameters, {done.classes} classes, read as {done.layout}")
    if not done.labels:
        click.echo("the classes have no names: --labels FILE gives them")
    click.echo(f'zoo.load("file:{done.folder}")')


def _values(params: tuple[str, ...]) -> dict[str, Any]:
    """`in_channels=1` and the like, each value as YAML."""
    import yaml

    answer: dict[str, Any] = {}
    for text in params:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--param {text}: write KEY=VALUE")
        try:
            answer[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise click.UsageError(f"--param {text}: {error}") from error
    return answer


def _names(model: str, labels: str) -> tuple[str, ...]:
    """The lines of a file, or the names of a tag's classes."""
    from zoo.pretrained.labels import label_names
    from zoo_registry.catalog import catalog
    from zoo_registry.errors import ArtefactError, Location

    path = Path(labels)
    if path.is_file():
        try:
            return tuple(path.read_text(encoding="utf-8").splitlines())
        except UnicodeDecodeError as error:
            raise ArtefactError(
                f"not a file of names: {error.reason} in byte {error.start}",
                where=Location(labels),
                hint="write the names in UTF-8, a line each",
            ) from None
    listed = catalog().resolve("model", model)
    if labels not in {weights.tag for weights in listed.model.weights}:
        raise ArtefactError(
            f"{labels!r} is neither a file nor a tag of {listed.name}", hint="write the names to a file, a line each"
        )
    names = label_names(listed, listed.weights(labels))
    if not names:
        raise ArtefactError(
            f"nobody says the names of the classes of {listed.name}.{labels}",
            hint="write the names to a file, a line each",
        )
    return names
