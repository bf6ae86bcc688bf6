"""Films of which it is known where and when their label shows: a coloured square in noise, somewhere, for a while."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from zoo.build import build
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog

COLOURS = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
FRAMES = 8
LASTS = 4  # frames


def films(count: int, seed: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised clips (B, 3, T, H, W), labels (B,), and where the square is, (B, T, H, W) bool."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.5 * torch.randn(count * FRAMES, 3, size // 4, size // 4, generator=generator)
    clips_bcthw = interpolate(noise, scale_factor=4).unflatten(0, (count, FRAMES)).transpose(1, 2).contiguous()
    labels_b = torch.arange(count) % len(COLOURS)
    there_bthw = torch.zeros(count, FRAMES, size, size, dtype=torch.bool)
    side = size // 4
    for film in range(count):
        limits = (FRAMES - LASTS + 1, size - side + 1, size - side + 1)
        time, top, left = (int(torch.randint(limit, (1,), generator=generator)) for limit in limits)
        there_bthw[film, time : time + LASTS, top : top + side, left : left + side] = True
        clips_bcthw[film, :, there_bthw[film]] = COLOURS[labels_b[film]][:, None]
    return clips_bcthw, labels_b, there_bthw


def trained(name: str, size: int, *, epochs: int, films_seen: int = 192, **params: object) -> nn.Module:
    """A model of the catalogue that has learnt to name the colours."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        provided = {"num_classes": len(COLOURS), "clip": ClipSpec(frames=FRAMES, size=size)}
        network = build(catalog().resolve("model", name), params, provided)
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
        clips_bcthw, labels_b, _ = films(films_seen, seed=0, size=size)
        for _ in range(epochs):
            for rows in torch.randperm(films_seen).split(16):
                optimiser.zero_grad()
                cross_entropy(network(clips_bcthw[rows]), labels_b[rows]).backward()
                optimiser.step()
    return network.eval()
