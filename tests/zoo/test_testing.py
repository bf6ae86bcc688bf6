"""The conformance kit finds the faults that it is there for."""

# ruff: noqa: RUF012  (attributes are given as plugin authors give them)

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.zoo.runner.staged import Staged
from zoo.testing import (
    AdapterConformance,
    AugmentationConformance,
    CompressionConformance,
    ExporterConformance,
    FetcherConformance,
    ListedConformance,
    LossConformance,
    ModelConformance,
    NeedsItsOwnTest,
    ObserverConformance,
    RecipeConformance,
    SourceConformance,
    TaskConformance,
)
from zoo.testing.installed import CONFORMANCE
from zoo.testing.staged_network import StagedNetworkConformance
from zoo_registry.errors import ParameterError
from zoo_registry.hookspecs import HOOKS
from zoo_registry.protocols import Batch, Fetched, Matrix, Objective, Recognised, Sample, Stage
from zoo_registry.protocols import Task as TaskProtocol


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
    assert "3 passed, 8 skipped" in result.stdout, result.stdout + result.stderr
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


def test_a_network_without_stages_is_skipped_aloud():
    for check in (name for name in vars(StagedNetworkConformance) if name.startswith("test_")):
        checks = with_network(Wrapped())
        checks.network = lambda **_: Wrapped()  # type: ignore[method-assign]  # with other params too
        with pytest.raises(pytest.skip.Exception, match=r"is no StagedNetwork|takes no drop_path"):
            getattr(checks, check)()


def test_a_staged_network_as_it_should_be_passes():
    checks = with_network(Staged())
    checks.test_its_stages_name_every_parameter_once()
    checks.test_its_head_answers_from_its_features()
    checks.test_its_pyramid_is_as_wide_and_as_fine_as_its_stages_say()
    checks.test_gradient_checkpointing_changes_memory_alone()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stages: stages[1:], r"name scale 0 times"),
        (
            lambda stages: [stages[0], replace(stages[1], layers=(("blocks",),)), *stages[2:]],
            r"name blocks\.2\..* 2 times",
        ),
        (lambda stages: [*stages[:-1], replace(stages[-1], name="fc")], "the last stage of basic/cnn3d is 'fc'"),
        (lambda stages: [replace(stages[0], name="head"), *stages[1:]], "two stages of basic/cnn3d have one name"),
    ],
)
def test_stages_that_do_not_divide_the_network_are_found(change, message):
    class Wrong(Staged):
        def stages(self):
            return change(super().stages())

    with pytest.raises(AssertionError, match=message):
        with_network(Wrong()).test_its_stages_name_every_parameter_once()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Stage("stem", ((),), 4, (1, 2, 1)), r"stem says stride \(1, 2, 1\): a clip of \[2, 16, 16\] cannot become"),
        (Stage("stem", ((),), 8, (1, 1, 1)), "stem has 8 channels"),
        (Stage("stem", ((),), 4, None), "2 stages of basic/cnn3d have a stride, it gives 3 maps"),
    ],
)
def test_a_pyramid_that_is_not_what_the_stages_say_is_found(wrong, message):
    class Wrong(Staged):
        def stages(self):
            return [wrong, *super().stages()[1:]]

    with pytest.raises(AssertionError, match=message):
        with_network(Wrong()).test_its_pyramid_is_as_wide_and_as_fine_as_its_stages_say()


@pytest.mark.parametrize(("side", "right"), [(4, False), (5, True), (6, True), (7, False)])
def test_a_stride_that_does_not_divide_a_side_may_round_either_way(side, right):
    """16 pixels by 3 are 5.33 cells."""

    class Coarse(Staged):
        def stages(self):
            head = super().stages()[-1]
            return [Stage("stem", (("stem", "stem_norm", "scale", "blocks"),), 4, (1, 3, 3)), head]

        def forward_pyramid(self, clip_bcthw):
            return [nn.functional.adaptive_avg_pool3d(super().forward_pyramid(clip_bcthw)[0], (2, side, side))]

    checks = with_network(Coarse())
    if right:
        checks.test_its_pyramid_is_as_wide_and_as_fine_as_its_stages_say()
    else:
        with pytest.raises(AssertionError, match="cannot become"):
            checks.test_its_pyramid_is_as_wide_and_as_fine_as_its_stages_say()


def test_a_head_that_answers_otherwise_is_found():
    class Sloppy(Staged):
        def forward(self, clip_bcthw):
            return super().forward(clip_bcthw) * 1.01

    with pytest.raises(AssertionError, match="not close"):
        with_network(Sloppy()).test_its_head_answers_from_its_features()


def test_gradient_checkpointing_that_keeps_everything_is_found():
    class Idle(Staged):
        def set_grad_checkpointing(self, enable=True):
            pass

    with pytest.raises(AssertionError, match="with gradient checkpointing basic/cnn3d keeps"):
        with_network(Idle()).test_gradient_checkpointing_changes_memory_alone()


def test_gradient_checkpointing_that_changes_the_answer_is_found():
    class Different(Staged):
        def forward_head(self, features):
            return super().forward_head(features * (2 if self.grad_checkpointing else 1))

    with pytest.raises(AssertionError, match="not close"):
        with_network(Different()).test_gradient_checkpointing_changes_memory_alone()


class Dropping(Staged):
    """Leaves its last block out for a sample in `drop_path` of all, in training as it should be."""

    def __init__(self, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        for block in self.blocks:
            block.dropout.p = 0.0

    def dropped(self) -> bool:
        return self.training

    def forward_features(self, clip_bcthw):
        *_, before, after = super().forward_pyramid(clip_bcthw)
        left_out = torch.rand(len(clip_bcthw), 1, 1, 1, 1) < self.drop_path
        return torch.where(left_out, before, after) if self.dropped() else after


def with_drop_path(network: type[Dropping]) -> ModelConformance:
    checks = Model()
    checks.skip_without = lambda parameter: None  # type: ignore[method-assign]
    made = network(0.5).eval()

    def build(seed: int = 0, drop_path: float = 0.0, **others: Any) -> nn.Module:
        made.drop_path = drop_path
        return copy.deepcopy(made)

    checks.network = build  # type: ignore[method-assign]
    return checks


def test_paths_that_are_dropped_in_training_only_pass():
    with_drop_path(Dropping).test_drop_path_leaves_out_branches_in_training_only()


def test_paths_that_are_never_dropped_are_found():
    class Never(Dropping):
        def dropped(self):
            return False

    with pytest.raises(AssertionError, match="drops no path in training"):
        with_drop_path(Never).test_drop_path_leaves_out_branches_in_training_only()


def test_paths_that_are_dropped_in_eval_mode_are_found():
    class Always(Dropping):
        def dropped(self):
            return True

    with pytest.raises(AssertionError, match="drop_path changes what basic/cnn3d answers in eval mode"):
        with_drop_path(Always).test_drop_path_leaves_out_branches_in_training_only()


def test_a_network_that_is_made_for_colours_alone_is_found():
    checks = with_network(Staged())
    checks.network = lambda seed=0, **params: Staged()  # type: ignore[method-assign]
    checks.skip_without = lambda parameter: None  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 1"):
        checks.test_takes_clips_of_one_channel()


def with_entry(network: nn.Module, **facts: Any) -> ModelConformance:
    """The checks of a model whose entry declares more."""
    entry = replace(Model().entry, **facts)
    checks = type("Declared", (Model,), {"entry": entry})()
    checks.build = lambda **provided: network
    return checks


def test_what_is_declared_a_limit_is_skipped_aloud_and_nothing_else():
    checks = with_entry(Wrapped(), limits={"bf16": "sums of a million terms"})
    with pytest.raises(pytest.skip.Exception, match="declares the limit 'bf16': sums of a million terms"):
        checks.test_computes_in_bfloat16()
    checks.test_computes_in_channels_last_order()
    checks.test_its_limits_are_names_of_checks()


def test_a_limit_that_no_check_knows_is_found():
    with pytest.raises(AssertionError, match=r"declares the limits \['bfloat16'\]; the checks are export"):
        with_entry(Wrapped(), limits={"bfloat16": "..."}).test_its_limits_are_names_of_checks()


def test_wrong_multiply_adds_are_found():
    """By hand for cnn3d and a clip of 16x32x32: two convolutions of 3x3x3 and two linear layers."""
    convolutions = 16 * 16 * 16 * 32 * 3 * 27 + 8 * 8 * 8 * 64 * 32 * 27
    gmacs = (convolutions + 1024 * 128 + 128 * 400) / 1e9
    exact = Model()
    network = exact.network()
    with_entry(network, gmacs=gmacs).test_costs_as_many_multiply_adds_as_it_declares()
    with pytest.raises(AssertionError, match=r"declares .* gmacs, needs"):
        with_entry(network, gmacs=gmacs * 1.02).test_costs_as_many_multiply_adds_as_it_declares()


def test_large_numbers_that_bfloat16_cannot_hold_apart_are_found():
    class Differences(Wrapped):
        def forward(self, clip_bcthw):
            pooled_bc = self.body[1](self.body[0](clip_bcthw))
            return self.body[2](pooled_bc + 1e4) - self.body[2](pooled_bc * 0 + 1e4)

    with pytest.raises(AssertionError, match="under bfloat16 autocast the answers move by"):
        with_network(Differences()).test_computes_in_bfloat16()


def test_a_network_that_reads_memory_in_order_is_found():
    class InOrder(Wrapped):
        def forward(self, clip_bcthw):
            return super().forward(
                torch.as_strided(clip_bcthw, clip_bcthw.shape, torch.empty(clip_bcthw.shape).stride())
            )

    with pytest.raises(AssertionError, match="the network in channels-last order answers otherwise"):
        with_network(InOrder()).test_computes_in_channels_last_order()


def test_gradients_from_another_generator_are_found():
    generator = torch.Generator().manual_seed(0)

    class Noisy(Wrapped):
        def forward(self, clip_bcthw):
            noise = torch.rand(clip_bcthw.shape, generator=generator) if self.training else 0
            return super().forward(clip_bcthw + noise)

    with pytest.raises(AssertionError, match="draws from somewhere else"):
        with_network(Noisy()).test_the_same_seed_gives_the_same_gradients()


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
    with pytest.raises(AssertionError, match="restores a record with a key it does not know: raise ArtefactError"):
        checks.test_refuses_a_record_that_it_did_not_write()


# ------------------------------------------------------------------------------------------------ the other kinds


def test_every_kind_with_a_hook_has_its_checks():
    assert list(CONFORMANCE) == list(HOOKS)
    assert all(checks.kind == kind for kind, checks in CONFORMANCE.items())


@pytest.mark.parametrize(
    ("checks", "name", "wanted"),
    [
        (LossConformance, "losses/mse", r"losses/mse needs example\(\) -> \(prediction, target\)"),
        (TaskConformance, "tasks/classification", r"needs network\(\) -> Module and example\(\) -> Batch"),
        (FetcherConformance, "hub/file", r"hub/file needs uri\(\) and missing\(\)"),
        (SourceConformance, "sources/folder", "sources/folder needs params: path"),
    ],
)
def test_what_only_the_author_can_say_is_asked_for(checks, name, wanted):
    asked = {"test_is_a_finite_number", "test_leaves_the_batch_alone", "test_brings_what_is_there",
             "test_every_split_has_samples"}  # fmt: skip
    (test,) = asked & set(dir(checks))
    made = type("Checks", (checks,), {"name": name})()
    made._cache = None
    with pytest.raises(NeedsItsOwnTest, match=wanted):
        getattr(made, test)()


class Right(TaskProtocol):
    """A task as it should be; others break one thing."""

    monitor = ("accuracy", "max")

    def __init__(self, model: nn.Module) -> None:
        self.state = model

    def objectives(self):
        return [Objective("main", [*self.state.parameters()], self.compare)]

    def compare(self, batch, shared):
        logits_bk = self.predict(self.state, batch)["logits_bk"]
        return {"total": nn.functional.cross_entropy(logits_bk, batch.targets["label_b"])}

    def result(self):
        return self.state

    def predict(self, model, batch):
        return {"logits_bk": model(batch.inputs["clip_bcthw"])}

    def merge(self, outputs):
        return {"logits_bk": torch.stack([each["logits_bk"] for each in outputs]).mean(0)}

    def metrics(self):
        return Hits()

    def figures(self, outputs, batch):
        return [Matrix("counts", ("a",), ("a",), np.ones((1, 1)))]

    def readable(self, outputs):
        return [{"label": label} for label in outputs["logits_bk"].argmax(1).tolist()]


class Hits:
    def __init__(self):
        self.reset()

    def update(self, outputs, batch):
        self.right += int((outputs["logits_bk"].argmax(1) == batch.targets["label_b"]).sum())
        self.seen += len(batch)

    def compute(self):
        return {"accuracy": self.right / self.seen if self.seen else float("nan")}

    def merge(self, other):
        self.right, self.seen = self.right + other.right, self.seen + other.seen

    def reset(self):
        self.right = self.seen = 0


class Tasks(TaskConformance):
    name = "tasks/classification"
    made: type[Right] = Right

    def network(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 2))

    def example(self):
        clips = torch.linspace(-1, 1, 3 * 24).view(3, 3, 1, 2, 4)
        return Batch({"clip_bcthw": clips}, {"label_b": torch.tensor([0, 1, 1])}, torch.arange(3), torch.zeros(3))

    def build(self, *, model, **provided):
        return self.made(model)


TASK_CHECKS = [name for name in vars(TaskConformance) if name.startswith("test_")]


@pytest.mark.parametrize("check", TASK_CHECKS)
def test_a_task_as_it_should_be_passes(check):
    getattr(Tasks(), check)()


def broken(**parts: Any) -> Tasks:
    return type("Broken", (Tasks,), {"made": type("Task", (Right,), parts)})()


class Forgetful(Hits):
    def merge(self, other):
        """Takes in nothing."""


class Unforgetting(Hits):
    def reset(self):
        self.right, self.seen = getattr(self, "right", 0), getattr(self, "seen", 0)


def keep_the_graph(self, batch, shared):
    shared["x"] = self.state[1].weight
    return {"total": self.state[1].weight.sum()}


@pytest.mark.parametrize(
    ("parts", "check", "message"),
    [
        ({"monitor": ("accuracy", "up")}, "its_parts_are_what_a_run_needs", "is 'up', write 'max' or 'min'"),
        ({"monitor": ("f1", "max")}, "its_parts_are_what_a_run_needs", "monitors 'f1', which its metrics do not have"),
        (
            {"objectives": lambda self: [Objective("main", [nn.Parameter(torch.ones(1))], self.compare)]},
            "its_objectives_step_its_own_parameters", "a checkpoint would lose them",
        ),
        (
            {"compare": lambda self, batch, shared: {"total": self.state[1].weight.sum() * float("nan")}},
            "its_losses_are_finite_and_teach_every_objective", "'total' of 'main' is nan",
        ),
        (
            {"compare": lambda self, batch, shared: {"loss": self.state[1].weight.sum()}},
            "its_losses_are_finite_and_teach_every_objective", r"gives \['loss'\], no 'total'",
        ),
        (
            {"compare": keep_the_graph},
            "its_losses_are_finite_and_teach_every_objective", r"\['x'\] in `shared` still have gradients",
        ),
        (
            {"predict": lambda self, model, batch: {"logits_bk": torch.zeros(1, 2)}},
            "predicts_a_row_for_each_sample_without_losses", "3 samples went in; rows that came out: {'logits_bk': 1}",
        ),
        (
            {"predict": lambda self, model, batch: {"logits_bk": model(batch.inputs["clip_bcthw"].mul_(2))}},
            "leaves_the_batch_alone", "writes to the batch",
        ),
        (
            {"merge": lambda self, outputs: {"logits_bk": torch.cat([each["logits_bk"] for each in outputs])}},
            "merges_views_into_one_answer", "two views of 3 samples are merged into rows of {'logits_bk': 6}",
        ),
        ({"metrics": lambda self: Forgetful()}, "its_metrics_add_up_whatever_the_batches", "halves merged differ"),
        ({"metrics": lambda self: Unforgetting()}, "its_metrics_start_anew_after_a_reset", "remember .'accuracy'."),
        ({"figures": lambda self, outputs, batch: ["a picture"]}, "its_figures_add_up", "draws a str, no Figure"),
        ({"readable": lambda self, outputs: [{}]}, "says_a_row_for_people_for_each_sample", "gives 1 rows"),
        (
            {"readable": lambda self, outputs: list(outputs["logits_bk"])},
            "says_a_row_for_people_for_each_sample", "what JSON does not hold",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_a_task_is_found(parts, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(broken(**parts), f"test_{check}")()


def test_a_task_without_a_method_is_found():
    checks = Tasks()
    checks.build = lambda **provided: nn.Linear(1, 1)  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="has no state, views, monitor, objectives"):
        checks.task()


class Films:
    def __init__(self, *samples: Sample, labels: tuple[str, ...] = ("a",)) -> None:
        self.samples, self.labels = samples, labels


def sources(**splits: Films) -> SourceConformance:
    checks = type("Sources", (SourceConformance,), {"name": "sources/motions"})()
    checks.source = lambda split: splits[split]  # type: ignore[method-assign]
    return checks


@pytest.mark.parametrize(
    ("train", "val", "check", "message"),
    [
        (Films(), Films(), "every_split_has_samples", "has no sample for 'train'"),
        (Films("a.mp4"), Films(), "every_split_has_samples", "gives str; samples are `Sample` records"),
        (
            Films(Sample("a.mp4", {"label_b": "a"})), Films(Sample("b.mp4", {"value_b": 1.0})),
            "its_samples_have_the_same_targets", "have different targets",
        ),
        (
            Films(Sample("a.mp4", {"label_b": "a"})), Films(Sample("a.mp4", {"label_b": "a"})),
            "a_sample_is_in_one_split_only", "a.mp4 is in train and in val: what is measured leaks",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_a_source_is_found(train, val, check, message):
    with pytest.raises(AssertionError, match=message):
        getattr(sources(train=train, val=val), f"test_{check}")()


def test_a_source_that_shuffles_is_found():
    films = [Sample("a.mp4"), Sample("b.mp4")]
    checks = sources()
    checks.source = lambda split: films.reverse() or Films(*films)  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="gives other samples or another order the second time"):
        checks.test_gives_the_same_samples_each_time()


def exporter(write, load) -> ExporterConformance:
    checks = type("Exporters", (ExporterConformance,), {"name": "export/onnx"})()
    checks.build = lambda **provided: write  # type: ignore[method-assign]
    checks.load = load  # type: ignore[method-assign]
    return checks


@pytest.mark.parametrize(
    ("write", "load", "message"),
    [
        (lambda model, example, path: None, None, "did not write model.onnx"),
        (lambda model, example, path: path.touch(), lambda path: lambda *inputs: torch.zeros(3, 5), "0.001 is allowed"),
    ],
)
def test_a_fault_of_an_exporter_is_found(write, load, message, tmp_path):
    with pytest.raises(AssertionError, match=message):
        exporter(write, load).test_the_file_answers_like_the_model_whatever_the_batch(tmp_path)


def test_an_exporter_that_changes_the_model_is_found(tmp_path):
    kept: list[nn.Module] = []

    def write(model, example, path):
        path.touch()
        kept.append(copy.deepcopy(model))
        model[4].bias.data += 1e-5

    with pytest.raises(AssertionError, match=r"changes \['4.bias'\] of the model it writes"):
        exporter(write, lambda path: kept[0]).test_the_file_answers_like_the_model_whatever_the_batch(tmp_path)


def fetcher(fetch) -> FetcherConformance:
    checks = type("Fetchers", (FetcherConformance,), {"name": "hub/file"})()
    checks.fetch = lambda: fetch  # type: ignore[method-assign]
    checks.uri = checks.missing = lambda: "file:there"  # type: ignore[method-assign]
    return checks


def test_faults_of_a_fetcher_are_found(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(AssertionError, match="it is not there"):
        fetcher(lambda uri, files=None: Fetched(tmp_path / "b", uri)).test_brings_what_is_there()
    with pytest.raises(AssertionError, match="the pinned URI 'zip:x' does not start with 'file:'"):
        fetcher(lambda uri, files=None: Fetched(tmp_path, "zip:x")).test_brings_what_is_there()
    with pytest.raises(AssertionError, match="is pinned anew as 'file:there@@'"):
        fetcher(lambda uri, files=None: Fetched(tmp_path, f"{uri}@")).test_its_pinned_uri_brings_the_same()
    with pytest.raises(AssertionError, match="for a URI of nothing: raise HubError"):
        fetcher(lambda uri, files=None: Fetched(tmp_path, uri)).test_says_in_words_that_nothing_is_there()
    with pytest.raises(AssertionError, match="with KeyError: 'file:there': raise HubError"):
        fetcher(lambda uri, files=None: {}[uri]).test_says_in_words_that_nothing_is_there()


def observer(**methods: Any) -> ObserverConformance:
    checks = type("Observers", (ObserverConformance,), {"name": "acme/loud"})()
    checks.build = lambda **provided: type("Loud", (), methods)()  # type: ignore[method-assign]
    return checks


def test_faults_of_an_observer_are_found(tmp_path):
    with pytest.raises(AssertionError, match=r"no run calls epoch_ended \(did you mean epoch_end\?\)"):
        observer(epoch_ended=lambda self, epoch, values: None).test_watches_something()
    with pytest.raises(AssertionError, match="has none of run_start, batch_ready, step_end"):
        observer().test_watches_something()
    with pytest.raises(
        AssertionError, match=r"epoch_end of acme/loud raises TypeError: .*: a run would go on without it"
    ):
        observer(epoch_end=lambda self, epoch: None).test_takes_what_a_run_tells(tmp_path)
    with pytest.raises(AssertionError, match="epoch_end of acme/loud changes what it is told"):
        observer(epoch_end=lambda self, epoch, values: values.clear()).test_takes_what_a_run_tells(tmp_path)
    observer(epoch_end=lambda self, epoch, values: None).test_takes_what_a_run_tells(tmp_path)


def adapter(recognise, **config: Any) -> AdapterConformance:
    checks = type("Adapters", (AdapterConformance,), {"name": "acme/foreign"})()
    checks.recognise = lambda: recognise  # type: ignore[method-assign]
    checks.config = lambda: config  # type: ignore[method-assign]
    return checks


def test_faults_of_an_adapter_are_found():
    model = Recognised(model="basic/cnn3d", params={"no_such": 1})
    with pytest.raises(AssertionError, match=r"takes a repository whose config.json is \{\} for"):
        adapter(lambda described: model).test_leaves_others_alone()
    with pytest.raises(AssertionError, match="has no parameter 'no_such'"):
        adapter(lambda described: model).test_finds_a_model_of_the_catalogue()
    found = Recognised(model="basic/cnn3d", num_classes=3, labels=("a", "b"))
    with pytest.raises(AssertionError, match=r"2 labels are named, the head has 3 outputs"):
        adapter(lambda described: found).test_finds_a_model_of_the_catalogue()
    with pytest.raises(AssertionError, match=r"meets 'depth': None with TypeError: .*: raise ParameterError"):
        adapter(
            lambda described: range(described["config.json"]["depth"]), depth=3
        ).test_meets_strange_values_in_words()
    with pytest.raises(AssertionError, match="changes the description that it is shown"):
        adapter(lambda described: described.clear(), depth=3).test_changes_nothing_of_what_it_is_shown()


def test_a_recipe_with_a_misspelt_parameter_is_found(tmp_path, monkeypatch):
    path = tmp_path / "r.yaml"
    path.write_text("zoo: 1\ntask: classification\nmodel: {name: cnn3d, params: {widht: 3}}\ndata: {val: motions}\n")
    checks = type("Recipes", (RecipeConformance,), {"name": str(path)})()
    with pytest.raises(AssertionError, match=r"r.yaml:3:31: .*widht"):
        checks.test_names_components_and_parameters_that_are_there()


def test_a_deprecation_without_a_word_is_found(monkeypatch):
    checks = Loss()
    entry = replace(checks.listed.entry, deprecated=" ")
    monkeypatch.setattr(ListedConformance, "listed", replace(checks.listed, entry=entry))
    with pytest.raises(AssertionError, match="is deprecated without a word: say why"):
        checks.test_its_other_names_are_for_people()
