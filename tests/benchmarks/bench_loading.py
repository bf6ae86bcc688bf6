"""How long a cached model of 86 million parameters takes to load, beside what its own library takes.

    python tests/benchmarks/bench_loading.py [--rounds 7] [--profile]

Random weights are saved by timm's and transformers' own functions, put on the loopback Hub and pulled from there by a
process with an empty cache, which then loads them in turn:

    zoo      zoo.load("hf://...@commit"): found in the cache, verified, built, filled, strict keys
    bare     safetensors.torch.load_file and the bare module on the meta device, nothing put together
    own      timm.create_model("hf-hub:...", pretrained=True), or VideoMAEForVideoClassification.from_pretrained

Wall and CPU seconds are medians; other work on the machine shows in the wall time. Wanted: zoo at most 1.3 times bare,
and at most half of own. Weights are mapped by zoo and bare: their bytes are read by whoever uses them first, so the
time of the first forward pass is shown as well. transformers computes VideoMAE's table of positions in a loop, which
is most of what its bare module takes.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"timm/vit_base": "timm", "org/videomae_base": "transformers"}


def publish(folder: Path) -> dict[str, Path]:
    """The models as their libraries save them."""
    import timm
    from timm.models import save_for_hf
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification

    folders = {name: folder / name for name in MODELS}
    save_for_hf(timm.create_model("vit_base_patch16_224"), str(folders["timm/vit_base"]), safe_serialization=True)
    config = VideoMAEConfig(num_labels=400, use_mean_pooling=True)
    VideoMAEForVideoClassification(config).save_pretrained(folders["org/videomae_base"])
    return folders


def measured(action: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def client(orders: dict[str, str], rounds: int, profile: bool) -> None:
    """Pull, then load in turn; prints a line of JSON for each model."""
    warnings.simplefilter("ignore")
    import timm
    import torch
    from huggingface_hub import snapshot_download
    from safetensors.torch import load_file
    from transformers import AutoConfig, VideoMAEForVideoClassification

    import zoo

    torch.set_num_threads(2)
    for name, commit in orders.items():
        uri = f"hf://{name}@{commit}"
        first = measured(lambda uri=uri: zoo.load(uri))
        time.sleep(2.5)  # a file's checksum is remembered once its times have settled
        zoo.load(uri)
        folder = Path(snapshot_download(name, revision=commit, local_files_only=True))

        def bare(name: str = name, folder: Path = folder) -> Any:
            with torch.device("meta"):
                if name.startswith("timm/"):
                    module = timm.create_model("vit_base_patch16_224")
                else:
                    module = VideoMAEForVideoClassification(AutoConfig.from_pretrained(folder))
            return module, load_file(folder / "model.safetensors")

        def own(name: str = name, commit: str = commit, folder: Path = folder) -> Any:
            if name.startswith("timm/"):
                return timm.create_model(f"hf-hub:{name}@{commit}", pretrained=True)
            return VideoMAEForVideoClassification.from_pretrained(folder)

        def ours(uri: str = uri) -> Any:
            return zoo.load(uri)

        ways = {"zoo": ours, "bare": bare, "own": own}
        for way in ways.values():
            way()
        times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, action in ways.items():
                times[way].append(measured(action))
        row: dict[str, Any] = {"model": name, "first": first}
        for way, taken in times.items():
            row[way] = [statistics.median(values) for values in zip(*taken, strict=True)]
        model = ours()
        clip_bcthw = torch.zeros(1, 3, 1 if name.startswith("timm/") else 16, 224, 224)
        with torch.inference_mode():
            row["first forward"] = measured(lambda model=model, clip=clip_bcthw: model(clip))
        print(json.dumps(row), flush=True)
        if profile:
            profiler = cProfile.Profile()
            profiler.runcall(ours)
            pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(35)


def main() -> None:
    """Publish, run a client process, print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        client(json.loads(arguments.client), arguments.rounds, arguments.profile)
        return
    sys.path.insert(0, str(ROOT))
    from tests.zoo.hub.server import HubServer

    with tempfile.TemporaryDirectory() as folder, HubServer() as hub:
        orders = {}
        for name, saved in publish(Path(folder) / "saved").items():
            orders[name] = hub.put(name, {path.name: path.read_bytes() for path in saved.iterdir()})
        command = [sys.executable, __file__, "--rounds", str(arguments.rounds), "--client", json.dumps(orders)]
        caches = {**hub.environment(Path(folder) / "hf"), "ZOO_CACHE": str(Path(folder) / "zoo")}
        done = subprocess.run(
            command + (["--profile"] if arguments.profile else []),
            env={key: value for key, value in os.environ.items() if not key.startswith("HF_")} | caches,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    for line in done.stdout.splitlines():
        row = json.loads(line)
        print(f"\n{row.pop('model')}            wall s    CPU s")
        for way, (wall, cpu) in row.items():
            print(f"  {way:16}{wall:10.3f}{cpu:9.3f}")
        for other in ("bare", "own"):
            wall, cpu = (mine / theirs for mine, theirs in zip(row["zoo"], row[other], strict=True))
            print(f"  zoo / {other:10}{wall:10.2f}{cpu:9.2f}")


if __name__ == "__main__":
    main()
