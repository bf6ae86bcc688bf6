"""Early exits: which rows leave, what the others get, and who cannot have one."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.plugins.compress.contexts import reloaded
from tests.plugins.compress.staged_network import StagedCnn, staged_cnn
from zoo.testing.compression import RandomContext
from zoo_plugins.compress.early_exit import early_exit, restore
from zoo_plugins.compress.exiting_network import ExitHead, ExitingNetwork
from zoo_plugins.compress.fine_tune import fine_tune
from zoo_registry.errors import ArtefactError, ExportError, ParameterError


def clips(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def context(network: nn.Module) -> RandomContext:
    return RandomContext((clips(),), copy.deepcopy(network))


def sure_of_some() -> ExitingNetwork:
    """A network whose head is sure of half of the clips."""
    exiting = ExitingNetwork(staged_cnn(), "stage2", ExitHead(4, 5), threshold=1.0).eval()
    exiting.threshold = exiting.early(clips()).softmax(1).amax(1).sort().values[2:4].mean().item()
    return exiting


class TestExitingNetwork:
    def test_answers_each_row_from_where_it_left(self):
        exiting = sure_of_some()
        early, late = exiting.early(clips()), exiting.network(clips())
        leaves = early.softmax(1).amax(1) >= exiting.threshold
        assert leaves.sum() == 3

        found = exiting(clips())

        torch.testing.assert_close(found, torch.where(leaves[:, None], early, late), rtol=0, atol=1e-6)
        assert (exiting.exited, exiting.seen) == (int(leaves.sum()), 6)

    def test_runs_the_rest_for_the_rows_that_stay_only(self):
        exiting = sure_of_some()
        leaves = exiting.early(clips()).softmax(1).amax(1) >= exiting.threshold
        rows: list[int] = []
        exiting.network.stage3.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))

        exiting(clips())
        exiting(clips()[leaves])

        assert rows == [6 - int(leaves.sum())]

    def test_lets_nothing_exit_above_one_and_everything_at_nought(self):
        exiting = sure_of_some()
        exiting.threshold = 1.1
        torch.testing.assert_close(exiting(clips()), exiting.network(clips()))
        exiting.threshold = 0.0
        torch.testing.assert_close(exiting(clips()), exiting.early(clips()))

    def test_goes_all_the_way_in_training(self):
        exiting = sure_of_some().train()
        torch.testing.assert_close(exiting(clips()), exiting.network(clips()))

    def test_takes_the_mean_of_every_place(self):
        head = ExitHead(2, 2)
        with torch.no_grad():
            head.linear.weight.copy_(torch.eye(2))
            head.linear.bias.zero_()
        map_bcthw = torch.tensor([[[[[1.0, 3.0]]], [[[4.0, 8.0]]]]])  # means 2 and 6, which a norm makes -1 and 1

        for maps in ([map_bcthw], [map_bcthw.movedim(1, -1)], [map_bcthw.flatten(2).transpose(1, 2)],
                     [map_bcthw[:, :1], map_bcthw[:, 1:]]):  # fmt: skip
            torch.testing.assert_close(head(maps), torch.tensor([[-1.0, 1.0]]), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("exporter", [torch.jit.trace, torch.export.export])
    def test_says_why_it_cannot_be_exported(self, exporter):
        with pytest.raises(ExportError, match="depends on what it sees"):
            exporter(sure_of_some(), (clips(),))


class TestStrategy:
    def test_trains_the_head_and_leaves_the_network_alone(self):
        network = staged_cnn()
        before = copy.deepcopy(network.state_dict())

        exiting, record = early_exit(network, context(network), lr=0.1, epochs=5, task=0.0)

        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert record["after"] == "stage1"  # of stage1 and stage2
        untrained = ExitHead(4, 5).linear.weight
        assert exiting.exit.linear.weight.shape == untrained.shape
        right = network(clips()).softmax(1)
        apart = nn.functional.kl_div(exiting.early(clips()).log_softmax(1), right, reduction="batchmean")
        torch.manual_seed(0)
        blind = ExitingNetwork(network, "stage1", ExitHead(4, 5), 0.9).eval()
        assert apart < nn.functional.kl_div(blind.early(clips()).log_softmax(1), right, reduction="batchmean")

    def test_reports_how_many_exit_and_what_that_saves(self):
        network = staged_cnn()

        _, all_of_them = early_exit(network, context(network), after="stage2", threshold=0.01)
        _, none = early_exit(network, context(network), after="stage2", threshold=1.0)

        # A convolution of n to 4 channels over 27 places for each of 4 x 8 x 8 cells; the heads are 4 x 5 products.
        cells, conv = 4 * 8 * 8, 4 * 27
        to_exit = (cells * conv * (3 + 4 + 4) + 20) / 1e9
        whole = (cells * conv * (3 + 4 + 4 + 4) + 40) / 1e9
        for record, share in ((all_of_them, 1.0), (none, 0.0)):
            found = record["measured"]
            assert found["share"] == share
            assert found["gmacs_to_exit"] == pytest.approx(to_exit, rel=1e-4)
            assert found["gmacs_whole"] == pytest.approx(whole, rel=1e-4)
            assert found["gmacs_mean"] == pytest.approx(to_exit if share else whole, rel=1e-4)

    def test_reloads_exactly(self):
        network = staged_cnn()
        exiting, record = early_exit(network, context(network), threshold=0.25)

        again = reloaded(exiting, record, restore, StagedCnn)

        assert torch.equal(again(clips()), exiting(clips()))
        assert torch.equal(copy.deepcopy(exiting)(clips()), exiting(clips()))

    def test_is_possible_in_a_slowfast_network(self):
        import zoo

        network = zoo.load("slowfast_r50", pretrained=False).network
        clip = torch.randn(2, 3, 32, 32, 32, generator=torch.Generator().manual_seed(0))

        exiting, record = early_exit(network, RandomContext((clip,), network), after="stage1", batches=1)

        expected = network(clip)[1:]
        kept = exiting.rest(torch.tensor([False, True]), clip)
        torch.testing.assert_close(kept, expected, rtol=1e-3, atol=1e-4)
        assert record["measured"]["gmacs_to_exit"] < record["measured"]["gmacs_whole"]

    @pytest.mark.parametrize(
        ("make", "params", "reason"),
        [
            (lambda: nn.Conv3d(3, 3, 1), {}, "does not say what its stages are"),
            (staged_cnn, {"after": "stage3"}, r"no stage stage3 .*\n.*stage1, stage2"),
            (lambda: staged_cnn(skip=True), {"after": "stage2"}, "more than what it gives goes on"),
        ],
    )
    def test_is_refused_where_it_cannot_be(self, make, params, reason):
        network = make()
        with pytest.raises(ParameterError, match=reason):
            early_exit(network, context(network), **params)

    def test_is_refused_to_what_is_no_classifier(self):
        network = staged_cnn()
        network.forward_head = lambda features: features
        with pytest.raises(ParameterError, match="wants a classifier"):
            early_exit(network, context(network))

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"after": "stage9"}, "is of another network"),
            ({"classes": 10**9}, "1000000000 classes"),
            ({"threshold": 0}, "threshold of 0"),
            ({"classes": "5"}, "'classes'"),
        ],
    )
    def test_refuses_records_that_do_not_fit(self, changes, complaint):
        record = {"after": "stage1", "classes": 5, "threshold": 0.5, "measured": {}}
        with pytest.raises(ArtefactError, match=complaint):
            restore(staged_cnn(), record | changes)

    def test_is_not_trained_any_further(self):
        """The head would go on answering for a network that has changed."""
        network = sure_of_some()
        with pytest.raises(ParameterError, match="put early_exit last"):
            fine_tune(network, context(network))
