"""What holds for a model whose module is a `StagedNetwork`; for any other these checks are skipped, and say so."""

# ruff: noqa: D102  (the name of a check says what holds)

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.network_stages import parts_of
from zoo.testing.network import NetworkConformance, seeded, tensors
from zoo_registry.protocols import StagedNetwork


class StagedNetworkConformance(NetworkConformance):
    """Checks of `zoo_registry.protocols.StagedNetwork`."""

    def staged(self, **params: Any) -> Any:
        """The tiny build, where it is a `StagedNetwork`."""
        network = self.network(**params)
        if not isinstance(network, StagedNetwork):
            pytest.skip(f"{self.name} is no StagedNetwork: its stages are its top-level children, it has no pyramid")
        return network

    def test_its_stages_name_every_parameter_once(self) -> None:
        network = self.staged()
        stages = network.stages()
        names = [stage.name for stage in stages]
        assert len(set(names)) == len(names), f"two stages of {self.name} have one name: {', '.join(names)}"
        assert names[-1] == "head", f"the last stage of {self.name} is {names[-1]!r}, not the head"
        list(parts_of(network, [layer for stage in stages for layer in stage.layers]))  # raises for what is not there
        parts = Counter(part for stage in stages for layer in stage.layers for part in layer)
        for name, _ in network.named_parameters():
            holders = [part for part in parts.elements() if name == part or name.startswith(f"{part}.")]
            assert len(holders) == 1, f"the stages of {self.name} name {name} {len(holders)} times, by {holders}"

    def test_its_head_answers_from_its_features(self) -> None:
        network, example = self.staged(), self.example()
        with torch.no_grad():
            whole, parts = network(*example), network.forward_head(network.forward_features(*example))
        for one, other in zip(tensors(whole), tensors(parts), strict=True):
            torch.testing.assert_close(
                one, other, msg=lambda text: f"forward of {self.name} is not its head after its features: {text}"
            )

    def test_its_pyramid_is_as_wide_and_as_fine_as_its_stages_say(self) -> None:
        """Padding decides whether a stride that does not divide a side rounds up or down: both are right."""
        network, example = self.staged(), self.example()
        clips = [value for name, value in zip(self.entry.inputs, example, strict=True) if name.endswith("_bcthw")]
        if not clips:
            pytest.skip(f"{self.name} takes no clip, of which a stride could be told")
        with torch.no_grad():
            maps = network.forward_pyramid(*example)
        stages = [stage for stage in network.stages() if stage.stride is not None]
        assert len(maps) == len(stages), f"{len(stages)} stages of {self.name} have a stride, it gives {len(maps)} maps"
        batch, _, *clip_thw = clips[0].shape
        for stage, map_bcthw in zip(stages, maps, strict=True):
            shape = tuple(map_bcthw.shape)
            assert shape[:2] == (batch, stage.channels), f"{stage.name} has {stage.channels} channels, gives {shape}"
            assert len(shape) == 5, f"{stage.name} gives {shape}, no map (B, C, T, H, W)"
            sides = list(zip(shape[2:], clip_thw, stage.stride, strict=True))
            assert all(max(side // step, 1) <= got <= -(-side // step) for got, side, step in sides), (
                f"{stage.name} says stride {stage.stride}: a clip of {clip_thw} cannot become {shape[2:]}"
            )

    def test_what_should_not_decay_are_its_parameters(self) -> None:
        network = self.staged()
        spared = set(getattr(network, "no_weight_decay", set)())
        unknown = spared - {name for name, _ in network.named_parameters()}
        assert not unknown, f"no_weight_decay() of {self.name} names {sorted(unknown)}, which it does not have"

    def test_gradient_checkpointing_changes_memory_alone(self) -> None:
        network, example = self.staged().train(), self.example()
        outputs, gradients, kept = _trained(network, example)
        network.set_grad_checkpointing()
        outputs_again, gradients_again, kept_again = _trained(network, example)
        for one, other in zip(outputs + gradients, outputs_again + gradients_again, strict=True):
            torch.testing.assert_close(
                one, other, rtol=1e-4, atol=1e-6,
                msg=lambda text: f"gradient checkpointing changes what {self.name} learns: {text}",
            )  # fmt: skip
        assert kept_again < kept, f"with gradient checkpointing {self.name} keeps {kept_again:,} bytes, not {kept:,}"

    def test_takes_clips_of_one_channel(self) -> None:
        self.skip_without("in_channels")
        network = self.staged(in_channels=1)
        inputs = zip(self.entry.inputs, self.example(), strict=True)
        grey = tuple(value[:, :1] if name.endswith("_bcthw") else value for name, value in inputs)
        with torch.no_grad():
            assert all(tensor.isfinite().all() for tensor in tensors(network(*grey))), (
                f"{self.name} answers clips of one channel with numbers that are not finite"
            )

    def test_drop_path_leaves_out_branches_in_training_only(self) -> None:
        self.skip_without("drop_path")
        example, others = self.example(), {"dropout": 0.0} if self._takes("dropout") else {}
        network, plain = (_with_branches(self.staged(drop_path=rate, **others)) for rate in (0.5, 0.0))
        expected = _flat(plain, example, 0)
        in_eval_mode = [_flat(network, example, seed) for seed in range(4)]
        assert all(torch.equal(expected, answer) for answer in in_eval_mode), (
            f"drop_path changes what {self.name} answers in eval mode"
        )
        network.train()
        answers = [_flat(network, example, seed) for seed in range(8)]
        assert torch.equal(answers[0], _flat(network, example, 0)), "what is dropped does not come from the seed"
        assert any(not torch.equal(answers[0], answer) for answer in answers), f"{self.name} drops no path in training"

    def _takes(self, parameter: str) -> bool:
        from zoo.build import parameters

        return parameter in {each.name for each in parameters(self.listed)} - set(self.entry.fixed)


def _trained(network: nn.Module, example: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], int]:
    """Outputs and gradients of a training step, and the bytes that were kept for its backward pass."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    network.zero_grad()
    with seeded(2):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            outputs = [tensor for tensor in tensors(network(*example)) if tensor.requires_grad]
        torch.autograd.backward(outputs, [torch.randn_like(tensor) for tensor in outputs])
    gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    return [tensor.detach() for tensor in outputs], gradients, sum(kept.values())


def _with_branches(network: nn.Module) -> nn.Module:
    """The network without parameters that are all zero: a branch that ends in them is not seen to be there."""
    with seeded(5), torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.5)
    return network


def _flat(network: nn.Module, example: Sequence[Tensor], seed: int) -> Tensor:
    with seeded(seed), torch.no_grad():
        return torch.cat([tensor.flatten() for tensor in tensors(network(*example))])
