"""What is the recipe's fault stops the run before its first file, names its line and leaves nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import zoo
from tests.zoo.data.films import write_numbered_film
from zoo_registry.errors import MissingExtra, RecipeError, RunError, ZooError

RECIPE = """\
zoo: 1
task: classification
model: basic/cnn3d
data:
  train: {name: folder, params: {path: films}}
  clip: {frames: 2, size: 16}
  workers: 1
  decoder: DECODER
loss: cross_entropy
optim: sgd
run: {epochs: 1, device: cpu}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for label in ("a", "b"):
        (tmp_path / "films" / label).mkdir(parents=True)
        write_numbered_film(tmp_path / "films" / label / "film.mp4", 4, size=(32, 32))
    (tmp_path / "r.yaml").write_text(RECIPE)
    return tmp_path / "r.yaml"


def refused(recipe: Path, kind: type[ZooError], old: str, new: str) -> str:
    recipe.write_text(recipe.read_text().replace(old, new))
    with pytest.raises(kind) as caught:
        zoo.run(recipe, out=recipe.parent / "run", quiet=True)
    assert not (recipe.parent / "run").exists()
    return str(caught.value).replace(str(recipe.parent), "")


def test_a_decoder_that_is_not_installed(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)  # what Python takes for not installed
    said = refused(recipe, MissingExtra, "DECODER", "torchcodec")
    assert said.startswith("/r.yaml:8:12: the decoder torchcodec is not installed\n")
    assert 'pip install "videozoo[torchcodec]"' in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there(recipe: Path) -> None:
    said = refused(recipe, RunError, "DECODER", "{hardware: cuda}")
    assert said.startswith("/r.yaml:8:12: no device of kind 'cuda' can decode here")


def test_a_device_that_nobody_knows(recipe: Path) -> None:
    said = refused(recipe, ZooError, "DECODER", "{hardware: abacus}")
    assert said.startswith("/r.yaml:8:12: pyav decodes on no device called 'abacus'")


def test_a_time_limit_that_every_film_exceeds(recipe: Path) -> None:
    said = refused(recipe, RecipeError, "DECODER", "{time_limit: 0.001}")
    assert said.startswith("/r.yaml:8:25: data.decoder.time_limit: expected a number of at least 1, found 0.001")


def test_a_clip_that_is_too_large(recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("DECODER", "pyav"))
    said = refused(recipe, RecipeError, "frames: 2, size: 16", "frames: 4, size: 16000")
    assert said.startswith("/r.yaml:6:18: data.clip: a clip of 4 frames of 16000 x 16000 pixels is larger than 2 GiB")
