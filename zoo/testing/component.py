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

_NEEDS_NO_EXTRA = ("test_is_listed_without_importing_torch", "test_says_what_it_is_for")


class ComponentConformance:
    """Checks for any component. Subclass it as `Test...` and say which; the subclasses for single kinds check more.

    Attributes:
        kind: of the component, such as `task` or `source`.
        name: qualified, such as `acme/tiny`.
        params: parameters to build it with.
        strings: which of the entry's import strings are functions that a recipe's parameters or the zoo calls.

    Example:
        >>> class TestFilms(ComponentConformance):
        ...     kind = "source"
        ...     name = "acme/films"
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    params: ClassVar[Mapping[str, Any]] = {}
    strings: ClassVar[tuple[str, ...]] = ("builder",)

    @property
    def listed(self) -> Listed:
        """The entry, and where it comes from."""
        return catalog().resolve(self.kind, self.name)

    def build(self, **provided: Any) -> Any:
        """The component with `params`, and with what a run would provide."""
        return build(self.listed, self.params, provided)

    @pytest.fixture(autouse=True)
    def _skip_without_its_extra(self, request: pytest.FixtureRequest) -> None:
        """A component whose packages are missing must still be listed; all else about it is skipped aloud."""
        if request.function.__name__ in _NEEDS_NO_EXTRA:
            return
        try:
            self.listed.resolve_builder()
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
        assert name == self.listed.name
        assert not imported, (
            f"listing {self.name} imports {imported}: the module with the hooks must import zoo_registry only, "
            "what a builder needs belongs into the builder's module"
        )

    def test_says_what_it_is_for(self) -> None:
        summary = self.listed.entry.summary
        assert summary, f"{self.name} has no summary: one sentence for `zoo show` and the lists"
        assert "\n" not in summary, f"the summary of {self.name} must fit on a line"

    def test_its_signatures_can_be_read(self) -> None:
        for string in self.strings:
            parameters(self.listed, string)  # raises PluginError: names the builder, the parameter and what to change

    def test_its_signature_admits_the_parameters(self) -> None:
        problems = check_params(self.listed, self.params)
        assert not problems, "\n".join(map(str, problems))

    def test_its_signature_refuses_an_unknown_parameter(self) -> None:
        assert check_params(self.listed, {**self.params, "no_such_parameter": 1}), (
            f"{self.name} takes any parameter: a misspelt one would be ignored silently"
        )
