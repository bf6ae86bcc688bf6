"""`zoo check`, `zoo explain` and `zoo schema`."""

from __future__ import annotations

import click

overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a value: run.epochs=3, augment.0.params.p=0.2.",
)


@click.command(epilog="Example:  zoo check my.yaml")
@click.argument("recipe")
@overrides
def check(recipe: str, overrides: tuple[str, ...]) -> None:
    """Check a recipe without running it.

    RECIPE is a name, a path or hf://org/repo. All problems are reported at once, each with file, line and column.
    """
    from zoo.recipe import check_recipe, load_recipe
    from zoo_registry.errors import RecipeError

    loaded = load_recipe(recipe, overrides)
    problems = check_recipe(loaded)
    if problems:
        raise RecipeError(problems)
    click.echo(f"{recipe}: fine")


@click.command(epilog="Example:  zoo explain quickstart --set run.epochs=1")
@click.argument("recipe")
@overrides
def explain(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a recipe in full, with where each value comes from."""
    from zoo.recipe import explain as explained
    from zoo.recipe import load_recipe

    click.echo(explained(load_recipe(recipe, overrides)))


@click.command(epilog="Example:  zoo schema > recipe.schema.json")
def schema() -> None:
    """Print the JSON Schema of recipes, for editors.

    A recipe whose first line is '# yaml-language-server: $schema=recipe.schema.json' is completed and checked while it
    is written, in editors that speak YAML.
    """
    import json

    from zoo.recipe import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
