from __future__ import annotations

import os
import signal
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.zoo.runner.in_memory import BrightOrDark, InMemoryLoader, add_noise, recipe, same_weights, to_float, train
from zoo.runner.folder import RunFolder
from zoo.runner.observers import Observers
from zoo.runner.progress import Progress
from zoo_registry.errors import Interrupted, NonFiniteLoss, ParameterError, PluginError, RunError
from zoo_registry.protocols import Objective

SGD = {"name": "sgd", "params": {"lr": 0.1, "momentum": 0.9}}


def test_fit_does_what_a_hand_written_loop_does(tmp_path):
    """Accumulation of two, a last window of one, clipping."""
    task = BrightOrDark(dropout=0.0)
    train(tmp_path, task, recipe(SGD, accumulate=2, clip_grad_norm=0.5), val=None, augment=None)

    model = BrightOrDark(dropout=0.0).state
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(2):
        batches = [to_float(batch) for batch in InMemoryLoader().epoch(epoch)]
        for window in (batches[:2], batches[2:]):
            optimizer.zero_grad()
            for batch in window:
                loss = functional.cross_entropy(model(batch.inputs["clip_bcthw"]), batch.targets["label_b"])
                (loss / len(window)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, task.state.state_dict()[name]), name


def test_two_runs_of_one_recipe_give_the_same_weights(tmp_path):
    one, other = BrightOrDark(), BrightOrDark()
    train(tmp_path / "one", one)
    train(tmp_path / "other", other)
    assert same_weights(one, other)


def test_channels_last_computes_the_same_and_goes_on_where_it_was(tmp_path):
    plain, undisturbed, resumed = BrightOrDark(), BrightOrDark(), BrightOrDark()
    train(tmp_path / "plain", plain, recipe(SGD))
    schema = recipe(SGD, memory_format="channels_last")
    train(tmp_path / "undisturbed", undisturbed, schema)
    for name, value in undisturbed.state.state_dict().items():
        assert torch.allclose(value, plain.state.state_dict()[name], atol=1e-5), name
    assert undisturbed.state[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Stopped(4, signal.SIGINT), schema)
    train(tmp_path / "run", resumed, schema, resume=True)
    assert same_weights(undisturbed, resumed)
    assert resumed.state[0].weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_another_seed_gives_other_weights(tmp_path):
    one, other = BrightOrDark(), BrightOrDark()
    train(tmp_path / "one", one)
    train(tmp_path / "other", other, recipe(seed=1))
    assert not same_weights(one, other)


def test_the_task_ends_in_the_state_of_its_best_epoch(tmp_path):
    class WorseEveryEpoch(BrightOrDark):
        monitor = ("minus_steps", "max")
        steps, states = 0, ()

        def after_step(self, step):
            self.steps += 1

        def metrics(self):
            self.states += ({name: value.clone() for name, value in self.state.state_dict().items()},)
            measured = super().metrics()
            measured.compute = lambda: {"minus_steps": -float(self.steps)}
            return measured

    task = WorseEveryEpoch()
    result = train(tmp_path, task, recipe(epochs=4))
    assert (result.best, result.best_epoch, result.epochs) == (-3.0, 1, 4)
    assert all(torch.equal(value, task.states[0][name]) for name, value in task.state.state_dict().items())


def test_early_stopping_waits_for_its_patience(tmp_path):
    class NeverBetter(BrightOrDark):
        def metrics(self):
            measured = super().metrics()
            measured.compute = lambda: {"accuracy": 0.5}
            return measured

    result = train(tmp_path, NeverBetter(), recipe(epochs=9, early_stop={"patience": 2}))
    assert (result.epochs, result.stopped) == (3, "early")


def test_a_metric_that_the_task_does_not_measure_is_named(tmp_path):
    class Watching(BrightOrDark):
        monitor = ("recall", "max")

    with pytest.raises(RunError, match="watches 'recall', which it does not measure"):
        train(tmp_path, Watching())


def test_rows_of_metrics_say_step_epoch_and_split(tmp_path):
    train(tmp_path, BrightOrDark(), recipe(log_every=2))
    rows = RunFolder(tmp_path).history()
    assert [(row["step"], row["epoch"], row["split"]) for row in rows] == [
        (2, 1, "train"), (3, 1, "train"), (3, 1, "val"), (4, 2, "train"), (6, 2, "train"), (6, 2, "val"),
    ]  # fmt: skip
    assert {"loss", "lr", "samples_per_s", "time"} <= rows[0].keys()
    assert "accuracy" in rows[2]


# -------------------------------------------------------------------------------- several objectives


class Duel(BrightOrDark):
    """Two objectives over two halves of the state; the second takes every other window."""

    def __init__(self):
        super().__init__()
        self.state = nn.ModuleDict({"critic": nn.Linear(4, 1), "maker": nn.Linear(2, 4)})
        self.calls: list[tuple[str, int]] = []
        self.learning: set[tuple[str, bool, bool]] = set()

    def objectives(self):
        return [
            Objective("critic", list(self.state["critic"].parameters()), self.critic_loss),
            Objective("maker", list(self.state["maker"].parameters()), self.maker_loss, every=2),
        ]

    def critic_loss(self, batch, shared):
        self.note("critic", batch)
        shared["label"] = batch.targets["label_b"]
        return {"total": self.score().square(), "extra": torch.tensor(2.0)}

    def maker_loss(self, batch, shared):
        self.note("maker", batch)
        assert torch.equal(shared["label"], batch.targets["label_b"])
        return {"total": -self.score()}

    def score(self):
        return self.state["critic"](self.state["maker"](torch.ones(2))).mean()

    def note(self, name, batch):
        half = self.state
        self.calls.append((name, int(batch.index[0])))
        self.learning.add((name, half["critic"].weight.requires_grad, half["maker"].weight.requires_grad))


def test_an_objective_takes_its_turn_every_so_many_windows(tmp_path):
    task = Duel()
    train(tmp_path, task, recipe(epochs=1, accumulate=2), val=None, loader=InMemoryLoader(20), augment=None)
    assert [name for name, _ in task.calls] == ["critic"] * 2 + ["maker"] * 2 + ["critic"] * 2 + ["critic", "maker"]


def test_only_the_parameters_of_the_objective_at_work_require_gradients(tmp_path):
    task = Duel()
    train(tmp_path, task, recipe(epochs=1), val=None)
    assert task.learning == {("critic", True, False), ("maker", False, True)}
    assert all(parameter.requires_grad for parameter in task.state.parameters())


def test_an_objective_without_a_step_in_an_epoch_needs_no_validation(tmp_path):
    class Seldom(Duel):
        def objectives(self):
            critic, maker = super().objectives()
            return [critic, replace(maker, every=5)]

    schema = recipe({"name": "sgd", "params": {"lr": 0.01}, "schedule": {"name": "plateau"}}, epochs=3)
    assert train(tmp_path, Seldom(), schema, val=None).steps == 9  # of the maker the first and the sixth


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (BrightOrDark, ["prepare", "loss", "prepare", "loss"]),
        (Duel, ["prepare", "prepare", "critic", "critic", "maker", "maker"]),
    ],
)
def test_batches_are_prepared_right_before_use_unless_objectives_share_them(tmp_path, task, expected):
    happened: list[str] = []

    class Watched(task):
        def loss(self, batch, shared):
            happened.append("loss")
            return super().loss(batch, shared)

        def note(self, name, batch):
            happened.append(name)

    def prepare(batch):
        happened.append("prepare")
        return to_float(batch)

    schema = recipe(epochs=1, accumulate=2)
    train(tmp_path, Watched(), schema, val=None, loader=InMemoryLoader(8), preprocess=prepare)
    assert happened == expected


def test_rows_tell_objectives_apart(tmp_path):
    train(tmp_path, Duel(), recipe(epochs=1), val=None)
    (row,) = RunFolder(tmp_path).history()
    assert row["critic/loss/extra"] == 2.0
    assert {"critic/loss", "maker/loss", "critic/lr", "maker/lr"} <= row.keys()


def test_changes_for_one_objective_apply_to_it_alone(tmp_path):
    schema = recipe(
        {"name": "sgd", "params": {"lr": 0.5}, "per_objective": {"critic": {"params": {"lr": 0.25}}}}, epochs=1
    )
    train(tmp_path, Duel(), schema, val=None)
    (row,) = RunFolder(tmp_path).history()
    assert (row["critic/lr"], row["maker/lr"]) == (0.25, 0.5)


def test_an_objective_that_the_task_does_not_have_is_named(tmp_path):
    schema = recipe({"name": "sgd", "per_objective": {"generator": {"params": {"lr": 1.0}}}})
    with pytest.raises(ParameterError, match=r"optim\.per_objective names 'generator'") as caught:
        train(tmp_path, Duel(), schema)
    assert "critic, maker" in str(caught.value)


def test_an_objective_without_a_total_is_named(tmp_path):
    class Partial(BrightOrDark):
        def loss(self, batch, shared):
            return {"main": super().loss(batch, shared)["total"]}

    with pytest.raises(PluginError, match="objective 'main' returned no 'total' but main"):
        train(tmp_path, Partial())


def test_parameters_outside_the_state_are_refused(tmp_path):
    class Forgetful(BrightOrDark):
        def objectives(self):
            return [Objective("main", list(nn.Linear(2, 2).parameters()), self.loss)]

    with pytest.raises(RunError, match=r"2 parameters outside task\.state"):
        train(tmp_path, Forgetful())


# -------------------------------------------------------------------------------- losses that are no number


class Breaking(BrightOrDark):
    """The loss becomes NaN at the sixth batch."""

    seen = 0

    def loss(self, batch, shared):
        self.seen += 1
        total = super().loss(batch, shared)["total"]
        return {"total": total * float("nan") if self.seen == 6 else total}


def test_nan_stops_the_run_and_says_at_which_batch(tmp_path):
    with pytest.raises(NonFiniteLoss, match="loss became NaN at step 6") as caught:
        train(tmp_path, Breaking(), recipe(epochs=5))
    last_of_epoch_2 = list(InMemoryLoader().epoch(1))[2]
    assert f"train/{int(last_of_epoch_2.index[0])}.mp4" in str(caught.value)


def test_samples_of_a_nan_are_named_without_asking_the_device(tmp_path):
    def with_index_elsewhere(batch):
        return replace(to_float(batch), index=batch.index.to("meta"))

    with pytest.raises(NonFiniteLoss, match=r"on the batch of train/\d+\.mp4"):
        train(tmp_path, Breaking(), recipe(epochs=5), val=None, preprocess=with_index_elsewhere)


def test_nan_keeps_the_last_good_checkpoint_and_writes_no_bad_one(tmp_path):
    with pytest.raises(NonFiniteLoss):
        train(tmp_path, Breaking(), recipe(epochs=5, checkpoint={"every_steps": 2}))
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-000003-epoch-end",
        "step-000004",
    ]


def test_an_infinite_gradient_under_a_finite_loss_is_not_kept(tmp_path):
    class SquareRootAtZero(BrightOrDark):
        def loss(self, batch, shared):
            weight = self.state[0].weight
            return {"total": (weight - weight.detach()).sum().sqrt()}

    with pytest.raises(NonFiniteLoss, match=r"parameter '0\.weight' is NaN or infinite, though the loss was finite"):
        train(tmp_path, SquareRootAtZero(), recipe(SGD, checkpoint={"every_steps": 1}))
    assert not list((tmp_path / "checkpoints").glob("step-*"))


# -------------------------------------------------------------------------------- stopping and going on


class Stopped(BrightOrDark):
    """Sends itself a signal after a step."""

    def __init__(self, after: int, number: int) -> None:
        super().__init__()
        self.after, self.number = after, number

    def after_step(self, step):
        if step == self.after:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [1, 4, 5])
def test_resume_after_a_signal_gives_the_same_weights(tmp_path, number, code, after):
    undisturbed, stopped, resumed = BrightOrDark(), Stopped(after, number), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, recipe(epochs=3))
    with pytest.raises(Interrupted, match="checkpoint written") as caught:
        train(tmp_path / "run", stopped, recipe(epochs=3))
    assert caught.value.exit_code == code
    train(tmp_path / "run", resumed, recipe(epochs=3), resume=True)
    assert same_weights(undisturbed, resumed)
    assert rows(tmp_path / "run") == rows(tmp_path / "undisturbed")


def test_a_signal_during_validation_loses_nothing(tmp_path):
    class StoppedInValidation(BrightOrDark):
        def metrics(self):
            os.kill(os.getpid(), signal.SIGINT)
            return super().metrics()

    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed)
    with pytest.raises(Interrupted, match="after step 3"):
        train(tmp_path / "run", StoppedInValidation())
    train(tmp_path / "run", resumed, resume=True)
    assert same_weights(undisturbed, resumed)
    assert rows(tmp_path / "run") == rows(tmp_path / "undisturbed")


def test_signals_are_handled_as_before_afterwards(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    train(tmp_path, BrightOrDark())
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_a_finished_run_trains_no_more(tmp_path):
    first, again = BrightOrDark(), BrightOrDark()
    done = train(tmp_path, first)
    result = train(tmp_path, again, resume=True)
    assert (result.steps, result.best) == (done.steps, done.best)
    assert same_weights(first, again)


def test_resuming_before_the_first_checkpoint_starts_over(tmp_path):
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text('{"step": 1}\n')
    train(tmp_path / "run", resumed, resume=True)
    assert same_weights(undisturbed, resumed)
    assert rows(tmp_path / "run") == rows(tmp_path / "undisturbed")


def test_going_on_with_other_threads_is_mentioned(tmp_path, capsys):
    threads = torch.get_num_threads()
    train(tmp_path, BrightOrDark(), recipe(epochs=1))
    try:
        torch.set_num_threads(threads + 1)
        train(tmp_path, BrightOrDark(), recipe(epochs=2), resume=True, progress=Progress())
    finally:
        torch.set_num_threads(threads)
    assert f"the run had {threads} threads, now there are {threads + 1}" in capsys.readouterr().err


# -------------------------------------------------------------------------------- observers and events


def test_an_observer_that_raises_is_reported_once_and_left_out(tmp_path):
    class Loud:
        def step_end(self, step, values):
            raise RuntimeError("no sound card")

    class Calm:
        epochs: list[int] = []  # noqa: RUF012

        def epoch_end(self, epoch, values):
            self.epochs.append(epoch)

    said: list[str] = []
    train(tmp_path, BrightOrDark(), recipe(log_every=1), observers=Observers([Loud(), Calm()], said.append))
    assert said == ["observer Loud is left out from here on: step_end raised RuntimeError: no sound card"]
    assert Calm.epochs == [1, 2]


def test_tensorboard_reads_the_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, BrightOrDark(), recipe(log_every=1))
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    loss = {event.step: event.value for event in events.Scalars("train/loss")}
    written = {row["step"]: row["loss"] for row in RunFolder(tmp_path).history() if row["split"] == "train"}
    assert loss == pytest.approx(written, rel=1e-6)
    assert [event.step for event in events.Scalars("val/accuracy")] == [3, 6]


def test_a_recipe_without_optimiser_cannot_be_fitted(tmp_path):
    schema = recipe().model_copy(update={"optim": None})
    with pytest.raises(RunError, match="has no optim"):
        train(tmp_path, BrightOrDark(), schema)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_resume_on_a_gpu_gives_the_same_weights(tmp_path):
    device: Any = torch.device("cuda")

    def noise(batch, generator):
        return add_noise(batch.to("cpu"), generator).to(device)

    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    train(tmp_path / "undisturbed", undisturbed, recipe(epochs=3), device=device, augment=noise)
    with pytest.raises(Interrupted):
        train(tmp_path / "run", Stopped(4, signal.SIGINT), recipe(epochs=3), device=device, augment=noise)
    train(tmp_path / "run", resumed, recipe(epochs=3), resume=True, device=device, augment=noise)
    assert same_weights(undisturbed, resumed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_training_step_does_not_wait_for_the_gpu(tmp_path):
    """torch names every synchronisation; more steps bring more of them only where a line is logged."""

    class Pinned(InMemoryLoader):
        def epoch(self, epoch, start=0):
            for batch in super().epoch(epoch, start):
                yield batch.pin_memory()

    def waits(batches):
        path = tmp_path / str(batches)
        loader = Pinned(samples=4 * batches)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                device: Any = torch.device("cuda")
                train(path, BrightOrDark(), recipe(epochs=1), loader=loader, val=None, augment=None, device=device)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert any("synchronizing" in str(warning.message) for warning in caught)  # torch does tell
        return sum("synchronizing" in str(warning.message) for warning in caught), len(rows(path))

    (few, few_rows), (many, many_rows) = waits(20), waits(120)
    assert many - few <= many_rows - few_rows


def rows(path):
    """The rows of a run, without what depends on the clock."""
    timeless = [
        {key: row[key] for key in row if key not in ("time", "samples_per_s") and not key.startswith("time_share/")}
        for row in RunFolder(path).history()
    ]
    assert timeless
    return timeless
