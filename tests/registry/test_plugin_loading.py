"""A bad plugin is a record with its problems: what is wrong, whose it is, what to do. It takes nothing else down."""

from importlib.metadata import EntryPoint

import pytest

from zoo_registry.plugin_record import PluginRecord, normalized
from zoo_registry.plugins import load_plugins

GOOD = """
    @hookimpl
    def zoo_losses():
        return [Loss("huber", builder="atlas.losses:huber")]
"""


def only_problem(record: PluginRecord) -> str:
    (problem,) = record.problems
    return str(problem)


def test_a_good_plugin_is_recorded_with_its_distribution_and_version(site):
    site.module("zoo_atlas", GOOD)
    site.distribution("zoo-atlas", "2.3", atlas="zoo_atlas")
    record = site.record("atlas")
    assert (record.status, record.module, record.distribution, record.version) == (
        "loaded",
        "zoo_atlas",
        "zoo-atlas",
        "2.3",
    )
    assert record.problems == ()
    assert record.seconds > 0


def test_installed_plugins_are_found_by_a_fresh_process(site):
    site.plugin("atlas", GOOD)
    printed = site.run("""
        from zoo_registry.plugins import load_plugins
        print([record.version for record in load_plugins().records if record.namespace == "atlas"])
    """)
    assert printed.strip() == "['1.0']"


def test_a_distribution_that_is_on_the_path_twice_counts_where_it_is_imported_from(site, tmp_path, monkeypatch):
    site.plugin("atlas", GOOD)
    shadowed = type(site)(tmp_path / "later")
    shadowed.distribution("Zoo_Atlas", "0.9", atlas="zoo_atlas")
    monkeypatch.setenv("PYTHONPATH", str(shadowed.folder))
    printed = site.run("""
        from zoo_registry.plugins import load_plugins
        print([(record.version, record.status) for record in load_plugins().records if record.namespace == "atlas"])
    """)
    assert printed.strip() == "[('1.0', 'loaded')]"


def test_what_a_plugin_prints_stays_out_of_the_output(site, capsys):
    site.plugin(
        "chatty",
        """
        print("hello from the module")
        @hookimpl
        def zoo_losses():
            print("hello from the hook")
            yield Loss("huber", builder="zoo_chatty:huber")
    """,
    )
    assert [listed.name for listed in site.catalog().list("loss")] == ["chatty/huber"]
    said = capsys.readouterr()
    assert said.out == ""
    assert "hello from the hook" in said.err


def test_an_import_error_names_plugin_module_and_line(site):
    site.plugin("atlas", "import a_package_nobody_has")
    site.plugin("fine", GOOD)
    record = site.record("atlas")
    assert record.status == "failed"
    text = only_problem(record)
    assert text.startswith("plugin atlas (zoo-atlas 1.0): importing zoo_atlas raised ModuleNotFoundError")
    assert "No module named 'a_package_nobody_has'" in text
    assert "zoo_atlas.py:2" in text
    assert "mend or upgrade it, zoo plugins --disable atlas, or pip uninstall zoo-atlas" in text
    assert site.record("fine").status == "loaded"


@pytest.mark.parametrize(
    "exits", ["raise SystemExit(3)", "import sys; sys.exit('bye')", "raise GeneratorExit", "1 / 0"]
)
def test_no_plugin_can_end_the_process_that_lists_it(site, exits):
    site.plugin("atlas", exits)
    assert site.record("atlas").status == "failed"


def test_ctrl_c_while_plugins_load_is_not_swallowed(site):
    site.plugin("atlas", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins(site.points())


def test_an_entry_point_must_name_a_module(site):
    site.module("zoo_atlas", "plugin = 3")
    site.distribution("zoo-atlas", atlas="zoo_atlas:plugin")
    text = only_problem(site.record("atlas"))
    assert "names 'zoo_atlas:plugin', which is not a module" in text
    assert 'write atlas = "zoo_atlas"' in text


def test_a_module_that_replaces_itself_is_refused(site):
    site.plugin("atlas", "import sys; sys.modules[__name__] = object()")
    assert "something else than a module" in only_problem(site.record("atlas"))


def test_a_misspelt_hook_is_named_with_the_nearest_and_the_others_work(site):
    site.plugin("atlas", GOOD + "    @hookimpl\n    def zoo_model():\n        return []\n")
    record = site.record("atlas")
    assert record.status == "loaded"
    assert "there is no hook 'zoo_model'" in only_problem(record)
    assert "did you mean zoo_models" in only_problem(record)
    assert [listed.name for listed in site.catalog().list("loss")] == ["atlas/huber"]


def test_a_hook_without_its_mark_is_named(site):
    site.plugin("atlas", GOOD.replace("@hookimpl", ""))
    assert "zoo_losses is not marked as a hook\n  put @hookimpl above it" in only_problem(site.record("atlas"))


def test_a_module_without_hooks_is_named(site):
    site.plugin("atlas", "x = 1")
    assert "zoo_atlas implements no hook" in only_problem(site.record("atlas"))


def test_a_hook_that_wants_arguments_is_named_with_them(site):
    site.plugin("atlas", "@hookimpl\ndef zoo_models(config, *, fast):\n    return []")
    record = site.record("atlas")
    assert record.status == "failed"
    assert "zoo_models wants arguments (config, fast), the hook has none" in only_problem(record)
    assert "def zoo_models():" in only_problem(record)


def test_a_hook_may_have_arguments_with_defaults(site):
    site.plugin("atlas", "@hookimpl\ndef zoo_losses(prefix='l'):\n    return [Loss(prefix + '1', 'a.b:c')]")
    assert [listed.name for listed in site.catalog().list("loss")] == ["atlas/l1"]


def test_a_plugin_cannot_wrap_the_hooks_of_others(site):
    site.plugin("atlas", "@hookimpl(wrapper=True)\ndef zoo_models():\n    yield")
    assert "is a wrapper" in only_problem(site.record("atlas"))


@pytest.mark.parametrize(
    ("group", "said", "remedy"),
    [
        ("zoo.plugins.v2", "speaks plugin API v2, this zoo speaks v1", "pip install --upgrade videozoo"),
        ("zoo.plugins.v0", "speaks plugin API v0, this zoo speaks v1", "pip install --upgrade zoo-atlas"),
        ("zoo.plugins.models", "in the group 'zoo.plugins.models'", "'zoo.plugins.v1'"),
    ],
)
def test_another_api_version_is_refused_without_importing_it(site, group, said, remedy):
    site.module("zoo_atlas", "raise RuntimeError('was imported')")
    site.distribution("zoo-atlas", group=group, atlas="zoo_atlas")
    record = site.record("atlas")
    assert record.status == "refused"
    assert said in only_problem(record)
    assert remedy in only_problem(record)


def test_a_plugin_that_also_speaks_this_version_is_loaded_once(site):
    site.plugin("atlas", GOOD)
    points = site.points()
    (point,) = points
    later = EntryPoint("atlas", "zoo_atlas_v2", "zoo.plugins.v2")._for(point.dist)
    assert [record.status for record in load_plugins([*points, later]).records] == ["loaded"]


def test_entry_points_of_other_projects_are_left_alone(site):
    site.distribution("pytest-thing", group="pytest11", thing="no_such_module")
    assert load_plugins(site.points()).records == ()


@pytest.mark.parametrize("namespace", ["Atlas", "atlas-video", "1atlas", "atlas.video"])
def test_a_namespace_that_breaks_the_grammar_is_refused(site, namespace):
    site.module("zoo_atlas", GOOD)
    site.distribution("zoo-atlas", **{namespace: "zoo_atlas"})
    record = site.record(namespace)
    assert record.status == "refused"
    assert f"{namespace!r} cannot be a namespace" in only_problem(record)
    assert "rename the entry point" in only_problem(record)


def test_our_namespaces_belong_to_us(site):
    site.module("our_losses", GOOD)
    site.module("their_losses", GOOD)
    site.distribution("VideoZoo", losses="our_losses")
    site.distribution("zoo-thief", losses="their_losses")
    ours, theirs = sorted(load_plugins(site.points()).records, key=lambda record: record.module)
    assert (ours.status, theirs.status) == ("loaded", "refused")
    assert "the namespace 'losses' belongs to videozoo" in only_problem(theirs)
    assert "pip uninstall zoo-thief" in only_problem(theirs)


def test_of_two_strangers_with_one_namespace_neither_is_chosen(site):
    for name in ("zoo-one", "zoo-two"):
        site.module(name.replace("-", "_"), GOOD)
        site.distribution(name, atlas=name.replace("-", "_"))
    records = load_plugins(site.points()).records
    assert [record.status for record in records] == ["refused", "refused"]
    for record in records:
        assert "claimed by zoo-one and zoo-two; neither is loaded" in only_problem(record)
        assert "pip uninstall zoo-one or pip uninstall zoo-two" in only_problem(record)


def test_two_strangers_that_even_share_the_modules_name_are_told_apart(site):
    site.module("zoo_atlas", GOOD)
    site.distribution("zoo-one", atlas="zoo_atlas")
    site.distribution("zoo-two", atlas="zoo_atlas")
    assert [record.status for record in load_plugins(site.points()).records] == ["refused", "refused"]


def test_one_module_under_two_namespaces_is_taken_once(site):
    site.module("zoo_atlas", GOOD)
    site.distribution("zoo-atlas", atlas="zoo_atlas", extra="zoo_atlas")
    assert site.record("atlas").status == "loaded"
    assert "zoo_atlas is the plugin 'atlas' already" in only_problem(site.record("extra"))


def test_torch_imported_at_discovery_is_reported_and_the_plugin_stays_usable(site):
    site.module("torch", "")  # what counts is that the name is imported; the real one takes seconds
    site.plugin("atlas", "import torch\n" + GOOD.replace("    ", "", 1).replace("\n    ", "\n"))
    printed = site.run("""
        from zoo_registry.catalog import catalog
        (record,) = [plugin for plugin in catalog().plugins if plugin.namespace == "atlas"]
        print(record.status, *record.problems)
        print([listed.name for listed in catalog().list("loss", "atlas/*")])
    """)
    assert "loaded plugin atlas (zoo-atlas 1.0): importing zoo_atlas imports torch" in printed
    assert "import string" in printed
    assert "['atlas/huber']" in printed


def test_torch_imported_by_a_hook_is_reported(site):
    site.module("torch", "")
    site.plugin("atlas", "@hookimpl\ndef zoo_losses():\n    import torch\n    return [Loss('huber', 'a.b:c')]")
    printed = site.run("""
        from zoo_registry.catalog import catalog
        print(len(catalog().list("loss", "atlas/*")), *catalog().problems())
    """)
    assert printed.startswith("1 ")
    assert "plugin atlas (zoo-atlas 1.0): zoo_losses imports torch" in printed


@pytest.fixture
def clock(site, monkeypatch):
    """A clock that stands still but for what plugins put on."""
    site.module("clock", "now = 0.0")
    import clock

    monkeypatch.setattr("time.perf_counter", lambda: clock.now)


def test_a_module_that_takes_long_is_told_so(site, clock):
    site.plugin("atlas", "import clock\nclock.now += 2.5\n" + GOOD.replace("\n    ", "\n"))
    record = site.record("atlas")
    assert (record.status, record.seconds) == ("loaded", 2.5)
    assert only_problem(record).startswith(
        "plugin atlas (zoo-atlas 1.0): importing zoo_atlas takes 2.5 s\n  every command waits for it"
    )


def test_a_hook_that_takes_long_is_told_so(site, clock):
    site.plugin("atlas", "import clock\n@hookimpl\ndef zoo_losses():\n    clock.now += 1.25\n    return []")
    assert site.record("atlas").problems == ()
    assert "plugin atlas (zoo-atlas 1.0): zoo_losses takes 1.2 s" in str(site.catalog().problems()[0])


def test_an_exception_that_cannot_be_printed_is_named(site):
    site.plugin("atlas", "class Mute(Exception):\n    def __str__(self):\n        return 1 / 0\nraise Mute")
    assert "importing zoo_atlas raised Mute (" in only_problem(site.record("atlas"))


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("entry_points.txt", "[zoo.plugins.v1]\ngarbage\n", "TypeError"),
        ("entry_points.txt", "[zoo.plugins.v1]\natlas = \udcff\n", "UnicodeDecodeError"),
        ("METADATA", "", "ValueError: it has no name or version"),
    ],
)
def test_a_distribution_with_broken_metadata_is_refused_and_the_others_load(site, file, text, why):
    site.plugin("fine", GOOD)
    site.plugin("atlas", GOOD)
    (site.folder / "zoo_atlas-1.0.dist-info" / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    printed = site.run("""
        from zoo_registry.plugins import load_plugins
        records = {record.namespace: record for record in load_plugins().records}
        print(records["fine"].status, records["zoo_atlas-1.0"].status, *records["zoo_atlas-1.0"].problems)
    """)
    assert printed.startswith("loaded refused plugin zoo_atlas-1.0 (zoo_atlas-1.0): its metadata cannot be read: ")
    assert why in printed
    assert "install it again, or remove" in printed


def test_names_of_distributions_compare_as_pip_compares_them():
    # the example of PEP 503
    forms = [
        "friendly-bard",
        "Friendly-Bard",
        "FRIENDLY-BARD",
        "friendly.bard",
        "friendly_bard",
        "friendly--bard",
        "FrIeNdLy-._.-bArD",
    ]
    assert {normalized(form) for form in forms} == {"friendly-bard"}
