"""What is said about a bad recipe: everything, at once, each with its place and what to do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zoo.recipe import check_recipe, dump, load_recipe, resolve_recipe
from zoo_registry.catalog import Catalog
from zoo_registry.errors import RecipeError

Write = Callable[[str, str], Path]
Complain = Callable[..., list[str]]
Shelf = Callable[[dict[str, Any]], None]


@pytest.fixture
def complain(index: Catalog) -> Complain:
    """The text of every problem that loading, and then checking, finds."""

    def complaints(reference: object, overrides: Sequence[str] = ()) -> list[str]:
        try:
            recipe = load_recipe(reference, overrides, index=index)  # type: ignore[arg-type]
        except RecipeError as error:
            return [str(problem) for problem in error.problems]
        return [str(problem) for problem in check_recipe(recipe, index=index)]

    return complaints


def test_augmentations_in_workers_come_first(complain: Complain) -> None:
    augment = ["flip", {"name": "flip", "where": "worker"}, {"name": "flip", "where": "worker"}]
    first, second = complain(
        {"zoo": 1, "task": "sorting", "model": "small", "augment": augment}, ["augment.2.where=worker"]
    )
    assert "augmentation 'lab/flip' runs in the workers but comes after 'lab/flip', which runs on the device" in first
    assert "move those with `where: worker` to the front" in first
    assert "runs in the workers" in second
    assert complain({"zoo": 1, "task": "sorting", "model": "small", "augment": augment[1:]}) == []


@pytest.fixture
def shelf(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shelf:
    """Writes the recipe behind `shelf://one`, which the fetcher of another machine's files brings."""
    monkeypatch.setenv("LAB_SHELF", str(tmp_path))

    def put(slots: dict[str, Any]) -> None:
        write("one/recipe.resolved.yaml", dump({"zoo": 1, "task": "sorting"} | slots))

    return put


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(complain: Complain, write: Write) -> None:
    write(
        "bad.yaml",
        """\
        zoo: 1
        epoch: 3
        task: sortin
        model: {name: smal, weights: k400}
        data: {train: {name: films, params: {path: 3}}, clip: {size: [1, 2, 3]}}
        augment: [absolute, acme/flip, future/flip, {params: {p: 1}}, {name: flip, params: {q: 1}}]
        loss: {extra: absolute}
        optim: {name: adamm, schedule: cosin}
        run: {epochs: -1, batch: big, precision: fp8, log_evry: null}
        """,
    )
    said = complain("bad.yaml", ["augment.7.params.p=3", "run.epochs.x=1", "nothing"])
    expected = [
        ("bad.yaml:2:1: unknown key 'epoch'", "did you mean run.epochs?"),
        ("bad.yaml:3:7: no task is called 'sortin'", "lab/sorting (from lab_plugin)"),
        ("bad.yaml:4:15: no model is called 'smal'", "lab/small (from lab_plugin)"),
        ("bad.yaml:5:44: data.train.params.path: expected a path, found 3", ""),
        ("bad.yaml:5:62: data.clip.size: expected a whole number from 1 to 16384 or a list of 2", "found [1, 2, 3]"),
        ("bad.yaml:6:11: no augmentation is called 'absolute'", "'absolute' is a loss"),
        ("bad.yaml:6:21: ", "no plugin has the namespace 'acme'"),
        ("bad.yaml:6:32: ", "API v2"),
        ("bad.yaml:6:45: augment.3.name is missing", ""),
        ("bad.yaml:6:85: lab/flip has no parameter 'q'", "it takes p"),
        ("bad.yaml:8:15: no optimiser is called 'adamm'", "did you mean 'adam'"),
        ("bad.yaml:8:32: no schedule is called 'cosin'", "did you mean 'cosine'?"),
        ("bad.yaml:9:15: run.epochs: expected a whole number of at least 0, found -1", ""),
        ("bad.yaml:9:26: run.batch: expected a whole number above 0, found 'big'", ""),
        ("bad.yaml:9:42: run.precision: expected one of 'auto', 'fp32', 'tf32', 'bf16', 'fp16', found 'fp8'", ""),
        ("bad.yaml:9:47: unknown key 'log_evry' in run", "did you mean 'log_every'?"),
        ("--set augment.7.params.p=3: augment.7 is out of range", "its items are augment.0 to 4"),
        ("--set nothing: 'nothing' sets nothing", "write KEY=VALUE"),
        ("--set run.epochs.x=1: run.epochs is -1 and holds no 'x'", ""),
    ]
    assert [
        text
        for text, (start, hint) in zip(said, expected, strict=False)
        if not text.startswith(start) or hint not in text
    ] == []
    assert len(said) == len(expected)


def test_slots_that_every_recipe_has_are_missed(complain: Complain, write: Write) -> None:
    write("r.yaml", "task: sorting\n")
    assert complain("r.yaml") == [
        "r.yaml:1:1: zoo is missing: expected 1",
        "r.yaml:1:1: model is missing: expected a name, or {name, params, weights, freeze}",
    ]


def test_a_recipe_that_is_no_mapping_is_refused(complain: Complain, write: Write) -> None:
    write("empty.yaml", "# nothing\n")
    write("list.yaml", "- zoo: 1\n")
    assert complain("empty.yaml") == ["empty.yaml:1:1: a recipe is a mapping of slots\n  begin with `zoo: 1`"]
    assert complain("list.yaml") == ["list.yaml:1:1: a recipe is a mapping of slots\n  begin with `zoo: 1`"]


def test_a_circle_of_extends_is_shown(complain: Complain, write: Write) -> None:
    write("a.yaml", "zoo: 1\nextends: sub/b.yaml\n")
    write("sub/b.yaml", "extends: ../c.yaml\n")
    write("c.yaml", "extends: ./a.yaml\nrun: {epochs: x}\n")
    assert complain("a.yaml") == [
        "c.yaml:1:10: the recipe extends itself\n  a.yaml -> sub/b.yaml -> c.yaml -> a.yaml",
        "c.yaml:2:15: run.epochs: expected a whole number of at least 0, found 'x'",
    ]


def test_a_missing_file_is_named_with_the_nearest_one(complain: Complain, write: Write) -> None:
    write("mine.yaml", "extends: sub/parnt.yaml\n")
    write("sub/parent.yaml", "zoo: 1\n")
    assert complain("mine.yaml") == ["mine.yaml:1:10: there is no file sub/parnt.yaml\n  did you mean sub/parent.yaml?"]
    assert complain("nowhere/r.yaml") == ["there is no file nowhere/r.yaml\n  there is no folder nowhere either"]


def test_a_parent_that_is_no_yaml_is_reported_beside_the_child_s_own_problems(complain: Complain, write: Write) -> None:
    write("parent.yaml", "zoo: 1\nmodel: !!python/name:os.system\n")
    write("child.yaml", "extends: parent.yaml\nrun: {batch: 0}\n")
    assert complain("child.yaml") == [
        "child.yaml:2:14: run.batch: expected a whole number above 0, found 0",
        "parent.yaml:2:8: the tag !!python/name:os.system is refused\n  a recipe holds plain data and can name no code",
    ]


def test_a_name_that_is_also_a_file_says_how_to_write_it(complain: Complain, write: Write) -> None:
    write("mine.yaml", "zoo: 1\n")
    (said,) = complain("mine")
    assert said.endswith("for the file write ./mine.yaml")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("{name: small.k400, weights: ssv2}", "r.yaml:3:36: 'small.k400' names weights already"),
        ("small.k40", "r.yaml:3:8: lab/small has no weights 'k40'"),
        ("{name: small, weights: k4000}", "r.yaml:3:31: lab/small has no weights 'k4000'"),
        ("{name: large, weights: k400}", "r.yaml:3:31: lab/large has no published weights"),
        (
            "{name: small, weights: ./w.safetensors}",
            "r.yaml:3:31: './w.safetensors' is a path\n  write file:./w.safetensors",
        ),
        ("{name: small, weights: 'ftp://x'}", "r.yaml:3:31: no fetcher is called 'ftp'"),
    ],
)
def test_weights_that_do_not_exist(complain: Complain, write: Write, model: str, complaint: str) -> None:
    write("r.yaml", f"zoo: 1\ntask: sorting\nmodel: {model}\n")
    (said,) = complain("r.yaml")
    assert said.startswith(complaint)


def test_a_loss_role_that_the_task_lacks(complain: Complain, write: Write) -> None:
    write("r.yaml", "zoo: 1\ntask: sorting\nmodel: small\nloss: {man: absolute, extra: [squared]}\n")
    assert complain("r.yaml") == ["r.yaml:4:8: task lab/sorting has no loss role 'man'\n  did you mean 'main'?"]


def test_an_optimiser_wants_something_to_train_on(complain: Complain, write: Write) -> None:
    write("r.yaml", "zoo: 1\ntask: sorting\nmodel: small\noptim: adamw\n")
    (said,) = complain("r.yaml")
    assert said.startswith("r.yaml:4:1: there is an optimiser but nothing to train on")
    assert complain("r.yaml", ["run.epochs=0"]) == []
    assert complain("r.yaml", ["optim=null"]) == []


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("augment.2=flip", "augment.2 is out of range\n  its items are augment.0 to 1"),
        ("augment.first=flip", "augment is a list and holds no 'first'"),
        ("compress.0=shrink", "compress.0 is out of range"),
        ("run.epoch=3", "unknown key 'epoch' in run\n  did you mean 'epochs'?"),
        ("run.epochs.more=3", "run.epochs: expected a whole number of at least 0, found a mapping"),
        ("zoo.x=3", "zoo is 1 and holds no 'x'"),
        ("run.epochs=[1", "not valid YAML"),
        ("run.epochs='3'", "run.epochs: expected a whole number of at least 0, found '3'\n  write it without quotes"),
        ("run..epochs=3", "'run..epochs=3' sets nothing"),
        ("model.params.widht=9", "lab/small has no parameter 'widht'\n  did you mean 'width'?"),
        ("model.params.width=7", "model.params.width: expected a whole number from 8 to 256, found 7"),
        ("model.params.width=null", None),
        ("model.params.widht=null", "lab/small has no parameter 'widht'"),
    ],
)
def test_an_override_is_checked_like_the_file(
    complain: Complain, write: Write, override: str, complaint: str | None
) -> None:
    write("r.yaml", "zoo: 1\ntask: sorting\nmodel: small\naugment: [flip, flip]\n")
    said = complain("r.yaml", [override])
    assert [text.startswith(f"--set {override}: {complaint}") for text in said] == [True] * (complaint is not None)


def test_parameters_are_checked_against_the_signatures_of_builders(complain: Complain, write: Write) -> None:
    write(
        "r.yaml",
        """\
        zoo: 1
        task: {name: sorting, params: {top: 1.5, teacher: {name: small, params: {dropout: 2}, weight: 1, weights: 3}}}
        model: {name: large, params: {width: 16, dropout: 1.0, num_classes: "3"}}
        data: {val: films}
        augment:
          - {name: crop, params: {size: [112, 112, 3], scale: [0.5, big]}}
        compress: [{name: shrink, params: {amount: true}}]
        """,
    )
    assert complain("r.yaml") == [
        "r.yaml:2:37: task.params.top: expected a whole number, found 1.5",
        "r.yaml:2:87: unknown key 'weight' in task.params.teacher\n  did you mean 'weights'?",
        "r.yaml:2:107: task.params.teacher.weights: expected text, found 3",
        "r.yaml:2:83: task.params.teacher.params.dropout: expected a number of at least 0 and below 1, found 2",
        "r.yaml:3:31: 'width' cannot be changed: lab/large fixes it\n  remove it",
        "r.yaml:3:51: model.params.dropout: expected a number of at least 0 and below 1, found 1.0",
        "r.yaml:3:69: model.params.num_classes: expected a whole number, found '3'\n  write it without quotes",
        "r.yaml:4:13: lab/films needs a value for 'path'\n  write data.val.params.path: a path",
        "r.yaml:6:33: augment.0.params.size: expected a list of 2, each a whole number, found [112, 112, 3]",
        "r.yaml:6:61: augment.0.params.scale.1: expected a number, found 'big'",
        "r.yaml:7:44: compress.0.params.amount: expected a number from 0 to 1, found true",
    ]


def test_optimisers_and_schedules_are_checked_with_everything_else(complain: Complain) -> None:
    overrides = ["optim.params.lrr=1", "optim.schedule.params.finl=0", "model.params.widht=9", "optim.params.eps=-1"]
    said = "\n".join(complain("starter", overrides))
    for complaint in (
        "--set optim.params.lrr=1: optimiser 'adamw' has no parameter 'lrr'\n  did you mean 'lr'?",
        "--set optim.schedule.params.finl=0: schedule 'cosine' has no parameter 'finl'\n  did you mean 'final'?",
        "--set model.params.widht=9: lab/small has no parameter 'widht'\n  did you mean 'width'?",
        "--set optim.params.eps=-1: optim.params.eps: expected a number of at least 0, found -1",
    ):
        assert complaint in said
    assert complain("starter", ["optim.schedule=step"]) == [
        "--set optim.schedule=step: schedule 'step' needs a value for 'step_size'\n"
        "  write optim.schedule.params.step_size: a whole number of at least 1"
    ]
    assert len(complain("starter", ["run.epochs=-1", "optim.params.lrr=1"])) == 2
    groups = "optim.groups=[{match: '*', params: {lrr: 1}}]"
    assert complain("starter", [groups]) == [
        f"--set {groups}: optimiser 'adamw' has no parameter 'lrr'\n  did you mean 'lr'?"
    ]


def test_a_schedule_that_ends_after_the_run_is_found_with_the_place_where_it_is_written(complain: Complain) -> None:
    schedule = "optim.schedule={name: multistep, params: {milestones: [2, 30]}}"
    assert complain("starter", [schedule, "run.epochs=20"]) == [
        f"--set {schedule}: schedule 'multistep': the milestone after epoch 30 lies beyond the end of the run, "
        "which has 20 epochs\n  shorten the schedule, or raise run.epochs"
    ]
    assert complain("starter", [schedule, "run.epochs=30"]) == []
    assert complain("starter", [schedule, "run.epochs=0"]) == []


def test_an_average_may_be_named_alone_and_is_checked(complain: Complain) -> None:
    assert complain("starter", ["run.average=ema"]) == []
    assert complain("starter", ["run.average={name: emma}"]) == [
        "--set run.average={name: emma}: no average is called 'emma'\n  did you mean 'ema'?"
    ]
    assert complain("starter", ["run.average={name: ema, params: {decay: 1}}"]) == [
        "--set run.average={name: ema, params: {decay: 1}}: run.average.params.decay: expected a number of at least 0 "
        "and below 1, found 1"
    ]


def test_an_early_stop_wants_something_to_watch(complain: Complain) -> None:
    early_stop = "run.early_stop={patience: 2}"
    (said,) = complain("starter", [early_stop])
    assert said.startswith(f"--set {early_stop}: an early stop watches data.val, and there is none\n  fill data.val")
    assert complain("starter", [early_stop, "data.val={name: films, params: {path: x}}"]) == []
    assert complain("starter", [early_stop, "run.epochs=0"]) == []
    assert complain("starter", ["optim.schedule=plateau"]) == []


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", "~/x"])
def test_a_fetched_recipe_cannot_name_files_of_this_machine(
    complain: Complain, write: Write, shelf: Shelf, path: str
) -> None:
    shelf({"data": {"test": {"name": "films", "params": {"path": path}}}, "model": {"name": "small"}})
    (said,) = complain("shelf://one")
    place, _, message = said.partition(": ")
    assert place.startswith("shelf://one:")
    assert message.startswith(f"a fetched recipe cannot name {path!r}, a file of this machine\n  set it yourself")
    assert complain("shelf://one", [f"data.test.params.path={path}"]) == []
    write("mine.yaml", f"extends: shelf://one\ndata: {{test: {{params: {{path: {path}}}}}}}\n")
    assert complain("mine.yaml") == []


@pytest.mark.parametrize(
    "slots",
    [
        {"model": {"name": "small", "weights": "file:w"}},
        {"model": "small", "task": {"name": "sorting", "params": {"teacher": {"name": "small", "weights": "file:w"}}}},
    ],
)
def test_a_fetched_recipe_cannot_name_weights_of_this_machine(
    complain: Complain, shelf: Shelf, slots: dict[str, Any]
) -> None:
    shelf(slots)
    (said,) = complain("shelf://one")
    assert "a fetched recipe cannot name 'file:w'" in said


def test_paths_of_a_fetched_recipe_start_from_the_current_folder(index: Catalog, shelf: Shelf, tmp_path: Path) -> None:
    shelf({"model": "small", "data": {"test": {"name": "films", "params": {"path": "films"}}}})
    data = resolve_recipe(load_recipe("shelf://one", index=index), index=index).data
    assert data["data"]["test"]["params"]["path"] == str(tmp_path / "films")


def test_a_mapping_that_no_file_could_hold_is_refused(complain: Complain) -> None:
    assert complain({"zoo": 1, "model": print})[0].startswith("recipe: a recipe cannot hold a builtin_function")


@pytest.mark.parametrize(
    ("clip", "place", "said"),
    [
        ("{frames: 0}", "8:18", "data.clip.frames: expected a whole number from 1 to 65536, found 0"),
        ("{fps: 1.0e9}", "8:15", "data.clip.fps: expected a number above 0 and at most 10000"),
        ("{std: [0.2, 0, 0.2]}", "8:21", "data.clip.std.1: expected a number from 1e-06 to 255, found 0"),
        ("{mean: []}", "8:16", "data.clip.mean: expected a list of at least 1, each item a number"),
        ("{mean: [0.5, 0.5]}", "8:16", "data.clip: mean has 2 numbers and std 3"),
        ("{std: [0.5], frames: 4}", "8:15", "data.clip: mean has 3 numbers and std 1"),
        ("{size: 64, resize: 32}", "8:28", "data.clip: the clip is resized to 32 and then cropped to 64"),
        ("{interpolation: lanczos}", "8:25", "data.clip.interpolation: expected one of 'bilinear'"),
    ],
)
def test_a_clip_without_meaning_has_its_place(
    complain: Complain, write: Write, clip: str, place: str, said: str
) -> None:
    write(
        "r.yaml",
        f"""\
        zoo: 1
        task: sorting
        model: seeing
        loss: absolute
        optim: adam
        data:
          train: {{name: films, params: {{path: films}}}}
          clip: {clip}
        """,
    )
    (found,) = complain("r.yaml")
    assert found.startswith(f"r.yaml:{place}: {said}")


def test_a_size_and_its_resize_stay_in_proportion(complain: Complain) -> None:
    recipe = {"zoo": 1, "task": "sorting", "model": "seeing", "data": {"clip": {"size": 512, "mean": [0, 0, 0]}}}
    assert complain(recipe) == []


@pytest.mark.parametrize(("written", "seconds"), [("90", 90.0), ("45m", 2700.0), ("1h30m", 5400.0), ("1.5d", 129600.0)])
def test_a_duration_is_seconds_or_a_text(written: str, seconds: float) -> None:
    loaded = load_recipe({"zoo": 1, "task": "classification", "model": "basic/cnn3d"}, [f"run.max_time={written}"])
    assert loaded.schema.run.max_time == seconds


@pytest.mark.parametrize("written", ["abc", "0", "10 minutes", "m"])
def test_what_is_no_duration_is_told_in_words(written: str) -> None:
    with pytest.raises(RecipeError, match="expected a number above 0 or a text such as '45m' or '1h30m'"):
        load_recipe({"zoo": 1, "task": "classification", "model": "basic/cnn3d"}, [f"run.max_time={written}"])


@pytest.mark.parametrize("written", ["true", "{mode: reduce-overhead}", "{regions: layers}"])
def test_compilation_is_a_yes_or_says_how(written: str) -> None:
    loaded = load_recipe({"zoo": 1, "task": "classification", "model": "basic/cnn3d"}, [f"run.compile={written}"])
    slot = loaded.schema.run.compilation
    assert slot is not None
    assert (slot.mode == "reduce-overhead") == ("reduce" in written)
    assert (slot.regions == "layers") == ("layers" in written)
