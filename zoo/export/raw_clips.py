"""Clips as their films have them, whole frames, beside the same clips as models are ordinarily given them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from zoo.data import Loader, Preprocess, Split
from zoo.data.clips.clip import read_views
from zoo.data.clips.views import evaluation_view
from zoo.data.decode.embedded import at_hand, decodable
from zoo.data.decode.film import open_film
from zoo_registry.errors import DataError, ExportError, UndecodableMedia
from zoo_registry.protocols import Batch, Sample

if TYPE_CHECKING:
    from zoo.model import ZooModel
    from zoo_registry.entries import ClipSpec

CLIP = "clip_bcthw"

Pairs = Callable[[], Iterator[tuple[Batch, Batch]]]
"""Batches of one sample: the clip as the film has it (uint8, any size), and as the model is ordinarily given it."""


@dataclass(frozen=True)
class Unprepared:
    """What a file that prepares pixels itself is compared on.

    Attributes:
        clip: what the model wants.
        pairs: see `Pairs`; the same at every call.
    """

    clip: ClipSpec
    pairs: Pairs


def whole_frames(sample: Sample, clip: ClipSpec, view: int = 0, views: int = 1) -> torch.Tensor:
    """The frames that a clip spec wants of a film, as large as they are: uint8 (3, T, H, W)."""
    sample = at_hand(sample)
    native = replace(clip, size="native", resize=None)
    wanted = [evaluation_view(view, clips=views, sampling=clip.sampling)]
    with open_film(decodable(sample.media)) as film:
        return read_views(film, native, wanted, start=sample.start, end=sample.end, canvas=False)[0].pixels_cthw


def pairs_of(batches: Iterable[Batch], samples: Sequence[Sample], clip: ClipSpec, *, views: int, crops: int) -> Pairs:
    """Pairs for batches that a loader gave, of which the centre crops are read again.

    Args:
        batches: preprocessed.
        samples: of the split that they came from.
        clip: what the model wants.
        views: clips of each film.
        crops: crops of each clip; a file that crops itself takes the centre.

    Raises:
        ExportError: the samples come one after the other and cannot be read again.
    """
    if not samples:
        raise ExportError(
            "preprocess: true is compared on films that are read again, and a stream cannot be asked for one twice",
            hint="evaluate on a source of films that lie here (data.val)",
        )
    kept = [row for batch in batches for row in _rows(batch.to("cpu")) if int(row.view) % crops == (crops - 1) // 2]

    def pairs() -> Iterator[tuple[Batch, Batch]]:
        for row in kept:
            frames = whole_frames(samples[int(row.index)], clip, int(row.view) // crops, views)
            yield replace(row, inputs=row.inputs | {CLIP: frames[None]}), row

    return pairs


def _rows(batch: Batch) -> Iterator[Batch]:
    for index in range(len(batch)):
        yield batch.rows(slice(index, index + 1))


def prepared(model: ZooModel, films: Sequence[str]) -> list[Batch]:
    """One preprocessed batch of one clip for each film, as `model.predict` would see it.

    Raises:
        DataError: a film cannot be decoded.
    """
    if model.clip is None:
        raise DataError(f"{model.name} says of no clip that it takes", hint="only models of clips can be shown films")
    samples = [Sample(film) for film in films]
    loader = Loader(
        Split("films", samples, ()), inputs=model.inputs, clip=model.clip, audio=model.audio, batch=1, train=False,
        workers=0, on_bad="raise",
    )  # fmt: skip
    preprocess = Preprocess(model.clip)
    try:
        with closing(loader), torch.no_grad():
            return [preprocess(batch) for batch in loader.epoch(0)]
    except UndecodableMedia as error:  # its hint is one for recipes
        hint = "name films that can be decoded with --film"
        raise UndecodableMedia(replace(problem, hint=hint) for problem in error.problems) from error
