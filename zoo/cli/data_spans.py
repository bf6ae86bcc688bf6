"""`zoo data spans` and `zoo data keyframes`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from zoo.data.clips.span_manifest import Cut, SpanRow
    from zoo.data.clips.stills import Format
    from zoo_registry.errors import Problem


OPTIONS_OF = {
    "seconds": "windows",
    "step": "windows",
    "drop_last": "windows",
    "threshold": "scenes",
    "shortest": "scenes",
}
"""The way of cutting that looks at each option."""


@click.command(epilog="Example:  zoo data spans films --by windows --seconds 4 --step 2 --out windows.csv")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--by",
    type=click.Choice(["scenes", "windows", "keyframes"]),
    required=True,
    help="Where the content changes, spans of equal length, or from keyframe to keyframe.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The manifest, .csv or .jsonl."
)
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Windows: their length.")
@click.option("--step", type=float, help="Windows: seconds between the beginnings of two; by default their length.")
@click.option("--drop-last", is_flag=True, help="Windows: leave out a last one that is cut short.")
@click.option("--threshold", type=float, default=15.0, show_default=True, help="Scenes: smallest change that is a cut.")
@click.option("--shortest", type=float, default=0.5, show_default=True, help="Scenes: seconds of the shortest.")
@click.option("--force", is_flag=True, help="Write over a manifest that is there.")
@click.pass_context
def spans(
    context: click.Context,
    source: Path,
    by: str,
    out: Path,
    seconds: float,
    step: float | None,
    drop_last: bool,
    threshold: float,
    shortest: float,
    force: bool,
) -> None:
    """Cut films into spans: a manifest, each row a sample of its own.

    SOURCE is a film, a folder of films, or a manifest whose rows are cut further. Labels and splits of a folder or
    manifest are kept. A film that cannot be read is reported, the others are still cut, and the exit code is 2.
    """
    from zoo.data.clips.scene_cuts import scenes
    from zoo.data.clips.sliding_windows import check_window, windows
    from zoo.data.clips.span_manifest import check_new, keyframe_spans, write_spans
    from zoo_registry.errors import DataError

    _refuse_options_of_others(context, by)
    check_window(seconds, step)
    check_new(out, force=force)
    ways: dict[str, Cut] = {
        "scenes": lambda film: scenes(
            film.path, threshold=threshold, shortest=shortest, start=film.start, end=film.end
        ),
        "windows": lambda film: windows(
            film.path, seconds, step=step, start=film.start, end=film.end, drop_last=drop_last
        ),
        "keyframes": keyframe_spans,
    }
    rows, problems, films = _cut_all(source, ways[by])
    if rows:
        write_spans(out, rows, force=force)
        click.echo(f"{out}: {len(rows)} spans of {films} film{'s' if films != 1 else ''}")
    elif not problems:
        raise DataError(f"no film of {source} is as long as a window", hint="a smaller --seconds, or no --drop-last")
    if problems:
        raise DataError(problems)


def _refuse_options_of_others(context: click.Context, by: str) -> None:
    """Options that this way of cutting does not look at must not be given: they would promise something."""
    for name, way in OPTIONS_OF.items():
        if way != by and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} goes with --by {way}, not with --by {by}", context)


def _cut_all(source: Path, cut: Cut) -> tuple[list[SpanRow], list[Problem], int]:
    """Spans of all films, what is wrong with those that cannot be read, and how many could."""
    from zoo.data.clips.film_list import list_films
    from zoo.data.clips.span_manifest import SpanRow
    from zoo.runner.progress import Progress
    from zoo_registry.errors import UndecodableMedia

    rows: list[SpanRow] = []
    problems: list[Problem] = []
    read = 0
    with Progress() as progress:
        for film in progress.track(list_films(source), "cutting", unit="films"):
            try:
                rows += [SpanRow(film, span) for span in cut(film)]
                read += 1
            except UndecodableMedia as error:
                problems += error.problems
    return rows, problems, read


@click.command(epilog="Example:  zoo data keyframes film.mp4 --out pictures --every scene")
@click.argument("film", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the pictures.")
@click.option(
    "--every",
    default="keyframe",
    show_default=True,
    metavar="keyframe|scene|SECONDS",
    help="Its keyframes, the middle of each scene, or a picture every so many seconds.",
)
@click.option("--format", "format", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@click.option("--short-side", type=click.IntRange(min=1), help="Scale the shorter side to so many pixels.")
@click.option("--force", is_flag=True, help="Write over pictures that are there.")
def keyframes(film: Path, out: Path, every: str, format: Format, short_side: int | None, force: bool) -> None:
    """Write pictures out of a film, named by their time in seconds."""
    from zoo.data.clips.stills import check_stills, write_stills
    from zoo.runner.progress import Progress

    times = _times(film, every)
    check_stills(out, times, format, force=force)
    with Progress() as progress:
        written = write_stills(film, times, out, format=format, short_side=short_side)
        count = sum(1 for _ in progress.track(written, "writing", total=len(times), unit="pictures"))
    click.echo(f"{out}: {count} picture{'s' if count != 1 else ''}")


def _times(film: Path, every: str) -> list[float]:
    """When to look, in seconds from the first frame."""
    from zoo.data.clips.scene_cuts import scenes
    from zoo.data.clips.sliding_windows import windows
    from zoo.data.decode.keyframe_times import keyframes

    if every == "keyframe":
        return keyframes(film)
    if every == "scene":
        return [(start + end) / 2 for start, end in scenes(film)]
    try:
        seconds = float(every)
    except ValueError:
        raise click.BadParameter(f"{every!r} is neither keyframe, scene nor a number of seconds") from None
    return [start for start, _ in windows(film, seconds)]
