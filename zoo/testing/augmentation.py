"""What holds for every augmentation."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.testing.component import ComponentConformance
from zoo_registry.entries import ClipSpec
from zoo_registry.protocols import Augment, Batch


class AugmentationConformance(ComponentConformance):
    """Checks for an augmentation of clips. Subclass it as `Test...`.

    Attributes:
        clip: the clip spec in force.
        canvas: (height, width) of the clips before augmentation.

    Example:
        >>> class TestBlur(AugmentationConformance):
        ...     name = "acme/blur"
        ...     params = {"sigma": 1.5}
    """

    kind = "augmentation"
    clip: ClassVar[ClipSpec] = ClipSpec(frames=4, size=32)
    canvas: ClassVar[tuple[int, int]] = (40, 56)

    def augment(self) -> Augment:
        """The augmentation."""
        built: Augment = self.build(clip=self.clip, seed=0)
        return built

    def example(self) -> Batch:
        """Three clips of bytes, each with a label and with one or two boxes."""
        height, width = self.canvas
        clips = torch.randint(0, 256, (3, 3, self.clip.frames, height, width), dtype=torch.uint8, generator=_seeded(9))
        boxes = [torch.tensor([[4.0, 6.0, 20.0, 30.0]] * count) for count in (1, 2, 1)]
        targets = {"label_b": torch.tensor([0, 1, 2]), "boxes_n4": boxes}
        return Batch({"clip_bcthw": clips}, targets, torch.tensor([5, 7, 9]), torch.zeros(3, dtype=torch.int64))

    def augmented(self, seed: int = 0) -> Batch:
        """The example after augmentation."""
        return self.augment()(self.example(), _seeded(seed))

    def test_returns_as_many_clips_of_valid_values(self) -> None:
        clips = self.augmented().inputs["clip_bcthw"]
        assert clips.ndim == 5, f"clips are B C T H W, {tuple(clips.shape)} came out"
        assert clips.shape[:2] == (3, 3), f"three RGB clips went in, {tuple(clips.shape)} came out"
        if clips.dtype != torch.uint8:
            assert clips.is_floating_point(), f"clips are uint8 or float, {clips.dtype} came out"
            assert clips.isfinite().all()
            assert clips.min() >= 0, f"float clips are 0..1, {clips.min()} came out"
            assert clips.max() <= 1, f"float clips are 0..1, {clips.max()} came out"

    def test_takes_floats_too(self) -> None:
        batch = self.example()
        batch.inputs["clip_bcthw"] = batch.inputs["clip_bcthw"].float() / 255
        clips = self.augment()(batch, _seeded(0)).inputs["clip_bcthw"]
        assert clips.shape == self.augmented().inputs["clip_bcthw"].shape
        assert clips.is_floating_point(), f"float clips of 0..1 went in, {clips.dtype} came out"
        assert clips.min() >= 0, f"float clips are 0..1, {clips.min()} came out"
        assert clips.max() <= 1, f"float clips are 0..1, {clips.max()} came out: are these the values of bytes?"

    def test_the_same_seed_gives_the_same_clips(self) -> None:
        once, again = (self.augmented(seed=3).inputs["clip_bcthw"] for _ in range(2))
        assert torch.equal(once, again), f"{self.name} draws from somewhere else than the generator it is given"

    def test_draws_from_no_other_generator(self) -> None:
        before = torch.get_rng_state()
        self.augmented()
        assert torch.equal(before, torch.get_rng_state()), f"{self.name} draws from torch's global generator"

    def test_reads_nothing_back_from_the_device(self) -> None:
        here, there = _seeded(0), _seeded(0)
        clips = self.augment()(self.example(), here).inputs["clip_bcthw"]
        try:  # tensors of the meta device have no values that could be read
            elsewhere = self.augment()(self.example().to("meta"), there).inputs["clip_bcthw"]
        except (RuntimeError, NotImplementedError) as error:
            raise AssertionError(
                f"{self.name} reads values from the batch's device, for which every step has to wait: draw on the CPU, "
                f"where the generator is, and send what the clips need with .to(device) ({error})"
            ) from error
        assert torch.equal(here.get_state(), there.get_state()), f"{self.name} draws on the batch's device, not the CPU"
        assert elsewhere.device.type == "meta", f"{self.name} takes the clips to the {elsewhere.device}"
        assert elsewhere.shape == clips.shape

    def test_leaves_the_batch_it_was_given_alone(self) -> None:
        batch, untouched = self.example(), self.example()
        self.augment()(batch, _seeded(0))
        assert list(batch.inputs) == list(untouched.inputs), f"{self.name} changes the batch's dictionaries"
        assert list(batch.targets) == list(untouched.targets), f"{self.name} changes the batch's dictionaries"
        for name, given, original in _parts(batch, untouched):
            assert torch.equal(given, original), f"{self.name} writes to the {name} it was given"

    def test_keeps_labels_and_places_with_their_clips(self) -> None:
        before, after = self.example(), self.augmented()
        assert torch.equal(before.index, after.index)
        assert torch.equal(before.view, after.view)
        assert len(after.targets["label_b"]) == 3

    def test_boxes_stay_inside_the_picture(self) -> None:
        batch = self.augmented()
        height, width = batch.inputs["clip_bcthw"].shape[-2:]
        limit = torch.tensor([width, height, width, height], dtype=torch.float32)
        for boxes_n4, original in zip(batch.targets["boxes_n4"], self.example().targets["boxes_n4"], strict=True):
            assert boxes_n4.shape == original.shape, "boxes stay with their labels: clip them, do not drop them"
            assert (boxes_n4 >= 0).all(), f"a box lies outside the picture: {boxes_n4}"
            assert (boxes_n4 <= limit).all(), f"a box lies outside the picture of {height}x{width}: {boxes_n4}"

    def test_masks_stay_on_their_pixels(self) -> None:
        batch = self.example()
        if "boxes_n4" not in batch.targets:
            pytest.skip("the example has nothing that lives in the picture")
        masks = torch.randint(0, 4, batch.inputs["clip_bcthw"][:, 0].shape, dtype=torch.uint8, generator=_seeded(8))
        batch.targets["mask_bthw"] = masks
        after = self.augment()(batch, _seeded(0))
        moved, clips = after.targets["mask_bthw"], after.inputs["clip_bcthw"]
        assert moved.dtype == masks.dtype, f"masks are classes of pixels, {masks.dtype} became {moved.dtype}"
        assert moved.shape == clips[:, 0].shape, (
            f"the clips became {tuple(clips.shape)}, their masks {tuple(moved.shape)}: move `mask_bthw` along, without "
            "mixing its values"
        )
        assert {*moved.flatten().tolist()} <= {0, 1, 2, 3, 255}, f"{self.name} mixes classes"
        assert torch.equal(batch.targets["mask_bthw"], masks), f"{self.name} writes to the masks it was given"


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _parts(one: Batch, other: Batch) -> list[tuple[str, Tensor, Tensor]]:
    """Name and both values of every tensor of two batches."""
    boxes = zip(one.targets["boxes_n4"], other.targets["boxes_n4"], strict=True)
    return [
        ("clips", one.inputs["clip_bcthw"], other.inputs["clip_bcthw"]),
        ("labels", one.targets["label_b"], other.targets["label_b"]),
        ("index", one.index, other.index),
        ("view", one.view, other.view),
        *(("boxes", *pair) for pair in boxes),
    ]
