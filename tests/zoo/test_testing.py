"""The conformance kit finds the faults that it is there for."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from zoo.testing import AugmentationConformance, CompressionConformance, LossConformance, ModelConformance
from zoo_registry.errors import ParameterError


class Model(ModelConformance):
    name = "basic/cnn3d"
    clip = {"frames": 2, "size": 16}


class Augmentation(AugmentationConformance):
    name = "augment/horizontal_flip"


class Loss(LossConformance):
    name = "losses/mse"

    def example(self):
        return torch.tensor([0.5, 1.0]), torch.tensor([1.0, 2.0])


class Compression(CompressionConformance):
    name = "compress/cast_bf16"


def with_network(network: nn.Module) -> ModelConformance:
    """The checks of a model whose builder returns this."""
    checks = Model()
    checks.build = lambda **provided: network  # type: ignore[method-assign]
    return checks


def with_change(change) -> AugmentationConformance:
    """The checks of an augmentation that does this to a batch."""
    checks = Augmentation()
    checks.augment = lambda: change  # type: ignore[method-assign]
    return checks


class Wrapped(nn.Module):
    """Clips to five logits through `body`."""

    def __init__(self, body: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body or nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(3, 5))

    def forward(self, clip_bcthw: torch.Tensor) -> torch.Tensor:
        return self.body(clip_bcthw)


def test_a_component_without_its_extra_is_still_checked_in_the_list(tmp_path):
    """`quantize_int8` where pytorch_quantization is not installed: listed, and the rest skipped with the pip line."""
    (tmp_path / "test_quantize.py").write_text(
        "import sys\n"
        "from zoo.testing import CompressionConformance\n"
        "sys.modules['pytorch_quantization'] = None\n"
        "class TestQuantize(CompressionConformance):\n"
        "    name = 'compress/quantize_int8'\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "2 passed, 7 skipped" in result.stdout, result.stdout + result.stderr
    assert 'pip install "videozoo[quantization]"' in result.stdout


def test_a_wrong_parameter_count_is_found():
    with pytest.raises(AssertionError, match=r"declares 240,880 parameters for 400 classes and has 20"):
        with_network(Wrapped()).test_has_as_many_parameters_as_it_declares()


def test_a_parameter_without_part_in_the_output_is_found():
    network = Wrapped()
    network.forgotten = nn.Linear(2, 2)
    with pytest.raises(AssertionError, match=r"'forgotten\.weight', 'forgotten\.bias'.* have no part in the output"):
        with_network(network).test_gives_every_parameter_a_finite_gradient()


def test_an_infinite_answer_is_found():
    network = Wrapped()
    nn.init.constant_(network.body[2].bias, float("inf"))
    with pytest.raises(AssertionError, match="answers random inputs with"):
        with_network(network).test_answers_for_every_sample_with_finite_numbers()


def test_mixed_up_samples_are_found():
    class MeanOverBatch(Wrapped):
        def forward(self, clip_bcthw):
            return super().forward(clip_bcthw).mean(0, keepdim=True).expand(len(clip_bcthw), -1)

    with pytest.raises(AssertionError, match="not close"):
        with_network(MeanOverBatch()).test_samples_do_not_see_each_other()


def test_random_answers_in_eval_mode_are_found():
    class AlwaysDropping(Wrapped):
        def forward(self, clip_bcthw):
            return super().forward(nn.functional.dropout(clip_bcthw, 0.5, training=True))

    with pytest.raises(AssertionError, match="draws random numbers in eval mode"):
        with_network(AlwaysDropping()).test_answers_the_same_question_the_same_way()


def test_writing_to_the_inputs_of_a_model_is_found():
    class InPlace(Wrapped):
        def forward(self, clip_bcthw):
            return super().forward(clip_bcthw.mul_(2))

    with pytest.raises(AssertionError, match="writes to its inputs"):
        with_network(InPlace()).test_leaves_its_inputs_alone()


def test_weights_that_do_not_come_from_the_seed_are_found():
    generator = torch.Generator().manual_seed(0)
    checks = Model()

    def build(**provided: Any) -> nn.Module:
        network = Wrapped()
        nn.init.normal_(network.body[2].weight, generator=generator)
        return network

    checks.build = build  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"'body\.2\.weight'.* come from somewhere else"):
        checks.test_the_same_seed_builds_the_same_weights()


def test_an_augmentation_that_writes_to_its_batch_is_found():
    def change(batch, generator):
        batch.inputs["clip_bcthw"].zero_()
        return batch

    with pytest.raises(AssertionError, match="writes to the clips"):
        with_change(change).test_leaves_the_batch_it_was_given_alone()


def test_an_augmentation_that_forgets_the_masks_is_found():
    def crop(batch, generator):
        return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"][..., :8, :8]})

    with pytest.raises(
        AssertionError, match=r"became \(3, 3, 4, 8, 8\), their masks \(3, 4, 40, 56\): move `mask_bthw`"
    ):
        with_change(crop).test_clips_masks_and_targets_move_together(torch.uint8, is_odd=False)


def mirrored(*moved: str):
    """A change that mirrors some of the samples, and only some of what lives in the picture."""

    def change(batch, generator):
        flipped_b = torch.rand(len(batch), generator=generator) < 0.5
        width = batch.inputs["clip_bcthw"].shape[-1]

        def turned(values):
            return torch.where(flipped_b.view(-1, *[1] * (values.ndim - 1)), values.flip(-1), values)

        inputs, targets = dict(batch.inputs), dict(batch.targets)
        inputs["clip_bcthw"] = turned(inputs["clip_bcthw"]) if "clip" in moved else inputs["clip_bcthw"]
        for what, key in (("mask", "mask_bthw"), ("target", "clip_bcthw")):
            if what in moved and key in targets:
                targets[key] = turned(targets[key])
        if "boxes" in moved:
            targets["boxes_n4"] = [
                torch.stack([width - box[:, 2], box[:, 1], width - box[:, 0], box[:, 3]], 1) if is_flipped else box
                for box, is_flipped in zip(targets["boxes_n4"], flipped_b, strict=True)
            ]
        return replace(batch, inputs=inputs, targets=targets)

    return change


def reversed_in_time(batch, generator):
    inputs = {**batch.inputs, "clip_bcthw": batch.inputs["clip_bcthw"].flip(2)}
    return replace(batch, inputs=inputs, targets={**batch.targets, "clip_bcthw": batch.targets["clip_bcthw"].flip(2)})


def test_a_change_that_moves_all_of_it_passes():
    checks = with_change(mirrored("clip", "mask", "target", "boxes"))
    checks.test_clips_masks_and_targets_move_together(torch.uint8, is_odd=False)
    checks.test_boxes_stay_around_what_they_frame(torch.float32, is_odd=True)
    checks.test_what_did_not_move_is_as_it_was()
    checks.test_target_clips_move_at_their_own_scale()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (mirrored("clip", "target"), "a clip shows another place than its mask"),
        (mirrored("mask", "target"), "a clip shows another place than its mask"),
        (mirrored("clip", "mask"), "a target clip shows another place than its mask"),
        (reversed_in_time, "a clip shows another place than its mask"),
    ],
)
def test_a_mask_or_target_that_parts_from_its_clip_is_found(change, message):
    with pytest.raises(AssertionError, match=message):
        with_change(change).test_clips_masks_and_targets_move_together(torch.uint8, is_odd=False)


def test_boxes_that_stay_where_the_picture_moves_are_found():
    checks = with_change(mirrored("clip", "mask", "target"))
    with pytest.raises(AssertionError, match=r"(is not around|is far from) the rectangle .*: move `boxes_n4`"):
        checks.test_boxes_stay_around_what_they_frame(torch.uint8, is_odd=True)


def test_targets_that_move_beside_a_picture_that_stays_are_found():
    with pytest.raises(AssertionError, match="leaves a clip as it is, and moves its targets"):
        with_change(mirrored("boxes")).test_what_did_not_move_is_as_it_was()


def test_targets_of_another_scale_that_stay_are_found():
    with pytest.raises(AssertionError, match="moves target clips of another scale elsewhere"):
        with_change(mirrored("clip", "mask")).test_target_clips_move_at_their_own_scale()


def test_arithmetic_in_half_floats_is_found():
    def many_steps(batch, generator):
        clips = batch.inputs["clip_bcthw"]
        for _ in range(64):
            clips = clips + 1 / 1024
        return replace(batch, inputs={"clip_bcthw": clips.clamp(0, 1)})

    with pytest.raises(AssertionError, match="from those of float32: compute in float32"):
        with_change(many_steps).test_half_floats_are_what_floats_are(torch.bfloat16)


def test_a_merger_that_draws_or_shows_something_else_is_found():
    class Shift:
        def __init__(self, times=1, draws=1):
            self.times, self.draws = times, draws

        def __call__(self, batch, generator):
            for _ in range(self.draws):
                torch.rand(1, generator=generator)
            return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"] + 10 * self.times})

    checks = with_change(None)
    for merged, message in ((Shift(2, 1), "draws otherwise when merged"), (Shift(4, 2), "grey levels away")):
        one = Shift()
        one.fused = lambda following, merged=merged: merged  # type: ignore[attr-defined]
        checks.augment = lambda one=one: one  # type: ignore[method-assign]
        with pytest.raises(AssertionError, match=message):
            checks.test_merged_with_another_draws_and_shows_what_both_do()
        with pytest.raises(AssertionError, match="swallows what it does not know"):
            checks.test_is_merged_with_its_own_kind_only()


def test_what_an_augmentation_refuses_is_skipped_with_its_words():
    def refuse(batch, generator):
        raise ParameterError("no masks, please")

    with pytest.raises(pytest.skip.Exception, match="refuses this: no masks, please"):
        with_change(refuse).test_target_clips_move_at_their_own_scale()


def test_an_augmentation_that_makes_bytes_of_floats_is_found():
    def to_bytes(batch, generator):
        return replace(batch, inputs={"clip_bcthw": (batch.inputs["clip_bcthw"] * 255).to(torch.uint8)})

    with pytest.raises(AssertionError, match=r"float clips of 0\.\.1 went in, torch\.uint8 came out"):
        with_change(to_bytes).test_takes_floats_too()


def test_an_augmentation_that_draws_from_elsewhere_is_found():
    def change(batch, generator):
        clips = batch.inputs["clip_bcthw"].float() / 255
        return replace(batch, inputs={"clip_bcthw": (clips + 0.1 * torch.rand(3, 1, 1, 1, 1)).clamp(0, 1)})

    checks = with_change(change)
    with torch.random.fork_rng(), pytest.raises(AssertionError, match="somewhere else than the generator"):
        checks.test_the_same_seed_gives_the_same_clips()
    with torch.random.fork_rng(), pytest.raises(AssertionError, match="global generator"):
        checks.test_draws_from_no_other_generator()


@pytest.mark.parametrize("read", [lambda clips: clips.max().item(), lambda clips: bool(clips.max() > 3)])
def test_an_augmentation_that_reads_from_the_device_is_found(read):
    def change(batch, generator):
        read(batch.inputs["clip_bcthw"])
        return batch

    with pytest.raises(AssertionError, match="reads values from the batch's device"):
        with_change(change).test_reads_nothing_back_from_the_device()


def test_an_augmentation_that_draws_on_the_device_is_found():
    def change(batch, generator):
        torch.rand(3, generator=generator, device=batch.index.device)
        return batch

    with pytest.raises(AssertionError, match="draws on the batch's device"):
        with_change(change).test_reads_nothing_back_from_the_device()


def test_values_out_of_range_are_found():
    def change(batch, generator):
        return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"].float()})

    with pytest.raises(AssertionError, match=r"float clips are 0\.\.1, 255\.0 came out"):
        with_change(change).test_returns_as_many_clips_of_valid_values()


def test_boxes_left_behind_are_found():
    def change(batch, generator):
        return replace(batch, inputs={"clip_bcthw": batch.inputs["clip_bcthw"][..., :16]})

    with pytest.raises(AssertionError, match="a box lies outside the picture of 40x16"):
        with_change(change).test_boxes_stay_inside_the_picture()


def test_a_loss_per_sample_is_found():
    checks = Loss()
    checks.loss = lambda: lambda prediction, target: (prediction - target) ** 2  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"a loss is a scalar, \(2,\) came out"):
        checks.test_is_a_finite_number()


def test_a_loss_without_gradient_is_found():
    checks = Loss()
    checks.loss = lambda: lambda prediction, target: (prediction * 0).sum()  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match=r"every gradient .* is zero"):
        checks.test_gives_the_prediction_a_finite_gradient()


def test_a_record_that_is_no_plain_data_is_found():
    checks = Compression()
    checks.build = lambda: lambda model, context: (model, {"shape": (1, 2)})  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="a record is what JSON holds"):
        checks.test_its_record_is_plain_data()


def test_a_strategy_that_swallows_any_record_is_found():
    checks = Compression()
    checks.restore = lambda model, record: model  # type: ignore[method-assign]
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        checks.test_refuses_a_record_that_it_did_not_write()
