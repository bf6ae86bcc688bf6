"""`zoo doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

NEEDED = (
    "torch",
    "torchvision",
    "timm",
    "pluggy",
    "huggingface-hub",
    "safetensors",
    "av",
    "pyyaml",
    "pydantic",
    "torchmetrics",
)
CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")


@click.command(epilog="Example:  zoo doctor")
def doctor() -> None:
    """Say what this machine has, what is missing and how to get it."""
    missing = 0
    for good, subject, what in _findings():
        mark = click.style("ok     ", fg="green") if good else click.style("missing", fg="yellow")
        click.echo(f"{mark} {subject:22} {what}")
        missing += not good
    click.echo("nothing is missing" if not missing else f"{missing} missing; each line says how to get it")


def _findings() -> Iterator[tuple[bool, str, str]]:
    yield True, "python", f"{platform.python_version()} on {platform.platform(terse=True)}, {os.cpu_count()} cores"
    for name in NEEDED:
        found = _version(name)
        yield found is not None, name, found or f"pip install {name}"
    yield from _torch()
    yield from _codecs()
    yield from _extras()
    yield from _plugins()
    yield from _store()


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _torch() -> Iterator[tuple[bool, str, str]]:
    """Whether torch and torchvision import together, and on what they run."""
    try:
        import torch
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        yield (
            False,
            "torch + torchvision",
            f"{first}; install a pair that belongs together, such as torch 2.15.0, torchvision 0.29.2",
        )
        return
    yield True, "torch threads", str(torch.get_num_threads())
    if torch.cuda.is_available():
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        yield True, "device", f"{torch.cuda.get_device_name()}, {bf16}, CUDA {torch.version.cuda}"
    else:
        yield True, "device", "cpu (no CUDA device; everything runs, training is slower)"


def _codecs() -> Iterator[tuple[bool, str, str]]:
    try:
        import av
    except ImportError:
        return
    absent = [codec for codec in CODECS if codec not in av.codecs_available]
    yield (
        not absent,
        "decoders",
        f"av without {', '.join(absent)}: pip install --force-reinstall av" if absent else ", ".join(CODECS),
    )


def _extras() -> Iterator[tuple[bool, str, str]]:
    """What listed components want that is not installed."""
    from zoo_registry.catalog import catalog
    from zoo_registry.hookspecs import HOOKS

    wanted: dict[str, set[str]] = {}
    for kind in HOOKS:
        for listed in catalog().list(kind):
            for module in listed.entry.requires:
                wanted.setdefault(f"{module}\0{listed.entry.extra or module}", set()).add(listed.name)
    for key, users in sorted(wanted.items()):
        module, extra = key.split("\0")
        there = importlib.util.find_spec(module.partition(".")[0]) is not None
        users_text = ", ".join(sorted(users)[:3])
        yield there, module, f"for {users_text}" if there else f'pip install "{extra}"  (for {users_text})'


def _plugins() -> Iterator[tuple[bool, str, str]]:
    from zoo_registry.catalog import catalog

    problems = catalog().problems()
    summary = f"{len(catalog().plugins)} found"
    yield not problems, "plugins", summary if not problems else f"{summary}, {len(problems)} problems: see zoo plugins"


def _store() -> Iterator[tuple[bool, str, str]]:
    """Where downloads go, and which Hub is spoken to."""
    endpoint = os.environ.get("HF_ENDPOINT", "the public one")
    mode = "offline (HF_HUB_OFFLINE)" if os.environ.get("HF_HUB_OFFLINE") else "not asked whether it answers"
    yield True, "hub", f"{endpoint}, {mode}"
