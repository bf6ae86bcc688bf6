"""Every augmentation on a GPU gives what it gives on the CPU. To run it: `pytest -m gpu tests/plugins/augment`.

The same seed means the same draws, and the same pixels within 2 grey levels. Noise is drawn on the device, from a seed
that the CPU draws: there only its mean and deviation can be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.plugins import test_conformance
from zoo.testing import AugmentationConformance
from zoo.testing.scene import painted
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Batch

NOISE = ("augment/gaussian_noise", "augment/poisson_noise")
CHECKS = {
    checks.name: checks
    for checks in vars(test_conformance).values()
    if isinstance(checks, type) and issubclass(checks, AugmentationConformance) and hasattr(checks, "name")
}
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def tensors(values: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, torch.Tensor):
                yield key, item


def example(checks: AugmentationConformance, dtype: torch.dtype) -> Batch:
    """A batch with masks and a target clip, or without where the augmentation refuses them."""
    batch = painted(checks.example())
    if dtype != torch.uint8:
        batch.inputs["clip_bcthw"] = batch.inputs["clip_bcthw"].float() / 255
    try:
        checks.augment()(batch, torch.Generator())
    except ParameterError:
        del batch.targets["mask_bthw"]
    return batch


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("name", CHECKS)
def test_a_gpu_gives_what_the_cpu_gives(name, dtype):
    checks = CHECKS[name]()
    batch = example(checks, dtype)
    for seed in range(3):
        here, there = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
        on_cpu = checks.augment()(batch, here)
        on_gpu = checks.augment()(batch.to("cuda"), there)
        assert torch.equal(here.get_state(), there.get_state())
        assert all(value.device.type == "cuda" for _, value in tensors(on_gpu.inputs))
        on_gpu = on_gpu.to("cpu")
        clip, expected = on_gpu.inputs["clip_bcthw"].double(), on_cpu.inputs["clip_bcthw"].double()
        level = 1.0 if dtype == torch.uint8 else 1 / 255
        if name in NOISE:
            assert abs(float(clip.mean() - expected.mean())) <= 2 * level
            assert abs(float(clip.std() - expected.std())) <= 2 * level
        else:
            # A place between two pixels, or a value next to a threshold, may be rounded to the other side.
            assert ((clip - expected).abs() > 2 * level).double().mean() <= 0.002
        for (key, value), (_, wanted) in zip(tensors(on_gpu.targets), tensors(on_cpu.targets), strict=True):
            if key == "mask_bthw":
                assert (value != wanted).double().mean() <= 0.002
            elif key == "clip_bcthw":
                own_level = 1.0 if value.dtype == torch.uint8 else 1 / 255
                assert ((value.double() - wanted.double()).abs() > 2 * own_level).double().mean() <= 0.002
            else:
                assert torch.allclose(value.double(), wanted.double(), atol=1e-3)


@pytest.mark.parametrize("name", CHECKS)
def test_a_gpu_is_not_waited_for(name):
    """torch names every synchronisation. The two codecs work on the CPU, and say so."""
    if name in ("augment/jpeg", "augment/video_codec"):
        pytest.skip("encodes on the CPU, for which the step waits")
    checks = CHECKS[name]()
    batch = checks.example().to("cuda")
    augment = checks.augment()
    augment(batch, torch.Generator().manual_seed(0))  # what is made once, such as cuFFT's plans, may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(batch, torch.Generator().manual_seed(1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
