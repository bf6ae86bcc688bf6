from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from tests.zoo.runner.in_memory import BrightOrDark, recipe, train
from zoo.build import build
from zoo.recipe.schema import CompileSlot
from zoo.runner.compilation import compiled
from zoo_registry.catalog import catalog
from zoo_registry.errors import RunError

SGD = {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}}


def compiled_parts(network: nn.Module) -> list[str]:
    return [name for name, part in network.named_modules() if part._compiled_call_impl is not None]


@pytest.mark.parametrize(
    ("regions", "equal", "expected"),
    [
        ("auto", 4, ["0", "1", "2", "3", "4"]),
        ("auto", 3, [""]),
        ("layers", 3, ["0", "1", "2", "3"]),
        ("whole", 4, [""]),
    ],
)
def test_equal_layers_are_compiled_one_by_one(regions, equal, expected):
    network = nn.Sequential(*(nn.Linear(4, 4) for _ in range(equal)), nn.Linear(4, 2))
    with compiled(network, CompileSlot(regions=regions)):
        assert compiled_parts(network) == expected
    assert compiled_parts(network) == []


def test_many_unequal_layers_are_all_compiled_and_equal_ones_once():
    """More than the eight variants of one function that torch keeps at most."""
    unequal = [nn.Linear(width, width + 1) for width in range(2, 12)]
    network = nn.Sequential(*unequal, *(nn.Linear(12, 12) for _ in range(3)))
    inputs, limit = torch.randn(2, 2), torch._dynamo.config.recompile_limit
    torch._dynamo.reset()
    counters.clear()
    with compiled(network, CompileSlot(regions="layers")), torch.no_grad():
        for _ in range(2):
            network(inputs)
    assert not counters["unimplemented"]
    assert counters["stats"]["unique_graphs"] == len(unequal) + 1
    assert torch._dynamo.config.recompile_limit == limit


def test_features_of_a_staged_network_are_compiled_too():
    network = build(catalog().resolve("model", "basic/cnn3d"), {}, {"num_classes": 6, "clip": None}).eval()
    clip_bcthw, plain = torch.randn(2, 3, 4, 16, 16), network.forward_features
    expected = network.forward_features(clip_bcthw)
    with compiled(network, CompileSlot(regions="whole")):
        assert network.forward_features is not plain
        assert torch.allclose(network.forward_features(clip_bcthw), expected, atol=1e-5)
    assert network.forward_features == plain


def test_compiled_training_gives_the_weights_of_eager_training(tmp_path):
    eager, quick = BrightOrDark(dropout=0.0), BrightOrDark(dropout=0.0)
    train(tmp_path / "eager", eager, recipe(SGD))
    train(tmp_path / "quick", quick, recipe(SGD, compile=True))
    for name, value in eager.state.state_dict().items():
        assert torch.allclose(value, quick.state.state_dict()[name], atol=1e-5), name
    assert compiled_parts(quick.state) == []


def test_a_machine_without_a_compiler_is_told_how_to_go_on(tmp_path, monkeypatch):
    import torch._inductor.config as config

    monkeypatch.setattr(config.cpp, "cxx", (None, "no-such-compiler"))
    monkeypatch.setattr(config, "force_disable_caches", True)
    with pytest.raises(RunError, match=r"torch\.compile failed") as caught:
        train(tmp_path, BrightOrDark(), recipe(SGD, compile=True))
    assert "run.compile: false" in str(caught.value)
