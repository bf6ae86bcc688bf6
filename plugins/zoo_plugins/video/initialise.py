from __future__ import annotations

from torch import nn

from zoo_plugins.video.stage import Bottleneck


def initialise(network: nn.Module) -> None:
    """Start as the authors do: He et al.'s normal convolutions, blocks that equal their shortcut, small classifiers.

    Args:
        network: its parameters are drawn from torch's global generator, in the order of its modules.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.norm_c.weight)
