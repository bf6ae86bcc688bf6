"""What holds for a component of any kind."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from zoo.build import build, check_params, parameters
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import MissingExtra

_LIST = """
import sys
from zoo_registry.catalog import catalog
print(catalog().resolve(sys.argv[1], sys.argv[2]).name)
print(*sorted({"torch", "torchvision", "timm"} & set(sys.modules)))
"""

_NEEDS_NO_EXTRA = (
    "test_is_listed_without_importing_torch",
    "test_says_what_it_is_for",
    "test_its_other_names_are_for_people",
)


class NeedsItsOwnTest(NotImplementedError):
    """A check wants to know what only the author of the component can say: an example of its inputs, its parameters."""


class ListedConformance:
    """Checks for anything that a plugin declares; what has a builder is a `ComponentConformance`.

    Attributes:
        kind: of the component, such as `task` or `source`.
        name: qualified, such as `acme/tiny`.
    """

    kind: ClassVar[str]
    name: ClassVar[str]

    @property
    def listed(self) -> Listed:
        """The entry, and where it comes from."""
        return catalog().resolve(self.kind, self.name)

    @pytest.fixture(autouse=True)
    def _skip_without_its_extra(self, request: pytest.FixtureRequest) -> None:
        """A component whose packages are missing must still be listed; all else about it is skipped aloud."""
        if request.function.__name__ in _NEEDS_NO_EXTRA:
            return
        try:
            self.listed.check_requirements()
        except MissingExtra as error:
            pytest.skip(str(error))

    def test_is_listed_without_importing_torch(self) -> None:
        command = [sys.executable, "-c", _LIST, self.kind, self.name]
        for _ in range(2):  # the first listing may make the index of a large family, which imports its library
            listing = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            assert listing.returncode == 0, f"{self.kind} {self.name} cannot be listed:\n{listing.stderr}"
            name, imported = listing.stdout.split("\n")[:2]
            if not imported:
                break
        assert name == self.listed.name, f"write the qualified name: {self.name} is {name}"
        assert not imported, (
            f"listing {self.name} imports {imported}: the module with the hooks must import zoo_registry only, "
            "what a builder needs belongs into the builder's module"
        )

    def test_says_what_it_is_for(self) -> None:
        summary = self.listed.entry.summary
        assert summary, f"{self.name} has no summary: one sentence for `zoo show` and the lists"
        assert "\n" not in summary, f"the summary of {self.name} must fit on a line"

    def test_its_other_names_are_for_people(self) -> None:
        entry = self.listed.entry
        assert entry.name not in entry.aliases, f"{self.name} is an alias of itself"
        assert entry.deprecated is None or entry.deprecated.strip(), (
            f"{self.name} is deprecated without a word: say why, and what to use instead"
        )


class ComponentConformance(ListedConformance):
    """Checks for any component that is built. Subclass it as `Test...`; the classes for single kinds check more.

    Attributes:
        params: parameters to build it with.
        strings: which of the entry's import strings are functions that a recipe's parameters or the zoo calls.

    Example:
        >>> class TestFilms(ComponentConformance):
        ...     kind = "source"
        ...     name = "acme/films"
    """

    params: ClassVar[Mapping[str, Any]] = {}
    strings: ClassVar[tuple[str, ...]] = ("builder",)

    def build(self, **provided: Any) -> Any:
        """The component with `params`, and with what a run would provide.

        Raises:
            NeedsItsOwnTest: it has parameters without a default, which `params` does not give.
        """
        self._say_params_are_missing()
        return build(self.listed, self.params, provided)

    def _say_params_are_missing(self) -> None:
        given = {*self.params, *self.listed.entry.fixed}
        missing = [each for each in parameters(self.listed) if each.required and not each.provided]
        names = [each.name for each in missing if each.name not in given]
        if names:
            raise NeedsItsOwnTest(f"{self.name} needs params: {', '.join(names)}")

    def test_its_builder_is_there(self) -> None:
        for string in self.strings:
            self.listed.resolve_builder(string)  # raises PluginError: names plugin, component and import string

    def test_its_signatures_can_be_read(self) -> None:
        for string in self.strings:
            parameters(self.listed, string)  # raises PluginError: names the builder, the parameter and what to change

    def test_its_signature_admits_the_parameters(self) -> None:
        self._say_params_are_missing()
        problems = check_params(self.listed, self.params)
        assert not problems, "\n".join(map(str, problems))

    def test_its_signature_refuses_an_unknown_parameter(self) -> None:
        assert check_params(self.listed, {**self.params, "no_such_parameter": 1}), (
            f"{self.name} takes any parameter: a misspelt one would be ignored silently"
        )
