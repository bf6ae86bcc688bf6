"""`zoo data`: what can be done to data before a run. Each command's module is imported only when that command runs."""

from __future__ import annotations

import importlib

import click

from zoo_registry.names import nearest

COMMANDS = {
    "check": ("zoo.cli.data_check", "Read every file of a recipe's data once and report what is wrong with it."),
    "spans": ("zoo.cli.data_spans", "Cut films into spans by scene, window or keyframe: a manifest."),
    "keyframes": ("zoo.cli.data_spans", "Write pictures out of a film: its keyframes, its scenes, or every so often."),
}
"""Every command of the group: the module that holds it and what `zoo data --help` says of it."""


class DataCommands(click.Group):
    """A group that knows its commands' names and summaries, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command itself; imports its module."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name][0]), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which ones are near."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "see zoo data --help"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=DataCommands, epilog="Example:  zoo data check my.yaml")
def data() -> None:
    """Check data before it is trained on, cut films into spans, take pictures out of them."""
