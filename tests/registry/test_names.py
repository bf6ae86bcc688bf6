"""One grammar for names, one rule that tells names, paths and URIs apart."""

import pytest

from zoo_registry.errors import NameProblem
from zoo_registry.names import Name, nearest, reference_kind


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x3d_s", Name("x3d_s")),
        ("video/x3d_s", Name("x3d_s", "video")),
        ("video/x3d_s.k400", Name("x3d_s", "video", "k400")),
        ("mvit.16x4", Name("mvit", None, "16x4")),
    ],
)
def test_a_name_is_read_and_written_alike(text, name):
    assert Name.parse(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "X3D",
        "3d",
        "_x",
        "x-3d",
        "x3d s",
        "/x3d",
        "video/",
        "a/b/c",
        "x3d.",
        "x3d.k.400",
        "x3d.K400",
        ".k400",
        "x3d\n",
        "x３d",
        "é",
    ],
)
def test_what_breaks_the_grammar_is_refused_with_the_grammar(text):
    with pytest.raises(NameProblem) as caught:
        Name.parse(text)
    assert f"{text!r} is not a name" in str(caught.value)
    assert "[namespace/]name[.tag]" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("hf://org/model@main", "uri"),
        ("https://example.org/w.safetensors", "uri"),
        ("s3+https://bucket/key", "uri"),
        ("file:runs/x/model", "uri"),
        ("file:///runs/x", "uri"),
        ("./recipe", "path"),
        ("../recipe", "path"),
        ("/data/recipe", "path"),
        ("~/recipe", "path"),
        ("recipe.yaml", "path"),
        ("recipes/mine.yml", "path"),
        ("C:\\recipes\\mine", "path"),
        (".", "path"),
        ("quickstart", "name"),
        ("recipes/quickstart", "name"),
        ("x3d_s.k400", "name"),
        ("files", "name"),
    ],
)
def test_references_are_told_apart(text, kind):
    assert reference_kind(text) == kind


def test_the_nearest_names_come_best_first():
    assert nearest("x3d_sm", ["x3d_s", "x3d_m", "slowfast"])[0] in ("x3d_s", "x3d_m")
    assert "slowfast" not in nearest("x3d_sm", ["x3d_s", "x3d_m", "slowfast"])
    assert nearest("qqq", ["x3d_s"]) == []
