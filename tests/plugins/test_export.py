"""The ONNX exporter, judged by onnxruntime itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo_plugins.compress import bfloat16, prune, quantize
from zoo_registry.errors import ExportError

onnx = pytest.importorskip("onnx", reason="the extra videozoo[export] is absent")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra videozoo[export] is absent")
pytest.importorskip("onnxscript", reason="the extra videozoo[export] is absent")

from zoo_plugins.export.int8_weights import store_int8_weights  # noqa: E402
from zoo_plugins.export.onnx_load import load  # noqa: E402
from zoo_plugins.export.onnx_write import write  # noqa: E402


def clips(batch: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, 4, 12, 12, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(3, 8, 3, padding=1, bias=False), nn.BatchNorm3d(8), nn.ReLU(),
        nn.Conv3d(8, 32, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, 5),
    )  # fmt: skip
    network.train()(clips(8, seed=1))
    return network.eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_any_runtime_can_run_the_file_on_any_batch(network, path, exporter):
    write(network, (clips(1),), path, inputs=("clip_bcthw",), exporter=exporter)

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["clip_bcthw"]
    for batch in (1, 3):
        (found,) = session.run(None, {"clip_bcthw": clips(batch).numpy()})
        np.testing.assert_allclose(found, network(clips(batch)).detach().numpy(), rtol=0, atol=1e-5)


def test_it_is_one_file_and_says_nothing(network, path, capfd, recwarn):
    write(network, (clips(2),), path)

    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_the_model_stays_as_it_was(network, path):
    before = {key: value.clone() for key, value in network.state_dict().items()}

    write(network, (clips(2),), path, exporter="torchscript")

    assert not any(module.training for module in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("form", ["mapping", "sequence"])
def test_outputs_come_back_in_the_form_the_model_gives_them(path, exporter, form):
    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(6, 2), nn.Linear(6, 3)

        def forward(self, x):
            found = self.first(x), self.second(x)
            return found if form == "sequence" else {"scores_bk": found[0], "boxes": found[1]}

    model = TwoHeads().eval()
    write(model, (torch.zeros(2, 6),), path, exporter=exporter)

    x = torch.randn(3, 6)
    torch.testing.assert_close(load(path)(x), model(x), rtol=0, atol=1e-6)


def test_several_inputs_keep_their_order(path):
    class Difference(nn.Module):
        def forward(self, clip, audio):
            return clip - 2 * audio

    write(Difference(), (torch.zeros(2, 3), torch.zeros(2, 3)), path, exporter="torchscript")

    loaded = load(path)
    assert loaded.inputs == ["input_0", "input_1"]
    assert loaded(torch.ones(2, 3), torch.ones(2, 3)).tolist() == [[-1.0] * 3] * 2
    with pytest.raises(ExportError, match="takes 2 inputs"):
        loaded(torch.ones(2, 3))


def test_a_file_for_one_sample_takes_batches_in_parts(network, path):
    write(network, (clips(4),), path, dynamic_batch=False, exporter="torchscript")

    loaded = load(path)
    assert loaded.batch == 1
    torch.testing.assert_close(loaded(clips(3)), network(clips(3)), rtol=0, atol=1e-5)


def test_the_operator_set_can_be_chosen(network, path):
    write(network, (clips(2),), path, opset=17, exporter="torchscript")

    assert onnx.load(path).opset_import[0].version == 17


def test_a_pruned_model_stays_pruned(network, path):
    pruned, _ = prune.prune_magnitude(network, None, amount=0.5)

    write(pruned, (clips(2),), path, exporter="torchscript")

    weights = [onnx.numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer]
    assert sum((weight == 0).sum() for weight in weights if weight.ndim > 1) > 0
    torch.testing.assert_close(load(path)(clips(3)), pruned(clips(3)), rtol=0, atol=1e-5)


class TestQuantised:
    @pytest.fixture
    def quantised(self, network):
        pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")

        class Context:
            example = (clips(4, seed=2),)

            def calibration(self, batches):
                return iter([self.example])

        return quantize.quantize_int8(copy.deepcopy(network), Context())[0]

    def test_the_file_holds_int8_and_says_nearly_the_same(self, network, quantised, path):
        plain = path.with_name("plain.onnx")
        write(network, (clips(2),), plain, exporter="torchscript")
        write(quantised, (clips(2),), path)

        assert path.stat().st_size < 0.5 * plain.stat().st_size
        found, expected = load(path)(clips(6)), quantised(clips(6))
        # Values at the border of two steps may fall to either side: far below what quantisation itself changes.
        assert (found - expected).abs().max() < 0.02 * expected.abs().max()

    def test_stored_weights_are_what_onnxruntime_would_compute(self, quantised, path, monkeypatch):
        monkeypatch.setattr("zoo_plugins.export.int8_weights.store_int8_weights", lambda graph: 0)
        write(quantised, (clips(2),), path, exporter="torchscript")
        expected = load(path)(clips(6))

        file = onnx.load(path)
        stored = store_int8_weights(file.graph)
        onnx.save(file, path)

        assert stored == 3
        assert torch.equal(load(path)(clips(6)), expected)


def test_a_bfloat16_model_is_refused_with_advice(network, path):
    cast, _ = bfloat16.cast_bf16(network, None)

    with pytest.raises(ExportError, match=r"bfloat16.*\n.*leave cast_bf16 out"):
        write(cast, (clips(2),), path)


def test_an_operation_that_onnx_lacks_is_named_by_both_exporters(path):
    class Decomposition(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with pytest.raises(ExportError, match=r"(?s)dynamo: .*torchscript: "):
        write(Decomposition(), (torch.randn(2, 3, 3),), path)


def test_nested_outputs_are_refused(path):
    class Nested(nn.Module):
        def forward(self, x):
            return {"level": [x, x]}

    with pytest.raises(ExportError, match="only a tensor, or a mapping or sequence of tensors"):
        write(Nested(), (torch.zeros(2, 3),), path)


def test_a_file_that_is_no_onnx_is_an_error(path):
    path.write_bytes(b"\x00 not a graph")

    with pytest.raises(ExportError, match=r"onnxruntime cannot run model\.onnx"):
        load(path)
