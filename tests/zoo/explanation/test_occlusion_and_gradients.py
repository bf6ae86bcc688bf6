"""Integrated gradients and occlusion of networks of which their answer is known by hand."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from zoo.explanation.integrated_gradients import integrated_gradients
from zoo.explanation.methods import explained
from zoo.explanation.occlusion import occlusion
from zoo.explanation.question import Question
from zoo_registry.errors import MissingExtra, ParameterError

WEIGHTS = torch.tensor([[[1.0, -2.0], [0.5, 0.0]], [[0.0, 0.0], [3.0, -1.0]]]).view(1, 1, 2, 2, 2)


class Weighed(nn.Module):
    """One label whose logit is a weighted sum of pixels, another one that is nothing."""

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        sum_b = (clip_bcthw * WEIGHTS).sum((1, 2, 3, 4))
        return torch.stack([sum_b, 0 * sum_b], 1)


CLIP = torch.tensor([2.0, 1.0, -1.0, 5.0, 7.0, 7.0, 1.0, -2.0]).view(1, 1, 2, 2, 2)
SPEAKS = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 2.0]
"""Weight times pixel where that is above 0: what a linear network's pixel adds, and what it costs to hide it."""


def test_integrated_gradients_of_a_weighted_sum_are_its_terms():
    pytest.importorskip("captum", reason="the extra videozoo[explain] is not installed")
    assert integrated_gradients(Question(Weighed(), (CLIP,), 0, 0)).flatten().tolist() == pytest.approx(SPEAKS)


def test_occlusion_of_a_weighted_sum_gives_its_terms():
    assert occlusion(Question(Weighed(), (CLIP,), 0, 0)).flatten().tolist() == pytest.approx(SPEAKS)


def test_occlusion_asks_for_nothing_but_answers():
    """As an exported file gives them."""
    network = Weighed()
    map_thw, method = explained(Question(lambda clip_bcthw: network(clip_bcthw.detach()), (CLIP,), 0, 0), "auto")
    assert method == "occlusion"
    assert map_thw.flatten().tolist() == pytest.approx([each / 3 for each in SPEAKS])


def test_what_goes_along_with_the_clip_is_left_as_it_is():
    def sum_with_sound(audio_bcn: Tensor, clip_bcthw: Tensor) -> Tensor:
        return clip_bcthw.flatten(1).sum(1, keepdim=True) * audio_bcn.mean((1, 2))[:, None]

    question = Question(sum_with_sound, (torch.full((1, 1, 4), 2.0), CLIP.abs()), 1, 0)
    torch.testing.assert_close(occlusion(question), 2 * CLIP.abs()[0, 0])


def test_a_label_that_hangs_on_no_pixel_has_an_empty_map():
    map_thw, _ = explained(Question(Weighed(), (CLIP,), 0, 1), "occlusion")
    assert not map_thw.any()


def test_without_captum_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match=r'captum, which is not installed\n.*pip install "videozoo\[explain\]"'):
        integrated_gradients(Question(Weighed(), (CLIP,), 0, 0))


def test_an_exported_file_has_no_gradients_and_it_is_said_what_it_allows():
    question = Question(lambda clip_bcthw: Weighed()(clip_bcthw), (CLIP,), 0, 0, "model.onnx")
    with pytest.raises(ParameterError, match=r"model\.onnx is no torch module.*\n.*these do: occlusion"):
        explained(question, "integrated_gradients")


def test_a_misspelt_method_gets_the_nearest_one():
    with pytest.raises(ParameterError, match=r"there is no method 'ocklusion'\n.*did you mean occlusion"):
        explained(Question(Weighed(), (CLIP,), 0, 0), "ocklusion")


class Rooted(nn.Module):
    """Its gradient is infinite where a pixel is 0, as every one is at the beginning of the way to the clip."""

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return (0 * clip_bcthw).sqrt().flatten(1).sum(1, keepdim=True)


def test_gradients_that_are_not_finite_are_an_error_and_no_empty_map():
    pytest.importorskip("captum", reason="the extra videozoo[explain] is not installed")
    with pytest.raises(ParameterError, match=r"the gradients of the model are not finite.*\n.*these do: occlusion"):
        explained(Question(Rooted(), (CLIP,), 0, 0), "integrated_gradients")
