"""Runs the conformance kit on the components of an installed plugin, each by the checks of its kind."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from zoo import testing
from zoo.testing.component import ListedConformance, NeedsItsOwnTest
from zoo_registry.catalog import Listed
from zoo_registry.errors import PluginError, ZooError

CONFORMANCE: Mapping[str, type[ListedConformance]] = {
    checks.kind: checks
    for checks in (
        testing.ModelConformance,
        testing.AugmentationConformance,
        testing.LossConformance,
        testing.CompressionConformance,
        testing.TaskConformance,
        testing.SourceConformance,
        testing.RecipeConformance,
        testing.ExporterConformance,
        testing.FetcherConformance,
        testing.AdapterConformance,
        testing.ObserverConformance,
    )
}
"""The checks of each kind."""


@dataclass
class Checked:
    """What came of the checks of one component.

    Attributes:
        kind, name: of the component.
        passed: how many checks passed.
        failures: check and what it says, of those that failed.
        skipped: check and why, of those that do not apply.
        needs: what only a test of its own can give, such as an example of its inputs; what wants it was not checked.
    """

    kind: str
    name: str
    passed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


def checks_of(kind: str, name: str) -> type[ListedConformance]:
    """A test class with the checks of a component."""
    return type(f"Test_{kind}_{name.replace('/', '_')}", (CONFORMANCE[kind],), {"name": name})


def check_installed(components: Sequence[Listed], report: Callable[[Checked], None]) -> list[Checked]:
    """Check components of installed plugins.

    Args:
        components: entries of the catalogue.
        report: told about each component when its checks are done.

    Raises:
        PluginError: pytest could not run the checks at all.
    """
    collected = _Collected(report)
    lines = ["from zoo.testing.installed import checks_of"]
    lines += [f"Test{at} = checks_of({each.entry.kind!r}, {each.name!r})" for at, each in enumerate(components)]
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, _alone(), redirect_stdout(said), redirect_stderr(said):
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        path = Path(folder) / "test_installed.py"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = [
            "-q",
            "--capture=no",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            "--basetemp",
            str(Path(folder) / "made"),
        ]
        code = pytest.main([*options, str(path)], plugins=[collected])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt  # pytest takes Ctrl-C for itself
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise PluginError(f"pytest could not run the checks: {said.getvalue()[-1000:]}")
    return collected.checked


class _Collected:
    """A plugin of pytest that sorts what it reports by component."""

    def __init__(self, report: Callable[[Checked], None]) -> None:
        self.report = report
        self.stdout = sys.stdout  # what components and pytest print goes elsewhere
        self.checked: list[Checked] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> Generator[None, Any, Any]:
        """Starts a component with its first check, reports it after its last."""
        if not self.checked or (self.checked[-1].kind, self.checked[-1].name) != (item.cls.kind, item.cls.name):
            self.checked.append(Checked(item.cls.kind, item.cls.name))
        result = yield
        if nextitem is None or nextitem.cls is not item.cls:
            self.checked[-1].needs = list(dict.fromkeys(self.checked[-1].needs))
            with redirect_stdout(self.stdout):
                self.report(self.checked[-1])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, Any]:
        """Notes how a check went."""
        outcome = yield
        checked, error = self.checked[-1], call.excinfo.value if call.excinfo else None
        name = item.name.removeprefix("test_").replace("_", " ")
        if isinstance(error, NeedsItsOwnTest):
            checked.needs.append(str(error))
        elif outcome.skipped:
            checked.skipped.append((name, str(error)))
        elif outcome.failed:
            checked.failures.append((name, _told(error, call.excinfo)))
        elif outcome.when == "call":
            checked.passed += 1
        return outcome


def _told(error: BaseException | None, excinfo: Any) -> str:
    """What a failed check says; an error that nobody put into words comes with the place where it was raised."""
    text = str(error).strip()
    if isinstance(error, ZooError) or (isinstance(error, AssertionError) and text):
        return text
    last = excinfo.traceback[-1]
    return f"{type(error).__name__}: {text} ({last.path}:{last.lineno + 1})"


@contextmanager
def _alone() -> Iterator[None]:
    """Without options and plugins of whoever runs pytest: one that shuffles or reseeds changes what is checked."""
    settings = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
