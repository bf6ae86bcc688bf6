"""A run on a stream of shards: interrupted and resumed, evaluated, and told how long an epoch is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from tests.zoo.runner.in_memory import CPU, BrightOrDark, add_noise, recipe, same_weights
from tests.zoo.runner.test_films import CLIP, Stopped, films  # noqa: F401
from zoo.data import Loader, Preprocess, Quarantine
from zoo.data.stream_split import open_stream
from zoo.runner.folder import RunFolder
from zoo.runner.loop import fit
from zoo.runner.progress import Progress
from zoo_registry.errors import Interrupted, RunError


@dataclass(frozen=True)
class Shards:
    """The ten films of `films` in three shards; the one that is no film is left out when a batch has others."""

    samples: list
    count: int | None = 10
    labels: tuple = ("dark", "bright")
    shards: tuple = ("a.tar", "b.tar", "c.tar")
    buffer: int = 3

    def read(self, shard: int):
        for sample in self.samples[shard::3]:
            content = Path(sample.media).read_bytes()
            yield replace(sample, media=content, key=sample.media)


class Darken:
    """What runs in the workers: half of the clips become darker."""

    def __call__(self, batch, generator):
        half_b = torch.rand(len(batch), generator=generator) < 0.5
        clip_bcthw = batch.inputs["clip_bcthw"]
        darker = torch.where(half_b.view(-1, 1, 1, 1, 1), clip_bcthw // 2, clip_bcthw)
        return replace(batch, inputs={"clip_bcthw": darker})


def run(path, stream, task, workers, **options):
    path.mkdir(exist_ok=True)
    common = {"inputs": ("clip_bcthw",), "clip": CLIP, "batch": 3, "workers": workers, "quarantine": Quarantine()}
    train = Loader(open_stream(stream, "train"), train=True, augment=Darken(), **common)
    val = Loader(open_stream(replace(stream, count=None), "val", ("dark", "bright")), train=False, **common)
    try:
        return fit(
            task, train, val, recipe=recipe(epochs=4, batch=3, log_every=2), folder=RunFolder(path), augment=add_noise,
            preprocess=Preprocess(CLIP), device=CPU, progress=Progress(quiet=True), **options,
        )  # fmt: skip
    finally:
        train.close()
        val.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_resume_within_an_epoch_of_a_stream_gives_the_same_weights(tmp_path, films, workers):  # noqa: F811
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    result = run(tmp_path / "undisturbed", Shards(films), undisturbed, 0)
    with pytest.raises(Interrupted):
        run(tmp_path / "run", Shards(films), Stopped(), workers)
    run(tmp_path / "run", Shards(films), resumed, workers, resume=True)
    assert same_weights(undisturbed, resumed)
    assert result.steps == 16


def test_training_needs_to_know_how_long_an_epoch_is(tmp_path, films):  # noqa: F811
    with pytest.raises(RunError, match="nobody knows how many samples an epoch of the train split has") as caught:
        run(tmp_path / "run", Shards(films, count=None), BrightOrDark(), 0)
    assert "samples: NUMBER" in str(caught.value)
