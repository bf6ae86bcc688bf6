"""Puts one model of every family through every compression strategy, and writes docs/compression_checks.md.

    python -m tests.compression_table                       all: about half an hour on two cores
    python -m tests.compression_table 'compress/low_rank'   strategies that match; what is known of the others stays

Exit 1 where a strategy neither works nor refuses a model before it has changed anything. Every model is compressed in a
process of its own, which is ended when a strategy takes too long.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.model_table import _first_lines, _of_process, machine
from zoo.build import build
from zoo.complexity import complexity
from zoo.testing import ModelConformance
from zoo.testing.compression import RandomContext
from zoo_registry.catalog import catalog
from zoo_registry.errors import ZooError

ROOT = Path(__file__).resolve().parent.parent
FACTS, PAGE = ROOT / "docs" / "compression_checks.json", ROOT / "docs" / "compression_checks.md"

MODELS: Mapping[str, Mapping[str, Any]] = {
    "torchvision/r3d_18": {"frames": 4, "size": 32},
    "video/x3d_s": {"frames": 4, "size": 64},
    "video/slowfast_r50": {"frames": 32, "size": 64},
    "torchvision/mvit_v2_s": {"frames": 16, "size": 112},
    "transformers/videomae_s": {"frames": 4, "size": 64},
    "video/tsn": {"frames": 3, "size": 64},
}
"""One of every family, and the clip that it is built for here."""

PARAMS: Mapping[str, Mapping[str, Any]] = {
    "compress/prune_magnitude": {"amount": 0.5},
    "compress/prune_channels": {"ratio": 0.5},
    "compress/low_rank": {"ratio": 0.5},
    "compress/quantize_int8": {"batches": 1},
    "compress/merge_tokens": {"ratio": 0.1},
    "compress/early_exit": {"batches": 1},
    "compress/fine_tune": {"lr": 1e-4, "batches": 1, "teacher": 1.0},
}
"""What strategies are asked for that want more than their own values."""


@dataclass(frozen=True)
class Cell:
    """What came of a strategy on a model.

    Attributes:
        outcome: `works`, `refused` or `failed`.
        why: the words of a refusal or failure.
        gmacs, parameters, bytes: part of the original's that is left.
        seconds: how long it took.
        machine: what it ran on.
        day: when.
    """

    outcome: str
    why: str = ""
    gmacs: float | None = None
    parameters: float | None = None
    bytes: float | None = None
    seconds: float = 0.0
    machine: str = ""
    day: str = ""


def strategies(patterns: Sequence[str] = ()) -> list[str]:
    """Our strategies that match a pattern, or all of them."""
    names = [listed.name for listed in catalog().list("compression") if listed.plugin.is_own]
    return [name for name in names if not patterns or any(fnmatch(name, pattern) for pattern in patterns)]


def attempt(model: str, strategy: str, params: Mapping[str, Any] | None = None, **clip: Any) -> Cell:
    """Compress a model with random weights, rebuild it from record and weights, and compare the two."""
    subject = type("Subject", (ModelConformance,), {"name": model, "clip": {**clip, "resize": None}})()
    network, example = subject.network(), subject.example()
    context = RandomContext(example, copy.deepcopy(network))
    listed = catalog().resolve("compression", strategy)
    started = time.perf_counter()
    try:
        apply = build(listed, PARAMS.get(strategy, {}) if params is None else params)
        changed, record = apply(copy.deepcopy(network), context)
    except ZooError as error:
        return Cell("refused", _first_lines(str(error.problems[0].message)))
    except Exception as error:  # what a strategy was not meant to do
        return Cell("failed", _first_lines(f"{type(error).__name__}: {error}"))
    changed.eval()
    wrong = _rebuilt_wrongly(subject, listed, changed, json.loads(json.dumps(record)), example)
    if wrong:
        return Cell("failed", wrong)
    one = tuple(tensor[:1] for tensor in example)
    before, after = complexity(network, one), complexity(changed, one)
    return Cell(
        "works",
        gmacs=round(after.gmacs / before.gmacs, 3),
        parameters=round(after.parameters / before.parameters, 3),
        bytes=round(_bytes(changed) / _bytes(network), 3),
        seconds=round(time.perf_counter() - started, 1),
    )


def _rebuilt_wrongly(
    subject: ModelConformance, listed: Any, changed: nn.Module, record: Any, example: tuple[Tensor, ...]
) -> str:
    """How a model that is built anew differs from the compressed one; empty where it does not."""
    try:
        with torch.device("meta"):
            fresh = subject.network()
        rebuilt = listed.resolve_builder("restore")(fresh, record)
        rebuilt.load_state_dict(changed.state_dict(), strict=True, assign=True)
        with torch.no_grad():
            expected, found = changed(*example), rebuilt.eval()(*example)
    except Exception as error:
        return _first_lines(f"cannot be rebuilt: {type(error).__name__}: {error}")
    if expected.shape != found.shape or not expected.isfinite().all():
        return f"answers {tuple(found.shape)}, or numbers that are not finite"
    apart = float((expected.float() - found.float()).abs().max())
    return "" if apart == 0 else f"answers otherwise once it is rebuilt, by {apart:.3g}"


def _bytes(network: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def work(model: str, names: Sequence[str]) -> None:
    """Try strategies on one model; a line of JSON before and after each."""
    for name in names:
        print(json.dumps({"begin": name}), flush=True)
        print(json.dumps({"end": name, "cell": asdict(attempt(model, name, **MODELS[model]))}), flush=True)


def checked(model: str, names: Sequence[str], limit: float) -> dict[str, Cell]:
    """What came of every strategy, going on in a new process behind one that took too long or ended its process."""
    found: dict[str, Cell] = {}
    left = list(names)
    where = {"machine": machine(), "day": str(date.today())}
    while left:
        facts, ending = _of_process([sys.executable, "-m", "tests.compression_table", "--worker", model, *left], limit)
        begun = left[0]
        for fact in facts:
            begun = fact.get("begin", begun)
            if "end" in fact:
                left.remove(fact["end"])
                found[fact["end"]] = Cell(**{**fact["cell"], **where})
        if left:
            stopped = begun if begun in left else left[0]
            left.remove(stopped)
            found[stopped] = Cell("failed", ending, **where)
    return found


_HEAD = """\
# What every strategy does to every kind of model

<!-- written by `make compression-table`; do not edit -->

Each strategy compresses each model once, with random weights and a small clip, on the processor. Then the model is
built anew from what would be stored, and has to answer the same to the last bit.

The two numbers are the part of the multiply-adds and of the stored bytes that is left. A number in brackets leads to
why a strategy refuses a model, which it does before it changes anything.

{machines}
"""


def page(rows: Mapping[str, Mapping[str, Cell]]) -> str:
    """The page of all that is known."""
    notes: list[str] = []
    lines = [
        f"| strategy | {' | '.join(f'`{_short(model)}`' for model in MODELS)} |",
        f"| --- |{' --- |' * len(MODELS)}",
    ]
    for strategy in strategies():
        cells = [_cell(rows.get(model, {}).get(strategy), strategy, model, notes) for model in MODELS]
        lines.append(f"| `{_short(strategy)}` | {' | '.join(cells)} |")
    where = sorted({f"- {cell.day}: {cell.machine}" for cells in rows.values() for cell in cells.values()})
    why = [f"{number}. {note}" for number, note in enumerate(notes, start=1)] or ["None."]
    return "\n".join([_HEAD.format(machines="\n".join(where)), *lines, "", "## Refused", "", *why, ""])


def _cell(cell: Cell | None, strategy: str, model: str, notes: list[str]) -> str:
    if cell is None:
        return "not tried"
    if cell.outcome == "works":
        return f"✓ {cell.gmacs:.2f} {cell.bytes:.2f}"
    word = "" if cell.outcome == "refused" else "FAILED: "
    notes.append(f"`{_short(strategy)}` of `{_short(model)}`: {word}{cell.why}")
    return f"({len(notes)})"


def _short(name: str) -> str:
    return name.partition("/")[2]


def known() -> dict[str, dict[str, Cell]]:
    """What earlier runs found, of the models and strategies that are still there."""
    if not FACTS.is_file():
        return {}
    there = set(strategies())
    rows = json.loads(FACTS.read_text(encoding="utf-8"))
    return {
        model: {name: Cell(**cell) for name, cell in cells.items() if name in there}
        for model, cells in rows.items()
        if model in MODELS
    }


def write(rows: Mapping[str, Mapping[str, Cell]]) -> None:
    """Keep the facts, and the page that is made of them."""
    facts = {model: {name: asdict(cell) for name, cell in sorted(rows[model].items())} for model in sorted(rows)}
    FACTS.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(rows), encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Try, write, and say what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="names of strategies, * for any part; all by default")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a strategy may take")
    parser.add_argument("--models", default="*", help="pattern of models")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        work(options.patterns[0], options.patterns[1:])
        return 0
    rows, failed = known(), 0
    for model in [model for model in MODELS if fnmatch(model, options.models)]:
        cells = checked(model, strategies(options.patterns), options.limit)
        rows[model] = {**rows.get(model, {}), **cells}
        write(rows)  # an interrupted run keeps what it found
        print(model)
        for name, cell in cells.items():
            left = f"gmacs {cell.gmacs}, parameters {cell.parameters}, bytes {cell.bytes}" if cell.gmacs else cell.why
            print(f"  {name:<26} {cell.outcome:<8} {cell.seconds:>6.1f} s  {left}", flush=True)
            failed += cell.outcome == "failed"
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
