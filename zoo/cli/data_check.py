"""`zoo data check`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.recipe import overrides

if TYPE_CHECKING:
    from zoo.data.audit import Audit
    from zoo.data.audit.cleaning import LeftOut

FINDINGS = 1
"""Exit code when there are errors or warnings; a check that cannot be made exits with 2."""

_COLOURS = {"error": "red", "warning": "yellow", "note": None}
_LINES = 5


@click.command(epilog="Example:  zoo data check my.yaml --out check --fix")
@click.argument("recipe")
@overrides
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("audit"),
    show_default=True,
    help="Folder for audit.html, audit.json and the cleaned manifest.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "val", "test"]),
    help="Check only this split; may be repeated.",
)
@click.option("--model", metavar="NAME|RUN", help="Judge labels by the predictions of this classifier.")
@click.option(
    "--embed", metavar="NAME|RUN", help="Judge labels by a classifier trained here on the features of this model."
)
@click.option("--device", default="auto", help="For --model and --embed: auto, cpu, cuda or cuda:N.")
@click.option("--fix", is_flag=True, help="Write a manifest without what is broken, black or there twice.")
@click.option("--force", is_flag=True, help="Write over the cleaned manifest of an earlier check.")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that read; by default one per core.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON report instead of a summary.")
def check(
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    splits: tuple[str, ...],
    model: str | None,
    embed: str | None,
    device: str,
    fix: bool,
    force: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Read every file of a recipe's data once and report what is wrong with it.

    RECIPE is a name, a path or hf://org/repo; nothing is trained and no file of the data is changed. Exits with 0
    when the data is clean, with 1 when there is an error or a warning, with 2 when it could not be checked.
    """
    from zoo.data.audit import Judge, audit_recipe
    from zoo.data.audit.cleaning import emptied, left_out, other_classes
    from zoo.data.audit.files import Files
    from zoo.runner.progress import Progress

    files = Files(out, fix=fix, force=force)
    judge = Judge(model=model, embed=embed, device=device, workers=workers)
    with Progress() as progress:
        audit, opened = audit_recipe(
            recipe,
            overrides,
            splits=splits,
            judge=judge,
            workers=workers,
            progress=progress,
            before=files.check,
        )
    gone = left_out(audit) if fix else None
    report, written = files.write(audit, opened, gone)
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print_summary(audit)
        if gone is not None:
            _print_left_out(gone)
            for split, label in emptied(audit, gone):
                click.secho(f"{split} has no sample of {_printable(label)} left", fg="yellow")
            if classes := other_classes(opened, gone):
                said = f"its classes are now {', '.join(classes)}; trained models have them in another order"
                click.secho(_printable(said), fg="yellow")
        for path in written:
            click.echo(f"{path.stem:8}{path}")
    if not audit.clean:
        click.get_current_context().exit(FINDINGS)


def _print_summary(audit: Audit) -> None:
    """Every kind with its number and first messages."""
    from zoo.data.audit import KINDS

    for name, split in audit.splits.items():
        click.echo(f"{name:6}{split.samples:,} samples, {split.files:,} files")
    for kind in KINDS.values():
        found = audit.of(kind.name)
        if not found:
            continue
        click.secho(f"\n{kind.severity}  {kind.title} ({len(found):,})", fg=_COLOURS[kind.severity], bold=True)
        for finding in found[:_LINES]:
            click.echo(f"  {_printable(finding.message)}")
        if len(found) > _LINES:
            click.echo(f"  ... and {len(found) - _LINES:,} more")
    click.secho("\nclean" if audit.clean else "", fg="green" if audit.clean else None)


def _print_left_out(gone: Sequence[LeftOut]) -> None:
    counts = Counter(each.kind for each in gone)
    said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    click.echo(f"left out of the cleaned manifest: {said or 'nothing'}")
    for each in gone[: 4 * _LINES]:
        click.echo(f"  {each.place.split:6}{_printable(each.place.key)}: {_printable(each.reason)}")
    if len(gone) > 4 * _LINES:
        click.echo(f"  ... and {len(gone) - 4 * _LINES:,} more, all in audit.json")
    click.echo("")


def _printable(text: str) -> str:
    from zoo.report.wording import plain

    return plain(text)
