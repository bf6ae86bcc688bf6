"""The loop with the real loader on real H.264 files."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import av
import numpy
import pytest

from tests.zoo.runner.in_memory import CPU, BrightOrDark, add_noise, recipe, same_weights
from zoo.data import Loader, Preprocess, Quarantine, open_split
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.progress import Progress
from zoo_registry import ClipSpec
from zoo_registry.errors import Interrupted
from zoo_registry.protocols import Sample

CLIP = ClipSpec(frames=4, stride=2, size=32, resize=36)


def write_film(path, level, seed):
    noise = numpy.random.default_rng(seed)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for _ in range(16):
            picture = noise.integers(level, level + 60, (64, 64, 3), dtype=numpy.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Ten films, dark and bright, one of them no film at all."""
    folder = tmp_path_factory.mktemp("films")
    for number in range(10):
        write_film(folder / f"{number}.mp4", 20 + 100 * (number % 2), number)
    (folder / "3.mp4").write_bytes(b"not a film")
    return [Sample(str(folder / f"{n}.mp4"), {"label_b": ("dark", "bright")[n % 2]}) for n in range(10)]


def run(path, films, task, workers, **options):
    path.mkdir(exist_ok=True)
    source = SimpleNamespace(samples=films, labels=("dark", "bright"))
    common = {"inputs": ("clip_bcthw",), "clip": CLIP, "batch": 3, "workers": workers, "quarantine": Quarantine()}
    train = Loader(open_split(source, "train"), train=True, **common)
    val = Loader(open_split(source, "val", ("dark", "bright")), train=False, views=2, **common)
    try:
        return fit(
            task, train, val, recipe=recipe(epochs=4, batch=3, log_every=2), folder=RunFolder(path), augment=add_noise,
            preprocess=Preprocess(CLIP), device=CPU, progress=Progress(quiet=True), **options,
        )  # fmt: skip
    finally:
        train.close()
        val.close()


class Stopped(BrightOrDark):
    def after_step(self, step):
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("workers", [0, 1])
def test_resume_within_an_epoch_of_films_gives_the_same_weights(tmp_path, films, workers):
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    result = run(tmp_path / "undisturbed", films, undisturbed, 0)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", films, Stopped(), workers)
    run(tmp_path / "run", films, resumed, workers, resume=True)
    assert same_weights(undisturbed, resumed)
    assert result.steps == 16
