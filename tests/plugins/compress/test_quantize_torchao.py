"""Int8 weights through torchao, in plain tensors."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.plugins.compress.contexts import GivenBatches, reloaded
from tests.plugins.compress.video_network import architecture, clips, video_network
from zoo_plugins.compress import quantize_torchao as ao
from zoo_plugins.compress.int8_weight import Int8WeightLinear
from zoo_registry.errors import ArtefactError, ParameterError

pytest.importorskip("torchao", reason="the extra videozoo[quantization] is absent")


@pytest.fixture
def context() -> GivenBatches:
    return GivenBatches([(clips(seed),) for seed in (2, 3)])


def transformer() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32), nn.LayerNorm(32), nn.Linear(32, 8)).eval()


def tokens() -> GivenBatches:
    generator = torch.Generator().manual_seed(0)
    return GivenBatches([(torch.randn(2, 20, 32, generator=generator),) for _ in range(2)])


def test_multiplies_whole_numbers():
    weight, scale = torch.tensor([[100, -3]], dtype=torch.int8), torch.tensor([0.01])
    layer = Int8WeightLinear(weight, scale, torch.tensor([1.0]), "int8_dynamic")

    # By hand: the row's step is 2.54 / 127 = 0.02, so 0.311 becomes 16 steps.
    found = layer(torch.tensor([[2.54, 0.311]]))

    assert found.item() == pytest.approx((127 * 100 - 16 * 3) * 0.02 * 0.01 + 1, abs=1e-5)


@pytest.mark.parametrize("mode", ["int8_dynamic", "int8_weight"])
def test_is_as_exact_as_torchao(mode):
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_

    expected, theirs = transformer()(*tokens().example), transformer()
    config = {"int8_dynamic": Int8DynamicActivationInt8WeightConfig, "int8_weight": Int8WeightOnlyConfig}[mode]
    quantize_(theirs, config(set_inductor_config=False))

    ours, _ = ao.quantize_torchao(transformer(), tokens(), mode=mode)

    if mode == "int8_weight":
        torch.testing.assert_close(ours(*tokens().example), theirs(*tokens().example), rtol=0, atol=1e-5)
    else:  # it lets the largest input of a row be 127.5 steps, and cuts it off at 127
        errors = [(model(*tokens().example) - expected).norm().item() for model in (ours, theirs)]
        assert errors[0] == pytest.approx(errors[1], rel=0.2)


@pytest.mark.parametrize("mode", ["int8_dynamic", "int8_weight"])
def test_makes_the_file_smaller_and_reloads_exactly(mode, tmp_path):
    network = transformer()
    save_file(network.state_dict(), tmp_path / "float.safetensors")

    quantised, record = ao.quantize_torchao(copy.deepcopy(network), tokens(), mode=mode)
    save_file(quantised.state_dict(), tmp_path / "int8.safetensors")

    weights = sum(layer.weight.numel() for layer in network if isinstance(layer, nn.Linear))
    saved = (tmp_path / "float.safetensors").stat().st_size - (tmp_path / "int8.safetensors").stat().st_size
    assert saved > 3 * weights - 4 * (64 + 32 + 8) - 1000  # 3 bytes a weight; a scale a channel, and their names
    assert all(type(value) is torch.Tensor for value in load_file(tmp_path / "int8.safetensors").values())
    again = reloaded(quantised, record, ao.restore, transformer)
    assert torch.equal(again(*tokens().example), quantised(*tokens().example))


@pytest.mark.parametrize("mode", ["int8_dynamic", "int8_weight"])
def test_has_as_many_parameters_and_multiplications_as_before(mode):
    from zoo.complexity import complexity

    quantised, _ = ao.quantize_torchao(transformer(), tokens(), mode=mode)

    before, after = complexity(transformer(), tokens().example), complexity(quantised, tokens().example)
    assert (after.parameters, after.gmacs, after.activations) == (before.parameters, before.gmacs, before.activations)


def test_holds_weights_of_convolutions(context):
    network = video_network()
    expected = network(clips(9))

    quantised, record = ao.quantize_torchao(network, context, mode="int8_weight")

    assert {name: layer["type"] for name, layer in record["layers"].items()} == {
        "0": "Conv3d", "3": "Conv3d", "8": "Linear",
    }  # fmt: skip
    assert (quantised(clips(9)) - expected).norm() < 0.01 * expected.norm()
    again = reloaded(quantised, record, ao.restore, architecture)
    assert torch.equal(again(clips(9)), quantised(clips(9)))


def test_takes_linear_layers_alone_when_inputs_are_rounded(context):
    _, record = ao.quantize_torchao(video_network(), context)

    assert list(record["layers"]) == ["8"]
    with pytest.raises(ParameterError, match="no layer for int8_dynamic"):
        ao.quantize_torchao(nn.Conv3d(3, 3, 1), context)


def test_leaves_layers_whose_weights_are_only_borrowed():
    attends = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)  # reads the weights of its parts itself
    network = nn.Sequential(attends, nn.Linear(32, 8)).eval()

    quantised, record = ao.quantize_torchao(network, tokens())

    assert list(record["layers"]) == ["1"]
    with torch.no_grad():
        assert quantised(*tokens().example).isfinite().all()


def test_keeps_the_most_sensitive_layers():
    quantised, record = ao.quantize_torchao(transformer(), tokens(), keep=1)

    (kept,) = record["sensitivity"]["kept"]
    assert type(quantised.get_submodule(kept)) is nn.Linear
    assert kept == record["sensitivity"]["ranking"][0][0]
    assert len(record["layers"]) == 2


def test_skips_what_it_is_told_to():
    _, record = ao.quantize_torchao(transformer(), tokens(), skip=["0", "4"])

    assert list(record["layers"]) == ["2"]


def test_of_a_single_layer_replaces_it():
    quantised, record = ao.quantize_torchao(nn.Linear(32, 8).eval(), tokens())

    assert isinstance(quantised, Int8WeightLinear)
    assert list(record["layers"]) == [""]


@pytest.mark.parametrize("mode", ["int8_dynamic", "int8_weight"])
def test_exports(mode, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="the extra videozoo[export] is absent")
    from zoo_plugins.export.onnx_write import write

    quantised, _ = ao.quantize_torchao(transformer(), tokens(), mode=mode)
    path = tmp_path / "int8.onnx"

    write(quantised, tokens().example, path)

    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: tokens().example[0].numpy()})
    torch.testing.assert_close(torch.from_numpy(found), quantised(*tokens().example).detach(), rtol=0, atol=5e-3)


def test_restores_without_the_library():
    code = (
        "import sys; sys.modules['torchao'] = None\n"
        "import torch\nfrom zoo_plugins.compress.quantize_torchao import restore\n"
        "layer = {'type': 'Linear', 'bits': 8, 'signed': True, 'weight': {'axis': 0, 'shape': [3, 4]}}\n"
        "print(restore(torch.nn.Linear(4, 3), {'mode': 'int8_weight', 'layers': {'': layer}, 'sensitivity': {}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "Int8WeightLinear(4, 3, bias=True, int8_weight)\n", done.stderr


LAYER = {"type": "Linear", "bits": 8, "signed": True, "weight": {"axis": 0, "shape": [5, 16]}}


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"mode": "int4"}, "mode 'int4'"),
        ({"layers": {"2": LAYER}}, "which is a ReLU"),
        ({"layers": {"8": LAYER | {"bits": 4}}}, "otherwise than the model"),
        ({"layers": {"8": LAYER | {"weight": {"axis": 0, "shape": [10**12, 1]}}}}, "otherwise than the model"),
        ({"layers": {"9": LAYER}}, "the model lacks"),
    ],
)
def test_refuses_a_record_that_does_not_fit(record, complaint):
    with torch.device("meta"):
        network = architecture()
    with pytest.raises(ArtefactError, match=complaint):
        ao.restore(network, {"mode": "int8_dynamic", "layers": {}, "sensitivity": {}} | record)


def test_what_lies_before_an_int8_layer_learns_by_its_weights():
    """The gradient of W x + b to x is W, whatever x is rounded to."""
    weight, scale = torch.tensor([[100, -3], [7, 50]], dtype=torch.int8), torch.tensor([0.01, 0.02])
    layer = Int8WeightLinear(weight, scale, None, "int8_dynamic").train()
    inputs = torch.tensor([[2.54, 0.311]], requires_grad=True)
    layer(inputs)[0, 1].backward()
    torch.testing.assert_close(inputs.grad, torch.tensor([[0.14, 1.0]]))
