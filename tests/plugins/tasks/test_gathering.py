"""Two processes that contrast together come to what one comes to with all the clips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from zoo_plugins.tasks.contrastive_losses import nt_xent
from zoo_plugins.tasks.gathering import gathered
from zoo_plugins.tasks.key_queue import KeyQueue

pytestmark = pytest.mark.skipif(not distributed.is_gloo_available(), reason="torch was built without gloo")

SHARES = ((0, 2), (2, 5))
"""Samples of each process: not as many."""


def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 6, generator=generator), torch.randn(5, 6, generator=generator)


def projector() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(6, 4)


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    one, other = (rows[slice(*SHARES[rank])] for rows in views())
    layer = projector()
    loss, _ = nt_xent(layer(one), layer(other), 0.5)
    (loss * len(one) / 2.5).backward()  # the runner weighs processes by their samples
    for parameter in layer.parameters():
        distributed.all_reduce(parameter.grad)
        parameter.grad /= 2
    torch.manual_seed(2)
    queue = KeyQueue(8, 6)
    key_bd, first = gathered(one)
    queue.push(key_bd)
    found = {"loss": loss.detach(), "weight": layer.weight.grad, "keys": queue.keys_nd, "first": first}
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.start_processes(work, args=(str(folder),), nprocs=2, start_method="spawn")
    return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(2)]


def test_the_gradient_is_that_of_all_clips_in_one_process(found):
    layer, (one, other) = projector(), views()
    loss, _ = nt_xent(layer(one), layer(other), 0.5)
    loss.backward()
    together = (2 * found[0]["loss"] + 3 * found[1]["loss"]) / 5
    assert together.item() == pytest.approx(loss.item(), abs=1e-6)
    for each in found:
        torch.testing.assert_close(each["weight"], layer.weight.grad, rtol=1e-5, atol=1e-6)


def test_every_process_has_the_keys_of_all(found):
    torch.manual_seed(2)
    alone = KeyQueue(8, 6)
    alone.push(views()[0])
    for each in found:
        torch.testing.assert_close(each["keys"], alone.keys_nd)
    assert [each["first"] for each in found] == [0, 2]


def test_alone_everything_is_ones_own():
    rows = torch.zeros(2, 3)
    assert gathered(rows) == (rows, 0)
