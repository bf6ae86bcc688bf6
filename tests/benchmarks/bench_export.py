"""How far exported files are from their models, on real clips.

    python tests/benchmarks/bench_export.py                      float32: ONNX and OpenVINO, two networks, ten films
    python tests/benchmarks/bench_export.py --int8 runs/quickstart   int8: first answers on that run's validation films

Random weights will do for float32, where the same sums are made; not for first answers, which are then anybody's guess:
for those a trained run is named (`zoo run quickstart` makes one in a minute). Speed is measured by `zoo bench`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path

import torch

import zoo
from zoo.export import export_model, load_file
from zoo.export.file_format import format_of
from zoo.export.raw_clips import prepared

SHARED = Path(os.environ.get("ZOO_SHARED", Path(__file__).parents[2].parent / "shared")) / "data" / "clips"
ALLOWED = 1e-4
AGREEMENT = 0.99


def float_parity(networks: list[str], formats: list[str], films: list[str]) -> bool:
    """Largest difference of two logits between a network and its file, over all films; says and returns whether all
    are within `ALLOWED`."""
    fine = True
    for name in networks:
        torch.manual_seed(0)
        model = zoo.load(name, pretrained=False, num_classes=400)
        batches = prepared(model, films)
        for to in formats:
            with tempfile.TemporaryDirectory() as folder, torch.no_grad():
                written = export_model(model, to, folder, films=films[:1])
                loaded = load_file(written.path, format_of(written.path))
                apart = max(
                    float((loaded(*batch.inputs.values()) - model(*batch.inputs.values())).abs().max())
                    for batch in batches
                )
            fine &= apart <= ALLOWED
            print(
                f"{name:16} {to:10} {len(films)} films  max |difference| {apart:.2e}  ({ALLOWED:g} allowed)", flush=True
            )
    return fine


def int8_agreement(run: str, formats: list[str]) -> bool:
    """Part of a run's validation films that an int8 file gives the model's first answer; calibrated on its training."""
    from zoo.export import description_of, export
    from zoo.runner.exporting import calibration_of
    from zoo.runner.pipeline import assemble
    from zoo.runner.stages import load_checked
    from zoo_registry.catalog import catalog

    model = zoo.load(run)
    pipeline = assemble(load_checked(Path(run) / "recipe.resolved.yaml"))
    with closing(pipeline.loader("val")) as loader:
        batches = [pipeline.preprocess(batch) for batch in loader.epoch(0)]
    fine = True
    for to in formats:
        with tempfile.TemporaryDirectory() as folder:
            listed = catalog().resolve("exporter", to)
            written = export(
                model.network,
                listed,
                {"int8": "static"},
                example=tuple(value[:1] for value in batches[0].inputs.values()),
                path=Path(folder) / f"model{listed.entry.suffix}",
                batches=batches,
                predict=model.reader.predict,
                inputs=model.inputs,
                calibration=calibration_of(pipeline),
                metadata=description_of(model),
            )
        fine &= written.agreement is not None and written.agreement >= AGREEMENT
        print(
            f"{model.name:16} {to:10} int8  {written.samples} films  first answers agree {written.agreement:.4f}  "
            f"difference {written.max_difference:.3f}  ({AGREEMENT:g} wanted)",
            flush=True,
        )
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--int8", metavar="RUN")
    parser.add_argument("--networks", default="r2plus1d_18,x3d_s")
    parser.add_argument("--formats", default="onnx,openvino")
    arguments = parser.parse_args()
    formats = arguments.formats.split(",")
    if arguments.int8:
        raise SystemExit(not int8_agreement(arguments.int8, formats))
    films = sorted(str(path) for path in SHARED.glob("*.mp4"))[:10]
    if len(films) < 10:
        raise SystemExit(f"skipped: needs ten films in {SHARED}; ZOO_SHARED names the folder above")
    raise SystemExit(not float_parity(arguments.networks.split(","), formats, films))


if __name__ == "__main__":
    main()
