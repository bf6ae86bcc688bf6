"""A target clip is the film that should come out: it shows what the input clip shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.zoo.data.films import WriteFilm, numbers
from zoo.data import Loader, Quarantine, Split
from zoo_registry import AudioSpec, ClipSpec
from zoo_registry.errors import DataError
from zoo_registry.protocols import Batch, Sample

CLIP = ClipSpec(frames=3, stride=2, size=16, resize=24)


def batches(
    *pairs: tuple[Path, Path], train: bool, views: int = 1, quarantine: Quarantine | None = None
) -> list[Batch]:
    samples = [Sample(str(source), {"clip_bcthw": str(target)}) for source, target in pairs]
    loader = Loader(
        Split("train", samples, ()),
        inputs=("clip_bcthw",),
        clip=CLIP,
        batch=4,
        views=views,
        workers=0,
        train=train,
        quarantine=quarantine,
        max_bad=1.0,
    )
    return list(loader.epoch(0))


@pytest.mark.parametrize("train", [True, False])
def test_the_target_shows_the_same_frames_as_bytes(numbered_film: WriteFilm, train: bool) -> None:
    """Frame i of the input is grey of 10 i, of the target 10 i + 5; the target has twice the pixels."""
    source = numbered_film("small.mp4", size=(32, 48))
    target = numbered_film("large.mp4", size=(64, 96), level=lambda number: 10 * number + 5)
    (batch,) = batches((source, target), train=train, views=2)
    shown, wanted = batch.inputs["clip_bcthw"], batch.targets["clip_bcthw"]
    assert wanted.dtype == torch.uint8
    assert wanted.shape == shown.shape
    for ours, theirs in zip(shown, wanted, strict=True):
        assert numbers(theirs.int() - 5) == numbers(ours)
    assert numbers(shown[0]) != numbers(shown[1])


def test_the_target_is_seen_through_the_same_window(numbered_film: WriteFilm) -> None:
    """A film that is its own target is the same clip, wherever on the canvas the window lies."""
    film = numbered_film(size=(32, 96))
    (batch,) = batches((film, film), train=True, views=3)
    assert torch.equal(batch.targets["clip_bcthw"], batch.inputs["clip_bcthw"])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"frames": 12}, "it shows 0.40 s to 0.90 s, the input clip 0.80 s to 1.30 s"),
        ({"size": (64, 32)}, "its width and height are in another proportion than the input's"),
    ],
)
def test_a_target_that_shows_something_else_makes_a_bad_sample(
    numbered_film: WriteFilm, tmp_path: Path, spoil: dict, reason: str
) -> None:
    source, target = numbered_film("in.mp4"), numbered_film("out.mp4", **spoil)
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    assert batches((source, target), (source, source), train=False, quarantine=quarantine)[0].index.tolist() == [1]
    (bad,) = quarantine.entries
    assert bad.media == str(source)
    assert bad.reason == f"its target clip {target}: {reason}"


def test_target_clips_need_a_model_that_takes_clips(numbered_film: WriteFilm) -> None:
    split = Split("train", [Sample("a.wav", {"clip_bcthw": "b.mp4"})], ())
    with pytest.raises(DataError, match="target clips, which are read like the input clip; the model takes none"):
        Loader(split, inputs=("audio_bcn",), clip=None, audio=AudioSpec(samples=800), batch=1, train=True)
