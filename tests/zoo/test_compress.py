"""Compression of a small clip model through the catalogue, every stage saved, reloaded and measured."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.compress import (
    Compressed,
    Context,
    Measurement,
    Planned,
    compress,
    measure_latency,
    restore_structure,
    table,
    trade_offs,
)
from zoo.compress.peak_memory import peak_memory
from zoo.export import compare
from zoo.export.comparison import cosine
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

    monitor = ("accuracy", "max")

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
def context(model) -> Context:
    return Context(
        task=Classify(),
        original=model,
        train_data=Films(4, seed=10),
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


def last(model, strategies, context, **how) -> Compressed:
    """What all strategies together made."""
    *_, compressed = compress(model, [Planned(*each) for each in strategies], context, **how)
    return compressed


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

    compressed = last(model, strategies, context, reload=reload)

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
    compressed = last(model, [(strategy("cast_bf16"), {})], context, reload=reload)

    before, after = compressed.measurements
    assert 0.5 < after.bytes / before.bytes < 0.55
    assert compressed.module[0].weight.dtype is torch.bfloat16


def test_the_original_stays_as_it_is(model, context, reload):
    before = {key: value.clone() for key, value in model.state_dict().items()}

    last(model, [(strategy("prune_magnitude"), {"amount": 0.9}), (strategy("cast_bf16"), {})], context, reload=reload)

    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not model._forward_hooks


def test_what_comes_out_is_rebuilt_from_structure_and_weights(model, context, reload):
    pytest.importorskip("pytorch_quantization", reason="the extra videozoo[quantization] is absent")
    names = ["quantize_int8", "prune_magnitude", "cast_bf16"]
    strategies = [(strategy(name), {"amount": 0.3} if "prune" in name else {}) for name in names]

    compressed = last(model, strategies, context, reload=reload)

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

    compressed = last(model, [(strategy("cast_bf16"), {})], context, reload=loses_the_weights)

    assert compressed.measurements[1].metrics == {"accuracy": 0.25}


def test_a_wrong_parameter_is_found_before_anything_runs(model, context):
    def never(module, structure):
        raise AssertionError("nothing should have been saved")

    with pytest.raises(ParameterError, match="amount"):
        last(model, [(strategy("cast_bf16"), {}), (strategy("prune_magnitude"), {"amount": 2})], context, reload=never)


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
        last(model, [(listed, {})], context, reload=reload)


class TestContext:
    def test_calibration_data_is_preprocessed_training_data_and_the_same_each_time(self, context):
        first, second = (list(context.calibration(2)) for _ in range(2))

        assert len(first) == 2
        assert torch.equal(first[1][0], clips(8, seed=11) / 255 - 0.5)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(first, second, strict=True))

    def test_calibration_without_training_data_is_an_error(self, context):
        context.train_data = None

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
    STEP = {  # noqa: RUF012
        "strategy": "compress/cast_bf16",
        "version": 2,
        "record": {"dtype": "bfloat16", "float32": []},
    }

    @pytest.mark.parametrize(
        ("structure", "complaint"),
        [
            ([STEP | {"strategy": "acme/unheard_of"}], "'acme/unheard_of', which no installed plugin provides"),
            ([STEP | {"strategy": "os:system"}], "'os:system', which no installed plugin provides"),
            ([STEP | {"version": 9}], "version 9 of compress/cast_bf16, here is 2"),
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


def test_the_table_has_a_row_per_stage_and_leaves_out_metrics_of_classes_and_what_nobody_measured():
    stages = [
        Measurement("original", {"accuracy": 0.9, "f1/left": 0.8}, 1000, 10, 10, 2.0, 3.0, None, gmacs=4.0),
        Measurement("acme/shrink", {"accuracy": 0.8, "f1/left": 0.7}, 500, 10, 5, 1.0, 1.5, 0.95, gmacs=2.0, drop=0.1),
    ]

    rows = table(stages)

    shown = dict(zip(rows.columns, rows.rows[1], strict=True))
    assert shown["stage"] == "acme/shrink"
    assert (shown["accuracy"], shown["drop"], shown["agreement"]) == (0.8, 0.1, 0.95)
    assert (shown["file bytes"], shown["parameters"], shown["non-zero"], shown["gmacs"]) == (500, 10, 5, 2.0)
    assert (shown["p50 ms"], shown["p95 ms"]) == (1.0, 1.5)
    assert not {"f1/left", "cosine", "joules"} & set(rows.columns)


def test_quality_is_drawn_against_latency_and_size():
    stages = [
        Measurement("original", {"accuracy": 0.9}, 2_000_000, 10, 10, 2.0, 3.0, None),
        Measurement("acme/shrink", {"accuracy": 0.8}, 500_000, 10, 5, 1.0, 1.5, 0.95),
    ]
    latency, size = trade_offs(stages, ("accuracy", "max"))
    assert latency.curves == {"original": [(2.0, 0.9)], "1. acme/shrink": [(1.0, 0.8)]}
    assert size.curves == {"original": [(2.0, 0.9)], "1. acme/shrink": [(0.5, 0.8)]}
    assert not latency.joined
    assert trade_offs(stages, ("psnr", "max")) == []


class TestBounds:
    """A strategy that erases everything answers class 0 for all, right for a quarter of them."""

    ERASE = ("prune_magnitude", {"amount": 0.999})

    def stages(self, model, context, reload, *planned: Planned) -> list[Compressed]:
        return list(compress(model, planned, context, reload=reload))

    @pytest.fixture(autouse=True)
    def a_model_that_is_right(self, context, model):
        """The share of answers that are the original's own takes the place of the labels."""

        def agreement(changed: nn.Module) -> dict[str, float]:
            pairs = zip(context.outputs(model), context.outputs(changed), strict=True)
            return {"accuracy": compare(pairs).agreement}

        context.metrics = agreement

    def test_a_stage_that_costs_too_much_ends_it_with_the_last_good_model(self, model, context, reload):
        name, params = self.ERASE
        cast, erase = Planned(strategy("cast_bf16"), {}, 0.2), Planned(strategy(name), params, 0.1)
        _, good, bad = self.stages(model, context, reload, cast, erase, cast)
        assert good.problem is None
        assert [step["strategy"] for step in bad.structure] == ["compress/cast_bf16"]
        assert bad.module is good.module
        assert "cost more than its max_drop of 0.1: accuracy is" in bad.problem.message
        assert [stage.stage for stage in bad.measurements] == ["original", "compress/cast_bf16", f"compress/{name}"]
        assert bad.measurements[-1].drop > 0.1

    def test_an_error_is_a_drop_that_grows(self, model, context, reload):
        context.task.monitor = ("error", "min")
        context.metrics = lambda changed: {"error": 0.0 if changed[0].weight.count_nonzero() > 100 else 5.0}
        name, params = self.ERASE
        *_, bad = self.stages(model, context, reload, Planned(strategy(name), params, 4.0))
        assert bad.measurements[-1].drop == 5.0
        assert "5 worse" in bad.problem.message

    def test_a_metric_that_is_not_a_number_is_not_good_enough(self, model, context, reload):
        seen = iter([0.9, math.nan])
        context.metrics = lambda changed: {"accuracy": next(seen)}
        *_, bad = self.stages(model, context, reload, Planned(strategy("cast_bf16"), {}, 0.5))
        assert bad.problem is not None

    def test_a_bound_needs_data_to_judge_by(self, model, context, reload):
        context.val = None
        with pytest.raises(RunError, match=r"max_drop of compress/cast_bf16 cannot be judged"):
            self.stages(model, context, reload, Planned(strategy("cast_bf16"), {}, 0.5))


def test_later_compression_adds_to_what_was_done_before(model, context, reload):
    first = last(model, [(strategy("cast_bf16"), {})], context, reload=reload)
    second = last(
        first.module,
        [(strategy("prune_magnitude"), {"amount": 0.5})],
        context,
        reload=reload,
        structure=first.structure,
    )
    assert [step["strategy"] for step in second.structure] == ["compress/cast_bf16", "compress/prune_magnitude"]
    assert second.module[0].weight.dtype is torch.bfloat16


def test_peak_memory_is_the_weights_and_the_largest_two_maps():
    """Of a chain each layer's input is gone when the next one has answered."""
    chain = nn.Sequential(*(nn.Conv3d(channels, 2 * channels, 1, bias=False) for channels in (2, 4, 8)))
    weights, numbers = 2 * 4 + 4 * 8 + 8 * 16, 4 * 8 * 8
    clip = torch.zeros(2, 2, 4, 8, 8)
    assert peak_memory(chain, [clip]) == 4 * (weights + 2 * numbers + (8 + 16) * numbers)  # the clip is the caller's


def test_the_cosine_of_the_same_answers_is_one(model, context):
    outputs = context.outputs(model)
    assert cosine(zip(outputs, outputs, strict=True)) == 1.0
    turned = [{"logits_bk": -each["logits_bk"]} for each in outputs]
    assert cosine(zip(outputs, turned, strict=True)) == -1.0


def test_shared_weights_count_as_what_they_are(model, context, reload):
    """Sharing makes the file smaller, and neither the network nor what it needs in memory."""
    before, after = last(model, [(strategy("cluster_weights"), {"clusters": 16})], context, reload=reload).measurements
    assert after.parameters == before.parameters == 9844
    assert after.nonzero > 0.9 * before.nonzero
    assert after.bytes < 0.3 * before.bytes
    assert after.peak_bytes >= before.peak_bytes
