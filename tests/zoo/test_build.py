"""From an entry and parameters to an object: the signature is the schema, the run provides, errors say where."""

import functools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from zoo.build import build, check_params, parameters
from zoo.build.annotations import json_schema_of
from zoo.build.values import faults
from zoo.build.wording import in_words
from zoo_registry import ClipSpec
from zoo_registry.catalog import Catalog, Listed
from zoo_registry.errors import MissingExtra, ParameterError, PluginError, ZooError
from zoo_registry.plugins import load_plugins

HEAD = """
from __future__ import annotations
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoo_registry import ClipSpec, Loss, Model, Provided, Range, Ref, Task, ZooError
if TYPE_CHECKING:
    import torch
    from torch.nn import Module
"""
DECLARATIONS = """
from zoo_registry import *

@hookimpl
def zoo_models():
    published = Weights(tag="k400", source="hf://acme/net")
    return [
        Model("net", "PARTS:net", weights=(published,)),
        Model("wide", "PARTS:net", fixed={"width": 64}),
        Model("made", "PARTS:made", requires=REQUIRES, extra="acme[all]"),
    ]

@hookimpl
def zoo_losses():
    return [Loss("loss", "PARTS:loss", fixed=FIXED)]

@hookimpl
def zoo_tasks():
    return [Task("task", "PARTS:task")]

@hookimpl
def zoo_compressions():
    return [Compression("squeeze", "PARTS:squeeze", restore="PARTS:restore")]
"""
NET = """
def net(*, num_classes: Provided[int], width: Annotated[int, Range(ge=8)] = 16, scale: tuple[float, ...] = (1.0,),
        path: Path | None = None, clip: Provided[ClipSpec] | None = None, mode: Literal["a", "b"] | None = None):
    return dict(num_classes=num_classes, width=width, scale=scale, path=path, clip=clip, mode=mode)
def made(): ...
def loss(): ...
def task(): ...
def squeeze(model, context: Module, *, amount: float = 0.5):
    return model, context, amount
"""

Make = Callable[..., Catalog]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a catalogue of one plugin, `acme`, whose builders have the given source after those of `NET`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    names: list[str] = []

    def index(source: str = "", *, requires: tuple[str, ...] = (), fixed: dict[str, object] | None = None) -> Catalog:
        name = f"{tmp_path.name}_{len(names)}".replace("-", "_")
        names.extend([name, f"{name}_parts"])
        (tmp_path / f"{name}_parts.py").write_text(HEAD + NET + textwrap.dedent(source))
        declarations = DECLARATIONS.replace("PARTS", f"{name}_parts").replace("REQUIRES", repr(requires))
        (tmp_path / f"{name}.py").write_text(declarations.replace("FIXED", repr(fixed or {})))
        return Catalog(load_plugins([EntryPoint("acme", name, "zoo.plugins.v1")]))

    yield index
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def net(make: Make) -> Listed:
    return make().resolve("model", "net")


def messages(listed: Listed, params: dict[str, object]) -> list[str]:
    return [str(problem) for problem in check_params(listed, params)]


# --------------------------------------------------------------------------------------- the signature is the schema


def test_parameters_read_like_the_signature(net: Listed) -> None:
    assert [str(parameter) for parameter in parameters(net)] == [
        "num_classes: a whole number, provided by the run",
        "width: a whole number of at least 8 = 16",
        "scale: a list, each item a number = [1.0]",
        "path: a path = null",
        "clip: not for recipes, provided by the run = null",
        "mode: one of 'a', 'b' = null",
    ]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("**options: int", "takes **options"),
        ("*, x", "parameter 'x' has no annotation"),
        ("*, x: Any", "parameter 'x' is annotated Any"),
        ("*, x: Callable[[int], int]", "parameter 'x' is annotated"),
        ("*, x: list", "parameter 'x' is annotated list"),
        ("*, x: dict[int, str]", "parameter 'x' is annotated"),
        ("*, x: torch.Tensor", "parameter 'x' is annotated"),
        ("*, x: Mispelt", "parameter 'x' is annotated"),
        ("*, x: Annotated[bool, Range(ge=0)]", "parameter 'x' is annotated"),
        ("*, x: Provided[int]", "asks the run to provide 'x'"),
        ("x: int = 3", "takes 1 positional parameters, not 0"),
    ],
)
def test_a_signature_that_no_recipe_can_fill_names_builder_and_parameter(make: Make, signature: str, said: str) -> None:
    listed = make(f"def loss({signature}): ...").resolve("loss", "loss")
    with pytest.raises(PluginError) as caught:
        parameters(listed)
    text = str(caught.value)
    assert f"acme/loss ({listed.entry.builder})" in text
    assert said in text


def test_what_the_run_provides_may_be_typed_for_the_type_checker_only(make: Make) -> None:
    source = """
    def task(*, model: Provided[Module], losses: Provided[Mapping[str, Callable[[torch.Tensor], Any]]]):
        return model
    """
    task = make(source).resolve("task", "task")
    assert build(task, {}, {"model": "the model", "losses": {}}) == "the model"


def test_an_entry_cannot_fix_what_its_builder_lacks(make: Make) -> None:
    listed = make("def loss(*, x: int = 1): ...", fixed={"y": 2}).resolve("loss", "loss")
    with pytest.raises(PluginError, match="has no parameter 'y', which its entry fixes"):
        parameters(listed)


# --------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (bool, [True], [1, "true", None]),
        (int, [3, -1], ["3", True, 3.0, None]),
        (float, [3, 0.5], ["3", False]),
        (str, ["a", ""], [3, True]),
        (Path, ["a/b"], [3]),
        (int | None, [3, None], ["x"]),
        (list[int], [[], [1, 2]], [[1, "x"], 1, "12"]),
        (tuple[int, float], [[1, 2.5]], [[1], [1, 2, 3], [1.5, 2]]),
        (dict[str, list[bool]], [{}, {"a": [True]}], [{"a": True}, []]),
        (int | tuple[int, int], [3, [3, 4]], [[3], [3, "x"], "x"]),
    ],
)
def test_types_are_strict(annotation: object, good: list[object], bad: list[object]) -> None:
    schema = json_schema_of(annotation)
    assert [value for value in good if faults(value, schema)] == []
    assert [value for value in bad if not faults(value, schema)] == []


def test_literals_and_ranges_are_kept_and_said_in_words(make: Make) -> None:
    source = """
    def loss(*, mode: Literal["sum", 1] = 1, part: Annotated[float, Range(gt=0, le=1)] = 1.0,
             words: Annotated[list[str], Range(ge=1, le=3)] = ["a"],
             size: Annotated[int | None, Range(lt=9)] = None): ...
    """
    loss = make(source).resolve("loss", "loss")
    assert messages(loss, {"mode": "sum", "part": 1, "words": ["a", "b", "c"], "size": 8}) == []
    assert messages(loss, {"mode": True, "part": 0, "words": [], "size": 9}) == [
        "mode: expected one of 'sum', 1, found true",
        "part: expected a number above 0 and at most 1, found 0",
        "words: expected a list of 1 to 3, each item text, found []",
        "size: expected a whole number below 9, found 9",
    ]


def test_an_unknown_parameter_gets_the_nearest_name(net: Listed) -> None:
    assert messages(net, {"widht": 9}) == ["acme/net has no parameter 'widht'\n  did you mean 'width'?"]
    (far,) = messages(net, {"qqq": 9})
    assert far.endswith("it takes num_classes, width, scale, path, clip, mode")


def test_the_word_for_an_empty_union_is_still_a_word() -> None:
    assert in_words({"anyOf": [{"type": "integer"}, {"type": "null"}]}) == "a whole number"


# --------------------------------------------------------------------------------------- building


def test_values_arrive_as_the_signature_types_them(net: Listed) -> None:
    built = build(net, {"scale": [1, 2], "path": "~/x", "mode": "a"}, {"num_classes": 6})
    assert built["scale"] == (1.0, 2.0)
    assert [type(item) for item in built["scale"]] == [float, float]
    assert built["path"] == Path.home() / "x"
    assert (built["num_classes"], built["width"], built["clip"]) == (6, 16, None)


def test_the_run_provides_what_is_marked_and_nothing_else(net: Listed) -> None:
    clip = ClipSpec(frames=8, size=64)
    built = build(net, {}, {"num_classes": 6, "clip": clip, "width": 99, "labels": ("a",)})
    assert built["clip"] is clip
    assert built["width"] == 16


def test_a_repeated_value_must_agree_with_the_run(net: Listed) -> None:
    assert build(net, {"num_classes": 6}, {"num_classes": 6})["num_classes"] == 6
    assert build(net, {"num_classes": 6})["num_classes"] == 6
    with pytest.raises(ParameterError, match="num_classes is 5 in its parameters, but 6 in this run"):
        build(net, {"num_classes": 5}, {"num_classes": 6})


def test_what_nobody_provides_is_missed_by_name(net: Listed) -> None:
    with pytest.raises(ParameterError, match="acme/net needs 'num_classes', which nothing provides here"):
        build(net, {}, {"num_classes": None})


def test_a_recipe_cannot_write_what_only_the_run_has(net: Listed) -> None:
    assert messages(net, {"clip": {"frames": 3}}) == [
        "'clip' comes from the run and cannot be written in a recipe\n  remove it"
    ]


def test_what_an_entry_fixes_cannot_be_changed(make: Make) -> None:
    wide = make().resolve("model", "wide")
    assert build(wide, {}, {"num_classes": 2})["width"] == 64
    with pytest.raises(ParameterError, match="'width' cannot be changed: acme/wide fixes it"):
        build(wide, {"width": 32}, {"num_classes": 2})


def test_a_builder_that_acts_on_something_comes_back_bound(make: Make) -> None:
    bound = build(make().resolve("compression", "squeeze"), {"amount": 1})
    assert isinstance(bound, functools.partial)
    assert bound("model", "context") == ("model", "context", 1.0)


def test_an_error_inside_a_builder_names_component_and_plugin(make: Make) -> None:
    loss = make("def loss(): return 1 / 0").resolve("loss", "loss")
    with pytest.raises(
        PluginError, match="acme/loss could not be built: ZeroDivisionError: division by zero"
    ) as caught:
        build(loss)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_that_a_builder_words_itself_is_left_alone(make: Make) -> None:
    loss = make("def loss(): raise ZooError('no good')").resolve("loss", "loss")
    with pytest.raises(ZooError, match=r"^no good$") as caught:
        build(loss)
    assert type(caught.value) is ZooError


# --------------------------------------------------------------------------------------- components inside parameters

NESTED = """
def task(*, model: Provided[Module], teacher: Ref[Model] | None = None, parts: list[Ref[Loss]] = [],
         inner: Ref[Task] | None = None):
    return dict(model=model, teacher=teacher, parts=parts, inner=inner)
def loss(*, x: int = 1):
    return x
"""


def test_a_reference_receives_the_built_object(make: Make) -> None:
    index = make(NESTED)
    params = {
        "teacher": {"name": "net", "params": {"width": 32}},
        "parts": ["loss", {"name": "acme/loss", "params": {"x": 2}}],
    }
    built = build(index.resolve("task", "task"), params, {"model": "m", "num_classes": 6}, index=index)
    assert built["teacher"]["width"] == 32
    assert built["teacher"]["num_classes"] == 6
    assert built["parts"] == [1, 2]


def test_a_task_inside_a_task_gets_the_same_model(make: Make) -> None:
    index = make(NESTED)
    built = build(index.resolve("task", "task"), {"inner": "task"}, {"model": "m"}, index=index)
    assert built["inner"] == {"model": "m", "teacher": None, "parts": [], "inner": None}


def test_weights_of_a_reference_go_to_the_loader_that_is_given(make: Make) -> None:
    index, loaded = make(NESTED), []
    task, params = index.resolve("task", "task"), {"teacher": "net.k400"}
    provided = {"model": "m", "num_classes": 6}
    build(
        task,
        params,
        provided,
        index=index,
        load_weights=lambda module, listed, weights: loaded.append((listed.name, weights)),
    )
    assert loaded == [("acme/net", "k400")]
    with pytest.raises(ParameterError, match="wants weights 'k400', which cannot be loaded here"):
        build(task, params, provided, index=index)


# --------------------------------------------------------------------------------------- the cache of signatures


def test_a_known_signature_is_read_without_importing_the_builder(make: Make, tmp_path: Path) -> None:
    listed = make().resolve("model", "net")
    parameters(listed)
    module = listed.plugin.module
    code = f"print(check_params(net, {{'widht': 1}})[0].hint, '{module}_parts' in sys.modules, 'torch' in sys.modules)"
    assert _fresh(module, code, tmp_path) == "did you mean 'width'? False False"


def test_a_changed_source_is_read_again(make: Make, tmp_path: Path) -> None:
    listed = make().resolve("model", "net")
    assert messages(listed, {"depth": 3}) != []
    parts = tmp_path / f"{listed.plugin.module}_parts.py"
    parts.write_text(parts.read_text() + "\ndef net(*, depth: int = 1): ...\n")
    assert _fresh(listed.plugin.module, "print(check_params(net, {'depth': 3}))", tmp_path) == "[]"


def test_a_damaged_cache_file_is_written_anew(net: Listed, tmp_path: Path) -> None:
    before = parameters(net)
    (kept,) = (tmp_path / "cache" / "signatures").iterdir()
    for junk in ("", "[]", '{"key": 1}', json.dumps({"key": json.loads(kept.read_text())["key"], "kept": {}})):
        kept.write_text(junk)
        assert parameters(net) == before
        assert json.loads(kept.read_text())["kept"]["positional"] == 0


def test_a_missing_package_is_noticed_though_the_signature_is_cached(make: Make) -> None:
    with pytest.raises(MissingExtra, match='pip install "acme') as caught:
        parameters(make(requires=("no_such_package",)).resolve("model", "made"))
    assert "no_such_package" in str(caught.value)


FRESH = """
import sys
from importlib.metadata import EntryPoint
from zoo.build import check_params
from zoo_registry.catalog import Catalog
from zoo_registry.plugins import load_plugins
net = Catalog(load_plugins([EntryPoint("acme", "MODULE", "zoo.plugins.v1")])).resolve("model", "net")
"""


def _fresh(module: str, code: str, folder: Path) -> str:
    """What a new process prints that has the model `net` of the plugin in `module`."""
    command = [sys.executable, "-c", FRESH.replace("MODULE", module) + code]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
