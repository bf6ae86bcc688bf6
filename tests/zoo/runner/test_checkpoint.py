from __future__ import annotations

import errno
import hashlib
import json
import os
import resource

import pytest
import torch

from tests.zoo.runner.in_memory import BrightOrDark, recipe, same_weights, train
from zoo.runner.checkpoint import Checkpoints, checkpoint_name
from zoo_registry.errors import RunError


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def checkpoints(tmp_path, warnings):
    return Checkpoints(tmp_path / "checkpoints", keep=2, warn=warnings.append)


def save(checkpoints, step, best=()):
    checkpoints.save(checkpoint_name(step), {"weight": torch.full((64,), float(step))}, {"step": step}, best)


def test_what_is_read_is_what_was_written(checkpoints):
    tensors = {
        "half": torch.randn(3).to(torch.bfloat16),
        "count": torch.tensor(7),
        "turned": torch.randn(2, 3).T,
        "empty": torch.zeros(0),
    }
    record = {"loss": 0.1 + 0.2, "best": None, "nan": float("inf")}
    checkpoints.save("step-000001", tensors, record, ())
    read = checkpoints.newest()
    assert read.record == record
    assert all(torch.equal(read.tensors[name], value) for name, value in tensors.items())
    assert read.tensors["half"].dtype == torch.bfloat16


def test_tied_tensors_are_written(checkpoints):
    weight = torch.randn(4)
    checkpoints.save("step-000001", {"one": weight, "other": weight, "part": weight[:2]}, {}, ())
    read = checkpoints.newest().tensors
    assert torch.equal(read["one"], weight)
    assert torch.equal(read["other"], weight)
    assert torch.equal(read["part"], weight[:2])


def test_the_newest_and_the_best_stay(checkpoints):
    for step in range(1, 6):
        save(checkpoints, step, best=["step-000002"] if step >= 2 else [])
    assert checkpoints.names() == ["step-000002", "step-000004", "step-000005"]


def test_steps_are_ordered_as_numbers_and_the_end_of_an_epoch_comes_last(checkpoints):
    for name in ("step-1000000", "step-999999-epoch-end", "step-999999"):
        (checkpoints.folder / name).mkdir(parents=True)
    assert checkpoints.names() == ["step-999999", "step-999999-epoch-end", "step-1000000"]


@pytest.mark.parametrize("file", ["tensors.safetensors", "record.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_newest_is_skipped_with_a_warning(checkpoints, warnings, file, damage):
    save(checkpoints, 1)
    save(checkpoints, 2)
    path = checkpoints.folder / "step-000002" / file
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "lose":
        path.unlink()
    else:
        path.write_bytes(
            content[:middle] + (bytes([content[middle] ^ 1]) + content[middle + 1 :] if damage == "flip" else b"")
        )
    assert checkpoints.newest().record == {"step": 1}
    (warning,) = warnings
    assert "step-000002 is damaged" in warning
    assert "going back to the one before" in warning


def test_when_all_are_damaged_the_run_cannot_go_on(checkpoints):
    save(checkpoints, 1)
    (checkpoints.folder / "step-000001" / "record.json").write_text("{}")
    with pytest.raises(RunError, match=r"every checkpoint in .* is damaged"):
        checkpoints.newest()


def test_going_on_from_before_a_damaged_checkpoint_gives_the_same_weights(tmp_path):
    undisturbed, resumed = BrightOrDark(), BrightOrDark()
    schema = recipe(epochs=3, checkpoint={"every_steps": 2, "keep": 3})
    train(tmp_path / "undisturbed", undisturbed, schema)
    train(tmp_path / "run", BrightOrDark(), schema)
    newest = Checkpoints(tmp_path / "run" / "checkpoints", 3, warn=print).names()[-1]
    (tmp_path / "run" / "checkpoints" / newest / "tensors.safetensors").write_bytes(b"")
    train(tmp_path / "run", resumed, recipe(epochs=0), resume=True)
    assert newest not in Checkpoints(tmp_path / "run" / "checkpoints", 3, warn=print).names()
    train(tmp_path / "run", resumed, schema, resume=True)
    assert same_weights(undisturbed, resumed)


def test_a_full_disk_leaves_the_checkpoint_before_and_nothing_half_written(checkpoints, monkeypatch):
    save(checkpoints, 1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # where network file systems report it
    with pytest.raises(RunError, match="no space left on device; step-000001 is intact") as caught:
        save(checkpoints, 2)
    assert "free some space, then go on with --resume" in str(caught.value)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000001"]
    assert checkpoints.newest().record == {"step": 1}


def test_a_write_that_the_system_refuses_half_way_is_reported(checkpoints):
    save(checkpoints, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write checkpoint .*step-000002: file too large"):
            checkpoints.save("step-000002", {"weight": torch.zeros(1_000_000)}, {}, ())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-000001"]


def test_reading_leaves_what_a_run_is_writing_alone(tmp_path):
    (tmp_path / ".step-000009.tmp").mkdir()
    assert Checkpoints(tmp_path, keep=1, warn=print).newest() is None
    assert [path.name for path in tmp_path.iterdir()] == [".step-000009.tmp"]


def test_resuming_clears_away_what_a_killed_run_left_half_written(tmp_path):
    (tmp_path / "checkpoints" / ".step-000009.tmp").mkdir(parents=True)
    train(tmp_path, BrightOrDark(), recipe(epochs=0), resume=True)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_damaged_checkpoints_do_not_push_out_whole_ones(tmp_path):
    before = Checkpoints(tmp_path, keep=3, warn=print)
    for step in (10, 20, 30):
        save(before, step)
    for name in ("step-000020", "step-000030"):
        (tmp_path / name / "record.json").write_text("{}")
    resumed = Checkpoints(tmp_path, keep=2, warn=print)
    resumed.forget_after(resumed.newest().name)
    save(resumed, 15)
    assert resumed.names() == ["step-000010", "step-000015"]
    assert resumed.newest().record == {"step": 15}


def test_others_who_may_read_the_record_may_read_the_tensors(checkpoints):
    save(checkpoints, 1)
    modes = {path.stat().st_mode for path in (checkpoints.folder / "step-000001").iterdir()}
    assert len(modes) == 1


def test_a_checkpoint_of_another_format_is_not_called_damaged(checkpoints):
    save(checkpoints, 1)
    path = checkpoints.folder / "step-000001" / "record.json"
    body = json.loads(path.read_text())
    del body["sha256"]
    body["format"] = 1
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**body, "sha256": digest}))
    with pytest.raises(RunError, match="is of format 1, and this version of videozoo reads 2"):
        checkpoints.newest()
