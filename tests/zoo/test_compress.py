"""Compression of a small clip model through the catalogue, every stage saved, reloaded and measured."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.compress import Context, Measurement, compress, measure_latency, restore_structure, table
from zoo.export import compare
from zoo_registry import Compression
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ArtefactError, ParameterError, PluginError, RunError
from zoo_registry.plugins import PluginRecord
from zoo_registry.protocols import Batch, Outputs


def architecture() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(3, 16, 3, padding=1, bias=False), nn.BatchNorm3d(16), nn.ReLU(),
        nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 4),
    )  # fmt: skip


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = architecture()
    model.train()(clips(16, seed=1) / 255 - 0.5)
    return model.eval()


def clips(batch: int, seed: int) -> Tensor:
    return torch.randint(0, 256, (batch, 3, 4, 8, 8), generator=torch.Generator().manual_seed(seed)).float()


class Films:
    """A split of uint8 clips, as a loader gives them."""

    def __init__(self, batches: int, seed: int) -> None:
        self.batches, self.seed = batches, seed

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, self.batches):
            labels = torch.arange(8) % 4
            inputs = {"clip_bcthw": clips(8, self.seed + number).to(torch.uint8)}
            yield Batch(inputs, {"label_b": labels}, torch.arange(8), torch.zeros(8, dtype=torch.int64))


class Classify:
    """As much of a task as compression uses."""

    def predict(self, model, batch: Batch) -> Outputs:
        return {"logits_bk": model(*batch.inputs.values())}


def preprocess(batch: Batch) -> Batch:
    inputs = {"clip_bcthw": batch.inputs["clip_bcthw"].float() / 255 - 0.5}
    return Batch(inputs, batch.targets, batch.index, batch.view)


def metrics(model: nn.Module) -> dict[str, float]:
    right = total = 0
    with torch.no_grad():
        for batch in map(preprocess, Films(2, seed=50).epoch(0)):
            answers = model(*batch.inputs.values()).argmax(-1)
            right += int((answers == batch.targets["label_b"]).sum())
            total += len(batch)
    return {"accuracy": right / total}


@pytest.fixture
def context() -> Context:
    return Context(
        task=Classify(),
        train=Films(4, seed=10),
        val=Films(2, seed=50),
        preprocess=preprocess,
        metrics=metrics,
        device=torch.device("cpu"),
    )


@pytest.fixture
def reload(tmp_path):
    """Saves weights, builds on the meta device, restores and loads strictly."""

    def reload(module, structure):
        path = tmp_path / "model.safetensors"
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, path)
        with torch.device("meta"):
            empty = restore_structure(architecture(), structure)
        empty.load_state_dict(load_file(path), strict=True, assign=True)
        return empty, path.stat().st_size

    return reload


def strategy(name: str) -> Listed:
    return catalog().resolve("compression", name)


def plugin(tmp_path, monkeypatch, source: str, **entry) -> Listed:
    """A strategy of somebody's plugin."""
    (tmp_path / "acme_strategies.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "acme_strategies", raising=False)
    declared = Compression("shrink", builder="acme_strategies:apply", restore="acme_strategies:restore", **entry)
    return Listed(declared, "acme", PluginRecord("acme", "acme", "zoo-acme", "0.3", "loaded"))


def test_every_stage_is_measured_on_its_own_file(model, context, reload):
    pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")
    strategies = [(strategy("prune_magnitude"), {"amount": 0.5}), (strategy("quantize_int8"), {"batches": 2})]

    compressed = compress(model, strategies, context, reload=reload)

    original, pruned, quantised = compressed.measurements
    assert [m.stage for m in compressed.measurements] == [
        "original",
        "compress/prune_magnitude",
        "compress/quantize_int8",
    ]
    # 16*3*27 + 2*16 + 128*64 + 64 + 64*4 + 4 parameters; half of the weights with two or more dimensions are pruned.
    assert original.parameters == pruned.parameters == 9844
    assert pruned.nonzero <= original.nonzero - (1296 + 8192 + 256) // 2
    # Folding adds a bias to the convolution and removes the batch norm's two vectors.
    assert quantised.parameters == 9844 - 16
    # Zeros and simulated int8 are stored as float32: no smaller file.
    assert pruned.bytes == original.bytes
    assert quantised.bytes > 0.95 * original.bytes
    for measured in compressed.measurements:
        assert measured.metrics.keys() == {"accuracy"}
        assert 0 < measured.latency_ms <= measured.latency_p95_ms
    assert original.agreement is None
    assert 0 <= quantised.agreement <= 1


def test_bfloat16_halves_the_file(model, context, reload):
    compressed = compress(model, [(strategy("cast_bf16"), {})], context, reload=reload)

    before, after = compressed.measurements
    assert 0.5 < after.bytes / before.bytes < 0.55
    assert compressed.module[0].weight.dtype is torch.bfloat16


def test_the_original_stays_as_it_is(model, context, reload):
    before = {key: value.clone() for key, value in model.state_dict().items()}

    compress(
        model, [(strategy("prune_magnitude"), {"amount": 0.9}), (strategy("cast_bf16"), {})], context, reload=reload
    )

    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not model._forward_hooks


def test_what_comes_out_is_rebuilt_from_structure_and_weights(model, context, reload):
    pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")
    names = ["quantize_int8", "prune_magnitude", "cast_bf16"]
    strategies = [(strategy(name), {"amount": 0.3} if "prune" in name else {}) for name in names]

    compressed = compress(model, strategies, context, reload=reload)

    again, _ = reload(compressed.module, compressed.structure)
    example = clips(4, seed=99)
    assert torch.equal(again.eval()(example), compressed.module(example))
    assert [step["strategy"] for step in compressed.structure] == [f"compress/{name}" for name in names]


def test_measures_the_reloaded_model_and_not_the_one_in_memory(model, context, reload):
    def loses_the_weights(module, structure):
        loaded, size = reload(module, structure)
        if structure:
            nn.init.zeros_(loaded[-1].weight)
            nn.init.constant_(loaded[-1].bias[2:3], 1.0)  # always answers class 2, right for a quarter
        return loaded, size

    compressed = compress(model, [(strategy("cast_bf16"), {})], context, reload=loses_the_weights)

    assert compressed.measurements[1].metrics == {"accuracy": 0.25}


def test_a_wrong_parameter_is_found_before_anything_runs(model, context):
    def never(module, structure):
        raise AssertionError("nothing should have been saved")

    with pytest.raises(ParameterError, match="amount"):
        compress(
            model, [(strategy("cast_bf16"), {}), (strategy("prune_magnitude"), {"amount": 2})], context, reload=never
        )


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("1 / 0", r"acme/shrink failed: ZeroDivisionError.*\n.*zoo-acme 0\.3"),
        ("return model, {'weights': {1, 2}}", "acme/shrink failed: TypeError.*JSON"),
        ("return model, {'scale': float('nan')}", "acme/shrink failed: ValueError"),
        ("return model", "acme/shrink failed"),
        ("return model, [1]", "must return a module and a mapping"),
    ],
)
def test_a_failing_strategy_is_named_with_its_plugin(model, context, reload, tmp_path, monkeypatch, body, complaint):
    listed = plugin(tmp_path, monkeypatch, f"def apply(model, context):\n    {body}\n")

    with pytest.raises(PluginError, match=complaint):
        compress(model, [(listed, {})], context, reload=reload)


class TestContext:
    def test_calibration_data_is_preprocessed_training_data_and_the_same_each_time(self, context):
        first, second = (list(context.calibration(2)) for _ in range(2))

        assert len(first) == 2
        assert torch.equal(first[1][0], clips(8, seed=11) / 255 - 0.5)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))

    def test_calibration_without_training_data_is_an_error(self, context):
        context.train = None

        with pytest.raises(RunError, match="needs data"):
            context.calibration(1)

    def test_stages_are_compared_on_as_many_samples_as_asked(self, context, model):
        context.compared = 8

        assert sum(len(outputs["logits_bk"]) for outputs in context.outputs(model)) == 8

    def test_without_validation_data_nothing_is_compared(self, context, model):
        context.val = None

        assert context.outputs(model) == []
        assert torch.equal(context.example[0], clips(8, seed=10) / 255 - 0.5)


class TestStructure:
    STEP = {"strategy": "compress/cast_bf16", "version": 1, "record": {"dtype": "bfloat16"}}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("structure", "complaint"),
        [
            ([STEP | {"strategy": "acme/unheard_of"}], "'acme/unheard_of', which no installed plugin provides"),
            ([STEP | {"strategy": "os:system"}], "'os:system', which no installed plugin provides"),
            ([STEP | {"version": 9}], "version 9 of compress/cast_bf16, here is 1"),
            ([STEP | {"record": "bfloat16"}], "value of the wrong type"),
            ([{"strategy": "compress/cast_bf16"}], "must hold strategy, version, record"),
            (["compress/cast_bf16"], "must hold strategy, version, record"),
            ([STEP] * 65, "at most 64 steps"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, structure, complaint):
        with pytest.raises(ArtefactError, match=complaint):
            restore_structure(architecture(), structure)

    def test_a_plugin_that_trips_over_a_record_is_no_traceback(self, tmp_path, monkeypatch):
        listed = plugin(tmp_path, monkeypatch, "def restore(model, record):\n    return record['missing']\n")
        monkeypatch.setattr("zoo.compress.structure.catalog", lambda: type("", (), {"resolve": lambda *_: listed})())

        with pytest.raises(ArtefactError, match="record of acme/shrink cannot be read: KeyError"):
            restore_structure(architecture(), [{"strategy": "acme/shrink", "version": 1, "record": {}}])


class TestComparison:
    def test_counts_first_answers_and_the_largest_difference(self):
        expected = {"logits_bk": torch.tensor([[1.0, 4.0], [0.0, -1.0]])}
        found = {"logits_bk": torch.tensor([[1.0, 3.0], [-2.0, -1.0]])}

        both = compare([(expected, found)])

        assert (both.max_difference, both.agreement, both.samples) == (2.0 / 4.0, 0.5, 2)

    def test_is_exact_for_equal_outputs_with_infinities(self):
        outputs = {"scores": torch.tensor([math.inf, math.nan, 1.0])}

        assert compare([(outputs, outputs)]).max_difference == 0
        assert compare([(outputs, outputs)]).agreement is None

    @pytest.mark.parametrize(
        "found",
        [
            {"boxes": [torch.zeros(3, 4), torch.zeros(1, 4)]},
            {"boxes": [torch.zeros(2, 4)]},
            {"boxes": [torch.zeros(2, 4), torch.full((1, 4), math.nan)]},
            {"boxes": torch.zeros(2, 4)},
            {"other": [torch.zeros(2, 4), torch.zeros(1, 4)]},
        ],
    )
    def test_is_infinite_where_outputs_do_not_correspond(self, found):
        expected = {"boxes": [torch.zeros(2, 4), torch.zeros(1, 4)]}

        assert compare([(expected, found)]).max_difference == math.inf


def test_latency_is_of_one_sample(model):
    seen = []

    def watched(clip):
        seen.append(len(clip))
        return model(clip)

    latency = measure_latency(watched, [clips(4, seed=0)], runs=7)

    assert set(seen) == {1}
    assert latency.runs == 7
    assert 0 < latency.p50_ms <= latency.p95_ms


def test_latency_stops_at_its_time_limit(model):
    assert measure_latency(model, [clips(1, seed=0)], runs=10_000, seconds=0).runs == 5


def test_the_table_has_a_row_per_stage_and_leaves_out_metrics_of_classes():
    stages = [
        Measurement("original", {"accuracy": 0.9, "f1/left": 0.8}, 1000, 10, 10, 2.0, 3.0, None),
        Measurement("acme/shrink", {"accuracy": 0.8, "f1/left": 0.7}, 500, 10, 5, 1.0, 1.5, 0.95),
    ]

    rows = table(stages)

    assert rows.columns == (
        "stage",
        "accuracy",
        "agreement",
        "file bytes",
        "parameters",
        "non-zero",
        "p50 ms",
        "p95 ms",
    )
    assert rows.rows[1] == ("acme/shrink", 0.8, 0.95, 500, 10, 5, 1.0, 1.5)
