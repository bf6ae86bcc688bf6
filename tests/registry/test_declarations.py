"""What a plugin declares badly is its problem; its other entries, and everybody else's, stay."""

import pytest


def declares(site, body: str, hook: str = "zoo_models") -> None:
    site.plugin("atlas", f"@hookimpl\ndef {hook}():\n    {body}\n")


def names(site, kind: str = "model") -> list[str]:
    return [listed.name for listed in site.catalog().list(kind, "atlas/*")]


GOOD = "Model('good', 'atlas.nets:good')"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("Model('Bad', 'a.b:c')", "'Bad' is not a name"),
        ("Model('bad-name', 'a.b:c')", "'bad-name' is not a name"),
        ("Model('9bad', 'a.b:c')", "'9bad' is not a name"),
        ("Model(None, 'a.b:c')", "None is not a name"),
        ("Model(['bad'], 'a.b:c')", "['bad'] is not a name"),
        ("Model('bad', 'a.b.c')", "builder 'a.b.c' is not an import string"),
        ("Model('bad', 'a/b.py:c')", "builder 'a/b.py:c' is not an import string"),
        ("Model('bad', print)", "is not an import string"),
        ("Model('bad', 'a.b:c', aliases=('x-y',))", "alias 'x-y' is not a name"),
        ("Model('bad', 'a.b:c', aliases='worse')", "aliases is a str, write a tuple: ('worse',)"),
        ("Model('bad', 'a.b:c', inputs=['clip_bcthw'])", "inputs is a list, write a tuple"),
        ("Model('bad', 'a.b:c', inputs=())", "inputs is empty"),
        ("Model('bad', 'a.b:c', requires=(1,))", "requires holds something else than text"),
        ("Model('bad', 'a.b:c', fixed={'f': print})", "fixed holds something else than plain data"),
        ("Model('bad', 'a.b:c', fixed=[('f', 1)])", "fixed holds something else than plain data"),
        ("Model('bad', 'a.b:c', summary=None)", "summary is a NoneType, it should be text"),
        ("Model('bad', 'a.b:c', deprecated=True)", "deprecated is a bool, it should be text"),
        ("Model('bad', 'a.b:c', clip=(8, 64))", "clip is a tuple, not a ClipSpec"),
        ("Model('bad', 'a.b:c', audio=16000)", "audio is a int, not an AudioSpec"),
        ("Model('bad', 'a.b:c', weights=('k400',))", "weights holds a str, not Weights"),
        ("Model('bad', 'a.b:c', weights=(Weights(tag='K400', source='hf://a/b'),))", "tag 'K400' is not"),
        ("Model('bad', 'a.b:c', weights=(Weights(tag='t', source='hf://a'),) * 2)", "tag 't' occurs twice"),
        (
            "Model('bad', 'a.b:c', weights=(Weights(tag='t', source='hf://a', convert='a.b'),))",
            "convert 'a.b' of weights 't' is neither an import string",
        ),
        (
            "Model('bad', 'a.b:c', weights=(Weights(tag='t', source='hf://a', label_file='../x.txt'),))",
            "label_file '../x.txt' of weights 't' is neither package:path/inside/it.txt",
        ),
        ("Model('bad', 'a.b:c', layouts={'theirs': 'a.b'})", "layout 'theirs': 'a.b' is not an import string"),
        ("Model('bad', 'a.b:c', layouts=('theirs',))", "layouts is a tuple, write a mapping"),
        ("Model('bad', 'a.b:c', gmacs=-1)", "gmacs -1 is not a number above zero"),
        (
            "Model('bad', 'a.b:c', limits={'export': False})",
            "limits is not a mapping of the name of a check to a sentence",
        ),
        (
            "Model('bad', 'a.b:c', weights=(Weights(tag='t', source='nowhere'),))",
            "source 'nowhere' of weights 't' is not a URI",
        ),
        ("Model('bad', 'a.b:c', weights=(Weights(tag='t', source='hf://a', sha256='xyz'),))", "sha256 'xyz'"),
        ("Loss('mse', 'a.b:c')", "zoo_models returned a Loss\n  it returns Model records only"),
        ("'bad'", "zoo_models returned a str"),
        ("None", "zoo_models returned a NoneType"),
        ("Model", "zoo_models returned a type"),
    ],
)
def test_a_bad_entry_is_reported_and_the_good_ones_stay(site, problems, bad, said):
    declares(site, f"return [{bad}, {GOOD}]")
    (problem,) = problems()
    assert problem.startswith("plugin atlas (zoo-atlas 1.0): ")
    assert said in problem
    assert names(site) == ["atlas/good"]


@pytest.mark.parametrize(
    ("hook", "bad", "said"),
    [
        (
            "zoo_compressions",
            "Compression('c', 'a.b:c', restore='nothing')",
            "restore 'nothing' is not an import string",
        ),
        (
            "zoo_exporters",
            "Exporter('e', 'a.b:c', load='a.b:l', suffix='onnx')",
            "suffix 'onnx' does not start with a dot",
        ),
        (
            "zoo_recipes",
            "Recipe('r', 'atlas.recipes:r')",
            "builder 'atlas.recipes:r' is not package:path/inside/it.yaml",
        ),
        ("zoo_recipes", "Recipe('r', 'atlas:../../etc/secret.yaml')", "is not package:path/inside/it.yaml"),
        ("zoo_recipes", "Recipe('r', 'atlas:/etc/secret.yaml')", "is not package:path/inside/it.yaml"),
        ("zoo_models", "Family(index='nothing', distribution='x')", "index 'nothing' is not an import string"),
        ("zoo_models", "Family(index='a:b', distribution='../x')", "'../x' is not the name of a pip distribution"),
        ("zoo_losses", "Family(index='a:b', distribution='x')", "zoo_losses returned a Family"),
    ],
)
def test_the_fields_of_every_kind_are_checked(site, problems, hook, bad, said):
    declares(site, f"return [{bad}]", hook)
    (problem,) = problems()
    assert said in problem


def test_a_recipe_is_a_file_inside_a_package(site, problems):
    declares(site, "return [Recipe('r', 'atlas.recipes:video/r.yaml')]", "zoo_recipes")
    assert problems() == []
    assert names(site, "recipe") == ["atlas/r"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "zoo_models returned nothing\n  return a list of records"),
        ("return 3", "zoo_models returned a int"),
        ("return 'good'", "zoo_models returned a str"),
        (f"return {GOOD}", "zoo_models returned a Model\n  return a list of records"),
        ("raise ValueError('boom')", "zoo_models raised ValueError: boom"),
        ("raise SystemExit(1)", "zoo_models raised SystemExit: 1"),
        ("return [Model('x')]", "zoo_models raised TypeError"),
    ],
)
def test_a_hook_that_returns_no_records_is_reported(site, problems, body, said):
    declares(site, body)
    (problem,) = problems()
    assert said in problem
    assert names(site) == []


def test_the_line_that_raised_is_named(site, problems):
    declares(site, "raise ValueError('boom')")
    assert "zoo_atlas.py:4)" in problems()[0]


def test_what_a_generator_gave_before_it_raised_stays(site, problems):
    declares(site, f"yield {GOOD}\n    raise ValueError('boom')")
    assert "raised ValueError: boom" in problems()[0]
    assert "after 1 records" in problems()[0]
    assert names(site) == ["atlas/good"]


def test_one_plugins_hook_takes_nothing_else_down(site, problems):
    declares(site, "raise ValueError('boom')")
    site.plugin("fine", f"@hookimpl\ndef zoo_models():\n    return [{GOOD}]")
    assert [listed.name for listed in site.catalog().list("model")] == ["fine/good"]
    assert len(problems()) == 1


def test_of_two_entries_with_one_name_the_first_stays(site, problems):
    declares(site, "return [Model('twin', 'a.b:first'), Model('twin', 'a.b:second')]")
    (listed,) = site.catalog().list("model")
    assert listed.entry.builder == "a.b:first"
    assert "model twin is declared twice\n  the first one stays" in problems()[0]


def test_of_two_entries_with_one_alias_the_first_keeps_it_and_both_stay(site, problems):
    declares(site, "return [Model('a', 'a.b:c', aliases=('z',)), Model('b', 'a.b:c', aliases=('z', 'y'))]")
    catalog = site.catalog()
    assert names(site) == ["atlas/a", "atlas/b"]
    assert catalog.resolve("model", "z").name == "atlas/a"
    assert catalog.resolve("model", "y").name == "atlas/b"
    assert "alias z of model b is taken by a" in problems()[0]


def test_a_name_that_is_somebodys_alias_is_refused(site, problems):
    declares(site, "return [Model('a', 'a.b:c', aliases=('b',)), Model('b', 'a.b:c')]")
    assert names(site) == ["atlas/a"]
    assert "model b is called like an alias of a" in problems()[0]


def test_the_same_name_may_stand_for_different_kinds(site, problems):
    site.plugin("atlas", "@hookimpl\ndef zoo_models():\n    return [Model('x', 'a.b:c')]\n"
                        "@hookimpl\ndef zoo_losses():\n    return [Loss('x', 'a.b:c')]")  # fmt: skip
    catalog = site.catalog()
    assert catalog.resolve("model", "x").entry.kind == "model"
    assert catalog.resolve("loss", "x").entry.kind == "loss"
    assert problems() == []


def test_a_hook_is_called_on_first_use_of_its_kind_and_once(site):
    site.plugin("atlas", "calls = []\n@hookimpl\ndef zoo_models():\n    calls.append(1)\n    return []")
    catalog = site.catalog()
    import zoo_atlas

    catalog.list("loss")
    assert zoo_atlas.calls == []
    catalog.list("model")
    catalog.list("model")
    assert zoo_atlas.calls == [1]


def test_two_functions_may_serve_one_hook(site, problems):
    for_losses = "@hookimpl(specname='zoo_losses')\n"
    pixel = f"{for_losses}def pixel_losses():\n    return [Loss('l1', 'a.b:c')]\n"
    classes = f"{for_losses}def class_losses():\n    return [Loss('ce', 'a.b:c')]\n"
    site.plugin("atlas", pixel + classes)
    assert names(site, "loss") == ["atlas/ce", "atlas/l1"]
    assert problems() == []
