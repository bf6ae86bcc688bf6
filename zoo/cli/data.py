"""`zoo data`: what can be done to data before a run."""

from __future__ import annotations

import click

from zoo.cli.table import TableOfCommands

COMMANDS = {
    "check": ("zoo.cli.data_check", "Read every file of a recipe's data once and report what is wrong with it."),
    "spans": ("zoo.cli.data_spans", "Cut films into spans by scene, window or keyframe: a manifest."),
    "keyframes": ("zoo.cli.data_spans", "Write pictures out of a film: its keyframes, its scenes, or every so often."),
}
"""Every command of the group: the module that holds it and what `zoo data --help` says of it."""


@click.group(cls=TableOfCommands, table=COMMANDS, epilog="Example:  zoo data check my.yaml")
def data() -> None:
    """Check data before it is trained on, cut films into spans, take pictures out of them."""
