"""What holds for every augmentation."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.testing.component import ComponentConformance
from zoo.testing.scene import around_rectangle, explained, overlap, painted
from zoo_registry.entries import ClipSpec
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch, FusibleAugment

_ODD = (41, 59)
_BYTES_AND_FLOATS = pytest.mark.parametrize(
    ("dtype", "is_odd"), [(torch.uint8, False), (torch.float32, True)], ids=["bytes", "floats of odd size"]
)
_SEEDS = range(3)
_LEVELS = 2 / 255


class AugmentationConformance(ComponentConformance):
    """Checks for an augmentation of clips. Subclass it as `Test...`.

    An augmentation may refuse what it cannot do by a `ParameterError`: masks that cannot be mixed, or sizes that are no
    multiple of a patch. The check is skipped with its words then.

    Attributes:
        clip: the clip spec in force.
        canvas: (height, width) of the clips before augmentation.
        shown: least share of a clip's variance that the classes of its pixels still explain afterwards, which is how
            clips and masks are seen to move together; lower for what hides most of the picture.

    Example:
        >>> class TestBlur(AugmentationConformance):
        ...     name = "acme/blur"
        ...     params = {"sigma": 1.5}
    """

    kind = "augmentation"
    clip: ClassVar[ClipSpec] = ClipSpec(frames=4, size=32)
    canvas: ClassVar[tuple[int, int]] = (40, 56)
    shown: ClassVar[float] = 0.5

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

    def unless_refused(self, batch: Batch, seed: int = 0) -> Batch:
        """A batch after augmentation; the check is skipped where the augmentation says that it cannot do it."""
        try:
            return self.augment()(batch, _seeded(seed))
        except ParameterError as error:
            pytest.skip(f"{self.name} refuses this: {error}")

    def test_returns_as_many_clips_of_valid_values(self) -> None:
        clips = self.augmented().inputs["clip_bcthw"]
        assert clips.ndim == 5, f"clips are B C T H W, {tuple(clips.shape)} came out"
        assert clips.shape[:2] == (3, 3), f"three RGB clips went in, {tuple(clips.shape)} came out"
        if clips.dtype != torch.uint8:
            assert clips.is_floating_point(), f"clips are uint8 or float, {clips.dtype} came out"
            assert clips.isfinite().all(), f"{self.name} makes clips that are not finite"
            assert clips.min() >= 0, f"float clips are 0..1, {clips.min()} came out"
            assert clips.max() <= 1, f"float clips are 0..1, {clips.max()} came out"

    def test_takes_floats_too(self) -> None:
        batch = self.example()
        batch.inputs["clip_bcthw"] = batch.inputs["clip_bcthw"].float() / 255
        clips = self.augment()(batch, _seeded(0)).inputs["clip_bcthw"]
        bytes_shape = tuple(self.augmented().inputs["clip_bcthw"].shape)
        assert tuple(clips.shape) == bytes_shape, (
            f"clips of bytes become {bytes_shape}, the same as floats {tuple(clips.shape)}"
        )
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
        self._reads_nothing_of(self.example())

    def test_moves_masks_and_target_clips_without_reading_them(self) -> None:
        batch = painted(self.example())
        self.unless_refused(batch)
        self._reads_nothing_of(batch)

    def _reads_nothing_of(self, batch: Batch) -> None:
        here, there = _seeded(0), _seeded(0)
        clips = self.augment()(batch, here).inputs["clip_bcthw"]
        try:  # tensors of the meta device have no values that could be read
            elsewhere = self.augment()(batch.to("meta"), there).inputs["clip_bcthw"]
        except (RuntimeError, NotImplementedError) as error:
            raise AssertionError(
                f"{self.name} reads values from the batch's device, for which every step has to wait: draw on the CPU, "
                f"where the generator is, and send what the clips need with .to(device) ({error})"
            ) from error
        assert torch.equal(here.get_state(), there.get_state()), f"{self.name} draws on the batch's device, not the CPU"
        assert elsewhere.device.type == "meta", f"{self.name} takes the clips to the {elsewhere.device}"
        assert elsewhere.shape == clips.shape, (
            f"on another device the clips become {tuple(elsewhere.shape)}, not {tuple(clips.shape)}"
        )

    def test_leaves_the_batch_it_was_given_alone(self) -> None:
        batch, untouched = self.example(), self.example()
        self.augment()(batch, _seeded(0))
        assert list(batch.inputs) == list(untouched.inputs), f"{self.name} changes the batch's dictionaries"
        assert list(batch.targets) == list(untouched.targets), f"{self.name} changes the batch's dictionaries"
        for name, given, original in _parts(batch, untouched):
            assert torch.equal(given, original), f"{self.name} writes to the {name} it was given"

    def test_keeps_labels_and_places_with_their_clips(self) -> None:
        before, after = self.example(), self.augmented()
        assert torch.equal(before.index, after.index), f"{self.name} changes which samples are in the batch"
        assert torch.equal(before.view, after.view), f"{self.name} changes which views are in the batch"
        labels = len(after.targets["label_b"])
        assert labels == 3, f"three labels went in, {labels} came out"

    def test_boxes_stay_inside_the_picture(self) -> None:
        batch = self.augmented()
        height, width = batch.inputs["clip_bcthw"].shape[-2:]
        limit = torch.tensor([width, height, width, height], dtype=torch.float32)
        for boxes_n4, original in zip(batch.targets["boxes_n4"], self.example().targets["boxes_n4"], strict=True):
            assert boxes_n4.shape == original.shape, "boxes stay with their labels: clip them, do not drop them"
            assert (boxes_n4 >= 0).all(), f"a box lies outside the picture: {boxes_n4}"
            assert (boxes_n4 <= limit).all(), f"a box lies outside the picture of {height}x{width}: {boxes_n4}"

    @_BYTES_AND_FLOATS
    def test_clips_masks_and_targets_move_together(self, dtype: torch.dtype, is_odd: bool) -> None:
        for seed in _SEEDS:
            before = painted(self._example_of(dtype, is_odd), is_moving=True)
            after = self.unless_refused(before, seed)
            mask_bthw, target_bcthw = after.targets["mask_bthw"], after.targets["clip_bcthw"]
            assert mask_bthw.dtype == torch.uint8, f"masks are classes of pixels, uint8 became {mask_bthw.dtype}"
            assert mask_bthw.shape == after.inputs["clip_bcthw"][:, 0].shape, (
                f"the clips became {tuple(after.inputs['clip_bcthw'].shape)}, their masks {tuple(mask_bthw.shape)}: "
                "move `mask_bthw` along, without mixing its values"
            )
            assert {*mask_bthw.unique().tolist()} <= {0, 1, 2, 255}, f"{self.name} mixes classes"
            for what, clips in (("clip", after.inputs["clip_bcthw"]), ("target clip", target_bcthw)):
                assert clips[:, 0].shape == mask_bthw.shape, (
                    f"masks became {tuple(mask_bthw.shape)}, the {what}s {tuple(clips.shape)}: move them along"
                )
                least = float(explained(clips, mask_bthw).min())
                assert least >= self.shown, (
                    f"a {what} shows another place than its mask (the classes of its pixels explain {least:.2f} of its "
                    f"variance): {self.name} moves the one and not the other"
                )
            assert torch.equal(before.targets["mask_bthw"], painted(before, is_moving=True).targets["mask_bthw"]), (
                f"{self.name} writes to the masks it was given"
            )

    @_BYTES_AND_FLOATS
    def test_boxes_stay_around_what_they_frame(self, dtype: torch.dtype, is_odd: bool) -> None:
        for seed in _SEEDS:
            after = self.unless_refused(painted(self._example_of(dtype, is_odd)), seed)
            for boxes_n4, mask_thw in zip(after.targets["boxes_n4"], after.targets["mask_bthw"], strict=True):
                seen = around_rectangle(mask_thw)
                if not len(boxes_n4) or seen is None:
                    continue
                assert (boxes_n4[0, :2] <= seen[:2] + 1.5).all() and (boxes_n4[0, 2:] >= seen[2:] - 1.5).all(), (  # noqa: PT018
                    f"the box {boxes_n4[0].tolist()} is not around the rectangle at {seen.tolist()}: move `boxes_n4`"
                )
                is_small = float((seen[2:] - seen[:2]).min()) < 6
                assert is_small or overlap(boxes_n4[0], seen) >= 0.5, (
                    f"the box {boxes_n4[0].tolist()} is far from the rectangle at {seen.tolist()}: move `boxes_n4`"
                )

    def test_what_did_not_move_is_as_it_was(self) -> None:
        for seed in _SEEDS:
            before = painted(self.example())
            after = self.unless_refused(before, seed)
            for row in range(len(before)):
                same = {
                    key: torch.equal(before.targets[key][row], after.targets[key][row])
                    for key in ("clip_bcthw", "mask_bthw", "boxes_n4")
                }
                if torch.equal(before.inputs["clip_bcthw"][row], after.inputs["clip_bcthw"][row]):
                    assert all(same.values()), f"{self.name} leaves a clip as it is, and moves its targets: {same}"
                if same["clip_bcthw"]:
                    assert all(same.values()), f"{self.name} leaves a target clip where it is, and not the rest: {same}"

    def test_target_clips_move_at_their_own_scale(self) -> None:
        for seed in _SEEDS:
            after = self.unless_refused(painted(self.example(), scale=2), seed)
            mask_bthw, target_bcthw = after.targets["mask_bthw"], after.targets["clip_bcthw"]
            larger_bthw = mask_bthw.repeat_interleave(2, 2).repeat_interleave(2, 3)
            assert target_bcthw[:, 0].shape == larger_bthw.shape, (
                f"masks became {tuple(mask_bthw.shape)}, target clips of twice their size {tuple(target_bcthw.shape)}"
            )
            least = float(explained(target_bcthw, larger_bthw).min())
            assert least >= self.shown, f"{self.name} moves target clips of another scale elsewhere ({least:.2f})"

    def test_takes_one_clip(self) -> None:
        alone = self.example().rows(slice(0, 1))
        after = self.unless_refused(alone)
        shape, of_three = (tuple(batch.inputs["clip_bcthw"].shape) for batch in (after, self.augmented()))
        assert len(after) == 1, f"one sample went in, {len(after)} came out"
        assert shape == (1, *of_three[1:]), f"three clips become {of_three}, one alone {shape}"

    def test_takes_one_frame(self) -> None:
        batch = painted(self.example())
        still = {key: value[:, :, :1] for key, value in batch.inputs.items() if key == "clip_bcthw"}
        targets = {"mask_bthw": batch.targets["mask_bthw"][:, :1], "clip_bcthw": batch.targets["clip_bcthw"][:, :, :1]}
        batch = replace(batch, inputs={**batch.inputs, **still}, targets={**batch.targets, **targets})
        after = self.unless_refused(batch)
        clips, masks = after.inputs["clip_bcthw"], after.targets["mask_bthw"]
        assert clips.shape[2] == 1, f"clips of one frame went in, {tuple(clips.shape)} came out"
        assert masks.shape == clips[:, 0].shape, f"clips became {tuple(clips.shape)}, their masks {tuple(masks.shape)}"

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_half_floats_are_what_floats_are(self, dtype: torch.dtype) -> None:
        half = self._example_of(torch.float32, is_odd=False)
        half.inputs["clip_bcthw"] = half.inputs["clip_bcthw"].to(dtype)
        full = replace(half, inputs={**half.inputs, "clip_bcthw": half.inputs["clip_bcthw"].float()})
        after, expected = (self.unless_refused(batch).inputs["clip_bcthw"] for batch in (half, full))
        assert after.dtype == dtype, f"clips of {dtype} went in, {after.dtype} came out"
        away = float((after.float() - expected).abs().max())
        assert away <= _LEVELS, f"clips of {dtype} come out {away:.3f} from those of float32: compute in float32"

    def test_merged_with_another_draws_and_shows_what_both_do(self) -> None:
        augment = self.augment()
        both = augment.fused(self.augment()) if isinstance(augment, FusibleAugment) else None
        if both is None:  # it stays by itself: nothing is drawn or shown otherwise
            return
        for seed in _SEEDS:
            apart, together = _seeded(seed), _seeded(seed)
            expected = self.augment()(augment(_soft(self.example()), apart), apart)
            merged = both(_soft(self.example()), together)
            assert torch.equal(apart.get_state(), together.get_state()), f"{self.name} draws otherwise when merged"
            difference = (merged.inputs["clip_bcthw"].float() - expected.inputs["clip_bcthw"].float()).abs()
            # An interpolation less is a sharper edge where a picture meets its fill: pixels along it differ by more.
            assert difference.mean() <= 2, f"merged, {self.name} gives clips {difference.mean():.1f} grey levels away"
            assert (difference > 12).float().mean() <= 0.05, f"merged, {self.name} shows something else"
            for once, twice in zip(merged.targets["boxes_n4"], expected.targets["boxes_n4"], strict=True):
                assert torch.allclose(once, twice, atol=1e-3), f"merged, {self.name} moves boxes to {once}, not {twice}"

    def test_is_merged_with_its_own_kind_only(self) -> None:
        augment = self.augment()
        if isinstance(augment, FusibleAugment):
            foreign = augment.fused(lambda batch, generator: batch)
            assert foreign is None, f"{self.name} swallows what it does not know"

    def _example_of(self, dtype: torch.dtype, is_odd: bool) -> Batch:
        """The example in a type, and with pictures of an odd size on request."""
        batch = self.example()
        clips = batch.inputs["clip_bcthw"]
        if is_odd:
            shape = (*clips.shape[:3], *_ODD)
            clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=_seeded(9))
        if dtype != torch.uint8:
            clips = (clips.float() / 255).to(dtype)
        return replace(batch, inputs={**batch.inputs, "clip_bcthw": clips})


def _soft(batch: Batch) -> Batch:
    """The batch with smooth pictures of middle greys: no change cuts them off at black or white."""
    height, width = batch.inputs["clip_bcthw"].shape[-2:]
    down, across = torch.linspace(0, 3, height).view(-1, 1), torch.linspace(0, 4, width)
    shades = [(60 + 40 * torch.sin(down + hue) * torch.cos(across - hue)) for hue in range(3)]
    clips = torch.stack(shades).round().to(torch.uint8)[None, :, None].expand_as(batch.inputs["clip_bcthw"])
    return replace(batch, inputs={**batch.inputs, "clip_bcthw": clips.contiguous()})


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
