"""The `zoo` command. Each command's module is imported only when that command runs."""

from __future__ import annotations

import importlib
import sys

import click

from zoo_registry.errors import ZooError

COMMANDS = {
    "run": ("zoo.cli.run", "Run a recipe: train, evaluate, compress, export, publish."),
    "predict": ("zoo.cli.predict", "Say what is in a film."),
    "evaluate": ("zoo.cli.evaluate", "Measure a model or a run on a split of data."),
    "models": ("zoo.cli.models", "List models by name."),
    "show": ("zoo.cli.show", "Show everything known about one component."),
    "plugins": ("zoo.cli.plugins", "List plugins, what they bring and what is wrong with them."),
    "check": ("zoo.cli.recipe", "Check a recipe without running it."),
    "explain": ("zoo.cli.recipe", "Print a recipe in full, with where each value comes from."),
    "schema": ("zoo.cli.recipe", "Print the JSON Schema of recipes, for editors."),
    "data": ("zoo.cli.data", "Check a data set, cut films into spans, take pictures out of them."),
    "doctor": ("zoo.cli.doctor", "Say what this machine has, what is missing and how to get it."),
}
"""Every command: the module that holds it and what `zoo --help` says of it."""


class Commands(click.Group):
    """A group that knows its commands' names and summaries, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of a first day with the zoo."""
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
            from zoo_registry.names import nearest

            near = nearest(args[0], COMMANDS)
            hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "see zoo --help"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from zoo_registry import __version__

        click.echo(f"videozoo {__version__}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  zoo run quickstart",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def cli(debug: bool) -> None:
    """A model zoo for video.

    One YAML recipe names a model, augmentations, losses and compression strategies, ours or those of any installed
    plugin; one runner trains, evaluates, compresses, exports and publishes what it names.
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `zoo` command: an error the user caused is a message and exit code 2, not a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        sys.exit(cli.main(args=words, prog_name="zoo", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ZooError as error:
        if "--debug" in words:
            raise
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
