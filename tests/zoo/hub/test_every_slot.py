"""One recipe with every slot filled, published to the Hub, loaded by somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .conftest import Client
from .server import HubServer

RECIPE = """
zoo: 1
task: classification
model: {name: cnn3d, params: {dropout: 0.1}}
data:
  train: {name: motions, params: {count: 36}}
  val: {name: motions, params: {count: 36}}
  clip: {frames: 8}
augment:
  - {name: color_jitter, params: {brightness: 0.2}}
  - {name: random_resized_crop, params: {scale: [0.8, 1.0]}}
loss:
  - {name: acme/focal, weight: 0.5}
  - {name: cross_entropy, params: {label_smoothing: 0.1}, weight: 0.5}
optim: {name: adamw, params: {lr: 1e-3}, schedule: {name: cosine, params: {warmup: 0.1}}}
run: {epochs: 1, batch: 8, accumulate: 2, clip_grad_norm: 5.0, seed: 3, early_stop: {patience: 2}}
compress:
  - {name: prune_magnitude, params: {amount: 0.3}}
  - quantize_int8
export: [onnx]
publish: {repo: me/every-slot, tag: v1, licence: mit}
"""


def test_what_every_slot_made_loads_elsewhere_and_answers_the_same(
    hub: HubServer, writer: Client, stranger: Client, tmp_path: Path
) -> None:
    (tmp_path / "every.yaml").write_text(RECIPE)
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    run = subprocess.run(
        [sys.executable, "-m", "zoo.cli", "run", "every.yaml", "--out", "run"],
        cwd=tmp_path,
        env=ours | hub.environment(writer.home, writer.token) | {"ZOO_CACHE": ours["ZOO_CACHE"]},
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr

    torch.manual_seed(0)
    clip = tmp_path / "clip.safetensors"
    save_file({"clip_bcthw": torch.rand(2, 3, 8, 32, 32)}, clip)
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    writer(":forward", f"file:{tmp_path / 'run'}", clip, here)
    answer = stranger(":forward", "hf://me/every-slot@v1", clip, there)
    assert answer.error is None, answer.error
    assert "compress/prune_magnitude" in answer.value
    assert "licence mit" in answer.value
    assert torch.equal(load_file(here)["output"], load_file(there)["output"])


def test_a_published_recipe_can_be_read_from_its_repository(
    hub: HubServer, writer: Client, stranger: Client, saved: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.resolved.yaml"
    recipe.write_text(
        "zoo: 1\ntask: tasks/classification\nmodel: {name: basic/cnn3d}\ndata: {train: {name: sources/motions}}\n"
    )
    published = writer.publish(saved, "me/with-recipe", extra_files={"recipe.resolved.yaml": recipe})
    assert published.error is None, published.error
    done = subprocess.run(
        [sys.executable, "-m", "zoo.cli", "explain", published.value],
        env={key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        | hub.environment(stranger.home),
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "basic/cnn3d" in done.stdout
