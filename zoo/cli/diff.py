"""`zoo diff`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoo.recipe import Difference


@click.command(epilog="Example:  zoo diff runs/motions runs/motions-2")
@click.argument("one")
@click.argument("other")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a difference.")
def diff(one: str, other: str, as_json: bool) -> None:
    """Say what differs between two recipes or runs.

    ONE and OTHER are recipes by name, path or hf://org/repo, or folders of runs. Every slot is compared, defaults
    included; of two runs also the versions and checksums they were made with, and the numbers they reached.
    """
    from zoo.recipe import compared, load_recipe, read_lock
    from zoo.runner.folder import RunFolder

    sections = {"recipe": compared(load_recipe(one).data, load_recipe(other).data)}
    first, second = (RunFolder(Path(each.removeprefix("file:"))) for each in (one, other))
    if first.lock.is_file() and second.lock.is_file():
        sections["made with"] = compared(read_lock(first.lock), read_lock(second.lock))
    if first.summary.is_file() and second.summary.is_file():
        sections["reached"] = compared(first.headlines(), second.headlines())
    if as_json:
        for section, differences in sections.items():
            for each in differences:
                click.echo(json.dumps({"section": section, **_row(each)}, ensure_ascii=False))
        return
    _print(sections, one, other)


def _row(difference: Difference) -> dict[str, Any]:
    """A side that lacks the value is left out."""
    from zoo.recipe import ABSENT

    sides = {"one": difference.one, "other": difference.other}
    return {"name": difference.name} | {side: value for side, value in sides.items() if value is not ABSENT}


def _print(sections: dict[str, list[Difference]], one: str, other: str) -> None:
    from zoo.recipe import shown

    for section, differences in sections.items():
        if not differences:
            click.echo(f"{section}: no difference")
            continue
        click.secho(section, bold=True)
        widths = [
            max(len(each.name) for each in differences),
            max(len(one), *(len(shown(each.one)) for each in differences)),
        ]
        click.echo(f"  {'':{widths[0]}}  {one:{widths[1]}}  {other}")
        for each in differences:
            click.echo(f"  {each.name:{widths[0]}}  {shown(each.one):{widths[1]}}  {shown(each.other)}")
