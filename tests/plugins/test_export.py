"""The ONNX exporter, judged by onnxruntime itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo_plugins.compress import prune, quantize
from zoo_registry.errors import DataError, ExportError

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
    with pytest.raises(DataError, match="takes 2 inputs"):
        loaded(torch.ones(2, 3))


def test_a_file_for_one_sample_takes_batches_in_parts(network, path):
    write(network, (clips(4),), path, dynamic_batch=False, exporter="torchscript")

    loaded = load(path)
    assert loaded.batch == 1
    torch.testing.assert_close(loaded(clips(3)), network(clips(3)), rtol=0, atol=1e-5)


def foreign(path, inputs, outputs, *nodes):
    """A file that somebody else wrote; inputs and outputs are name -> shape, of float32."""
    from onnx import helper

    declared = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    ]
    graph = helper.make_graph(list(nodes), "foreign", *declared)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return load(path)


class TestSomebodyElsesFile:
    def test_outputs_that_are_no_batch_come_back_whole(self, path):
        boxes = np.arange(40, dtype=np.float32).reshape(10, 4)
        constant = onnx.helper.make_node("Constant", [], ["o"], value=onnx.numpy_helper.from_array(boxes))

        loaded = foreign(path, {"x": [1, 3]}, {"o": [10, 4]}, constant)

        assert np.array_equal(loaded(torch.ones(1, 3)).numpy(), boxes)

    def test_a_first_axis_that_is_no_batch_is_not_filled_up(self, path):
        loaded = foreign(
            path, {"x": [4, 3]}, {"o": [1, 3]}, onnx.helper.make_node("ReduceSum", ["x"], ["o"], keepdims=1)
        )
        with pytest.raises(DataError, match=r"x is float32 \(3, 3\), model\.onnx takes float32 \(4, 3\)"):
            loaded(torch.ones(3, 3))

        with pytest.raises(DataError, match=r"x is float32 \(8, 3\)"):
            loaded(torch.ones(8, 3))

    def test_numbers_without_axes_and_empty_batches_are_answers(self, path):
        identity = onnx.helper.make_node("Identity", ["x"], ["o"])
        mean = onnx.helper.make_node("ReduceMean", ["x"], ["o"], keepdims=0)

        assert foreign(path, {"x": []}, {"o": []}, identity)(torch.tensor(3.0)).item() == 3
        assert foreign(path, {"x": [4, 3]}, {"o": []}, mean)(torch.ones(4, 3)).shape == ()
        assert foreign(path, {"x": ["b", 3]}, {"o": ["b", 3]}, identity)(torch.ones(0, 3)).shape == (0, 3)


def test_a_file_for_one_sample_wants_a_sample(network, path):
    write(network, (clips(4),), path, dynamic_batch=False)

    with pytest.raises(DataError, match="batches of at least one sample"):
        load(path)(clips(4)[:0])


@pytest.mark.parametrize(
    ("exporter", "opset"), [("torchscript", 13), ("torchscript", 17), ("dynamo", 20), ("auto", 17)]
)
def test_the_operator_set_can_be_chosen(network, path, exporter, opset):
    write(network, (clips(2),), path, opset=opset, exporter=exporter)

    assert {each.domain: each.version for each in onnx.load(path).opset_import}[""] == opset


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_an_operator_set_that_an_exporter_replaces_is_an_error(network, path, exporter, monkeypatch):
    real = torch.onnx.export

    def replaces(*arguments, **options):
        return real(*arguments, **options | {"opset_version": 18})

    monkeypatch.setattr(torch.onnx, "export", replaces)

    with pytest.raises(ExportError, match=f"{exporter}: operator set 17 was asked for, and the file has 18"):
        write(network, (clips(2),), path, opset=17, exporter=exporter)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript", "auto"])
def test_an_operator_set_that_is_none_is_an_error(network, path, exporter, capfd):
    with pytest.raises(ExportError, match="no operator set 999: the installed onnx knows up to"):
        write(network, (clips(2),), path, opset=999, exporter=exporter)

    assert capfd.readouterr() == ("", "")


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

    def test_it_is_not_quantised_twice(self, quantised, path):
        with pytest.raises(ExportError, match=r"quantised already.*\n.*leave `int8` out"):
            write(quantised, (clips(2),), path, int8="static", calibration=lambda n: iter([(clips(2),)] * n))

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
    with pytest.raises(ExportError, match=r"bfloat16.*\n.*leave cast_bf16 out"):
        write(network.bfloat16(), (clips(2).bfloat16(),), path)


class Eigenvalues(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvals(x).real


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_an_operation_that_onnx_lacks_is_named_with_its_module_by_both_exporters(path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Eigenvalues())).eval()

    with pytest.raises(ExportError) as raised:
        write(model, (torch.randn(2, 3, 3),), path)

    said = str(raised.value)
    assert "dynamo: there is no aten.linalg_eig in 1.1 (Eigenvalues) in ONNX" in said
    assert "torchscript: there is no aten.linalg_eigvals" in said
    assert "export: torch_export" in said


def test_code_that_torch_export_cannot_follow_is_named(path):
    model = nn.Sequential(nn.Linear(3, 3), Branch()).eval()

    with pytest.raises(ExportError, match=r"(?s)torch\.export cannot follow 1 \(Branch\): "):
        write(model, (torch.randn(2, 3),), path, exporter="dynamo")


def test_a_clip_length_may_be_free_where_the_network_takes_any(network, path):
    write(network, (clips(2),), path, inputs=("clip_bcthw",), dynamic_frames=True)

    longer = torch.randn(2, 3, 7, 12, 12)
    torch.testing.assert_close(load(path)(longer), network(longer), rtol=0, atol=1e-5)


def test_a_fixed_clip_length_is_said_so(path):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 12 * 12, 2)).eval()

    with pytest.raises(ExportError, match=r"(?s)frames.*dynamic_frames"):
        write(network, (clips(2),), path, inputs=("clip_bcthw",), dynamic_frames=True, exporter="dynamo")


def test_a_description_is_kept_in_the_file(network, path):
    write(network, (clips(2),), path, metadata={"labels": ["aufwärts"]})

    assert load(path).metadata == {"labels": ["aufwärts"]}
    (kept,) = [prop.value for prop in onnx.load(path).metadata_props if prop.key == "videozoo.json"]
    assert "aufwärts" in kept


class TestInt8:
    """Static quantisation by onnxruntime."""

    @staticmethod
    def calibration(batches):
        return iter([(clips(4, seed=2),)] * batches)

    def test_convolutions_and_products_are_in_int8_and_the_file_says_how_far_it_may_be(self, network, path):
        plain = path.with_name("plain.onnx")
        write(network, (clips(2),), plain)

        rounded = write(network, (clips(2),), path, int8="static", calibration=self.calibration, metadata={"a": 1})

        assert (rounded.max_difference, rounded.min_agreement) == (0.3, 0.95)
        assert path.stat().st_size < 0.5 * plain.stat().st_size
        types = {value.name: value.data_type for value in onnx.load(path).graph.initializer}
        assert onnx.TensorProto.INT8 in types.values()  # weights
        assert onnx.TensorProto.UINT8 in types.values()  # zero points of activations: what VNNI multiplies by int8
        found, expected = load(path)(clips(6)), network(clips(6))
        assert 0 < (found - expected).abs().max() < 0.05 * expected.abs().max()
        assert load(path).metadata == {"a": 1}

    def test_modules_can_stay_in_float(self, network, path):
        write(network, (clips(2),), path, int8="static", calibration=self.calibration, keep=("0", "7"))

        weights = {value.name: onnx.numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer}
        assert weights["model.0.weight"].dtype == np.float32
        assert weights["model.7.weight"].dtype == np.float32
        assert any(value.dtype == np.int8 and value.ndim == 5 for value in weights.values())

    def test_a_module_that_keeps_float_does(self, path):
        class Exact(nn.Linear):
            keeps_float = True

        model = nn.Sequential(Exact(6, 6), nn.ReLU(), nn.Linear(6, 6)).eval()
        x = torch.randn(4, 6)

        write(model, (x,), path, int8="static", calibration=lambda count: iter([(x,)] * count))

        weights = {value.name: onnx.numpy_helper.to_array(value) for value in onnx.load(path).graph.initializer}
        floats = [name for name, value in weights.items() if value.dtype == np.float32 and value.ndim == 2]
        assert floats == ["model.0.weight"]

    def test_an_unknown_module_is_named(self, network, path):
        with pytest.raises(ExportError, match=r"no operation of the file comes from stem\n.*modules are 0, 1"):
            write(network, (clips(2),), path, int8="static", calibration=self.calibration, keep=("stem",))

    @pytest.mark.parametrize("data", [None, lambda count: iter(())])
    def test_without_data_there_is_nothing_to_calibrate_on(self, network, path, data):
        with pytest.raises(ExportError, match="needs calibration data"):
            write(network, (clips(2),), path, int8="static", calibration=data)

    @pytest.mark.parametrize(
        ("inputs", "complaint"),
        [
            ((clips(2), clips(2)), r"calibration data: the model takes 1 input, not 2"),
            (
                (clips(2)[..., :10],),
                r"calibration data: input_0 is float32 \(2, 3, 4, 12, 10\), the model takes float32",
            ),
            ((clips(2).double(),), r"calibration data: input_0 is float64"),
        ],
    )
    def test_data_of_the_wrong_shape(self, network, path, inputs, complaint):
        with pytest.raises(ExportError, match=complaint):
            write(network, (clips(2),), path, int8="static", calibration=lambda n: iter([inputs]))

    def test_dynamic_needs_no_data(self, path):
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)).eval()
        x = torch.randn(4, 64)

        write(model, (x,), path, int8="dynamic")

        assert {"MatMulInteger"} <= {node.op_type for node in onnx.load(path).graph.node}
        assert (load(path)(x) - model(x)).abs().max() < 0.05 * model(x).abs().max()


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
