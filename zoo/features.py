"""A network as a backbone: the maps of its stages instead of an answer."""

from __future__ import annotations

from torch import Tensor, nn

from zoo_registry.errors import PluginError
from zoo_registry.protocols import Stage, StagedNetwork


class Pyramid(nn.Module):
    """The feature maps of a network, one a stage, finest first; the head is taken out.

    Args:
        network: one with stages.
        name: what messages call it.

    Attributes:
        network: the network without its head.
        stages: those that give a map, with name, channels and stride.

    Raises:
        PluginError: the network has no stages.

    Example:
        >>> backbone = zoo.load("video/slow_r50", pretrained=False, features_only=True)    # doctest: +SKIP
        >>> [(stage.name, stage.channels, stage.stride) for stage in backbone.network.stages][-1]    # doctest: +SKIP
        ('stage4', 2048, (1, 32, 32))
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        if not isinstance(network, StagedNetwork):
            raise PluginError(
                f"{name} gives no feature maps: it has no stages",
                hint="its plugin's author adds them, see zoo_registry.protocols.StagedNetwork",
            )
        stages = network.stages()
        self.network = network
        self.stages: tuple[Stage, ...] = tuple(stage for stage in stages if stage.stride is not None)
        for layer in stages[-1].layers:
            for part in layer:
                _take_out(network, part)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Maps (B, C, T', H', W') in the order of `stages`.

        Args:
            *inputs: as the network takes them.
        """
        maps: list[Tensor] = self.network.forward_pyramid(*inputs)
        return maps


def _take_out(network: nn.Module, part: str) -> None:
    owner, _, name = part.rpartition(".")
    module = network.get_submodule(owner)
    if isinstance(getattr(module, name), nn.Module):
        setattr(module, name, nn.Identity())
