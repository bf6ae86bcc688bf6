"""`zoo plugins`, `zoo plugins check` and `zoo new plugin`, as their users meet them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.conftest import Site
from tests.test_main_job import zoo
from zoo.scaffold import check_name, write_plugin
from zoo.scaffold.plugin import LONGEST, _write, plugin_texts
from zoo_registry.errors import NameProblem, PluginError
from zoo_registry.hookspecs import HOOKS

LOSSES = """
    @hookimpl
    def zoo_losses():
        return [
            Loss("huber", "atlas_losses:huber", "Squared near zero, linear far away."),
            Loss("old", "atlas_losses:huber", "The same.", deprecated="use atlas/huber", aliases=("older",)),
        ]
"""


class Zoo:
    """Runs `zoo` where other distributions are installed too, with choices of its own.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder, Site(folder / "site")
        self.site.folder.mkdir()

    def __call__(self, *words: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.site.folder), os.environ.get("PYTHONPATH", "")])
        config = {"ZOO_CONFIG": str(self.folder / "config"), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        return zoo(*words, cwd=self.folder, code=code, **config, **environment)

    def row(self, namespace: str, **environment: str) -> list[str]:
        """What the list says of a plugin."""
        lines = [line.split("\t") for line in self("plugins", **environment).stdout.splitlines()]
        return next(line for line in lines if line[0] == namespace)


@pytest.fixture
def plugins(tmp_path: Path) -> Zoo:
    """`zoo` with the plugin atlas."""
    made = Zoo(tmp_path)
    made.site.module("atlas_losses", "def huber(*, delta: float = 1.0):\n    return None")
    made.site.plugin("atlas", LOSSES)
    return made


# ------------------------------------------------------------------------------------------------ the list


def test_a_plugin_is_listed_with_version_distribution_components_and_time(plugins) -> None:
    namespace, distribution, version, status, brings, milliseconds = plugins.row("atlas")
    assert (namespace, distribution, version, status, brings) == ("atlas", "zoo-atlas", "1.0", "loaded", "1 loss")
    assert 0 <= int(milliseconds) < 10_000


def test_a_disabled_plugin_is_listed_as_that_until_it_is_enabled(plugins) -> None:
    said = plugins("plugins", "--disable", "atlas").stdout
    assert "atlas is disabled in" in said
    assert "zoo plugins --enable atlas undoes it" in said
    assert plugins.row("atlas") == ["atlas", "zoo-atlas", "1.0", "disabled", "", ""]
    assert "atlas is disabled: zoo plugins --enable atlas" in plugins("plugins").stderr
    assert "zoo plugins --enable atlas" in plugins("show", "atlas/huber", code=2).stderr
    assert plugins("plugins", "--enable", "atlas").stdout == "atlas is enabled\n"
    assert plugins.row("atlas")[3] == "loaded"


def test_the_environment_names_what_is_loaded(plugins) -> None:
    assert plugins.row("atlas", ZOO_PLUGINS="acme")[3] == "disabled"
    assert plugins.row("acme", ZOO_PLUGINS="acme")[3] == "loaded"
    said = plugins("plugins", "--disable", "atlas", ZOO_PLUGINS="atlas").stderr
    assert "ZOO_PLUGINS=atlas goes before the list" in said


def test_names_that_cannot_be_disabled_are_told_all_at_once_and_nothing_changes(plugins) -> None:
    words = ["--disable", "atlas", "--disable", "losses", "--disable", "zoo-atlas", "--disable", "atlsa"]
    said = plugins("plugins", *words, code=2).stderr
    assert "losses belongs to videozoo, which is always loaded" in said
    assert "no plugin has the namespace 'zoo-atlas'\n  did you mean atlas?" in said
    assert "no plugin has the namespace 'atlsa'\n  did you mean atlas?" in said
    assert plugins.row("atlas")[3] == "loaded"


def test_a_plugin_that_is_gone_can_be_taken_off_the_list(plugins, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/disabled_plugins.txt").write_text("gone\natlas\n")
    plugins("plugins", "--enable", "gone")
    assert (tmp_path / "config/disabled_plugins.txt").read_text().splitlines()[1:] == ["atlas"]


def test_options_of_the_list_do_not_go_with_a_command(plugins) -> None:
    assert "options belong behind check" in plugins("plugins", "-v", "check", "atlas", code=2).stderr
    assert "no command 'chekc'; did you mean 'check'?" in plugins("plugins", "chekc", code=2).stderr


def test_a_deprecated_component_is_found_hidden_and_warned_of_once(plugins) -> None:
    names = plugins("plugins", "--verbose").stdout
    assert "atlas/huber" in names
    assert "atlas/old" not in names
    recipe = "zoo: 1\ntask: classification\nmodel: basic/cnn3d\ndata: {val: motions}\nloss: atlas/older\n"
    (plugins.folder / "r.yaml").write_text(recipe)
    said = plugins("check", "r.yaml")
    assert said.stdout == "r.yaml: fine\n"
    assert said.stderr.count("warning: loss atlas/old is deprecated: use atlas/huber\n") == 1
    assert "ComponentDeprecated" not in said.stderr
    assert "name: atlas/old" in plugins("explain", "r.yaml").stdout  # not the alias


# ------------------------------------------------------------------------------------------------ check


def test_check_says_what_fails_what_passes_and_what_needs_a_test_of_its_own(plugins) -> None:
    plugins.site.module("zoo_emca", """
        @hookimpl
        def zoo_augmentations():
            return [Augmentation("darker", "emca_parts:darker", "Darker clips."),
                    Augmentation("same", "emca_parts:same", "The same clips.")]
        @hookimpl
        def zoo_losses():
            return [Loss("mean", "emca_parts:mean", "The mean.")]
    """)  # fmt: skip
    plugins.site.distribution("zoo-emca", emca="zoo_emca")
    plugins.site.module("emca_parts", """
        def darker(*, by: int = 2):
            def change(batch, generator):
                batch.inputs["clip_bcthw"].div_(by, rounding_mode="floor")
                return batch
            return change
        def same():
            return lambda batch, generator: batch
        def mean():
            return lambda prediction, target: prediction.mean()
    """)  # fmt: skip
    said = plugins("plugins", "check", "emca", code=1).stdout
    assert re.search(r"^emca/darker +augmentation +FAILED \d+, ", said, re.MULTILINE)
    assert "    leaves the batch it was given alone: emca/darker writes to the clips it was given\n" in said
    assert re.search(r"^emca/same +augmentation +\d+ passed$", said, re.MULTILINE)
    assert re.search(r"^emca/mean +loss +needs a test of its own, \d+ passed$", said, re.MULTILINE)
    assert "    emca/mean needs example() -> (prediction, target)\n" in said
    assert said.endswith("emca (zoo-emca 1.0): 3 components, 1 failed, 1 to be tested by their author\n")


def test_check_of_a_plugin_with_a_problem_fails(plugins) -> None:
    plugins.site.plugin("emca", "@hookimpl\ndef zoo_model():\n    return []")
    said = plugins("plugins", "check", "emca", code=1).stderr
    assert "there is no hook 'zoo_model'\n  did you mean zoo_models" in said
    assert "plugin emca (zoo-emca 1.0) brings nothing" in said


def test_check_of_a_plugin_that_is_not_loaded_says_why(plugins) -> None:
    plugins.site.plugin("broken", "import a_package_nobody_has")
    said = plugins("plugins", "check", "broken", code=1).stderr
    assert "No module named 'a_package_nobody_has'" in said
    assert "plugin broken (zoo-broken 1.0) is failed" in said
    plugins("plugins", "--disable", "atlas")
    said = plugins("plugins", "check", "atlas", code=1).stderr
    assert "plugin atlas (zoo-atlas 1.0) is disabled: zoo plugins --enable atlas" in said


def test_check_of_what_is_not_there_names_the_nearest(plugins) -> None:
    assert "did you mean atlas?" in plugins("plugins", "check", "atlsa", code=2).stderr
    assert "did you mean atlas/huber" in plugins("plugins", "check", "atlas/hubre", code=2).stderr


def test_check_without_pytest_says_how_to_get_it() -> None:
    program = "import sys; sys.modules['pytest'] = None; from zoo.cli import main; main(['plugins', 'check', 'acme'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert 'checks need pytest, which is not installed\n  pip install "videozoo[testing]"' in done.stderr


# ------------------------------------------------------------------------------------------------ new


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("my-plugin", NameProblem, "'my-plugin' cannot be a namespace.*\n  write my_plugin"),
        ("Mine", NameProblem, "'Mine' cannot be a namespace.*\n  write mine"),
        ("1st", NameProblem, "'1st' cannot be a namespace"),
        ("../up", NameProblem, "'../up' cannot be a namespace"),
        ("x" * (LONGEST + 1), NameProblem, "is too long for a namespace"),
        ("losses", PluginError, "the namespace 'losses' is taken by videozoo 0"),
        ("acme", PluginError, "the namespace 'acme' is taken by zoo-acme 0.1.0"),
        ("registry", PluginError, "there is a package called zoo_registry already"),
        ("h_f", PluginError, "hf: is a scheme of URIs that is taken"),
    ],
)
def test_a_name_that_a_plugin_may_not_have_is_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_name(name)


def test_a_folder_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not empty" in zoo("new", "plugin", "mine", "--to", tmp_path, cwd=tmp_path, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(PluginError, match="is a file"):
        write_plugin("mine", tmp_path / "notes.txt")
    with pytest.raises(PluginError, match="the plugin cannot be written to"):
        write_plugin("mine", tmp_path / "notes.txt" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_is_there_and_empty_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    number = tmp_path.stat().st_ino
    written = write_plugin("mine", tmp_path)
    assert tmp_path.stat().st_ino == number, "a shell stands in it"
    assert {path.name for path in tmp_path.iterdir()} >= {".git", "pyproject.toml", "zoo_mine"}
    assert all(path.is_file() for path in written)


def test_nothing_half_written_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"exists|directory"):
        _write(tmp_path / "mine", {"first": "a file", "first/second": "a file below a file"})
    assert list(tmp_path.iterdir()) == []


def test_a_new_plugin_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    said = zoo("new", "plugin", "my_films", cwd=tmp_path).stdout
    assert "cd zoo-my-films\npip install --editable '.[test]'\npytest\nzoo plugins check my_films\n" in said
    written = {path.relative_to(tmp_path / "zoo-my-films").as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {
        "pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/test.yml", "zoo_my_films/plugin.py",
        "zoo_my_films/__init__.py", "zoo_my_films/recipes/stripes.yaml", "tests/test_conformance.py",
    } <= written  # fmt: skip
    (tmp_path / "empty").mkdir()
    write_plugin("my_films", tmp_path / "empty")
    assert {path.relative_to(tmp_path / "empty").as_posix() for path in (tmp_path / "empty").rglob("*")} >= written


@pytest.mark.parametrize("name", ["a", "x" * LONGEST, "zebra_2"])
def test_what_is_written_is_formatted_whatever_the_name(name: str, tmp_path: Path) -> None:
    write_plugin(name, tmp_path / "new")
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "."],
            cwd=tmp_path / "new",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_a_new_plugin_has_a_component_and_a_test_of_every_kind() -> None:
    texts = plugin_texts("mine")
    declared, tested = texts["zoo_mine/plugin.py"], texts["tests/test_conformance.py"]
    assert [hook for hook in HOOKS.values() if f"def {hook}()" not in declared] == []
    assert [kind for kind in HOOKS if f"({kind.capitalize()}Conformance):" not in tested] == []
    assert [name for name, text in texts.items() if re.search(r"@(namespace|package|distribution|scheme)@", text)] == []


def test_a_new_plugin_passes_its_own_tests_and_the_check(tmp_path: Path) -> None:
    write_plugin("fresh", tmp_path / "new")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "installed", tmp_path / "new"], check=True, timeout=120)
    alone = {"PYTHONPATH": str(tmp_path / "installed"), "ZOO_PLUGINS": "fresh", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **alone, "PYTEST_ADDOPTS": ""}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(tests, cwd=tmp_path / "new", env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert " skipped" in done.stdout  # the checks of a StagedNetwork
    said = zoo("plugins", "check", "fresh", cwd=tmp_path, **alone).stdout
    assert f"{len(HOOKS)} components, 0 failed" in said
