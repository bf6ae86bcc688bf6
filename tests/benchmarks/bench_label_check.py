"""How many planted wrong labels `zoo data check` finds: precision and recall on the films of `motions`.

    python tests/benchmarks/bench_label_check.py

Every twelfth of the 600 training films gets the name of another class. The small 3-D CNN of `quickstart` is trained on
these labels, wrong ones included, for three epochs, and then judges them: by its features and by its own predictions.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from zoo.build import build
from zoo_registry.catalog import cache_folder, catalog

EVERY = 12
RECIPE = """
zoo: 1
task: classification
model: basic/cnn3d
data:
  train: {name: manifest, params: {path: noisy.csv}}
  val: {name: manifest, params: {path: noisy.csv}}
loss: losses/cross_entropy
optim:
  name: adamw
  params: {lr: 3e-3, weight_decay: 0.01}
  schedule: {name: one_cycle, params: {warmup: 0.2}}
run: {epochs: 3, batch: 32, seed: 0}
"""


def plant(folder: Path) -> set[str]:
    """Write the recipe and its manifest; the films that got a wrong label."""
    planted = set()
    with (folder / "noisy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        for split in ("train", "val"):
            provided = {"split": split, "cache": cache_folder(), "seed": 0}
            source = build(catalog().resolve("source", "motions"), {}, provided)
            for index, sample in enumerate(source.samples):
                label = sample.targets["label_b"]
                if split == "train" and index % EVERY == EVERY // 2:
                    other = source.labels.index(label) + 1 + index // EVERY % (len(source.labels) - 1)
                    label = source.labels[other % len(source.labels)]
                    planted.add(str(sample.media))
                writer.writerow((sample.media, label, split))
    (folder / "noisy.yaml").write_text(RECIPE)
    return planted


def zoo(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "zoo.cli", *words], cwd=folder, capture_output=True, check=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = plant(folder)
        zoo(folder, "run", "noisy.yaml")
        for judge in ("--embed", "--model"):
            zoo(folder, "data", "check", "noisy.yaml", "--split", "train", judge, "runs/noisy", "--out", judge)
            findings = json.loads((folder / judge / "audit.json").read_text())["findings"]
            for kinds in (("label",), ("label", "doubt")):
                said = {finding["samples"][0]["media"] for finding in findings if finding["kind"] in kinds}
                right = len(said & planted)
                numbers = f"{right / max(1, len(said)):.2f}, recall {right / len(planted):.2f}"
                print(f"{judge} {' and '.join(kinds):16} {len(said)} said, {len(planted)} planted: precision {numbers}")


if __name__ == "__main__":
    main()
