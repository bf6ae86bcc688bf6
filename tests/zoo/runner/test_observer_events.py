"""What a training tells those that watch it, and when."""

from __future__ import annotations

import torch

from tests.zoo.runner.in_memory import BrightOrDark, InMemoryLoader, recipe, same_weights, train
from zoo.runner.observers import FirstOfEpoch, Observers


class Watching:
    def __init__(self):
        self.batches, self.gradients = [], []

    def batch_ready(self, step, batch):
        self.batches.append((step, batch.inputs["clip_bcthw"].clone()))

    def gradients_ready(self, step, parameters):
        self.gradients.append((step, {name: parameter.grad.clone() for name, parameter in parameters.items()}))


def test_only_what_somebody_watches_is_wanted():
    observers = Observers([Watching()], print)
    assert observers.wants("batch_ready")
    assert not observers.wants("epoch_end")


def test_the_first_batch_of_an_epoch_is_shown_and_no_other():
    watching = Watching()
    first = FirstOfEpoch(Observers([watching], print))
    batches = list(InMemoryLoader().epoch(0))
    for epoch in (0, 1):
        first.begin(3 * epoch)
        for batch in batches:
            first(batch)
    assert [step for step, _ in watching.batches] == [0, 3]


def test_the_first_augmented_batch_of_every_epoch_is_shown(tmp_path):
    watching = Watching()
    train(tmp_path, BrightOrDark(), recipe(), observers=Observers([watching], print))  # two epochs of three steps
    assert [step for step, _ in watching.batches] == [0, 3]
    assert all(clip.dtype == torch.uint8 for _, clip in watching.batches)


def test_gradients_are_shown_at_every_log_interval(tmp_path):
    watching = Watching()
    task = BrightOrDark()
    train(tmp_path, task, recipe(log_every=2), observers=Observers([watching], print))
    assert [step for step, _ in watching.gradients][:2] == [2, 3]  # the end of an epoch is one too
    assert watching.gradients[0][1].keys() == dict(task.state.named_parameters()).keys()


def test_watching_changes_nothing(tmp_path):
    watched, alone = BrightOrDark(), BrightOrDark()
    train(tmp_path / "watched", watched, recipe(), observers=Observers([Watching()], print))
    train(tmp_path / "alone", alone, recipe())
    assert same_weights(watched, alone)
