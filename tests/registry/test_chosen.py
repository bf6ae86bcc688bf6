"""Users say which plugins of other people are loaded; ours always are."""

import pytest

from zoo_registry.chosen import config_folder, read_chosen, write_disabled
from zoo_registry.errors import PluginError, UnknownName

GOOD = """
    @hookimpl
    def zoo_losses():
        return [Loss("huber", builder="atlas.losses:huber")]
"""


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    folder = tmp_path / "config"
    monkeypatch.setenv("ZOO_CONFIG", str(folder))
    monkeypatch.delenv("ZOO_PLUGINS", raising=False)
    return folder


@pytest.fixture
def two(site):
    """Two strangers and one of ours."""
    site.plugin("atlas", GOOD)
    site.plugin("emca", GOOD)
    site.module("our_losses", GOOD)
    site.distribution("videozoo", losses="our_losses")
    return site


def statuses(site) -> dict[str, str]:
    return {plugin.namespace: plugin.status for plugin in site.catalog().plugins}


def test_without_a_word_all_are_loaded(two):
    assert statuses(two) == {"atlas": "loaded", "emca": "loaded", "losses": "loaded"}


@pytest.mark.parametrize("variable", ["emca", " emca ,", "emca,losses"])
def test_the_variable_names_all_that_are_loaded(two, monkeypatch, variable):
    monkeypatch.setenv("ZOO_PLUGINS", variable)
    assert statuses(two) == {"atlas": "disabled", "emca": "loaded", "losses": "loaded"}


def test_an_empty_variable_leaves_ours(two, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert statuses(two) == {"atlas": "disabled", "emca": "disabled", "losses": "loaded"}


def test_a_name_in_the_variable_that_nobody_has_is_a_problem(two, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "atlsa,emca")
    (problem,) = two.catalog().problems()
    assert str(problem) == "ZOO_PLUGINS: no plugin has the namespace 'atlsa'\n  did you mean atlas?"


def test_the_list_disables_strangers_only(two):
    write_disabled(["atlas", "losses"])
    assert statuses(two) == {"atlas": "disabled", "emca": "loaded", "losses": "loaded"}


def test_the_variable_goes_before_the_list(two, monkeypatch):
    write_disabled(["atlas"])
    monkeypatch.setenv("ZOO_PLUGINS", "atlas")
    assert statuses(two) == {"atlas": "loaded", "emca": "disabled", "losses": "loaded"}


def test_what_is_disabled_is_not_imported(site):
    site.plugin("atlas", "raise RuntimeError('was imported')")
    write_disabled(["atlas"])
    (record,) = site.catalog().plugins
    assert (record.status, record.problems, record.remedy) == ("disabled", (), "zoo plugins --enable atlas")


def test_what_is_disabled_claims_no_namespace(site):
    site.module("our_losses", GOOD)
    site.module("their_losses", "raise RuntimeError('was imported')")
    site.distribution("videozoo", losses="our_losses")
    site.distribution("zoo-thief", losses="their_losses")
    write_disabled(["losses"])
    assert [(each.distribution, each.status) for each in site.catalog().plugins] == [
        ("videozoo", "loaded"), ("zoo-thief", "disabled"),
    ]  # fmt: skip


def test_a_name_of_a_disabled_plugin_is_answered_with_how_to_enable_it(two):
    write_disabled(["atlas"])
    with pytest.raises(UnknownName) as caught:
        two.catalog().resolve("loss", "atlas/huber")
    assert str(caught.value) == (
        "loss 'atlas/huber': plugin atlas (zoo-atlas 1.0) is disabled\n  zoo plugins --enable atlas"
    )
    with pytest.raises(UnknownName, match=r"these plugins are disabled: atlas \(zoo plugins --enable atlas\)"):
        two.catalog().resolve("loss", "qqqq")


def test_a_name_that_the_variable_leaves_out_is_answered_with_the_variable(two, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "emca")
    with pytest.raises(UnknownName, match="ZOO_PLUGINS=emca leaves it out: ZOO_PLUGINS=emca,atlas takes it in"):
        two.catalog().resolve("loss", "atlas/huber")


def test_the_list_is_a_file_that_people_can_read_and_write(config):
    assert write_disabled(["emca", "atlas", "emca"]) == config / "disabled_plugins.txt"
    head, *names = (config / "disabled_plugins.txt").read_text().splitlines()
    assert head.startswith("#")
    assert names == ["atlas", "emca"]
    (config / "disabled_plugins.txt").write_text("# mine\natlas  # slow\n\n  emca\n")
    assert read_chosen().disabled == ("atlas", "emca")


def test_a_list_that_cannot_be_read_is_a_problem_and_disables_nothing(two, config):
    config.mkdir()
    (config / "disabled_plugins.txt").write_bytes(b"atlas\n\xff\xfe")
    assert statuses(two)["atlas"] == "loaded"
    (problem,) = two.catalog().problems()
    assert "the list of disabled plugins cannot be read" in str(problem)
    assert str(config / "disabled_plugins.txt") in str(problem)


def test_a_list_that_cannot_be_written_is_an_error(config):
    config.write_text("a file in the folder's place")
    with pytest.raises(PluginError, match=r"the list of disabled plugins cannot be written"):
        write_disabled(["atlas"])
    assert config.read_text() == "a file in the folder's place"


def test_the_folder_of_choices_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("ZOO_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "videozoo"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_folder() == tmp_path / ".config" / "videozoo"
