"""A name finds its entry by one rule; a miss says what is near, who has it and what to do."""

import warnings

import pytest

from zoo_registry.catalog import Catalog, ComponentDeprecated, catalog
from zoo_registry.errors import AmbiguousName, Location, MissingExtra, NameProblem, PluginError, UnknownName
from zoo_registry.hookspecs import HOOKS
from zoo_registry.names import Name
from zoo_registry.plugins import load_plugins


@pytest.fixture
def shelves(site):
    """Ours: video/x3d_s and losses/mse. Strangers': atlas/tiny, atlas/shared, emca/shared, emca/x3d_s."""
    site.module(
        "our_video",
        """
        @hookimpl
        def zoo_models():
            k400 = Weights(tag="k400", source="hf://zoo/x3d_s", labels=400)
            return [Model("x3d_s", "our.x3d:x3d", aliases=("x3d_small",), weights=(k400, Weights(tag="ssv2", source="hf://zoo/s")))]

        @hookimpl
        def zoo_losses():
            return [Loss("mse", "our.losses:mse")]
    """,
    )
    site.distribution("videozoo", "0.1.0", video="our_video")
    site.plugin(
        "atlas",
        """
        @hookimpl
        def zoo_models():
            return [Model("tiny", "atlas.nets:tiny"), Model("shared", "atlas.nets:shared"),
                    Model("old", "atlas.nets:tiny", deprecated="use atlas/tiny", aliases=("older",))]
    """,
    )
    site.plugin("emca", """
        @hookimpl
        def zoo_models():
            return [Model("shared", "emca.nets:shared"), Model("x3d_s", "emca.nets:x3d")]
    """)  # fmt: skip
    return site


def miss(catalog: Catalog, reference: str, kind: str = "model", error: type[Exception] = UnknownName) -> str:
    with pytest.raises(error) as caught:
        catalog.resolve(kind, reference)
    return str(caught.value)


def test_a_qualified_name_is_found_in_its_namespace(shelves):
    listed = shelves.catalog().resolve("model", "emca/x3d_s")
    assert (listed.name, listed.entry.builder, listed.plugin.distribution) == (
        "emca/x3d_s",
        "emca.nets:x3d",
        "zoo-emca",
    )


def test_a_bare_name_means_ours_first(shelves):
    assert shelves.catalog().resolve("model", "x3d_s").name == "video/x3d_s"


def test_a_bare_name_means_the_one_plugin_that_has_it(shelves):
    assert shelves.catalog().resolve("model", "tiny").name == "atlas/tiny"


def test_a_bare_name_that_several_strangers_have_must_be_qualified(shelves):
    text = miss(shelves.catalog(), "shared", error=AmbiguousName)
    assert text == "several plugins have a model 'shared'\n  write atlas/shared or emca/shared"


def test_an_alias_finds_its_entry(shelves):
    assert shelves.catalog().resolve("model", "x3d_small").name == "video/x3d_s"
    assert shelves.catalog().resolve("model", "video/x3d_small").name == "video/x3d_s"


def test_a_parsed_name_is_as_good_as_text(shelves):
    assert shelves.catalog().resolve("model", Name("tiny", "atlas")).name == "atlas/tiny"


def test_a_tag_finds_the_weights(shelves):
    listed = shelves.catalog().resolve("model", "x3d_s.k400")
    assert listed.name == "video/x3d_s"
    assert listed.weights("k400").source == "hf://zoo/x3d_s"


def test_a_misspelt_tag_is_answered_with_the_nearest(shelves):
    assert miss(shelves.catalog(), "x3d_s.k40") == "video/x3d_s has no weights 'k40'\n  there is k400"


def test_a_tag_unlike_any_is_answered_with_all(shelves):
    assert miss(shelves.catalog(), "video/x3d_s.imagenet").endswith("there is k400, ssv2")


def test_a_model_without_weights_says_so(shelves):
    assert "atlas/tiny has no published weights" in miss(shelves.catalog(), "tiny.k400")


def test_only_models_have_tags(shelves):
    assert "'mse.k400' has a tag, only models have\n  write mse" in miss(
        shelves.catalog(), "mse.k400", "loss", NameProblem
    )


def test_a_misspelt_name_is_answered_with_the_nearest_and_who_provides_it(shelves):
    assert miss(shelves.catalog(), "tny") == "no model is called 'tny'\n  did you mean atlas/tiny (from zoo-atlas)?"
    assert "video/x3d_s (from videozoo)" in miss(shelves.catalog(), "x3ds")
    assert "emca/x3d_s (from zoo-emca)" in miss(shelves.catalog(), "x3ds")


def test_a_misspelt_name_in_a_namespace_is_looked_for_there_first(shelves):
    assert (
        miss(shelves.catalog(), "emca/x3d")
        == "the plugin emca has no model 'x3d'\n  did you mean emca/x3d_s (from zoo-emca)?"
    )


def test_a_name_that_another_namespace_has_is_found_there(shelves):
    assert (
        miss(shelves.catalog(), "video/tiny")
        == "the plugin video has no model 'tiny'\n  did you mean atlas/tiny (from zoo-atlas)?"
    )


def test_a_name_of_another_kind_is_said_to_be_that(shelves):
    assert miss(shelves.catalog(), "mse").startswith("no model is called 'mse'\n  'mse' is a loss")
    assert "'video/x3d_s' is a model" in miss(shelves.catalog(), "video/x3d_s", "exporter")


def test_a_misspelt_namespace_is_answered_with_what_was_meant(shelves):
    text = miss(shelves.catalog(), "atlos/tiny")
    assert (
        text == "model 'atlos/tiny': no plugin has the namespace 'atlos'\n  did you mean atlas/tiny (from zoo-atlas)?"
    )
    assert "did you mean the namespace atlas?" in miss(shelves.catalog(), "atlos/qqqq")


def test_a_name_of_a_plugin_that_failed_is_answered_with_its_problem(shelves):
    shelves.plugin("broken", "import a_package_nobody_has")
    text = miss(shelves.catalog(), "broken/net")
    assert text.startswith("model 'broken/net': plugin broken (zoo-broken 1.0) could not be loaded")
    assert "No module named 'a_package_nobody_has'" in text
    assert "these plugins could not be loaded, see zoo plugins: broken" in miss(shelves.catalog(), "nett")


def test_a_name_of_a_plugin_of_another_api_version_is_answered_with_the_upgrade(shelves):
    shelves.distribution("zoo-future", group="zoo.plugins.v2", future="zoo_future")
    text = miss(shelves.catalog(), "future/net")
    assert "plugin future (zoo-future 1.0) was refused" in text
    assert "it speaks plugin API v2, this zoo speaks v1; pip install --upgrade videozoo" in text


def test_a_miss_says_where_the_name_was_written(shelves):
    with pytest.raises(UnknownName) as caught:
        shelves.catalog().resolve("model", "tny", where=Location("recipe.yaml", 3, 8))
    assert str(caught.value).startswith("recipe.yaml:3:8: no model is called 'tny'")
    with pytest.raises(NameProblem, match=r"recipe.yaml:3:8: 'No Name' is not a name"):
        shelves.catalog().resolve("model", "No Name", where=Location("recipe.yaml", 3, 8))


def test_an_unknown_kind_is_answered_with_the_nearest(shelves):
    assert miss(shelves.catalog(), "x", kind="modle") == "'modle' is no kind of component\n  one of model"


def test_a_deprecated_entry_warns_with_what_to_use_instead(shelves):
    for name in ("atlas/old", "older"):
        with pytest.warns(ComponentDeprecated, match="model atlas/old is deprecated: use atlas/tiny"):
            shelves.catalog().resolve("model", name)


def test_a_sound_entry_does_not_warn(shelves):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shelves.catalog().resolve("model", "tiny")


def test_lists_are_sorted_and_leave_out_what_is_deprecated(shelves):
    names = [listed.name for listed in shelves.catalog().list("model")]
    assert names == ["atlas/shared", "atlas/tiny", "emca/shared", "emca/x3d_s", "video/x3d_s"]
    assert "atlas/old" in [listed.name for listed in shelves.catalog().list("model", deprecated=True)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("x3d*", ["emca/x3d_s", "video/x3d_s"]),
        ("emca/*", ["emca/shared", "emca/x3d_s"]),
        ("t?ny", ["atlas/tiny"]),
        ("tiny.k400", []),
    ],
)
def test_a_pattern_is_a_glob_on_the_bare_or_the_qualified_name(shelves, pattern, expected):
    assert [listed.name for listed in shelves.catalog().list("model", pattern)] == expected


def test_listed_entries_name_the_very_records_of_the_catalogue(shelves):
    index = shelves.catalog()
    assert all(any(listed.plugin is plugin for plugin in index.plugins) for listed in index.list("model"))


FETCHER = "@hookimpl\ndef zoo_fetchers():\n    return [Fetcher('hf', 'a.b:fetch')]"


def test_two_strangers_with_one_scheme_are_an_error(site):
    site.plugin("atlas", FETCHER)
    site.plugin("emca", FETCHER)
    index = site.catalog()
    text = miss(index, "hf", "fetcher", AmbiguousName)
    said, remedy = text.split("\n  ")
    assert said == "hf: is fetched by several plugins: atlas (zoo-atlas) and emca (zoo-emca)"
    assert remedy == "keep one: zoo plugins --disable atlas or zoo plugins --disable emca"
    assert text in [str(problem) for problem in index.problems()]


def test_nobody_takes_our_schemes_away(site):
    site.module("our_hub", FETCHER)
    site.distribution("videozoo", hub="our_hub")
    site.plugin("atlas", FETCHER)
    index = site.catalog()
    assert index.resolve("fetcher", "hf").name == "hub/hf"
    (problem,) = index.problems()
    assert str(problem) == (
        "hf: belongs to videozoo; the fetcher of atlas (zoo-atlas) is not used\n"
        "  rename it, or zoo plugins --disable atlas"
    )


def test_a_component_whose_packages_are_missing_names_the_pip_line(site):
    site.plugin("atlas", """
        @hookimpl
        def zoo_compressions():
            return [Compression("int4", "atlas.int4:apply", restore="atlas.int4:restore",
                                requires=("json", "nobody_has.this"), extra="videozoo[quantization]"),
                    Compression("int2", "atlas.int2:apply", restore="atlas.int2:restore",
                                requires=("nobody_has_this",))]
    """)  # fmt: skip
    index = site.catalog()
    assert [listed.name for listed in index.list("compression")] == ["atlas/int2", "atlas/int4"]
    with pytest.raises(MissingExtra) as caught:
        index.resolve("compression", "int4").resolve_builder()
    (problem,) = caught.value.problems
    assert problem.message == "compression atlas/int4 needs nobody_has.this, which is not installed"
    assert problem.hint == 'pip install "videozoo[quantization]"'
    with pytest.raises(MissingExtra, match="pip install nobody_has_this"):
        index.resolve("compression", "int2").resolve_builder("restore")


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        ("zoo_nowhere.nets:tiny", "ModuleNotFoundError: No module named 'zoo_nowhere'"),
        ("atlas_nets:tinny", "AttributeError"),
        ("atlas_nets:number", "it is a int, not a function"),
        ("atlas_broken:tiny", "RuntimeError: broken on import"),
    ],
)
def test_a_builder_that_does_not_resolve_names_plugin_component_string_and_error(site, builder, why):
    site.module("atlas_nets", "number = 3\ndef tiny(): ...")
    site.module("atlas_broken", "raise RuntimeError('broken on import')")
    site.plugin("atlas", f"@hookimpl\ndef zoo_models():\n    return [Model('tiny', '{builder}')]")
    with pytest.raises(PluginError) as caught:
        site.catalog().resolve("model", "tiny").resolve_builder()
    text = str(caught.value)
    assert text.startswith(
        f"plugin atlas (zoo-atlas 1.0): the builder of model atlas/tiny, '{builder}', cannot be imported: {why}"
    )
    assert "mend or upgrade zoo-atlas" in text


def test_a_builder_is_imported_when_it_is_resolved_and_not_before(site):
    site.module("atlas_nets", "def tiny(): return 'built'")
    site.plugin("atlas", "@hookimpl\ndef zoo_models():\n    return [Model('tiny', 'atlas_nets:tiny')]")
    import sys

    listed = site.catalog().resolve("model", "atlas/tiny")
    assert "atlas_nets" not in sys.modules
    assert listed.resolve_builder()() == "built"


def test_the_catalogue_of_the_process_is_made_once():
    assert catalog() is catalog()


def test_our_own_plugins_have_no_problems():
    own = [plugin for plugin in catalog().plugins if plugin.is_own]
    assert own
    wheres = {plugin.where for plugin in own}
    assert [str(problem) for problem in catalog().problems() if problem.where in wheres] == []


def test_our_own_bare_names_are_unambiguous():
    index = Catalog(load_plugins())
    for kind in HOOKS:
        bare = [each.entry.name for each in index.list(kind) if each.plugin.is_own and each.namespace != "timm"]
        assert sorted(bare) == sorted(set(bare))


@pytest.mark.parametrize("name", ["normalize", "normalise", "resize"])
def test_what_the_model_does_is_no_augmentation_and_the_message_says_so(name):
    with pytest.raises(UnknownName, match=r"preprocessing belongs to the model and is not listed: .* data\.clip"):
        catalog().resolve("augmentation", name)
