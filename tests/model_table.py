"""Puts every model through what its table promises, and writes docs/model_checks.md.

    python -m tests.model_table                             all models: hours on two cores
    python -m tests.model_table 'video/x3d*' 'basic/*'      those that match; what is known of the others stays
    python -m tests.model_table --jobs 16                   so many models at a time

Exit 1 when a check fails that the entry's `limits` do not declare. Every model runs in processes of its own, which are
ended when a check takes too long.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import date
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from zoo.testing import ModelConformance
from zoo.testing.capabilities import check_batch1, check_bf16, check_channels_last, check_compile, check_export
from zoo_registry.catalog import Listed, catalog
from zoo_registry.errors import ZooError

ROOT = Path(__file__).resolve().parent.parent
FACTS, PAGE = ROOT / "docs" / "model_checks.json", ROOT / "docs" / "model_checks.md"

CHECKS = {
    "export": "`torch.export` gives a program with the same answers.",
    "compile": "`torch.compile(fullgraph=True)` compiles it as one graph, which gives the same answers.",
    "bf16": "Under bfloat16 autocast the answers move by less than a tenth of their length; gradients are finite.",
    "channels_last": "With weights and clips in channels-last order (3-D where they are 3-D) the answers are the same.",
    "batch1": "A sample alone gets the answer that it gets among others.",
    "safetensors": "Saved and loaded strictly, key by key, it gives the same answers bit for bit.",
    "deterministic": "The same seed builds the same weights, gives the same answers and the same gradients.",
}
"""Every check, and what it asks for."""

NETWORK_CHECKS = {
    "export": check_export,
    "compile": check_compile,
    "bf16": check_bf16,
    "channels_last": check_channels_last,
    "batch1": check_batch1,
}
"""Those that look at a network and two samples; they are what an entry's `limits` may except."""

OF_FAMILIES = {
    "timm": ("resnet50", "vit_small_patch16_224", "convnext_tiny", "efficientnet_b0", "swin_tiny_patch4_window7_224"),
}
"""What stands for families of many models in one namespace."""

FRAMES, SIZES = (1, 2, 4, 8, 13, 16), (16, 32, 36, 48, 64, 96, 112, 128, 144, 160, 224)


@dataclass(frozen=True)
class Row:
    """What is known of a model.

    Attributes:
        clip: (T, H, W) of the smallest clip that it takes, on which it was checked; empty for other inputs.
        failed: what went wrong, by check; checks that are not in it passed.
        unchecked: why nothing was checked, such as packages that are not installed.
        machine: what it ran on.
        day: when.
    """

    clip: tuple[int, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    unchecked: str = ""
    machine: str = ""
    day: str = ""


# ------------------------------------------------------------------------------------------------ one model


def work(name: str, checks: Sequence[str]) -> None:
    """Check one model; a line of JSON for its clip, and for the beginning and the end of every check."""
    listed = catalog().resolve("model", name)
    try:
        listed.resolve_builder()
    except ZooError as error:
        _say(unchecked=str(error.problems[0]))
        return
    subject = subject_of(listed)
    _say(clip=[subject.specs["clip"].frames, *subject.specs["clip"].height_width] if subject.specs["clip"] else [])
    for check in checks:
        _say(begin=check)
        started = time.perf_counter()
        try:
            _run(check, subject)
            why = ""
        except Exception as error:  # whatever a model or torch raises is the finding
            why = f"{type(error).__name__}: {error}".strip()
        _say(end=check, why=_first_lines(why), seconds=round(time.perf_counter() - started, 1))


def subject_of(listed: Listed) -> ModelConformance:
    """A model's checks, for a small clip that it takes.

    That has the fewest frames at the model's own size, and then the smallest size of so many. A model that takes more
    than clips and sound is checked on what its own tests give it.
    """
    own, inputs = listed.model.clip, listed.model.inputs
    if not all(name.endswith("_bcthw") or name == "audio_bcn" for name in inputs):
        return _tested(listed.name)
    if own is None:
        return _with_clip(listed.name)
    shorter = [_with_clip(listed.name, frames=frames, resize=None) for frames in FRAMES if frames < own.frames]
    short = next(filter(_sees, shorter), _with_clip(listed.name, resize=None))
    most = max(SIZES) + 1 if own.native else min(own.height_width)
    smaller = [_with_clip(listed.name, **{**short.clip, "size": size}) for size in SIZES if size < most]
    return next(filter(_sees, smaller), short)


def _with_clip(name: str, **clip: Any) -> ModelConformance:
    return type("Subject", (ModelConformance,), {"name": name, "clip": clip})()


def _sees(subject: ModelConformance) -> bool:
    """Whether a model can be built for a clip, and learn from two of them; tried without memory."""
    try:
        with torch.device("meta"):
            subject.network().train()(*(tensor.to("meta") for tensor in subject.example()))
    except Exception:  # too small is said in as many ways as there are models
        return False
    return True


def _tested(name: str) -> ModelConformance:
    """The checks that the tests have for a model.

    Raises:
        LookupError: they have none.
    """
    for path in sorted((ROOT / "tests" / "plugins").rglob("test_*conformance.py")):
        module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for checks in vars(module).values():
            if (
                isinstance(checks, type)
                and issubclass(checks, ModelConformance)
                and getattr(checks, "name", "") == name
            ):
                return checks()
    raise LookupError(f"no test says what {name} takes")


def _run(check: str, subject: ModelConformance) -> None:
    if check == "safetensors":
        with tempfile.TemporaryDirectory() as folder:
            subject.test_is_saved_and_loaded_without_loss(Path(folder))
    elif check == "deterministic":
        subject.test_the_same_seed_builds_the_same_weights()
        subject.test_answers_the_same_question_the_same_way()
        subject.test_the_same_seed_gives_the_same_gradients()
    else:
        NETWORK_CHECKS[check](subject.network(), subject.example())


def _say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def _first_lines(text: str, most: int = 300) -> str:
    """The beginning of an error, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


# ------------------------------------------------------------------------------------------------ all models


def chosen(patterns: Sequence[str]) -> list[str]:
    """Our models that match a pattern, or all of them; families by those that stand for them."""
    names = [listed.name for listed in catalog().list("model") if listed.plugin.is_own]
    for namespace, few in OF_FAMILIES.items():
        names = [name for name in names if not name.startswith(f"{namespace}/")] + [
            f"{namespace}/{each}" for each in few
        ]
    return [name for name in names if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]


def checked(name: str, limit: float) -> tuple[Row, list[str]]:
    """Run every check of a model, going on in a new process behind one that took too long or ended its process.

    Returns:
        What was found, and a line about every check.
    """
    lines: list[str] = []
    failed: dict[str, str] = {}
    clip: tuple[int, ...] = ()
    left = list(CHECKS)
    while left:
        facts, ending = _of_process([sys.executable, "-m", "tests.model_table", "--worker", name, *left], limit)
        begun = None
        for fact in facts:
            if "unchecked" in fact:
                row = Row(unchecked=fact["unchecked"], machine=machine(), day=str(date.today()))
                return row, [f"  not checked: {row.unchecked}"]
            clip = tuple(fact.get("clip", clip))
            begun = fact.get("begin")
            if "end" in fact:
                left.remove(fact["end"])
                lines.append(f"  {fact['end']:<14} {fact['seconds']:>6.1f} s  {fact['why'] or 'passed'}")
                if fact["why"]:
                    failed[fact["end"]] = fact["why"]
        if left:
            stopped = begun or left[0]
            left = left[left.index(stopped) + 1 :]
            failed[stopped] = ending
            lines.append(f"  {stopped:<14}           {ending}")
    return Row(clip, failed, "", machine(), str(date.today())), lines


_RUNNING: set[subprocess.Popen[Any]] = set()
"""The processes that check a model now."""


def _of_process(command: Sequence[str], limit: float) -> tuple[list[dict[str, Any]], str]:
    """What a process printed, and how it ended; it is killed when nothing new comes for `limit` seconds."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(command, stdout=printed, stderr=complaints, cwd=ROOT, start_new_session=True)
        size, since, ending = 0, time.monotonic(), ""
        _RUNNING.add(process)
        try:
            while process.poll() is None and not ending:
                time.sleep(0.2)
                now = os.fstat(printed.fileno()).st_size
                size, since = (size, since) if now == size else (now, time.monotonic())
                if time.monotonic() - since > limit:
                    ending = f"took longer than {limit:g} s"
        finally:
            _RUNNING.discard(process)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        printed.seek(0)
        complaints.seek(0)
        facts = [json.loads(line) for line in printed if line.startswith("{") and line.endswith("}\n")]
        last = (complaints.read().strip().splitlines() or [""])[-1]
        return facts, ending or f"its process ended with {process.returncode}: {_first_lines(last)}"


def machine() -> str:
    """Processor, cores, torch."""
    names = [line.partition(":")[2].strip() for line in _cpu_info() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"


def _cpu_info() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def undeclared(rows: Mapping[str, Row]) -> Iterator[str]:
    """Every check that failed and that the entry's `limits` say nothing of."""
    for name, row in rows.items():
        limits = catalog().resolve("model", name).model.limits
        for check, why in row.failed.items():
            if check not in limits:
                yield f"{name} fails {check}, which its limits do not declare: {why}"


# ------------------------------------------------------------------------------------------------ the page

_HEAD = """\
# What every model goes through

<!-- written by `make model-table`; do not edit -->

Each model is built for the smallest clip that it takes, with random weights, and checked on the processor:

{checks}

✓ passed. A number leads to what a model cannot do, below the table.

{machines}
"""


def page(rows: Mapping[str, Row]) -> str:
    """The page of all that is known."""
    notes: list[str] = []
    lines = [f"| model | clip | {' | '.join(CHECKS)} |", f"| --- | --- |{' --- |' * len(CHECKS)}"]
    for name, row in sorted(rows.items()):
        cells = [_cell(name, row, check, notes) for check in CHECKS]
        lines.append(f"| `{name}` | {'×'.join(map(str, row.clip)) or '–'} | {' | '.join(cells)} |")
    where = sorted({f"- {row.day}: {row.machine}" for row in rows.values()})
    head = _HEAD.format(
        checks="\n".join(f"- **{name}**: {text}" for name, text in CHECKS.items()), machines="\n".join(where)
    )
    exceptions = [f"{number}. {note}" for number, note in enumerate(notes, start=1)] or ["None."]
    return "\n".join([head, *lines, "", "## Exceptions", "", *exceptions, ""])


def _cell(name: str, row: Row, check: str, notes: list[str]) -> str:
    declared = catalog().resolve("model", name).model.limits.get(check)
    if row.unchecked:
        note = f"`{name}` was not checked: {row.unchecked}"
    elif check in row.failed:
        note = f"`{name}`, {check}: {declared or f'fails, undeclared: {row.failed[check]}'}"
    elif declared:
        note = f"`{name}`, {check} passed here, though its entry says: {declared}"
    else:
        return "✓"
    if note not in notes:
        notes.append(note)
    return str(notes.index(note) + 1)


def known() -> dict[str, Row]:
    """What earlier runs found, of the models that are still there."""
    if not FACTS.is_file():
        return {}
    rows = json.loads(FACTS.read_text(encoding="utf-8"))
    there = set(chosen(()))
    return {name: Row(**{**row, "clip": tuple(row["clip"])}) for name, row in rows.items() if name in there}


def write(rows: Mapping[str, Row]) -> None:
    """Keep the facts, and the page that is made of them."""
    facts = {name: asdict(row) for name, row in sorted(rows.items())}
    FACTS.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(rows), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Check, write, and say what is not declared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of models, * for any part; all by default")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a check may take")
    parser.add_argument("--jobs", type=int, default=1, help="how many models are checked at a time")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options.patterns[0], options.patterns[1:])
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a check under way is ended too
    rows = known()
    names = chosen(options.patterns)
    if options.jobs > 1:  # processes that run beside each other share the cores
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // options.jobs)))
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    with ThreadPoolExecutor(options.jobs) as pool:
        started = {pool.submit(checked, name, options.limit): name for name in names}
        try:
            for done, result in enumerate(as_completed(started), start=1):
                name = started[result]
                rows[name], lines = result.result()
                write(rows)  # an interrupted run keeps what it found
                print(f"{name} ({done} of {len(names)})", *lines, sep="\n", flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(_RUNNING):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    complaints = list(undeclared({name: rows[name] for name in names}))
    print("\n".join(complaints) or "every failure is declared")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
