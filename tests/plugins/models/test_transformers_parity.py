"""The namespace `transformers` against the library's own classes, which wrote the weights and read them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from zoo.pretrained import load_weights
from zoo_registry import Weights
from zoo_registry.catalog import catalog

transformers = pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")

from zoo_plugins.transformers.published import from_transformers  # noqa: E402
from zoo_plugins.transformers.timesformer import TimesformerClassifier  # noqa: E402
from zoo_plugins.transformers.videomae import VideoMAEClassifier, VideoMAEPretraining  # noqa: E402
from zoo_plugins.transformers.videoprism import VideoPrismClassifier  # noqa: E402
from zoo_plugins.transformers.vivit import VivitClassifier  # noqa: E402
from zoo_plugins.transformers.vjepa2 import VJEPA2Attentive, VJEPA2Classifier  # noqa: E402
from zoo_plugins.transformers.xclip import XCLIPZeroShot  # noqa: E402

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 5}
DECODER = {"decoder_hidden_size": 16, "decoder_num_attention_heads": 2, "decoder_num_hidden_layers": 2,
           "decoder_intermediate_size": 32}  # fmt: skip
PREDICTOR = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}


@dataclass(frozen=True)
class Family:
    """A tiny network of the library and the one here.

    Attributes:
        theirs, ours: the classes.
        config: of the library.
        shape: (T, H, W) of a clip.
        answer: what the library's network says to a clip (B, C, T, H, W), as ours would.
        features: whether the library has no classifier, so that features are compared.
    """

    theirs: type
    ours: Callable[[Any], nn.Module]
    config: Any
    shape: tuple[int, int, int]
    answer: Callable[[nn.Module, Tensor], Tensor] = lambda network, clip: network(clip.transpose(1, 2)).logits
    features: bool = False

    def network(self) -> nn.Module:
        torch.manual_seed(3)
        return self.ours(self.config)

    def clip(self, batch: int = 2) -> Tensor:
        return torch.randn(batch, 3, *self.shape, generator=torch.Generator().manual_seed(1))


def timesformer(attention: str, answer: Callable[[nn.Module, Tensor], Tensor] = Family.answer) -> Family:
    config = transformers.TimesformerConfig(
        image_size=32, num_frames=3, num_hidden_layers=3, attention_type=attention, **SMALL
    )
    return Family(transformers.TimesformerForVideoClassification, TimesformerClassifier, config, (3, 32, 32), answer)


def mean_of_frames(network: nn.Module, clip_bcthw: Tensor) -> Tensor:
    """The library's answer to pictures is one a frame."""
    return network(clip_bcthw.transpose(1, 2)).logits.unflatten(0, (len(clip_bcthw), -1)).mean(1)


FAMILIES = {
    "videomae": Family(
        transformers.VideoMAEForVideoClassification,
        VideoMAEClassifier,
        transformers.VideoMAEConfig(image_size=[32, 48], num_frames=4, num_hidden_layers=3, **SMALL),
        (4, 32, 48),
    ),
    "timesformer divided": timesformer("divided_space_time"),
    "timesformer joint": timesformer("joint_space_time"),
    "timesformer space": timesformer("space_only", mean_of_frames),
    "vivit": Family(
        transformers.VivitForVideoClassification,
        VivitClassifier,
        transformers.VivitConfig(image_size=[32, 48], num_frames=4, num_hidden_layers=3, **SMALL),
        (4, 32, 48),
    ),
    "vjepa2": Family(
        transformers.VJEPA2Model,
        VJEPA2Classifier,
        transformers.VJEPA2Config(crop_size=32, frames_per_clip=4, num_hidden_layers=3, **SMALL, **PREDICTOR),
        (4, 32, 32),
        lambda network, clip: network(clip.transpose(1, 2), skip_predictor=True).last_hidden_state,
        features=True,
    ),
    "vjepa2 attentive": Family(
        transformers.VJEPA2ForVideoClassification,
        VJEPA2Attentive,
        transformers.VJEPA2Config(crop_size=32, frames_per_clip=4, num_hidden_layers=3, **SMALL, **PREDICTOR),
        (4, 32, 32),
    ),
    "videoprism": Family(
        transformers.VideoPrismForVideoClassification,
        VideoPrismClassifier,
        transformers.VideoPrismVisionConfig(
            image_size=[36, 54], num_frames=3, num_spatial_layers=2, num_temporal_layers=2, **SMALL
        ),
        (3, 36, 54),
        lambda network, clip: network(clip.transpose(1, 2)).logits.squeeze(1),
    ),
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def saved(network: nn.Module, folder: Path) -> Path:
    """The library's network with weights of which none is a round number, saved by the library."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    network.save_pretrained(folder)
    return folder


def load(network: nn.Module, folder: Path) -> nn.Module:
    """As `zoo.load` puts published weights into a network."""
    weights = Weights(tag="there", source=f"file:{folder}", convert="transformers")
    listed = catalog().resolve("model", "transformers/videomae_b")
    entry = replace(listed.entry, weights=(replace(weights, convert=listed.model.layouts["transformers"]),))
    load_weights(network, "there", listed=replace(listed, entry=entry))
    return network


def both(family: Family, folder: Path) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights, read from the folder that the library wrote."""
    saved(family.theirs(family.config), folder)
    return load(family.network(), folder), family.theirs.from_pretrained(folder)


@each_family
@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_answers_are_the_librarys(family, tmp_path):
    ours, theirs = both(family, tmp_path)
    with torch.no_grad():
        expected = family.answer(theirs.eval(), family.clip())
        answer = ours.eval().forward_features(family.clip()) if family.features else ours.eval()(family.clip())
    assert expected.std() > 0.01, "answers of no size show nothing"
    torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-5)


@each_family
@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_a_training_step_is_the_librarys(family, tmp_path):
    ours, theirs = both(family, tmp_path)
    target = torch.tensor([0, 3])
    answers = (
        ours.train().forward_features(family.clip()) if family.features else ours.train()(family.clip()),
        family.answer(theirs.train(), family.clip()),
    )
    losses = [cross_entropy(each.mean(1) if family.features else each, target) for each in answers]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)
    expected = {name: value.grad for name, value in theirs.named_parameters() if value.grad is not None}
    found = {name: value.grad for name, value in ours.named_parameters() if value.grad is not None}
    assert found.keys() == expected.keys()
    assert len(found) > 30
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-4 * largest)


@each_family
def test_checkpointing_changes_no_gradient(family):
    network = family.network().train()
    runs: list[str] = []
    network.get_submodule(network.stages()[1].layers[0][-1]).register_forward_pre_hook(lambda *_: runs.append("block1"))
    gradients = []
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        cross_entropy(network(family.clip()), torch.tensor([0, 3])).backward()
        gradients.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
    assert all(torch.equal(gradients[0][name], value) for name, value in gradients[1].items())
    assert len(runs) == 3, "plain it runs once, checkpointed twice"


@pytest.mark.parametrize("name", ["videomae", "timesformer joint", "vivit"])
@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_the_pyramid_is_the_librarys_hidden_states(name, tmp_path):
    family = FAMILIES[name]
    ours, theirs = both(family, tmp_path)
    with torch.no_grad():
        maps = ours.eval().forward_pyramid(family.clip())
        hidden = theirs.eval()(family.clip().transpose(1, 2), output_hidden_states=True).hidden_states
    assert len(maps) == len(hidden) == 4
    frames, height, width = maps[0].shape[2:]
    for ours_bcthw, tokens in zip(maps[:-1], hidden[:-1], strict=True):
        patches = tokens[:, -frames * height * width :]
        if name == "timesformer joint":  # its tokens run through places first, then through time
            theirs_bcthw = patches.unflatten(1, (height, width, frames)).permute(0, 4, 3, 1, 2)
        else:
            theirs_bcthw = patches.transpose(1, 2).unflatten(2, (frames, height, width))
        torch.testing.assert_close(ours_bcthw, theirs_bcthw, rtol=1e-5, atol=1e-5)


# --------------------------------------------------------------------------------------------- without classes


@pytest.mark.parametrize("mean_pooling", [False, True])
@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_pretraining_paints_and_is_judged_as_the_library_does(mean_pooling, tmp_path):
    config = transformers.VideoMAEConfig(
        image_size=[32, 48], num_frames=4, num_hidden_layers=2, use_mean_pooling=mean_pooling, **SMALL, **DECODER
    )
    saved(transformers.VideoMAEForPreTraining(config), tmp_path)
    theirs = transformers.VideoMAEForPreTraining.from_pretrained(tmp_path).train()
    ours = load(VideoMAEPretraining(config, masked=8), tmp_path).train()
    generator = torch.Generator().manual_seed(5)
    mask_bn = torch.rand(2, 12, generator=generator).argsort(dim=1) < 8
    clip01_bcthw = torch.rand(2, 3, 4, 32, 48, generator=generator)
    mean, std = (torch.tensor(each).view(3, 1, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    clip_bcthw = (clip01_bcthw - mean) / std

    expected = theirs(clip_bcthw.transpose(1, 2), bool_masked_pos=mask_bn)
    painted = ours(clip_bcthw, mask_bn)
    torch.testing.assert_close(painted, expected.logits, rtol=1e-5, atol=1e-5)
    loss = mse_loss(painted, ours.target(clip01_bcthw, mask_bn))
    torch.testing.assert_close(loss, expected.loss, rtol=1e-4, atol=1e-4)
    loss.backward()
    expected.loss.backward()
    largest = max(float(value.grad.abs().max()) for value in theirs.parameters())
    for (name, value), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(value.grad, other.grad, rtol=1e-4, atol=1e-4 * largest, msg=name)


@pytest.mark.filterwarnings("ignore:positions are a fixed table")
def test_an_encoder_from_pretraining_starts_a_classifier_whose_last_layer_alone_is_random(tmp_path):
    config = transformers.VideoMAEConfig(
        image_size=[32, 48], num_frames=4, num_hidden_layers=2, use_mean_pooling=False, **SMALL, **DECODER
    )
    saved(theirs := transformers.VideoMAEForPreTraining(config), tmp_path)
    config.use_mean_pooling = True
    network = VideoMAEClassifier(config)
    before = network.classifier.weight.clone()
    load(network, tmp_path)
    assert torch.equal(network.classifier.weight, before)
    assert torch.equal(network.fc_norm.weight, torch.ones(32))
    for ours, other in zip(network.videomae.encoder.parameters(), theirs.videomae.encoder.parameters(), strict=True):
        assert torch.equal(ours, other)


def test_an_encoder_of_videoprism_starts_a_classifier_and_says_what_is_random(tmp_path):
    config = FAMILIES["videoprism"].config
    saved(theirs := transformers.VideoPrismVisionModel(config), tmp_path)
    network = FAMILIES["videoprism"].network().eval()
    with pytest.warns(UserWarning, match="its attentive pooling starts at random"):
        load(network, tmp_path)
    clip_bcthw = FAMILIES["videoprism"].clip()
    with torch.no_grad():
        expected = theirs.eval()(clip_bcthw.transpose(1, 2)).last_hidden_state
        torch.testing.assert_close(network.forward_features(clip_bcthw), expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------------ clips and texts


def tiny_xclip(frames: int = 3, size: int = 64) -> Any:
    layers = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    return transformers.XCLIPConfig(
        text_config={**layers, "vocab_size": 60, "max_position_embeddings": 9},
        vision_config={**layers, "image_size": size, "num_frames": frames, "mit_hidden_size": 24,
                       "mit_intermediate_size": 48, "mit_num_attention_heads": 2},
        projection_dim=24, prompt_num_attention_heads=2,
    )  # fmt: skip


TEXTS = torch.tensor([[1, 5, 59, 0, 0], [1, 7, 8, 9, 59], [1, 3, 4, 59, 0], [1, 30, 59, 0, 0]])


def test_clips_are_compared_with_texts_as_the_library_does(tmp_path):
    config = tiny_xclip()
    saved(transformers.XCLIPModel(config), tmp_path)
    theirs = transformers.XCLIPModel.from_pretrained(tmp_path).eval()
    ours = load(XCLIPZeroShot(config, num_classes=4), tmp_path).eval()
    ours.set_labels(TEXTS)
    clip_bcthw = torch.randn(2, 3, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(input_ids=TEXTS, pixel_values=clip_bcthw.transpose(1, 2)).logits_per_video
        torch.testing.assert_close(ours(clip_bcthw), expected, rtol=1e-5, atol=1e-5)


def test_a_training_step_of_clips_and_texts_is_the_librarys(tmp_path):
    config = tiny_xclip()
    saved(transformers.XCLIPModel(config), tmp_path)
    theirs = transformers.XCLIPModel.from_pretrained(tmp_path).train()
    ours = load(XCLIPZeroShot(config, num_classes=4), tmp_path).train()
    ours.set_labels(TEXTS)
    clip_bcthw, target = torch.randn(2, 3, 3, 64, 64), torch.tensor([0, 2])
    loss = cross_entropy(ours(clip_bcthw), target)
    logits = theirs(input_ids=TEXTS, pixel_values=clip_bcthw.transpose(1, 2)).logits_per_video
    expected = cross_entropy(logits, target)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    loss.backward()
    expected.backward()
    learning = {name: value.grad for name, value in ours.named_parameters() if value.requires_grad}
    del learning["classifier.weight"]  # the library has the text encoder in its place
    by_name = {name: value.grad for name, value in theirs.named_parameters()}
    assert len(learning) > 30
    largest = max(float(gradient.abs().max()) for gradient in learning.values())
    for name, gradient in learning.items():
        torch.testing.assert_close(gradient, by_name[name], rtol=1e-4, atol=1e-4 * largest, msg=name)


def test_checkpointing_clips_and_texts_changes_no_gradient():
    network = XCLIPZeroShot(tiny_xclip(), num_classes=4).train()
    clip_bcthw, gradients = torch.randn(2, 3, 3, 64, 64), []
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        cross_entropy(network(clip_bcthw), torch.tensor([0, 2])).backward()
        gradients.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
    assert all(torch.equal(gradients[0][name], value) for name, value in gradients[1].items())


# ------------------------------------------------------------------------------------------------------ full size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "config"),
    [
        ("videomae_b", transformers.VideoMAEForVideoClassification, transformers.VideoMAEConfig),
        ("timesformer_b", transformers.TimesformerForVideoClassification, transformers.TimesformerConfig),
        ("vivit_b_16x2", transformers.VivitForVideoClassification, transformers.VivitConfig),
    ],
)
def test_an_entry_gives_the_librarys_answers_at_its_own_clip(name, theirs, config, tmp_path):
    from zoo.build import build

    listed = catalog().resolve("model", f"transformers/{name}")
    peer = theirs(config(num_labels=400)).eval()
    saved(peer, tmp_path)
    network: nn.Module = build(listed, {}, {"num_classes": 400, "clip": listed.model.clip})
    network.load_state_dict(from_transformers(dict(peer.state_dict()), network))
    load(network, tmp_path)
    clip = listed.model.clip
    clip_bcthw = torch.randn(1, 3, clip.frames, *clip.height_width)
    with torch.no_grad():
        torch.testing.assert_close(
            network.eval()(clip_bcthw), peer(clip_bcthw.transpose(1, 2)).logits, rtol=1e-5, atol=1e-5
        )
