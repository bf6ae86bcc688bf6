"""Films as large as they are: whole in evaluation, cut out in training, and nothing in between that wants to know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.artefact import load_model
from zoo.cli.models import _clip
from zoo.data import Loader, Preprocess, Split
from zoo.data.clip_changes import changed_clip
from zoo.data.clips.placement import canvas_placement, evaluation_placement
from zoo.recipe import check_recipe, load_recipe
from zoo.runner.pipeline import assemble
from zoo.runner.stages import run
from zoo_registry import ClipSpec
from zoo_registry.errors import DataError, ParameterError
from zoo_registry.protocols import Sample

NATIVE = ClipSpec(frames=1, size="native")
PATCHES = ClipSpec(frames=1, size=8, resize="native")
SIZES = {"a": (16, 24), "b": (20, 12)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two PNGs of noise, of two sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in SIZES.items():
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def loader(folder: Path, clip: ClipSpec, **options) -> Loader:
    samples = [Sample(str(folder / f"{name}.png"), {"film": name}) for name in SIZES]
    given = {"batch": 2, "train": False, "workers": 0, **options}
    return Loader(Split("val", samples, ()), inputs=("clip_bcthw",), clip=clip, **given)


def pixels(folder: Path, name: str) -> torch.Tensor:
    with Image.open(folder / f"{name}.png") as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def test_evaluation_shows_whole_films_one_a_batch_and_every_pixel_as_it_is(pictures: Path) -> None:
    batches = list(loader(pictures, NATIVE).epoch(0))
    assert [batch.targets["film"] for batch in batches] == [["a"], ["b"]]
    for batch, name in zip(batches, SIZES, strict=True):
        assert torch.equal(batch.inputs["clip_bcthw"][0, :, 0], pixels(pictures, name))
        ready = Preprocess(NATIVE)(batch).inputs["clip_bcthw"]
        assert ready.shape[-2:] == SIZES[name]


def test_training_on_whole_films_of_two_sizes_is_refused(pictures: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(loader(pictures, NATIVE, train=True).epoch(0))
    assert "films of the val split have several sizes" in str(caught.value)
    assert "run.batch: 1, or a data.val.clip.size" in str(caught.value)


def test_training_cuts_patches_out_of_films_that_stay_as_they_are(pictures: Path) -> None:
    (batch,) = loader(pictures, PATCHES, train=True).epoch(0)
    for patch, index in zip(batch.inputs["clip_bcthw"][:, :, 0], batch.index.tolist(), strict=True):
        whole = pixels(pictures, list(SIZES)[index])
        windows = whole.unfold(1, 8, 1).unfold(2, 8, 1)  # (3, rows, columns, 8, 8)
        assert (windows == patch[:, None, None]).all(-1).all(-1).all(0).any()


def test_a_film_smaller_than_what_is_cut_out_is_said() -> None:
    for placed in (lambda: evaluation_placement(PATCHES, 6, 20), lambda: canvas_placement(PATCHES, 6, 20, (0, 0))):
        with pytest.raises(DataError, match="8 x 8 pixels are to be cut out of frames of 6 x 20"):
            placed()


def test_the_middle_is_cut_out_in_evaluation(pictures: Path) -> None:
    (batch,) = loader(pictures, PATCHES).epoch(0)
    assert torch.equal(batch.inputs["clip_bcthw"][0, :, 0], pixels(pictures, "a")[:, 4:12, 8:16])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": "native", "resize": 32}, "size is native, the film's own, and resize is 32"),
        ({"size": "whole"}, "size must be a whole number from 1 to 16384, native, or two of them"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(given: dict, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        ClipSpec(frames=1, **given)


def test_what_needs_a_size_says_so() -> None:
    with pytest.raises(ParameterError, match=r"write data\.clip\.size"):
        _ = NATIVE.height_width
    assert (NATIVE.native, NATIVE.size_in_words, _clip(NATIVE)) == (True, "as large as the film", "1xnative/1")


def test_changes_to_and_from_native_carry_no_resize_along() -> None:
    resized = ClipSpec(frames=1, size=64, resize=80)
    assert changed_clip(resized, {"size": "native"}) == NATIVE
    assert changed_clip(NATIVE, {"size": 64}) == ClipSpec(frames=1, size=64)


def recipe(folder: Path, **train) -> dict:
    source = {"name": "films", "params": {"path": str(folder)}}
    return {
        "zoo": 1,
        "task": "super_resolution",
        "model": {"name": "enhance/vdsr", "params": {"depth": 2, "width": 2}},
        "data": {"train": {**source, **train}, "val": source, "workers": 0},
        "loss": "mse",
        "optim": "adam",
        "run": {"epochs": 1, "batch": 2, "device": "cpu"},
    }


def test_a_split_has_a_clip_of_its_own_and_the_model_is_saved_with_that_of_the_run(pictures: Path, tmp_path) -> None:
    result = run(recipe(pictures, clip={"size": 8, "resize": "native"}), out=tmp_path / "run", quiet=True)
    assert result.summary["val/samples"] == 2
    model = load_model(tmp_path / "run" / "model")
    assert model.clip is not None
    assert model.clip.native
    (row,) = model.predict(pictures / "b.png")
    assert (row["height"], row["width"]) == (40, 24)


def test_a_canvas_that_no_augmentation_cuts_is_cut_to_the_size_of_its_split(pictures: Path) -> None:
    built = assemble(load_recipe(recipe(pictures, clip={"size": 8, "resize": 10})))
    (batch,) = built.loader("train", train=True).epoch(0)
    assert batch.inputs["clip_bcthw"].shape[-2:] == (10, 10)
    ready = built.preprocess(built.augment(batch, torch.Generator()))
    assert ready.inputs["clip_bcthw"].shape == ready.targets["clip_bcthw"].shape == (2, 1, 1, 8, 8)


def test_augmentations_are_built_for_the_clips_of_training(pictures: Path) -> None:
    given = recipe(pictures, clip={"size": 8, "resize": "native"}) | {"augment": ["random_crop"]}
    built = assemble(load_recipe(given))
    (batch,) = built.loader("train", train=True).epoch(0)
    assert built.preprocess(built.augment(batch, torch.Generator())).inputs["clip_bcthw"].shape[-2:] == (8, 8)


def test_a_clip_of_a_split_that_contradicts_itself_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "zoo: 1\ntask: super_resolution\nmodel: enhance/vdsr\ndata:\n"
        "  val: {name: films, params: {path: .}, clip: {resize: 32}}\n"
    )
    (problem,) = check_recipe(load_recipe(path))
    assert problem.message == "data.val.clip: size is native, the film's own, and resize is 32"
    assert problem.where is not None
    assert problem.where.line == 5
