"""What holds for every adapter to models that another library published."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from zoo.build import check_params
from zoo.testing.component import ComponentConformance, NeedsItsOwnTest
from zoo_registry.catalog import catalog
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Recognise, Recognised

EMPTY: Mapping[str, Mapping[str, Any]] = {"config.json": {}, "preprocessor_config.json": {}, "README.md": {}}
"""What describes a repository that says nothing about itself."""


class AdapterConformance(ComponentConformance):
    """Checks for an adapter. Subclass it as `Test...` and show it a repository of its library.

    Example:
        >>> class TestPublished(AdapterConformance):
        ...     name = "acme/published"
        ...     def config(self):
        ...         return {"network": "FrameDifference", "channels": 8}
    """

    kind = "adapter"
    strange: ClassVar[tuple[Any, ...]] = (None, -1, "../../etc/passwd", ["x"], {"x": {"x": []}})
    """What strangers may have written in place of any value."""

    def config(self) -> Mapping[str, Any]:
        """`config.json` of a repository that it recognises."""
        raise NeedsItsOwnTest(f"{self.name} needs config(): what a config.json holds that it recognises")

    def described(self) -> dict[str, Mapping[str, Any]]:
        """Everything that describes that repository; override it where `config.json` is not all."""
        return {**EMPTY, "config.json": self.config()}

    def recognise(self) -> Recognise:
        """The adapter."""
        built: Recognise = self.build()
        return built

    def test_leaves_others_alone(self) -> None:
        recognise = self.recognise()
        for config in ({}, {"somebody": "else", "layers": [1, 2]}):
            found = recognise({**EMPTY, "config.json": config})
            assert found is None, f"{self.name} takes a repository whose config.json is {config} for {found}"

    def test_finds_a_model_of_the_catalogue(self) -> None:
        found = self.recognise()(self.described())
        assert isinstance(found, Recognised), f"{self.name} makes {found!r} of its own example, not a Recognised"
        listed = catalog().resolve("model", found.model)  # raises UnknownName: no such model, and what is near
        assert found.model == listed.name, f"write the qualified name: {found.model} is {listed.name}"
        problems = check_params(listed, found.params)
        assert not problems, "\n".join(map(str, problems))
        assert found.convert is None or callable(found.convert), f"convert is {found.convert!r}, no function"
        named = len(found.labels)
        assert named in (0, found.num_classes), f"{named} labels are named, the head has {found.num_classes} outputs"

    def test_changes_nothing_of_what_it_is_shown(self) -> None:
        given = copy.deepcopy(self.described())
        self.recognise()(given)
        assert given == self.described(), f"{self.name} changes the description that it is shown"

    def test_meets_strange_values_in_words(self) -> None:
        """Descriptions come from strangers: what does not fit is not this library's, or a ParameterError."""
        recognise, described = self.recognise(), self.described()
        for key in described["config.json"]:
            for value in self.strange:
                config = {**described["config.json"], key: value}
                try:
                    recognise({**described, "config.json": config})
                except ParameterError:
                    continue
                except Exception as error:
                    words = f"{type(error).__name__}: {error}"
                    message = f"{self.name} meets {key!r}: {value!r} with {words}: raise ParameterError"
                    raise AssertionError(message) from error
