"""The `zoo` command. Each command's module is imported only when that command runs."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zoo.cli.columns import printable
from zoo.cli.table import TableOfCommands
from zoo_registry.errors import ZooError

COMMANDS = {
    "run": ("zoo.cli.run", "Run a recipe: train, evaluate, compress, export, publish."),
    "predict": ("zoo.cli.predict", "Say what is in a film."),
    "explain-prediction": ("zoo.cli.explain_prediction", "Show which places and moments of a film an answer rests on."),
    "stream": ("zoo.cli.stream", "Say what happens in a film, before a camera or on a stream."),
    "serve": ("zoo.cli.serve", "Answer films that are posted to an address."),
    "evaluate": ("zoo.cli.evaluate", "Measure a model or a run on a split of data."),
    "verify": ("zoo.cli.verify", "Measure again what a model claims."),
    "export": ("zoo.cli.export", "Write a model in a file format of deployment."),
    "bench": ("zoo.cli.bench", "Measure models side by side: runtimes, numbers, files."),
    "compress": ("zoo.cli.compress", "Make a model smaller or faster, and say what it cost."),
    "models": ("zoo.cli.models", "List models by name."),
    "show": ("zoo.cli.show", "Show everything known about one component."),
    "convert": ("zoo.cli.convert", "Turn a checkpoint of another project into a model folder."),
    "search": ("zoo.cli.search", "Find models by words, here and on the Hub."),
    "pull": ("zoo.cli.pull", "Fetch models and verify them."),
    "push": ("zoo.cli.push", "Publish a run or a model."),
    "plugins": ("zoo.cli.plugins", "List plugins and what is wrong with them; check, disable and enable them."),
    "new": ("zoo.cli.new", "Write the first files of a plugin."),
    "recipes": ("zoo.cli.recipes", "List recipes by name."),
    "recipe": ("zoo.cli.recipes", "Copy a recipe, to change it."),
    "runs": ("zoo.cli.runs", "List runs, and compare them on a page."),
    "diff": ("zoo.cli.diff", "Say what differs between two recipes or runs."),
    "check": ("zoo.cli.recipe", "Check a recipe without running it."),
    "explain": ("zoo.cli.recipe", "Print a recipe in full, with where each value comes from."),
    "schema": ("zoo.cli.recipe", "Print the JSON Schema of recipes, for editors."),
    "data": ("zoo.cli.data", "Check a data set, cut films into spans, take pictures out of them."),
    "doctor": ("zoo.cli.doctor", "Say what this machine has, what is missing and how to get it."),
}
"""Every command: the module that holds it and what `zoo --help` says of it."""


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from zoo_registry import __version__

        click.echo(f"videozoo {__version__}")
        ctx.exit()


@click.group(
    cls=TableOfCommands,
    table=COMMANDS,
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


def _show_warning(otherwise: Callable[..., None], message: Warning | str, *place: Any) -> None:
    """What the zoo warns of is for the user, who did not write the line of code that it comes from."""
    from zoo_registry.catalog import ComponentDeprecated

    ours = isinstance(message, UserWarning) and len(place) > 1 and _is_ours(Path(str(place[1])))
    if ours or isinstance(message, ComponentDeprecated):
        if str(message) in _SAID:  # by another line of code
            return
        _SAID.add(str(message))
        click.echo(f"{click.style('warning:', fg='yellow')} {message}", err=True)
    else:
        otherwise(message, *place)


_PACKAGE = Path(__file__).resolve().parent.parent
_SAID: set[str] = set()


def _is_ours(path: Path) -> bool:
    """Whether a file is the library's or a plugin's."""
    from zoo_registry.catalog import catalog

    modules = (sys.modules.get(record.module.partition(".")[0]) for record in catalog().plugins)
    files = (getattr(module, "__file__", None) for module in modules)
    packages = {_PACKAGE, *(Path(file).resolve().parent for file in files if file)}
    return not packages.isdisjoint(path.resolve().parents)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `zoo` command: an error the user caused is a message and exit code 2, not a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
    try:
        sys.exit(cli.main(args=words, prog_name="zoo", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ZooError as error:
        if "--debug" in words:
            raise
        if not error.silent:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(str(error))}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        if os.environ.get("RANK", "0") == "0":  # of several processes one says it
            click.echo("interrupted", err=True)
        sys.exit(getattr(error.__cause__, "exit_code", 130))  # of SIGTERM; click raises its own error from ours
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
