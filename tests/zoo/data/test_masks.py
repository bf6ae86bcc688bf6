"""A mask shows the classes under the clip: the same moments, the same window, and no value that is not in the file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.zoo.data.films import WriteFilm
from zoo.data import Loader, Quarantine, Split
from zoo_registry import ClipSpec
from zoo_registry.protocols import Batch, Sample

CLIP = ClipSpec(frames=3, stride=2, size=16, resize=24)


def write_masks(path: Path, masks_thw: np.ndarray, rate: int = 10) -> Path:
    """A lossless grey film (FFV1) or, of one frame, a PNG."""
    codec = "png" if path.suffix == ".png" else "ffv1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = *masks_thw.shape[1:], "gray"
        for mask in masks_thw:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="gray")))
        container.mux(stream.encode())
    return path


def read(source: Path, mask: Path, *, train: bool, views: int = 1, quarantine: Quarantine | None = None) -> list[Batch]:
    split = Split("train", [Sample(str(source), {"mask_bthw": str(mask)})], ())
    loader = Loader(
        split, inputs=("clip_bcthw",), clip=CLIP, batch=1, views=views, workers=0, train=train, quarantine=quarantine
    )  # fmt: skip
    return list(loader.epoch(0))


@pytest.mark.parametrize("train", [True, False])
def test_a_mask_shows_the_moments_of_the_clip(numbered_film: WriteFilm, tmp_path: Path, train: bool) -> None:
    """Frame i of the film is grey of level 10 i; its mask is class i everywhere."""
    source = numbered_film("film.mp4", size=(48, 64))
    mask = write_masks(tmp_path / "mask.mkv", np.repeat(np.arange(20, dtype=np.uint8), 48 * 64).reshape(20, 48, 64))
    (batch,) = read(source, mask, train=train, views=2)
    masks_bthw, clip_bcthw = batch.targets["mask_bthw"], batch.inputs["clip_bcthw"]
    assert masks_bthw.dtype == torch.uint8
    assert masks_bthw.shape == (2, 3, *clip_bcthw.shape[-2:])
    frames_bt = (clip_bcthw.float().mean(dim=(1, 3, 4)) / 10).round().to(torch.uint8)
    assert torch.equal(masks_bthw, frames_bt[..., None, None].expand_as(masks_bthw))


def test_a_mask_is_seen_through_the_window_of_the_clip_and_holds_only_its_own_classes(tmp_path: Path) -> None:
    """Left half class 3, right half class 250; the picture is white where the class is 250."""
    halves = np.full((1, 60, 90), 3, np.uint8)
    halves[:, :, 45:] = 250
    mask = write_masks(tmp_path / "mask.png", halves)
    source = write_masks(tmp_path / "film.png", (halves > 100).astype(np.uint8) * 255)
    (batch,) = read(source, mask, train=True, views=4)
    masks_bthw = batch.targets["mask_bthw"]
    assert set(masks_bthw.unique().tolist()) == {3, 250}
    white = batch.inputs["clip_bcthw"][:, 0] > 127
    differing = (white != (masks_bthw == 250)).float().mean()
    assert differing <= 1 / 24  # at most one column of pixels, where the halves meet


def test_a_mask_of_other_moments_or_a_damaged_one_makes_a_bad_sample(numbered_film: WriteFilm, tmp_path: Path) -> None:
    source = numbered_film("film.mp4", size=(48, 64))
    short = write_masks(tmp_path / "short.mkv", np.zeros((9, 48, 64), np.uint8))
    (tmp_path / "empty.mkv").touch()
    for mask, reason in [(short, "it shows"), (tmp_path / "empty.mkv", "the file is empty")]:
        quarantine = Quarantine()
        with pytest.raises(Exception, match="cannot be read"):
            read(source, mask, train=False, quarantine=quarantine)
        (bad,) = quarantine.entries
        assert bad.media == str(source)
        assert bad.reason.startswith(f"its mask {mask}: {reason}")
