"""Keys of the latest samples, oldest out first."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import normalize

from zoo_registry.errors import RecipeError


class KeyQueue(Module):
    """A ring of unit keys, in buffers, so that a checkpoint holds it. It begins with random ones, as MoCo's does.

    Args:
        size: N, how many keys.
        width: D, numbers of each.

    Example:
        >>> queue = KeyQueue(size=3, width=2)
        >>> queue.push(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        >>> queue.push(torch.tensor([[-1.0, 0.0], [0.0, -1.0]]))           # the fourth key takes the place of the first
        >>> queue.keys_nd
        tensor([[ 0., -1.],
                [ 0.,  1.],
                [-1.,  0.]])
    """

    keys_nd: Tensor
    next: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys_nd", normalize(torch.randn(size, width), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    def check(self, count: int) -> None:
        """See that the keys of a step fit.

        Raises:
            RecipeError: there are more than the queue holds.
        """
        if count > len(self.keys_nd):
            raise RecipeError(
                f"the queue holds {len(self.keys_nd)} keys, and a step brings {count}",
                hint="raise task.params.queue above run.batch times run.accumulate, or lower those",
            )

    @torch.no_grad()
    def push(self, key_bd: Tensor) -> None:
        """Put keys (B, D) of any length in the place of the oldest."""
        self.check(len(key_bd))
        place_b = (self.next + torch.arange(len(key_bd), device=key_bd.device)) % len(self.keys_nd)
        self.keys_nd.index_copy_(0, place_b, normalize(key_bd.to(self.keys_nd), dim=1))
        self.next.add_(len(key_bd)).remainder_(len(self.keys_nd))
