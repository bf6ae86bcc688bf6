"""`zoo explain-prediction`."""

from __future__ import annotations

import click


@click.command(
    "explain-prediction", epilog="Example:  zoo explain-prediction runs/quickstart film.mp4 --label left --out why"
)
@click.argument("model")
@click.argument("video")
@click.option("--label", help="Which answer to explain, by name or number; by default the likeliest.")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    help="auto, grad_cam, grad_cam_plus_plus, gradient_rollout, attention_rollout, integrated_gradients or occlusion.",
)
@click.option("--start", type=float, metavar="SECONDS", help="Where the clip begins; by default in the film's middle.")
@click.option("--out", default=".", show_default=True, metavar="DIR", help="Folder of the two files.")
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain_prediction(
    model: str,
    video: str,
    label: str | None,
    method: str,
    start: float | None,
    out: str,
    device: str,
    as_json: bool,
) -> None:
    """Show which places and moments of a film an answer rests on.

    MODEL is a recognition model: a name with weights (torchvision/r3d_18.k400), a run, a model folder, file:... or
    hf://org/repo. Writes VIDEO's frames with the map over them (NAME.explained.mp4) and a strip of them
    (NAME.explained.png).
    """
    import json
    from pathlib import Path

    from zoo.explanation import explain
    from zoo.explanation.methods import check_method
    from zoo.model import load
    from zoo.runner.device import choose_device

    check_method(method)
    loaded = load(model, device=str(choose_device(device)))
    explanation = explain(loaded, video, label=label, method=method, start=start)
    folder, name = Path(out), Path(video).stem
    film = explanation.write_video(folder / f"{name}.explained.mp4")
    strip = explanation.write_strip(folder / f"{name}.explained.png")
    if as_json:
        said = {"label": explanation.label, "score": explanation.score, "method": explanation.method}
        span = {"start": explanation.clip.start, "end": explanation.clip.end}
        click.echo(json.dumps({"video": video, **said, **span, "film": str(film), "strip": str(strip)}))
        return
    click.echo(f"{explanation.label}  {explanation.score:.3f}  (by {explanation.method})")
    click.echo(f"{film}\n{strip}")
