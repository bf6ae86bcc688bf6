"""Target clips and masks are opened too: what a run would refuse is said of the sample it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo.data.faulty_films import first_frames, moving_texture, pictures_of, truncated, write_film
from zoo.data import Split
from zoo.data.audit import Audit, audit_splits
from zoo.data.audit.cleaning import left_out
from zoo_registry import ClipSpec
from zoo_registry.protocols import Sample

CLIP = ClipSpec(frames=4, stride=1, size=48)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return moving_texture(tmp_path / "a.mp4", 1, frames=30)


def audit(film: Path, target: Path, key: str = "clip_bcthw", **span: float) -> Audit:
    sample = Sample(str(film), {key: str(target)}, key=film.name, **span)
    return audit_splits({"train": Split("train", [sample], ())}, clip=CLIP, workers=0)


def said(audit: Audit) -> list[tuple[str, str]]:
    return [(finding.kind, finding.message) for finding in audit.findings]


@pytest.mark.parametrize(("key", "name"), [("clip_bcthw", "target clip"), ("mask_bthw", "mask")])
def test_a_target_that_cannot_be_read_is_named_with_its_reason(film: Path, tmp_path: Path, key: str, name: str) -> None:
    missing, cut = tmp_path / "missing.mp4", truncated(film, tmp_path / "cut.mp4")
    assert said(audit(film, missing, key)) == [
        ("unreadable", f"{film}: its {name} {missing} cannot be read: there is no such file")
    ]
    ((kind, message),) = said(audit(film, cut, key))
    assert kind == "unreadable"
    assert message.startswith(f"{film}: its {name} {cut} cannot be read: ")


def test_a_target_of_another_length_does_not_fit(film: Path, tmp_path: Path) -> None:
    """20 of 30 frames at 25 fps: 0.8 s instead of 1.2 s."""
    short = first_frames(film, tmp_path / "short.mp4", 20)
    assert said(audit(film, short)) == [
        ("mismatch", "a.mp4 has 30 frames, 0 s to 1.2 s; its target clip short.mp4 has 20 frames, 0 s to 0.8 s")
    ]


def test_a_target_of_another_shape_does_not_fit_but_one_of_another_size_does(film: Path, tmp_path: Path) -> None:
    wide = write_film(tmp_path / "wide.mp4", pictures_of(film, width=192, height=96))
    large = write_film(tmp_path / "large.mp4", pictures_of(film, width=192, height=192))
    assert said(audit(film, wide, "mask_bthw")) == [("mismatch", "a.mp4 is 96x96; its mask wide.mp4 is 192x96")]
    assert said(audit(film, large)) == []


def test_a_target_is_read_in_the_span_of_its_sample(film: Path, tmp_path: Path) -> None:
    short = first_frames(film, tmp_path / "short.mp4", 20)
    assert said(audit(film, short, start=0.2, end=0.7)) == []
    ((kind, message),) = said(audit(film, short, start=0.9, end=1.1))
    assert kind == "unreadable"
    assert "there is nothing from 0.9 s" in message


def test_a_black_mask_is_no_fault(film: Path, tmp_path: Path) -> None:
    """Class 0 everywhere."""
    mask = write_film(tmp_path / "mask.mp4", [picture * 0 for picture in pictures_of(film)])
    assert said(audit(film, mask, "mask_bthw")) == []


def test_targets_of_one_clip_may_differ_between_samples(film: Path, tmp_path: Path) -> None:
    large = write_film(tmp_path / "large.mp4", pictures_of(film, width=192, height=192))
    samples = [Sample(str(film), {"clip_bcthw": str(path)}, key=path.name) for path in (large, tmp_path / "gone.mp4")]
    result = audit_splits({"train": Split("train", samples, ())}, clip=CLIP, workers=0)
    (broken,) = result.of("unreadable")
    assert [place.key for place in broken.places] == ["gone.mp4"]


def test_samples_whose_target_is_broken_are_left_out(film: Path, tmp_path: Path) -> None:
    short = first_frames(film, tmp_path / "short.mp4", 20)
    assert [out.kind for out in left_out(audit(film, short))] == ["mismatch"]
    assert [out.kind for out in left_out(audit(film, tmp_path / "gone.mp4"))] == ["unreadable"]
