"""Roll-out against hand-worked examples, and recorded attention against what a library reports of itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from zoo.explanation import attention
from zoo.explanation.attention import AttentionRecorder, attention_rollout, gradient_rollout
from zoo.explanation.methods import explained
from zoo.explanation.question import Question, Unsuitable
from zoo_registry.errors import ParameterError
from zoo_registry.protocols import Stage

FIRST = [[0.50, 0.25, 0.25], [0.20, 0.60, 0.20], [0.10, 0.10, 0.80]]
SECOND = [[0.20, 0.40, 0.40], [0.30, 0.40, 0.30], [0.25, 0.25, 0.50]]


class Looking(nn.Module):
    """A block whose attention weights are given, computed by a softmax as in any block."""

    def __init__(self, weights: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(weights).log())

    def forward(self, tokens_bnc: Tensor) -> Tensor:
        return self.logits.expand(len(tokens_bnc), 1, -1, -1).softmax(-1)[:, 0] @ tokens_bnc


class TwoPatches(nn.Module):
    """A class token and two patches, one beside the other; the class token is the answer."""

    def __init__(self, *weights: list[list[float]]) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*map(Looking, weights))

    def stages(self) -> list[Stage]:
        return [Stage(f"block{index}", ((f"blocks.{index}",),), 1, (1, 1, 1)) for index in range(len(self.blocks))]

    def tokens(self, clip_bcthw: Tensor) -> Tensor:
        return torch.cat([clip_bcthw.new_zeros(len(clip_bcthw), 1, 1), clip_bcthw.flatten(2).transpose(1, 2)], 1)

    def forward_features(self, clip_bcthw: Tensor) -> Tensor:
        return self.blocks(self.tokens(clip_bcthw))

    def forward_head(self, features: Tensor) -> Tensor:
        return features[:, 0]

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        maps, tokens_bnc = [], self.tokens(clip_bcthw)
        for block in self.blocks:
            tokens_bnc = block(tokens_bnc)
            maps.append(tokens_bnc[:, 1:].transpose(1, 2)[:, :, None, None])
        return maps

    def set_grad_checkpointing(self, enable: bool = True) -> None: ...

    def forward(self, clip_bcthw: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(clip_bcthw))


def about(network: nn.Module, left: float, right: float) -> Question:
    return Question(network, (torch.tensor([left, right]).view(1, 1, 1, 1, 2),), 0, 0)


def test_attention_rollout_of_two_layers_worked_by_hand():
    """(0.5 W2 + 0.5 I)(0.5 W1 + 0.5 I), the row of the class token.

    Its row of the left factor is (0.6, 0.2, 0.2); the right factor's columns of the patches are (0.125, 0.8, 0.05) and
    (0.125, 0.1, 0.9): 0.075 + 0.16 + 0.01 = 0.245 and 0.075 + 0.02 + 0.18 = 0.275.
    """
    map_thw = attention_rollout(about(TwoPatches(FIRST, SECOND), 1.0, 1.0))
    assert map_thw.shape == (1, 1, 2)
    assert map_thw.flatten().tolist() == pytest.approx([0.245, 0.275])


def test_gradient_rollout_of_one_layer_worked_by_hand():
    """The answer is 0.2 * 0 + 0.4 left + 0.4 right: its gradient by a weight is the patch that it weighs."""
    assert gradient_rollout(about(TwoPatches(SECOND), 3.0, -1.0)).flatten().tolist() == pytest.approx([1.2, 0.0])


def test_gradient_rollout_of_two_layers_worked_by_hand():
    """R = A1 + A2 + A2 A1 off the diagonal, with A = (gradient * W)+, for patches 1 and 2 and a class token of 0.

    After the first block the tokens are W1 (0, 1, 2) = (0.75, 1.0, 1.7). So the class token's row of A2 is W2's times
    these: (0.15, 0.4, 0.68). The answer's gradient by W1 at (i, j) is W2's (0, i) times token j: row 0 of A1 is
    0.2 * (0, 0.25, 0.5) = (0, 0.05, 0.1), row 1 is 0.4 * (0, 0.6, 0.4) = (0, 0.24, 0.16), row 2 is
    0.4 * (0, 0.1, 1.6) = (0, 0.04, 0.64).

    left:  0.05 + 0.4  + 0.15 * 0.05 + 0.4 * 0.24 + 0.68 * 0.04 = 0.5807
    right: 0.1  + 0.68 + 0.15 * 0.1  + 0.4 * 0.16 + 0.68 * 0.64 = 1.2942
    """
    map_thw = gradient_rollout(about(TwoPatches(FIRST, SECOND), 1.0, 2.0))
    assert map_thw.flatten().tolist() == pytest.approx([0.5807, 1.2942])


def test_recorded_attention_is_what_transformers_reports_of_itself():
    """The same network with the library's eager attention, which returns its weights."""
    transformers = pytest.importorskip("transformers", reason="the extra videozoo[transformers] is not installed")
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
    fused, eager = (
        transformers.VideoMAEModel._from_config(
            transformers.VideoMAEConfig(image_size=32, num_frames=4, **sizes), attn_implementation=implementation
        ).eval()
        for implementation in ("sdpa", "eager")
    )
    eager.load_state_dict(fused.state_dict())
    clip_btchw = torch.randn(1, 4, 3, 32, 32)
    with torch.no_grad():
        reported = eager(clip_btchw, output_attentions=True).attentions
        with AttentionRecorder(averaged=False) as recorder:
            answer = fused(clip_btchw).last_hidden_state
        torch.testing.assert_close(answer, fused(clip_btchw).last_hidden_state)
    assert len(recorder.attention) == len(reported) == 3
    for ours, theirs in zip(recorder.attention, reported, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "settings",
    [{}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": torch.tensor([[True, False, True]] * 3)},
     {"attn_mask": torch.randn(3, 3)}],
    ids=["plain", "causal", "scale", "bool mask", "float mask"],
)  # fmt: skip
@pytest.mark.parametrize("averaged", [False, True])
def test_recording_changes_no_answer(settings, averaged):
    query, key, value = torch.randn(3, 1, 2, 3, 8)
    expected = scaled_dot_product_attention(query, key, value, **settings)
    with AttentionRecorder(averaged=averaged) as recorder:
        torch.testing.assert_close(scaled_dot_product_attention(query, key, value, **settings), expected)
    (weights,) = recorder.attention
    if not averaged:
        torch.testing.assert_close(weights @ value, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_heads_that_share_keys_are_recorded_too():
    query, (key, value) = torch.randn(1, 4, 3, 8), torch.randn(2, 1, 2, 3, 8)
    expected = scaled_dot_product_attention(query, key, value, enable_gqa=True)
    with AttentionRecorder(averaged=False) as recorder:
        torch.testing.assert_close(scaled_dot_product_attention(query, key, value, enable_gqa=True), expected)
    assert recorder.attention[0].shape == (1, 4, 3, 3)


class WithoutMaps(TwoPatches):
    """As timm's backbones whose maps do not follow one another."""

    def forward_pyramid(self, clip_bcthw: Tensor) -> list[Tensor]:
        raise ParameterError("the library offers no maps of this")


def test_a_network_that_gives_no_maps_is_explained_by_occlusion():
    question = about(WithoutMaps(FIRST, SECOND), 1.0, 2.0)
    with pytest.raises(Unsuitable, match="the library offers no maps of this"):
        gradient_rollout(question)
    assert explained(question, "auto")[1] == "occlusion"


def test_more_attention_than_can_be_kept_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(attention, "MOST_BYTES", 40)
    with pytest.raises(Unsuitable, match="the attention weights of the model take more than"):
        gradient_rollout(about(TwoPatches(FIRST, SECOND), 1.0, 1.0))
