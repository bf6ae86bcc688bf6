"""`zoo push`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.columns import in_bytes


@click.command(epilog="Example:  zoo push runs/quickstart --to me/motions --licence apache-2.0 --tag v1")
@click.argument("what", metavar="RUN|RECIPE", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="org/name|file:PATH", help="A repository on the Hub, or a shared folder.")
@click.option("--licence", "--license", metavar="SPDX", help="Of the weights; by default the one the run recorded.")
@click.option("--private", is_flag=True, help="Make a repository that is new a private one.")
@click.option("--tag", metavar="NAME", help="Set on the commit after everything arrived.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="Show the files, their sizes and the card, and send nothing.")
def push(
    what: Path, to: str, licence: str | None, private: bool, tag: str | None, message: str | None, dry_run: bool
) -> None:
    """Publish a run or a model folder with its recipe, figures and card, or a recipe (a .yaml file) alone.

    Everything arrives in one commit, the tag last. Of a card that is there the parts written by hand stay.
    """
    from zoo.hub import plan, plan_recipe, publish, publish_recipe

    alone = what.suffix in (".yaml", ".yml") and not what.is_dir()
    if not dry_run:
        send = publish_recipe if alone else publish
        click.echo(send(what, to, licence=licence, private=private, tag=tag, message=message))
        return
    planned = (plan_recipe if alone else plan)(what, to, licence=licence, tag=tag)
    sizes = planned.sizes
    width = max(map(len, sizes))
    for name, size in sizes.items():
        click.echo(f"{name:{width}}  {in_bytes(size):>10}")
    click.echo(f"{len(sizes)} files, {in_bytes(sum(sizes.values()))}, to {planned.address}; nothing was sent\n")
    click.echo(planned.card)
