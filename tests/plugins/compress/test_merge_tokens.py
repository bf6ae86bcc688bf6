"""Token merging: the matching by hand, and networks in which merging must change nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.compress.contexts import GivenBatches, reloaded
from zoo_plugins.compress.merge_tokens import merge_tokens, restore
from zoo_plugins.compress.token_merging import Matching, match, merge
from zoo_registry.errors import ArtefactError, ParameterError

pytest.importorskip("transformers", reason="the extra videozoo[transformers] is absent")

SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 5}


def videomae() -> nn.Module:
    from transformers import VideoMAEConfig

    from zoo_plugins.transformers.videomae import VideoMAEClassifier

    return VideoMAEClassifier(VideoMAEConfig(image_size=[64, 64], num_frames=4, **SIZES)).eval()


def vivit() -> nn.Module:
    from transformers import VivitConfig

    from zoo_plugins.transformers.vivit import VivitClassifier

    return VivitClassifier(VivitConfig(image_size=[64, 64], num_frames=4, tubelet_size=[2, 16, 16], **SIZES)).eval()


def timesformer(attention: str) -> nn.Module:
    from transformers import TimesformerConfig

    from zoo_plugins.transformers.timesformer import TimesformerClassifier

    return TimesformerClassifier(
        TimesformerConfig(image_size=64, num_frames=4, attention_type=attention, **SIZES)
    ).eval()


NETWORKS = {
    "videomae": videomae,
    "vivit": vivit,
    "joint": lambda: timesformer("joint_space_time"),
    "space": lambda: timesformer("space_only"),
}


class Measures(GivenBatches):
    """Measures what a test does not ask for."""

    def gmacs(self, model: nn.Module) -> float:
        return 1.0

    def latency_ms(self, model: nn.Module) -> float:
        return 1.0


def clip() -> Tensor:
    return torch.randn(2, 3, 4, 64, 64, generator=torch.Generator().manual_seed(0))


def seeded(make) -> nn.Module:
    torch.manual_seed(0)
    return make()


class TestMatching:
    # A: tokens 0, 2, 4; B: tokens 1, 3. Angles in degrees, so cosines can be told at sight.
    angles = torch.tensor([0.0, 81.0, 90.0, 8.0, 25.0]).deg2rad()
    tokens = torch.stack([angles.cos(), angles.sin()], dim=1)[None]

    def test_keeps_the_likeliest_edges(self):
        # Token 0 is 8 degrees from 3, token 2 is 9 from 1, token 4 is 17 from 3.
        found = match(self.tokens, 2, class_token=False)

        assert found.merged_br.tolist() == [[0, 1]]
        assert found.into_br.tolist() == [[1, 0]]
        assert found.left_bu.tolist() == [[2]]

    def test_leaves_the_class_token_alone_and_first(self):
        found = match(self.tokens, 2, class_token=True)

        assert sorted(found.merged_br[0].tolist()) == [1, 2]
        assert found.left_bu.tolist() == [[0]]

    def test_averages_by_how_many_tokens_each_stands_for(self):
        tokens = torch.tensor([[[1.0], [5.0], [2.0], [7.0]]])
        size = torch.tensor([[[1.0], [3.0], [2.0], [1.0]]])
        matching = Matching(torch.tensor([[1]]), torch.tensor([[0]]), torch.tensor([[0]]))  # token 2 into token 1

        merged, sizes = merge(tokens, size, matching)

        assert merged.flatten().tolist() == pytest.approx([1.0, (3 * 5 + 2 * 2) / 5, 7.0])
        assert sizes.flatten().tolist() == [1.0, 5.0, 1.0]

    def test_of_several_into_one_averages_all(self):
        tokens = torch.tensor([[[1.0], [4.0], [7.0], [0.0]]])
        matching = Matching(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]), torch.empty(1, 0, dtype=torch.int64))

        merged, sizes = merge(tokens, torch.ones(1, 4, 1), matching)

        assert merged.flatten().tolist() == [4.0, 0.0]
        assert sizes.flatten().tolist() == [3.0, 1.0]


class TestNetworks:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_of_nothing_changes_nothing(self, name):
        network = seeded(NETWORKS[name])
        expected = network(clip())

        merged, record = merge_tokens(copy.deepcopy(network), Measures([(clip(),)]), r=0)

        assert record["merged"] == [0, 0, 0]
        torch.testing.assert_close(merged(clip()), expected, rtol=0, atol=1e-6)

    @pytest.mark.parametrize(("name", "tokens"), [("videomae", 32), ("vivit", 33), ("joint", 65), ("space", 17)])
    def test_goes_on_with_fewer_tokens(self, name, tokens):
        network = seeded(NETWORKS[name])
        names = list(network.state_dict())

        merged, record = merge_tokens(network, Measures([(clip(),)]), r=5)

        entering: list[int] = []
        for block in (module for module in merged.modules() if type(module).__name__ == "MergingBlock"):
            block.layernorm_after.register_forward_pre_hook(lambda module, args: entering.append(args[0].shape[1]))
        assert merged(clip()).shape == (2, 5)
        assert record["tokens"] == tokens
        assert entering == [tokens - 5, tokens - 10, max(tokens - 15, 4)]  # of 7 tokens of a frame 3 may go
        assert list(merged.state_dict()) == names

    def test_never_merges_more_than_half(self):
        _, record = merge_tokens(seeded(vivit), Measures([(clip(),)]), r=1000)

        assert record["merged"] == [16, 8, 4]  # of 32, 16 and 8 besides the class token

    def test_takes_a_part_of_the_tokens_of_each_block(self):
        _, record = merge_tokens(seeded(videomae), Measures([(clip(),)]), ratio=0.25)

        assert record["merged"] == [8, 6, 4]  # of 32, 24 and 18

    @pytest.mark.parametrize("name", ["videomae", "vivit"])
    @pytest.mark.parametrize("r", [3, 16])
    def test_of_equal_tokens_changes_nothing(self, name, r):
        """Proportional attention and the mean over all tokens are exact where the merged tokens are equal."""
        network = seeded(NETWORKS[name])
        positions = network.videomae.embeddings if name == "videomae" else network.vivit.embeddings
        positions.position_embeddings = nn.Parameter(torch.zeros_like(positions.position_embeddings))
        # Patches come in pairs along the width; the class token moves pairs to (odd, even), which are of both sets too.
        halves = torch.randn(2, 3, 4, 64, 2, 16, generator=torch.Generator().manual_seed(1))
        twins = halves.repeat_interleave(2, dim=4).flatten(4)
        expected = network(twins)

        merged, record = merge_tokens(copy.deepcopy(network), Measures([(clip(),)]), r=r)
        for block in (module for module in merged.modules() if type(module).__name__ == "MergingBlock"):
            if block is not next(module for module in merged.modules() if type(module).__name__ == "MergingBlock"):
                block.merged = 0  # only in the first are all tokens twins

        assert record["merged"][0] == r
        torch.testing.assert_close(merged(twins), expected, rtol=0, atol=2e-6)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_reloads_exactly(self, name):
        network = seeded(NETWORKS[name])
        merged, record = merge_tokens(network, Measures([(clip(),)]), ratio=0.3)

        again = reloaded(merged, record, restore, NETWORKS[name])

        # Tables of positions that no weights have are the network's own.
        assert torch.equal(again(clip()), merged(clip()))

    def test_trains(self):
        merged, _ = merge_tokens(seeded(videomae), Measures([(clip(),)]), r=4)

        merged.train()(clip()).square().sum().backward()

        assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in merged.parameters())

    def test_exports(self, tmp_path):
        runtime = pytest.importorskip("onnxruntime", reason="the extra videozoo[export] is absent")
        from zoo_plugins.export.onnx_write import write

        merged, _ = merge_tokens(seeded(videomae), Measures([(clip(),)]), r=4)
        path = tmp_path / "merged.onnx"

        write(merged, (clip(),), path)

        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: clip().numpy()})
        torch.testing.assert_close(torch.from_numpy(found), merged(clip()).detach(), rtol=0, atol=1e-4)


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: nn.Conv3d(3, 3, 1), "no blocks of one width"),
            (lambda: timesformer("divided_space_time"), "divided into space and time"),
        ],
    )
    def test_networks_whose_tokens_cannot_be_merged(self, make, reason):
        with pytest.raises(ParameterError, match=reason):
            merge_tokens(make(), Measures([(clip(),)]), r=4)

    def test_mvit(self):
        import zoo

        network = zoo.load("mvit_v2_s", pretrained=False).network
        with pytest.raises(ParameterError, match=r"no blocks of one width that all see the same tokens\n.*MViT pools"):
            merge_tokens(network, Measures([(torch.zeros(1, 3, 16, 224, 224),)]), r=4)

    @pytest.mark.parametrize("params", [{}, {"r": 3, "ratio": 0.1}])
    def test_anything_but_one_strength(self, params):
        with pytest.raises(ParameterError, match="either r or ratio"):
            merge_tokens(seeded(videomae), Measures([(clip(),)]), **params)

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"merged": [4, 4]}, "names 2 blocks, the model has 3"),
            ({"merged": [4, 4, "4"]}, "merges 4 of 24 tokens"),
            ({"merged": [4, 4, True]}, "merges True of 24 tokens"),
            ({"merged": [17, 0, 0]}, "merges 17 of 32 tokens"),
            ({"tokens": True}, "is a bool"),
        ],
    )
    def test_records_that_do_not_fit(self, changes, complaint):
        record = {"tokens": 32, "class_token": False, "merged": [4, 4, 4], "measured": {}}
        with pytest.raises(ArtefactError, match=complaint):
            restore(videomae(), record | changes)

    def test_a_record_of_another_network(self):
        with pytest.raises(ArtefactError, match="is of another network"):
            restore(nn.Linear(2, 2), {"tokens": 32, "class_token": False, "merged": [4], "measured": {}})
