"""Bad files are kept once, with their reason, across runs."""

from __future__ import annotations

import json
from pathlib import Path

from zoo.data import BadFile, Quarantine


def test_a_file_is_written_once_with_everything_known_about_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "quarantine.jsonl"
    quarantine = Quarantine(path)
    bad = BadFile("films/ä.mp4", "the file is empty", "train", traceback="Traceback ...")
    assert quarantine.add(bad)
    assert not quarantine.add(bad)
    (line,) = path.read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row | {"time": ""} == {
        "media": "films/ä.mp4", "reason": "the file is empty", "split": "train", "start": None, "end": None,
        "traceback": "Traceback ...", "time": "",
    }  # fmt: skip
    assert row["time"].endswith("+00:00")


def test_a_resumed_run_knows_what_was_found_before(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    Quarantine(path).add(BadFile("a.mp4", "the file is empty", "train"))
    again = Quarantine(path)
    assert [bad.media for bad in again.entries] == ["a.mp4"]
    assert not again.add(BadFile("a.mp4", "the file is empty", "train"))
    assert len(path.read_text().splitlines()) == 1


def test_a_line_that_a_killed_run_left_half_written_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    Quarantine(path).add(BadFile("a.mp4", "the file is empty", "train"))
    path.write_text(path.read_text() + '{"media": "b.m')
    again = Quarantine(path)
    assert [bad.media for bad in again.entries] == ["a.mp4"]
    assert again.add(BadFile("c.mp4", "the file is empty", "train"))
    assert [bad.media for bad in Quarantine(path).entries] == ["a.mp4", "c.mp4"]


def test_one_file_in_two_splits_is_two_findings() -> None:
    quarantine = Quarantine()
    quarantine.add(BadFile("a.mp4", "the file is empty", "train"))
    quarantine.add(BadFile("a.mp4", "the file is empty", "val"))
    assert len(quarantine) == 2
