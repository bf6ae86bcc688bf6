"""Grad-CAM against other implementations, and maps against what the networks themselves say of their layout."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.video import r3d_18

from tests.plugins.models.parity import clip_of
from zoo.build import build
from zoo.explanation.grad_cam import grad_cam, grad_cam_plus_plus
from zoo.explanation.question import Question, Unsuitable
from zoo.explanation.stage_outputs import pass_through
from zoo_registry import ClipSpec
from zoo_registry.catalog import catalog
from zoo_registry.protocols import Stage


def network_of(name: str, frames: int, size: int, **params: object) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        provided = {"num_classes": 5, "clip": ClipSpec(frames=frames, size=size)}
        return build(catalog().resolve("model", name), params, provided).eval()


def question_about(network: nn.Module, frames: int, size: int, label: int | None = None) -> Question:
    clip_bcthw = clip_of(frames, size)
    if label is None:
        with torch.no_grad():
            label = int(network(clip_bcthw).argmax())
    return Question(network, (clip_bcthw,), 0, label)


@pytest.fixture(scope="module")
def r3d() -> nn.Module:
    return network_of("torchvision/r3d_18", 8, 64)


def test_grad_cam_is_captums(r3d):
    """captum 0.9.0, `LayerGradCam` on torchvision's own network with the same weights, at its layer4.

    Compared by hand besides (November 2026, a clip of 16 x 112 x 112, five labels): pytorch-grad-cam 1.5.7 agrees to
    7e-7 of the largest value; its Grad-CAM++ to 2e-4 where gradients are large against the 1e-6 that it adds below the
    line.
    """
    attr = pytest.importorskip("captum.attr", reason="the extra videozoo[explain] is not installed")
    theirs = r3d_18(num_classes=5).eval()
    theirs.load_state_dict(r3d.state_dict(), strict=True)
    clip_bcthw = clip_of(8, 64)
    for label in range(5):
        expected = attr.LayerGradCam(theirs, theirs.layer4).attribute(clip_bcthw, label, relu_attributions=True)[0, 0]
        if expected.any():
            ours = grad_cam(Question(r3d, (clip_bcthw,), 0, label))
            torch.testing.assert_close(ours, expected.detach(), rtol=1e-4, atol=1e-7)


def test_grad_cam_plus_plus_is_its_papers_equations(r3d):
    """Equations 9 and 19 of Chattopadhay et al. 2018, written down with loops over channels and cells."""
    question = question_about(r3d, 8, 64)
    activation = r3d.forward_features(question.clip_bcthw).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(r3d.forward_head(activation)[0, question.label], activation)
    a_k, g_k = activation.detach()[0].double().flatten(1), gradient[0].double().flatten(1)
    expected = torch.zeros(a_k.shape[1], dtype=torch.float64)
    for a, g in zip(a_k, g_k, strict=True):
        weight = 0.0
        for slope in g.tolist():
            below = 2 * slope**2 + float(a.sum()) * slope**3
            weight += (slope**2 / below if below else 0.0) * max(slope, 0.0)
        expected += weight * a
    torch.testing.assert_close(
        grad_cam_plus_plus(question).flatten().double(), expected.clamp(min=0), rtol=1e-3, atol=1e-7
    )


IN_STAGES = [
    ("torchvision/mvit_v2_s", 4, 64, {}),  # a class token before tokens T H W, which pooling makes fewer
    ("timm/test_vit", 2, 160, {}),  # a batch of frames, tokens H W behind a class token
    ("timm/test_convnext", 2, 64, {}),  # a batch of frames
    ("transformers/videomae_s", 4, 64, {"width": 48, "blocks": 3, "heads": 4}),
    ("transformers/timesformer_b", 4, 64, {"width": 48, "blocks": 3, "heads": 4}),  # tokens H W T
    ("transformers/vivit_b_16x2", 4, 64, {"width": 48, "blocks": 3, "heads": 4}),
]


@pytest.mark.parametrize(("name", "frames", "size", "params"), IN_STAGES, ids=lambda value: str(value))
def test_the_map_of_a_stage_is_that_of_the_networks_own_pyramid(name, frames, size, params):
    if name.startswith("transformers"):
        pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    network = network_of(name, frames, size, **params)
    question = question_about(network, frames, size)
    outputs = pass_through(question).outputs
    assert outputs, "no stage's map was found"
    names = [stage.name for stage in network.stages() if stage.stride is not None]
    with torch.no_grad():
        pyramid = network.forward_pyramid(question.clip_bcthw)
    for output in outputs:
        torch.testing.assert_close(output.on_map(output.raw.detach()), pyramid[names.index(output.stage)][0])


def test_a_network_keeps_its_parameters_and_hooks_as_they_were(r3d):
    wanted = {name: parameter.requires_grad for name, parameter in r3d.named_parameters()}
    before = {name: value.clone() for name, value in r3d.state_dict().items()}
    grad_cam(question_about(r3d, 8, 64))
    assert {name: parameter.requires_grad for name, parameter in r3d.named_parameters()} == wanted
    assert all(torch.equal(value, before[name]) for name, value in r3d.state_dict().items())
    assert all(parameter.grad is None for parameter in r3d.parameters())
    assert not any(module._forward_hooks for module in r3d.modules())


class Weighing(nn.Module):
    """Its features are the clip's own pixels, the answer of its only label is a weighted sum of them."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def stages(self) -> list[Stage]:
        return [Stage("stem", (), 1, (1, 1, 1)), Stage("head", (("weight",),))]

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        return clip_bcthw

    def forward_head(self, features: Tensor) -> Tensor:
        return self.weight * features.sum((2, 3, 4))

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        return [clip_bcthw]

    def set_grad_checkpointing(self, enable: bool = True) -> None: ...

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(clip_bcthw))


def test_where_nothing_speaks_for_a_label_it_is_said():
    clip_bcthw = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grad_cam(Question(Weighing(2.0), (clip_bcthw,), 0, 0)).flatten().tolist() == [2, 4, 6]
    with pytest.warns(UserWarning, match=r"nothing in this clip speaks for the label.*least speaks against it"):
        against = grad_cam(Question(Weighing(-1.0), (clip_bcthw,), 0, 0))
    assert against.flatten().tolist() == [2, 1, 0]


def test_weights_in_bfloat16_are_explained_like_those_in_float32(r3d):
    from copy import deepcopy

    from zoo.testing.compression import RandomContext
    from zoo_plugins.compress.half_precision import cast

    question = question_about(r3d, 8, 64)
    small, _ = cast(deepcopy(r3d), RandomContext(question.inputs, r3d), dtype="bfloat16")
    rounded = grad_cam(Question(small, question.inputs, 0, question.label))
    exact = grad_cam(question)
    assert torch.nn.functional.cosine_similarity(rounded.flatten(), exact.flatten(), 0) > 0.99


def test_a_network_without_stages_is_refused():
    with pytest.raises(Unsuitable, match="does not tell its stages"):
        grad_cam(Question(nn.Flatten(), (torch.zeros(1, 3, 1, 2, 2),), 0, 0))
