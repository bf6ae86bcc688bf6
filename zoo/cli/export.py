"""`zoo export`."""

from __future__ import annotations

import click


@click.command(epilog="Example:  zoo export runs/quickstart --to onnx --film a.mp4 --set int8=static")
@click.argument("model")
@click.option("--to", "exporter", required=True, metavar="FORMAT", help="An exporter by name: onnx, openvino, ...")
@click.option("--set", "params", multiple=True, metavar="KEY=VALUE", help="Parameters of the exporter: int8=static.")
@click.option(
    "--out", metavar="FILE", help="The file, or a folder (deploy/) for model.onnx and so on; by default this one."
)
@click.option(
    "--film", "films", multiple=True, metavar="FILM", help="Compare the file on this film, and calibrate on it."
)
@click.option("--noise", is_flag=True, help="Compare on noise, where there are no films.")
@click.option("--preprocess", is_flag=True, help="The file takes uint8 frames of any size and prepares them itself.")
def export(
    model: str,
    exporter: str,
    params: tuple[str, ...],
    out: str | None,
    films: tuple[str, ...],
    noise: bool,
    preprocess: bool,
) -> None:
    """Write a model in a file format of deployment, and compare the file with it.

    MODEL is a name with a tag, a run or a model folder; an exported file is not written again. What was written is
    read back and shown the same clips; a file that says something else is not kept. `zoo show onnx` lists the
    parameters of a format.
    """
    from zoo.benchmark.side import parameters_of
    from zoo.cli.columns import in_bytes
    from zoo.export import export_model
    from zoo.export.file_format import file_reference
    from zoo.export.model_export import exported_already
    from zoo.export.target import target_of
    from zoo.model import load
    from zoo.runner.progress import Progress
    from zoo_registry.catalog import catalog

    given = parameters_of(params)
    listed = catalog().resolve("exporter", exporter)
    listed.check_requirements()
    if (file := file_reference(model)) is not None and file[0].is_file():
        raise exported_already(file[0])
    target_of(out, listed)  # before a model is loaded in vain
    with Progress() as progress:
        written = export_model(
            load(model), exporter, out, params=given, films=films, noise=noise, preprocess=preprocess,
            progress=progress.say,
        )  # fmt: skip
    agreement = "" if written.agreement is None else f", the same first answer for {written.agreement:.1%}"
    clips = f"{written.samples} {'clips' if films else 'samples of noise'}"
    click.echo(f"{written.path}  {in_bytes(written.bytes)}  {written.latency_ms:.1f} ms a clip on the CPU")
    click.echo(f"difference {written.max_difference:.2g} ({written.allowed:.2g} allowed) on {clips}{agreement}")
    if written.grey_levels is not None:
        click.echo(f"pixels prepared inside are {written.grey_levels:.1f} grey levels from the decoder's")
