from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves out a residual branch, sample by sample, in training (stochastic depth, Huang et al. 2016).

    Args:
        rate: probability of leaving it out, in [0, 1); what stays is divided by 1 - rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ...) to the same, with zeros for some samples."""
        if not self.training or self.rate == 0:
            return branch
        kept = branch.new_empty((len(branch),) + (1,) * (branch.ndim - 1)).bernoulli_(1 - self.rate)
        return branch * kept.div_(1 - self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"{self.rate:g}"


def linear_rates(most: float, depths: tuple[int, ...]) -> list[list[float]]:
    """A rate for every block of every stage: 0 for the first block of the network, `most` for the last.

    Example:
        >>> linear_rates(0.2, (1, 2))
        [[0.0], [0.1, 0.2]]
    """
    last = max(1, sum(depths) - 1)
    return [
        [most * block / last for block in range(start, start + depth)]
        for start, depth in zip((sum(depths[:stage]) for stage in range(len(depths))), depths, strict=True)
    ]
