"""A family is listed from a file that is kept per installed version; its library is imported only to make that file."""

import json
from pathlib import Path

import pytest

from zoo_registry import AudioSpec, ClipSpec, Model, Weights
from zoo_registry.errors import UnknownName
from zoo_registry.families import cache_folder

FAMILY = """
    @hookimpl
    def zoo_models():
        return [Model("own", "atlas.nets:own"), Family(index="atlas_index:index", distribution="big-library")]
"""
INDEX = """
    import big_library

    def index():
        big_library.calls.append(1)
        clip, small = ClipSpec(frames=8, size=(224, 160), resize=256, fps=25.0), ClipSpec(frames=4, size=64)
        tags = (Weights(tag="a1", source="hf://big/net_1", metrics={"top1": 78.9}, labels=1000, clip=small),)
        yield Model("net_0", "atlas.nets:net", fixed={"name": "net_0"})
        yield Model("net_1", "atlas.nets:net", "One of many.", clip=clip, weights=tags, aliases=("first",),
                    requires=("json",), inputs=("clip_bcthw", "audio_bcn"), audio=AudioSpec(samples=16000),
                    licence="mit", parameters=3)
"""


@pytest.fixture
def family(site):
    site.plugin("atlas", FAMILY)
    site.module("atlas_index", INDEX)
    site.module("big_library", "calls = []")
    site.distribution("big-library", "7.1")
    return site


def names(site) -> list[str]:
    return [listed.name for listed in site.catalog().list("model")]


def index_file() -> Path:
    (path,) = (cache_folder() / "families").iterdir()
    return path


def calls() -> int:
    import big_library

    return len(big_library.calls)


def test_the_members_are_listed_beside_the_plugins_own(family, problems):
    assert names(family) == ["atlas/net_0", "atlas/net_1", "atlas/own"]
    assert problems() == []


def test_the_index_is_made_once(family):
    assert names(family) == names(family)
    assert calls() == 1
    assert index_file().name == "atlas-big-library-7.1.atlas_index.index.json"


def test_from_the_file_nothing_of_the_library_is_imported(family):
    list_models = """
        import sys
        from zoo_registry.catalog import catalog
        print([listed.name for listed in catalog().list("model", "atlas/*")], "big_library" in sys.modules)
    """
    assert family.run(list_models).strip() == "['atlas/net_0', 'atlas/net_1', 'atlas/own'] True"
    assert family.run(list_models).strip() == "['atlas/net_0', 'atlas/net_1', 'atlas/own'] False"


def test_entries_from_the_file_equal_those_that_the_index_gave(family):
    first, second = (family.catalog().resolve("model", "atlas/net_1").entry for _ in range(2))
    small = ClipSpec(frames=4, size=64)
    assert first == second
    assert first == Model(
        "net_1",
        "atlas.nets:net",
        "One of many.",
        clip=ClipSpec(frames=8, size=(224, 160), resize=256, fps=25.0),
        weights=(Weights(tag="a1", source="hf://big/net_1", metrics={"top1": 78.9}, labels=1000, clip=small),),
        aliases=("first",),
        requires=("json",),
        inputs=("clip_bcthw", "audio_bcn"),
        audio=AudioSpec(samples=16000),
        licence="mit",
        parameters=3,
    )
    assert family.catalog().resolve("model", "atlas/net_0").entry.fixed == {"name": "net_0"}


def test_members_are_always_qualified(family):
    with pytest.raises(UnknownName) as caught:
        family.catalog().resolve("model", "net_1")
    assert "did you mean atlas/net_1 (from zoo-atlas)" in str(caught.value)
    assert family.catalog().resolve("model", "own").name == "atlas/own"
    assert family.catalog().resolve("model", "atlas/first.a1").name == "atlas/net_1"


def test_another_version_of_the_library_is_indexed_anew(family):
    names(family)
    (family.folder / "big_library-7.1.dist-info").rename(family.folder / "big_library-7.2.dist-info")
    metadata = family.folder / "big_library-7.2.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("7.1", "7.2"))
    names(family)
    assert calls() == 2


def test_another_version_of_the_plugin_is_indexed_anew(family):
    names(family)
    metadata = family.folder / "zoo_atlas-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    names(family)
    assert calls() == 2


def test_an_edited_index_is_made_anew(family):
    names(family)
    source = family.folder / "atlas_index.py"
    source.write_text(source.read_text() + "\n# edited\n")
    names(family)
    assert calls() == 2


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"made_for": 1}', "\x00\x01", "UNKNOWN FIELD", "CLIP OUT OF TABLE", "CUT SHORT"]
)
def test_a_damaged_file_is_made_anew(family, damage, problems):
    expected = names(family)
    path = index_file()
    content = json.loads(path.read_text())
    if damage == "UNKNOWN FIELD":
        content["models"][0]["surprise"] = 1
        damage = json.dumps(content)
    elif damage == "CLIP OUT OF TABLE":
        content["models"][1]["clip"] = 99
        damage = json.dumps(content)
    elif damage == "CUT SHORT":
        damage = path.read_text()[:-20]
    path.write_text(damage)
    assert names(family) == expected
    assert calls() == 2
    names(family)
    assert calls() == 2
    assert problems() == []


def test_a_library_that_is_not_installed_makes_the_family_empty_and_says_so(site, problems):
    site.plugin("atlas", FAMILY)
    assert names(site) == ["atlas/own"]
    (problem,) = problems()
    assert problem.endswith(
        "its family of big-library is empty: big-library is not installed\n  pip install big-library"
    )


def test_an_index_that_raises_is_reported_and_tried_again(family, problems):
    family.module("atlas_index", "def index():\n    raise KeyError('vit')")
    assert names(family) == ["atlas/own"]
    assert "its family of big-library is empty: atlas_index:index raised KeyError: 'vit'" in problems()[0]
    assert not (cache_folder() / "families").exists()


def test_bad_members_are_reported_from_the_file_too(family, problems):
    family.module(
        "atlas_index", "def index():\n    return [Model('net_0', 'a.b:c'), Model('Net', 'a.b:c'), Loss('l', 'a.b:c')]"
    )
    for _ in range(2):
        assert names(family) == ["atlas/net_0", "atlas/own"]
        assert len(problems()) == 2
        assert "model Net of big-library: 'Net' is not a name" in problems()[0]
        assert "atlas_index:index gave a Loss, not a Model" in problems()[1]


def test_a_member_called_like_an_own_entry_is_reported(family, problems):
    family.module("atlas_index", "def index():\n    return [Model('own', 'a.b:other')]")
    assert family.catalog().resolve("model", "own").entry.builder == "atlas.nets:own"
    assert "model own is declared twice" in problems()[0]


def test_a_cache_that_cannot_be_written_costs_only_time(family, tmp_path, monkeypatch, problems):
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "a_file"))
    assert names(family) == ["atlas/net_0", "atlas/net_1", "atlas/own"]
    assert "cannot be kept in" in problems()[0]
    assert "ZOO_CACHE" in problems()[0]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    assert cache_folder() == tmp_path / "zoo"
    monkeypatch.delenv("ZOO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "videozoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "videozoo"
