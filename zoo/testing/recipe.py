"""What holds for every recipe that a plugin brings."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from zoo.recipe import check_recipe, load_recipe
from zoo.testing.component import ListedConformance


class RecipeConformance(ListedConformance):
    """Checks for a recipe. Subclass it as `Test...`.

    Example:
        >>> class TestQuickstart(RecipeConformance):
        ...     name = "acme/quickstart"
    """

    kind = "recipe"

    def test_can_be_loaded_by_name(self) -> None:
        load_recipe(self.name)  # raises RecipeError: everything that is wrong, each with file, line and column

    def test_names_components_and_parameters_that_are_there(self) -> None:
        problems = check_recipe(load_recipe(self.name))
        assert not problems, "\n".join(map(str, problems))

    def test_publishes_nothing_by_itself(self) -> None:
        publish = load_recipe(self.name).schema.publish
        assert publish is None, f"{self.name} publishes to {publish}: that is for those who run it to say"
