"""What an explanation marks is what the answer rests on: without it the answer falls, without something else it stays.

Deletion with random regions as the control, after Samek et al. 2017 (https://arxiv.org/abs/1509.06321), and the
pointing game of Zhang et al. 2016 (https://arxiv.org/abs/1608.00507), on films of which it is known where their label
shows.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.zoo.explanation.squares import films, trained
from zoo.explanation.methods import explained
from zoo.explanation.question import Question

HIDDEN = 0.1
"""Share of the clip's pixels in space and time that is hidden."""

CONTROLS = 6
"""Random regions for each film."""


@pytest.fixture(scope="module")
def cnn() -> nn.Module:
    return trained("basic/cnn3d", 32, epochs=7)


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    return trained("transformers/videomae_s", 64, epochs=8, width=48, blocks=3, heads=4, mlp_width=96)


@pytest.fixture(scope="module")
def token_classifier() -> nn.Module:
    """Its class token is classified: nothing hangs on the last block's patches."""
    pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    return trained("transformers/vivit_b_16x2", 64, epochs=14, width=48, blocks=3, heads=4, mlp_width=96)


def drops(network: nn.Module, size: int, method: str, count: int = 24) -> tuple[Tensor, Tensor]:
    """By how much the probability of the right label falls without the marked part, and without random parts (B,).

    A random part is the marked one moved in time and space (and around the edges): of the same size and shape.
    """
    clips_bcthw, labels_b, _ = films(count, seed=1, size=size)
    generator = torch.Generator().manual_seed(2)
    marked, random = [], []
    for clip_cthw, label in zip(clips_bcthw, labels_b.tolist(), strict=True):
        map_thw, _ = explained(Question(network, (clip_cthw[None],), 0, label), method)
        most = map_thw.flatten().topk(int(HIDDEN * map_thw.numel())).indices
        mask_thw = torch.zeros(map_thw.numel(), dtype=torch.bool).index_fill(0, most, True).view(map_thw.shape)
        moves = [
            [int(torch.randint(side, (1,), generator=generator)) for side in mask_thw.shape] for _ in range(CONTROLS)
        ]
        hidden = [mask_thw, *(mask_thw.roll(move, (0, 1, 2)) for move in moves)]
        shown = torch.stack([clip_cthw, *(clip_cthw * ~mask for mask in hidden)])
        with torch.no_grad():
            whole, without, *others = network(shown).softmax(1)[:, label]
        marked.append(whole - without)
        random.append(whole - torch.stack(others).mean())
    return torch.stack(marked), torch.stack(random)


def assert_marked_costs_more(marked: Tensor, random: Tensor) -> None:
    """In four of five films and in the mean; by chance that many would be once in more than a thousand times."""
    assert (marked > random).sum() >= 0.8 * len(marked)
    assert marked.mean() > 3 * random.mean()


def test_hiding_what_a_cnn_rests_on_costs_more_than_hiding_something_else(cnn):
    marked, random = drops(cnn, 32, "auto")
    assert_marked_costs_more(marked, random)
    assert marked.mean() > 0.4
    assert random.mean() < 0.15


@pytest.mark.parametrize("method", ["grad_cam_plus_plus", "integrated_gradients"])
def test_every_method_marks_what_a_cnn_rests_on(cnn, method):
    if method == "integrated_gradients":
        pytest.importorskip("captum", reason="the extra videozoo[explain] is not installed")
    assert_marked_costs_more(*drops(cnn, 32, method, count=16))


@pytest.mark.slow
def test_occlusion_marks_what_a_cnn_rests_on(cnn):
    assert_marked_costs_more(*drops(cnn, 32, "occlusion"))


@pytest.mark.parametrize("method", ["auto", "grad_cam"])
def test_hiding_what_a_transformer_rests_on_costs_more_than_hiding_something_else(transformer, method):
    assert_marked_costs_more(*drops(transformer, 64, method))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["auto", "grad_cam"])
def test_hiding_what_a_class_token_rests_on_costs_more_than_hiding_something_else(token_classifier, method):
    assert_marked_costs_more(*drops(token_classifier, 64, method))


def test_the_highest_value_lies_on_what_the_label_is_about_in_space_and_time(cnn):
    clips_bcthw, labels_b, there_bthw = films(24, seed=1, size=32)
    hits = 0
    for clip_cthw, label, there_thw in zip(clips_bcthw, labels_b.tolist(), there_bthw, strict=True):
        map_thw, _ = explained(Question(cnn, (clip_cthw[None],), 0, label), "auto")
        hits += bool(there_thw.flatten()[map_thw.argmax()])
    assert hits >= 20  # the square is a 32nd of the clip: chance is less than one
