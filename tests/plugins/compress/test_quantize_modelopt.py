"""Quantisation through modelopt: the same interface as `quantize_int8`, another library."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.plugins.compress.contexts import GivenBatches, reloaded
from tests.plugins.compress.video_network import architecture, clips, video_network
from zoo_plugins.compress import quantize_modelopt as modelopt
from zoo_registry.errors import ArtefactError, ParameterError, RunError

for package in ("modelopt", "requests", "pytorch_quantization"):
    pytest.importorskip(package, reason="the extra videozoo[quantization] is absent, or lacks requests")


@pytest.fixture
def context() -> GivenBatches:
    return GivenBatches([(clips(seed),) for seed in (2, 3)])


def test_rounds_as_quantize_int8_does(context):
    from zoo_plugins.compress import quantize

    ours, record = modelopt.quantize_modelopt(video_network(), context)
    theirs, reference = quantize.quantize_int8(video_network(), context)

    assert record["folded"] == reference["folded"]
    assert record["layers"] == reference["layers"]
    # The two differ in weights at -128, which modelopt does not use either, and in how they round ties.
    torch.testing.assert_close(ours(clips(9)), theirs(clips(9)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("keep", [0, 1])
def test_reloads_exactly_without_the_library_restoring(context, keep):
    quantised, record = modelopt.quantize_modelopt(video_network(), context, keep=keep)

    again = reloaded(quantised, record, modelopt.restore, architecture)

    assert torch.equal(again(clips(9)), quantised(clips(9)))
    assert len(record["layers"]) == 3 - keep


def test_leaves_what_it_keeps_as_it_was(context):
    quantised, record = modelopt.quantize_modelopt(video_network(), context, keep=2)

    kept = [quantised.get_submodule(name) for name in record["sensitivity"]["kept"]]
    assert all(type(layer) in (nn.Conv3d, nn.Linear) for layer in kept)


def test_lets_gradients_through(context):
    quantised, _ = modelopt.quantize_modelopt(video_network(), context)

    quantised.train()(clips(9)).sum().backward()

    assert quantised[0].weight.grad.abs().max() > 0


def test_refuses_fp8_where_there_is_none(context):
    with pytest.raises(ParameterError, match=r"fp8 needs a GPU .*, and the model is on the cpu\n.*int8 runs"):
        modelopt.quantize_modelopt(video_network(), context, format="fp8")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device with fp8")
def test_computes_in_fp8(context):
    network, batches = video_network().cuda(), [(clips(seed).cuda(),) for seed in (2, 3)]
    expected = network(clips(9).cuda())

    quantised, record = modelopt.quantize_modelopt(
        network, GivenBatches(batches, device=torch.device("cuda:0")), format="fp8"
    )

    found = quantised(clips(9).cuda())
    # 3 bits of mantissa: a relative error of 2**-4 per rounding.
    assert (found - expected).norm() < 3 * 2**-4 * expected.norm()
    again = reloaded(quantised, record, modelopt.restore, architecture)
    assert torch.equal(again(clips(9).cuda()), found)


def test_needs_calibration_data():
    context = GivenBatches([(clips(2),)])
    context.calibration = lambda batches: iter(())  # type: ignore[method-assign]
    with pytest.raises(RunError, match="no batch to calibrate on"):
        modelopt.quantize_modelopt(video_network(), context)


EMPTY = {"format": "int8", "folded": [], "layers": {}, "calibrator": "max", "sensitivity": {}}
LAYER = {
    "type": "Linear", "bits": 8, "signed": True,
    "input": {"axis": None, "range": []}, "weight": {"axis": 0, "range": [5, 1]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"format": "int3"}, "format 'int3'"),
        ({"layers": {"2": LAYER}}, "which is a ReLU"),
        ({"layers": {"8": LAYER | {"bits": 4}}}, "otherwise than the model"),
        ({"format": "fp8", "layers": {"8": LAYER}}, "otherwise than the model"),
        ({"layers": {"8": LAYER | {"weight": {"axis": 0, "range": [10**12, 1]}}}}, "otherwise than the model"),
    ],
)
def test_refuses_a_record_that_does_not_fit(record, complaint):
    with torch.device("meta"):
        network = architecture()
    with pytest.raises(ArtefactError, match=complaint):
        modelopt.restore(network, EMPTY | record)
