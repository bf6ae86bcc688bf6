"""Every recognition model of the catalogue can be explained, in a tiny form with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.model_table import OF_FAMILIES
from tests.plugins.models.parity import clip_of, randomised
from zoo.build import build
from zoo.explanation.methods import explained
from zoo.explanation.question import Question
from zoo_registry.catalog import catalog
from zoo_registry.entries import Model

HEAVY = 20_000_000
"""Parameters of models that wait for the slow tests."""

QUICK = {
    "video/slowfast_r50", "video/x3d_s", "torchvision/swin3d_t", "torchvision/mvit_v2_s", "transformers/videomae_s",
}  # fmt: skip
"""Those that stand for the kinds of networks in the quick tests, whatever their size."""

SMALL_BACKBONES = {
    "video/tsn": "test_resnet", "video/tsm": "resnet18", "video/frame_attention": "test_resnet",
    "video/frame_conv1d": "test_resnet", "video/frame_conv_gru": "test_resnet",
    "video/frame_multiscale": "test_resnet", "video/frame_transformer": "test_vit",
}  # fmt: skip

CLIPS = {
    "basic/cnn2d": (1, 32), "basic/cnn3d": (8, 32), "transformers/videoprism_b": (2, 72), "timm": (2, 224),
    "video/frame_transformer": (3, 160), "timm/test_vit": (2, 160), "timm/test_resnet": (2, 160),
    "video/i3d_r50_32x2": (8, 64), "video/inception_i3d_rgb": (16, 64), "video/inception_i3d_flow": (16, 64),
    "torchvision/s3d": (16, 64), "video/slowfast_4x16_r50": (16, 64),
}  # fmt: skip
"""Frames and size of clips that leave more than one cell of the last map; 8 of 64 where nothing is said."""

ROLLED_OUT = (
    "transformers/videomae", "transformers/vivit", "transformers/vjepa2", "transformers/timesformer_b_joint",
    "transformers/timesformer_b_space", "timm/vit", "timm/test_vit", "video/frame_transformer",
)  # fmt: skip
"""Beginnings of names of networks whose tokens all see each other, in a clip or in each of its frames."""


def models() -> Iterator[Any]:
    """The catalogue's recognition models, one of each kind of large family; heavy ones marked."""
    names = {
        listed.name
        for listed in catalog().list("model")
        if listed.plugin.is_own and listed.entry.task == "classification" and listed.namespace not in OF_FAMILIES
    }
    names |= {f"{family}/{name}" for family, few in OF_FAMILIES.items() for name in few}
    for name in sorted(names | {"timm/test_resnet", "timm/test_vit"}):
        entry = catalog().resolve("model", name).entry
        assert isinstance(entry, Model)
        heavy = (entry.parameters or 0) > HEAVY and name not in SMALL_BACKBONES
        heavy |= name.startswith(("transformers/", "timm/")) and "test_" not in name
        yield pytest.param(name, marks=[pytest.mark.slow] if heavy and name not in QUICK else [])


def tiny(name: str) -> tuple[nn.Module, Question]:
    listed = catalog().resolve("model", name)
    entry = listed.entry
    assert isinstance(entry, Model)
    frames, size = CLIPS.get(name, CLIPS.get(listed.namespace, (8, 64)))
    clip = replace(entry.clip, frames=frames, size=size, resize=None)
    params = {"backbone": SMALL_BACKBONES[name]} if name in SMALL_BACKBONES else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        provided = {"num_classes": 5, "clip": clip, "labels": (), "inputs": entry.inputs}
        network = randomised(build(listed, params, provided)).eval()
    clip_bcthw = clip_of(frames, size, channels=len(clip.mean))
    with torch.no_grad():
        label = int(network(clip_bcthw).argmax())
    return network, Question(network, (clip_bcthw,), 0, label, name)


@pytest.mark.parametrize("name", list(models()))
@pytest.mark.filterwarnings("ignore:nothing in this clip speaks for the label")
def test_every_recognition_model_is_explained_by_what_it_offers(name):
    if name.startswith("transformers/"):
        pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    _, question = tiny(name)
    map_thw, method = explained(question, "auto")
    assert method == ("gradient_rollout" if name.startswith(ROLLED_OUT) else "grad_cam")
    assert map_thw.shape == question.clip_bcthw.shape[2:]
    assert map_thw.isfinite().all()
    assert (map_thw.min(), map_thw.max()) == (0, 1)  # so it is not constant
    assert map_thw.flatten(1).std(1).max() > 0  # nor within every frame
