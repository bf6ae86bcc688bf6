"""Two samples made one: pixels, sound and what is known about both."""

from __future__ import annotations

import doctest
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.mixup import Mixup as TimmMixup
from torch import Tensor
from torchvision.transforms import v2

from zoo_plugins.augment.mixing import blend
from zoo_plugins.augment.mixing.blend import blended
from zoo_plugins.augment.mixing.cuboid import Cuboid, draw_rectangles
from zoo_plugins.augment.mixing.cutmix import cutmix
from zoo_plugins.augment.mixing.frame_mix import frame_mix
from zoo_plugins.augment.mixing.mixup import mixup
from zoo_plugins.augment.mixing.mixup_cutmix import mixup_cutmix
from zoo_plugins.augment.mixing.pairs import Pairs, draw_pairs
from zoo_plugins.augment.mixing.pasting import exchanged
from zoo_plugins.augment.mixing.video_mix import video_mix
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Augment, Batch

CLASSES = 64
PASTING: dict[str, Augment] = {
    "cutmix": cutmix(num_classes=CLASSES),
    "video_mix_space": video_mix(num_classes=CLASSES, where="space"),
    "video_mix_time": video_mix(num_classes=CLASSES, where="time"),
    "video_mix_space_time": video_mix(num_classes=CLASSES),
    "frame_mix": frame_mix(num_classes=CLASSES),
}
EVERY: dict[str, Augment] = {"mixup": mixup(num_classes=CLASSES, alpha=1.0), **PASTING}
each_augmentation = pytest.mark.parametrize("augment", EVERY.values(), ids=EVERY)
each_pasting = pytest.mark.parametrize("augment", PASTING.values(), ids=PASTING)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(clips: Tensor, **targets: object) -> Batch:
    return Batch({"clip_bcthw": clips}, targets, torch.arange(len(clips)), torch.zeros(len(clips), dtype=torch.int64))


def numbered(count: int = CLASSES, frames: int = 8, height: int = 20, width: int = 28) -> Batch:
    """Clips whose every pixel says which sample they are, and so does their label."""
    clips = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1, 1).expand(count, 3, frames, height, width)
    return batch_of(clips.contiguous(), label_b=torch.arange(count))


def random_clips(count: int = 4) -> Tensor:
    return torch.randint(0, 256, (count, 3, 5, 20, 28), dtype=torch.uint8, generator=seeded(1))


@each_augmentation
def test_labels_are_probabilities(augment):
    label_bk = augment(numbered(), seeded()).targets["label_bk"]
    assert label_bk.shape == (CLASSES, CLASSES)
    assert label_bk.dtype == torch.float32
    assert (label_bk >= 0).all()
    assert (label_bk.sum(1) - 1).abs().max() < 1e-6
    assert ((label_bk > 0).sum(1) <= 2).all()


@each_augmentation
def test_indices_and_all_else_stay_of_the_sample_itself(augment):
    batch = numbered()
    batch.targets["caption"] = ["a film"] * CLASSES
    mixed = augment(batch, seeded())
    assert all(mixed.targets[key] is batch.targets[key] for key in ("label_b", "caption"))
    assert torch.equal(mixed.index, batch.index)
    assert "label_bk" not in batch.targets


@each_pasting
def test_labels_say_the_exact_share_of_pixels(augment):
    """Counted pixel by pixel, for every class of every sample."""
    mixed = augment(numbered(), seeded(3))
    pixels = mixed.inputs["clip_bcthw"][:, 0].flatten(1).long()
    counted = torch.stack([row.bincount(minlength=CLASSES) for row in pixels]).double() / pixels.shape[1]
    assert (mixed.targets["label_bk"].double() - counted).abs().max() < 1e-6
    assert ((counted.diagonal() < 1).sum()) > CLASSES // 2


def test_labels_say_how_much_light_is_left():
    """Of a white sample among black ones: its brightness is its share."""
    batch = numbered(2)
    batch.inputs["clip_bcthw"] = torch.stack([torch.ones(3, 4, 5, 6), torch.zeros(3, 4, 5, 6)])
    mixed = next(  # a seed in which the two are partners
        mixed
        for seed in range(20)
        if (mixed := mixup(num_classes=2, alpha=1.0)(batch, seeded(seed))).targets["label_bk"][0, 1] > 0
    )
    for row in range(2):
        assert mixed.inputs["clip_bcthw"][row].mean().item() == pytest.approx(
            mixed.targets["label_bk"][row, 0].item(), abs=1e-6
        )


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_beta_distributed(alpha):
    shares = draw_pairs(5000, alpha, 1.0, "sample", seeded(7)).share_b.numpy()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-4


def test_mixed_labels_are_beta_distributed():
    """What comes out of the augmentation, of all samples that met another."""
    rows = [mixup(num_classes=CLASSES, alpha=0.4)(numbered(), seeded(seed)).targets["label_bk"] for seed in range(40)]
    met = [row for label_bk in rows for row in _own(label_bk) if row < 1]
    assert len(met) > 2300
    assert stats.kstest(met, stats.beta(0.4, 0.4).cdf).pvalue > 1e-4


def _own(label_bk: Tensor) -> list[float]:
    return label_bk.double().diagonal().tolist()


def test_partners_are_a_permutation():
    pairs = draw_pairs(CLASSES, 1.0, 1.0, "sample", seeded(2))
    assert sorted(pairs.partners) == list(range(CLASSES))
    assert list(pairs.partners) != list(range(CLASSES))


@pytest.mark.parametrize(
    "build", [mixup, cutmix, video_mix, frame_mix], ids=["mixup", "cutmix", "video_mix", "frame_mix"]
)
def test_mixing_happens_as_often_as_asked(build):
    never = build(num_classes=CLASSES, p=0.0)(numbered(), seeded())
    assert torch.equal(never.targets["label_bk"], torch.eye(CLASSES))
    assert torch.equal(never.inputs["clip_bcthw"], numbered().inputs["clip_bcthw"])
    mixed = sum(float(draw < 1) for draw in draw_pairs(3000, 1.0, 0.3, "sample", seeded()).share_b)
    assert abs(mixed - 900) < 3 * (3000 * 0.3 * 0.7) ** 0.5


def test_a_batch_may_have_one_share():
    own = mixup(num_classes=CLASSES, alpha=1.0, per="batch")(numbered(), seeded()).targets["label_bk"].diagonal()
    met = own[own < 1]
    assert len(met) > CLASSES - 5
    assert (met == met[0]).all()
    own = mixup(num_classes=CLASSES, alpha=1.0)(numbered(), seeded()).targets["label_bk"].diagonal()
    assert len(own.unique()) > CLASSES - 5


@each_augmentation
def test_one_sample_alone_stays_as_it_is(augment):
    clips = random_clips(1)
    mixed = augment(batch_of(clips, label_b=torch.tensor([3])), seeded())
    assert torch.equal(mixed.inputs["clip_bcthw"], clips)
    assert mixed.targets["label_bk"].tolist() == torch.eye(CLASSES)[3:4].tolist()


@each_augmentation
def test_bytes_stay_bytes_and_equal_rounded_floats(augment):
    clips = random_clips()
    from_bytes = augment(batch_of(clips, label_b=torch.arange(4)), seeded(5))
    from_floats = augment(batch_of(clips.float() / 255, label_b=torch.arange(4)), seeded(5))
    assert torch.equal(from_bytes.targets["label_bk"], from_floats.targets["label_bk"])
    assert from_bytes.inputs["clip_bcthw"].dtype == torch.uint8
    difference = from_bytes.inputs["clip_bcthw"] / 255 - from_floats.inputs["clip_bcthw"]
    assert difference.abs().max() <= 0.505 / 255


@each_augmentation
def test_the_seed_decides_and_the_batch_that_went_in_stays(augment):
    clips = random_clips()
    batch = batch_of(clips, label_b=torch.arange(4), label_bk=torch.eye(4), clip_bcthw=clips.clone())
    before = {key: value.clone() for key, value in batch.targets.items()}
    pixels = clips.clone()
    once, again, other = (augment(batch, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(once.inputs["clip_bcthw"], again.inputs["clip_bcthw"])
    assert not torch.equal(once.inputs["clip_bcthw"], other.inputs["clip_bcthw"])
    assert torch.equal(batch.inputs["clip_bcthw"], pixels)
    assert all(torch.equal(batch.targets[key], value) for key, value in before.items())


def test_mixup_equals_torchvisions():
    """torchvision's partner is the sample before."""
    clips, label_b = random_clips().float() / 255, torch.tensor([2, 0, 1, 1])
    transform = v2.MixUp(alpha=1.0, num_classes=3)
    share, before = 0.3, tuple(torch.arange(4).roll(1).tolist())
    params = {"labels": label_b, "batch_size": 4, "lam": share}
    pairs = Pairs(before, torch.full((4,), share, dtype=torch.float64))
    expected = transform.transform(clips.flatten(1, 2), params)
    assert (blended(clips, pairs).flatten(1, 2) - expected).abs().max() < 1e-6
    mixed = _mixed_labels(pairs, label_b)
    assert (mixed - transform.transform(label_b, params)).abs().max() < 1e-6


def _mixed_labels(pairs: Pairs, label_b: Tensor) -> Tensor:
    from zoo_plugins.augment.mixing.soft_targets import mixed_targets

    return mixed_targets(batch_of(random_clips(), label_b=label_b), pairs, 3, "mixup")["label_bk"]


@pytest.mark.parametrize("box", [(3, 2, 17, 11), (0, 0, 28, 20), (5, 5, 5, 9)], ids=["part", "all", "nothing"])
def test_cutmix_equals_torchvisions(box):
    clips, label_b = random_clips(), torch.tensor([2, 0, 1, 1])
    x1, y1, x2, y2 = box
    transform = v2.CutMix(num_classes=3)
    share = 1 - (x2 - x1) * (y2 - y1) / (20 * 28)
    params = {"labels": label_b, "batch_size": 4, "box": box, "lam_adjusted": share}
    before = tuple(torch.arange(4).roll(1).tolist())
    cuboids = [Cuboid((0, 5), (y1, y2), (x1, x2))] * 4
    mixed = exchanged(batch_of(clips, label_b=label_b), before, cuboids, 3, "cutmix")
    # torchvision wants videos marked as such, or four dimensions: frames and channels side by side.
    flat = clips.flatten(1, 2)
    assert torch.equal(mixed.inputs["clip_bcthw"].flatten(1, 2), transform.transform(flat, params))
    assert (mixed.targets["label_bk"] - transform.transform(label_b, params)).abs().max() < 1e-6


def test_rectangles_follow_torchvisions_distribution():
    """Area and middle of 3,000 rectangles have the quartiles of torchvision's own draws, of the same shares."""
    transform, picture = v2.CutMix(alpha=1.0, num_classes=2), torch.zeros(2, 3, 90, 120)
    torch.manual_seed(0)
    theirs = [transform.make_params([picture])["box"] for _ in range(3000)]
    shares = draw_pairs(3000, 1.0, 1.0, "sample", seeded()).share_b.tolist()
    drawn = draw_rectangles([(1 - share) ** 0.5 for share in shares], 90, 120, seeded(1))
    ours = [(left, top, right, bottom) for (top, bottom), (left, right) in drawn]

    def quartiles(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))

    # 0.035: three standard errors of a quartile of 3,000 draws spread over a range of one.
    for measure in (
        lambda x1, y1, x2, y2: (x2 - x1) * (y2 - y1) / (90 * 120),
        lambda x1, y1, x2, y2: (x1 + x2) / 240,
        lambda x1, y1, x2, y2: (y1 + y2) / 180,
    ):
        expected = quartiles([measure(*box) for box in theirs])
        assert (expected - quartiles([measure(*box) for box in ours])).abs().max() < 0.035


def own_pixels(augment: Augment, seed: int) -> Tensor:
    """(B, T, H, W) bool: where each sample still shows itself."""
    batch = numbered()
    mixed = augment(batch, seeded(seed)).inputs["clip_bcthw"]
    return (mixed == batch.inputs["clip_bcthw"])[:, 0]


def test_space_is_the_same_in_every_frame():
    for augment in (PASTING["cutmix"], PASTING["video_mix_space"]):
        own = own_pixels(augment, 1)
        assert torch.equal(own, own[:, :1].expand_as(own))


def test_cutmix_is_video_mix_in_space():
    once, other = (PASTING[name](numbered(), seeded(4)) for name in ("cutmix", "video_mix_space"))
    assert torch.equal(once.inputs["clip_bcthw"], other.inputs["clip_bcthw"])


def test_time_is_whole_frames_in_a_row():
    own_bt = _whole_frames(own_pixels(PASTING["video_mix_time"], 1))
    changes = own_bt.int().diff(dim=1).abs().sum(1)
    assert int(changes.max()) == 2


def test_single_frames_come_from_anywhere():
    own_bt = _whole_frames(own_pixels(PASTING["frame_mix"], 1))
    assert int(own_bt.int().diff(dim=1).abs().sum(1).max()) > 2


def _whole_frames(own_bthw: Tensor) -> Tensor:
    own_bt = own_bthw.flatten(2)
    assert torch.equal(own_bt.all(2), own_bt.any(2))
    return own_bt.all(2)


def test_space_and_time_are_a_cuboid():
    taken = ~own_pixels(PASTING["video_mix_space_time"], 1)
    frames, rows, columns = taken.flatten(2).any(2).sum(1), taken.any(1).any(2).sum(1), taken.any(1).any(1).sum(1)
    assert torch.equal(frames * rows * columns, taken.flatten(1).sum(1))
    assert (frames < 8).any()
    assert (rows < 20).any()


def test_volumes_are_those_of_the_shares():
    """Nothing is cut off in time: frames taken are the drawn share to the nearest frame."""
    pairs = draw_pairs(CLASSES, 1.0, 1.0, "sample", seeded(6))
    batch = video_mix(num_classes=CLASSES, where="time")(numbered(frames=100), seeded(6))
    met = torch.tensor([partner != row for row, partner in enumerate(pairs.partners)])
    own = batch.targets["label_bk"].diagonal().double()
    assert (own - pairs.share_b)[met].abs().max() <= 0.005 + 1e-6


@each_pasting
def test_target_clips_and_masks_get_the_same_part(augment):
    clips = random_clips()
    target = clips.repeat_interleave(2, -1).repeat_interleave(2, -2)
    mixed = augment(batch_of(clips, label_b=torch.arange(4), clip_bcthw=target, mask_bthw=clips[:, 1]), seeded(3))
    enlarged = mixed.inputs["clip_bcthw"].repeat_interleave(2, -1).repeat_interleave(2, -2)
    assert torch.equal(mixed.targets["clip_bcthw"], enlarged)
    assert torch.equal(mixed.targets["mask_bthw"], mixed.inputs["clip_bcthw"][:, 1])


@pytest.mark.parametrize("name", ["cutmix", "video_mix_time", "video_mix_space_time"])
def test_target_clips_of_more_frames_get_the_part_at_the_same_time(name):
    """Frame interpolation: every frame of the input is two of the target."""
    clips = random_clips()
    mixed = PASTING[name](batch_of(clips, clip_bcthw=clips.repeat_interleave(2, 2)), seeded(3))
    assert not torch.equal(mixed.inputs["clip_bcthw"], clips)
    assert torch.equal(mixed.targets["clip_bcthw"], mixed.inputs["clip_bcthw"].repeat_interleave(2, 2))


def test_single_frames_of_a_target_of_another_length_are_said():
    clips = random_clips()
    with pytest.raises(ParameterError, match=r"target clips of 10 frames like clips of 5\n.*video_mix"):
        PASTING["frame_mix"](batch_of(clips, clip_bcthw=clips.repeat_interleave(2, 2)), seeded())


def test_target_clips_are_mixed_as_their_inputs_are():
    clips = random_clips()
    mixed = EVERY["mixup"](batch_of(clips, clip_bcthw=clips), seeded())
    assert torch.equal(mixed.targets["clip_bcthw"], mixed.inputs["clip_bcthw"])
    assert not torch.equal(mixed.targets["clip_bcthw"], clips)
    assert "label_bk" not in mixed.targets


@each_augmentation
def test_rows_and_numbers_are_mixed_like_labels(augment):
    """Multi-hot rows, values: each is the mean of both by the share that the class indices tell."""
    count = 8
    rows = torch.randint(0, 2, (count, 5), generator=seeded(1)).float()
    values = torch.randn(count, generator=seeded(2))
    batch = numbered(count)
    share_bk = augment(batch, seeded(4)).targets["label_bk"][:, :count]
    del batch.targets["label_b"]
    batch.targets |= {"label_bk": rows, "value_b": values, "value_bk": rows * 3}
    mixed = augment(batch, seeded(4)).targets
    assert (mixed["label_bk"] - share_bk @ rows).abs().max() < 1e-6
    assert (mixed["value_b"] - share_bk @ values).abs().max() < 1e-6
    assert (mixed["value_bk"] - share_bk @ rows * 3).abs().max() < 1e-5


@each_augmentation
def test_mixing_twice_mixes_the_mixture(augment):
    twice = augment(augment(numbered(), seeded(1)), seeded(2))
    label_bk = twice.targets["label_bk"]
    assert (label_bk.sum(1) - 1).abs().max() < 1e-6
    assert int((label_bk > 0).sum(1).max()) > 2


@each_augmentation
def test_sound_is_mixed_by_the_share_of_the_labels(augment):
    batch = numbered(8)
    audio = torch.randn(8, 1, 50, generator=seeded(1)).clamp(-1, 1)
    batch.inputs = {"audio_bcn": audio, **batch.inputs}
    mixed = augment(batch, seeded(5))
    assert list(mixed.inputs) == ["audio_bcn", "clip_bcthw"]
    share_bk = mixed.targets["label_bk"][:, :8]
    assert (mixed.inputs["audio_bcn"].squeeze(1) - share_bk @ audio.squeeze(1)).abs().max() < 1e-6


def test_sound_alone_can_be_mixed_but_not_cut():
    audio = torch.randn(4, 1, 50, generator=seeded(1))
    batch = Batch({"audio_bcn": audio}, {}, torch.arange(4), torch.zeros(4, dtype=torch.int64))
    assert not torch.equal(EVERY["mixup"](batch, seeded()).inputs["audio_bcn"], audio)
    with pytest.raises(ParameterError, match="cutmix pastes parts of clips, and this model takes audio_bcn"):
        PASTING["cutmix"](batch, seeded())


@each_augmentation
def test_boxes_cannot_be_mixed(augment):
    clips = random_clips(2)
    with pytest.raises(ParameterError, match=r"cannot mix samples that have boxes.*\n.*out of this recipe"):
        augment(batch_of(clips, label_b=torch.arange(2), boxes_n4=[torch.ones(1, 4), torch.ones(0, 4)]), seeded())
    none = augment(batch_of(clips, label_b=torch.arange(2), boxes_n4=[torch.ones(0, 4)] * 2), seeded())
    assert [len(boxes) for boxes in none.targets["boxes_n4"]] == [0, 0]


def test_masks_cannot_be_blended():
    clips = random_clips(2)
    with pytest.raises(ParameterError, match=r"mixup cannot mix mask_bthw: a pixel is of one class\n.*cutmix"):
        EVERY["mixup"](batch_of(clips, mask_bthw=clips[:, 0]), seeded())


def test_indices_need_a_number_of_classes():
    with pytest.raises(ParameterError, match=r"cutmix mixes class labels, and nobody says how many classes there are"):
        cutmix()(numbered(2), seeded())


def test_bytes_are_blended_to_the_nearest():
    values = torch.tensor([[0, 255, 10], [255, 0, 13]], dtype=torch.uint8)
    for share in (Fraction(1, 3), Fraction(4, 5), Fraction(0), Fraction(1)):
        mixed = blended(values, Pairs((1, 0), torch.full((2,), float(share), dtype=torch.float64)))
        expected = [
            [round(share * own + (1 - share) * other) for own, other in zip(row, partner, strict=True)]
            for row, partner in zip(values.tolist(), values.flip(0).tolist(), strict=True)
        ]
        assert mixed.tolist() == expected


def test_examples_run():
    result = doctest.testmod(blend)
    assert result.attempted
    assert not result.failed


def per_frame(**more: object) -> Batch:
    """Clips whose every pixel says which sample and which frame it is, and so do their labels of frames."""
    code_bt = torch.arange(8).view(-1, 1) * 6 + torch.arange(6)
    clips = code_bt.to(torch.uint8).view(8, 1, 6, 1, 1).expand(8, 3, 6, 20, 28).contiguous()
    return batch_of(clips, label_bt=code_bt, **more)


@pytest.mark.parametrize("augment", [frame_mix(), video_mix(where="time")], ids=["frame_mix", "video_mix in time"])
def test_labels_of_frames_go_with_frames_that_are_exchanged_whole(augment):
    """No number of classes is needed: every frame is all of one sample or all of the other."""
    batch = per_frame()
    mixed = augment(batch, seeded(1))
    assert torch.equal(mixed.targets["label_bt"], mixed.inputs["clip_bcthw"][:, 0, :, 0, 0].long())
    assert not torch.equal(mixed.targets["label_bt"], batch.targets["label_bt"])
    assert "label_btk" not in mixed.targets


@pytest.mark.parametrize(
    "augment",
    [cutmix(num_classes=48), video_mix(num_classes=48), video_mix(num_classes=48, where="space")],
    ids=["cutmix", "space_time", "space"],
)
def test_labels_of_frames_are_mixed_by_what_is_left_of_each_frame(augment):
    """Counted pixel by pixel in every frame."""
    batch = per_frame()
    mixed = augment(batch, seeded(2))
    pixels = mixed.inputs["clip_bcthw"][:, 0].flatten(2).long()
    counted = torch.nn.functional.one_hot(pixels, 48).double().mean(2)
    assert (mixed.targets["label_btk"].double() - counted).abs().max() < 1e-6
    assert torch.equal(mixed.targets["label_bt"], batch.targets["label_bt"])
    assert ((counted > 0).sum(-1) == 2).any()


def test_mixup_mixes_numbers_and_labels_of_frames_alike_in_every_frame():
    value_bt = torch.rand(8, 6, generator=seeded())
    mixed = mixup(num_classes=48, alpha=1.0)(per_frame(value_bt=value_bt), seeded())
    share_bt = mixed.targets["label_btk"].amax(2)
    assert (mixed.targets["label_btk"].sum(2) - 1).abs().max() < 1e-6
    assert (share_bt - share_bt[:, :1]).abs().max() < 1e-6
    expected = mixed.targets["label_btk"] @ value_bt.flatten()
    assert torch.allclose(mixed.targets["value_bt"], expected, atol=1e-6)


def test_frames_of_targets_of_another_length_are_said():
    batch = per_frame(value_bt=torch.zeros(8, 5))
    with pytest.raises(ParameterError, match=r"the target value_bt has 5 of them where the clip has 6"):
        cutmix(num_classes=48)(batch, seeded())


def test_mixup_cutmix_does_one_or_the_other_for_a_batch_as_often_as_asked():
    """A batch that cutmix had has no value that neither of two samples has; mixup's has."""
    switched = mixup_cutmix(num_classes=CLASSES, switch_prob=0.3)
    ways = []
    for seed in range(300):
        batch = numbered(4, 1, 8, 8)
        batch.inputs["clip_bcthw"] = batch.inputs["clip_bcthw"] * 60
        mixed = switched(batch, seeded(seed)).inputs["clip_bcthw"]
        per_sample = [len(clip.unique()) for clip in mixed]
        is_blended = bool((mixed % 60 != 0).any())
        ways.append("mixup" if is_blended else "cutmix" if max(per_sample) > 1 else "nothing to see")
    counted = {way: ways.count(way) for way in ("mixup", "cutmix", "nothing to see")}
    assert stats.binomtest(counted["cutmix"], counted["cutmix"] + counted["mixup"], 0.3).pvalue > 1e-4
    assert counted["nothing to see"] < 75  # all alone by chance, or a share next to 0 or 1


def test_mixup_cutmix_is_mixup_or_cutmix_with_their_own_draws():
    batch = numbered(6)
    for switch_prob, alone in ((0.0, mixup(num_classes=CLASSES, alpha=0.8, per="batch")),
                               (1.0, cutmix(num_classes=CLASSES, per="batch"))):  # fmt: skip
        generator, same = seeded(5), seeded(5)
        torch.rand((), generator=same)  # the switch
        mixed = mixup_cutmix(num_classes=CLASSES, switch_prob=switch_prob)(batch, generator)
        expected = alone(batch, same)
        assert torch.equal(mixed.inputs["clip_bcthw"], expected.inputs["clip_bcthw"])
        assert torch.equal(mixed.targets["label_bk"], expected.targets["label_bk"])


@pytest.mark.parametrize("switch_prob", [0.0, 1.0])
def test_shares_of_mixup_cutmix_follow_timms(switch_prob):
    """Its one share a batch, read off the labels; CutMix's after the rectangle was cut off, as timm corrects it."""
    theirs = TimmMixup(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=switch_prob, num_classes=2, label_smoothing=0.0)
    np.random.seed(0)
    images = torch.zeros(2, 3, 32, 48)
    timms = [theirs(images.clone(), torch.tensor([0, 1]))[1][0, 0].item() for _ in range(600)]
    ours = []
    augment = mixup_cutmix(num_classes=2, switch_prob=switch_prob)
    for seed in range(1200):
        batch = batch_of(torch.zeros(2, 3, 1, 32, 48), label_b=torch.arange(2))
        label_bk = augment(batch, seeded(seed)).targets["label_bk"]
        if label_bk[0, 0] < 1 or label_bk[1, 1] < 1:  # else both are their own partners, half of the time
            ours.append(label_bk[0, 0].item())
    assert len(ours) > 450
    assert stats.ks_2samp(ours, [share for share in timms if share < 1]).pvalue > 1e-4


def test_mixup_cutmix_says_at_the_first_batch_what_it_cannot_mix():
    clips = random_clips()
    for seed in range(5):
        with pytest.raises(ParameterError, match=r"mixup_cutmix cannot mix mask_bthw: a pixel is of one class"):
            mixup_cutmix()(batch_of(clips, mask_bthw=clips[:, 0]), seeded(seed))
        sound = Batch({"audio_bcn": torch.zeros(2, 1, 8)}, {}, torch.arange(2), torch.zeros(2))
        with pytest.raises(ParameterError, match=r"mixup_cutmix pastes parts of clips"):
            mixup_cutmix()(sound, seeded(seed))


@pytest.mark.parametrize("augment", [*EVERY.values(), mixup_cutmix(num_classes=48)], ids=[*EVERY, "mixup_cutmix"])
def test_labels_of_frames_are_not_read_back_from_the_device(augment):
    batch = per_frame(value_bt=torch.zeros(8, 6), label_b=torch.arange(8))
    here, there = augment(batch, seeded()), augment(batch.to("meta"), seeded())
    assert {key: value.shape for key, value in there.targets.items()} == {
        key: value.shape for key, value in here.targets.items()
    }
    assert all(value.device.type == "meta" for value in there.targets.values())
