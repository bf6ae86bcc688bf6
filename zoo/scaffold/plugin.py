"""Writes a whole plugin: a package with a component of every kind, its tests, and what stands around them.

The files lie in `plugin_files` beside this module, each with `.template` behind its name. `dot.` in front of a name
stands for a dot, the folder `package` for the package; in names and texts `@namespace@`, `@package@`, `@distribution@`
and `@scheme@` are filled in.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from zoo_registry.catalog import catalog
from zoo_registry.errors import NameProblem, PluginError
from zoo_registry.names import BARE
from zoo_registry.plugin_record import normalized

FILES = Path(__file__).parent / "plugin_files"
SUFFIX = ".template"
LONGEST = 32


def check_name(name: str) -> None:
    """Make sure that a new plugin may have a namespace.

    Raises:
        NameProblem: it breaks the grammar of names, or is longer than 32 letters.
        PluginError: a plugin that is installed has it, or a package has the name that the plugin's would get.
    """
    if not BARE.fullmatch(name):
        plain = normalized(name).replace("-", "_")
        hint = f"write {plain}" if BARE.fullmatch(plain) else None
        grammar = "lower-case letters, digits and underscores, starting with a letter"
        raise NameProblem(f"{name!r} cannot be a namespace, which is {grammar}", hint=hint)
    if len(name) > LONGEST:
        raise NameProblem(f"{name!r} is too long for a namespace", hint=f"{LONGEST} letters are enough")
    for plugin in catalog().plugins:
        if plugin.namespace == name:
            owner = f"{plugin.distribution} {plugin.version}".strip() or plugin.module
            raise PluginError(f"the namespace {name!r} is taken by {owner}", hint="choose another name")
    scheme = _words(name)["scheme"]
    if scheme in {listed.entry.name for listed in catalog().list("fetcher")}:
        raise PluginError(
            f"{scheme}: is a scheme of URIs that is taken, and would be this plugin's", hint="choose another name"
        )
    package = _words(name)["package"]
    if importlib.util.find_spec(package) is not None:
        raise PluginError(f"there is a package called {package} already", hint="choose another name")


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write the files of a new plugin; all of them, or none.

    Args:
        name: its namespace.
        folder: where; it must not be there, or be empty but for `.git`.

    Returns:
        The files, in the order of their names.

    Raises:
        NameProblem, PluginError: as `check_name`; or the folder is not empty, or cannot be written.
    """
    check_name(name)
    if folder.is_dir() and any(path.name != ".git" for path in folder.iterdir()):
        raise PluginError(f"the folder {str(folder)!r} is not empty", hint="give another one: --to FOLDER")
    if folder.exists() and not folder.is_dir():
        raise PluginError(f"{str(folder)!r} is a file", hint="give a folder: --to FOLDER")
    try:
        _write(folder, plugin_texts(name))
    except OSError as error:
        raise PluginError(f"the plugin cannot be written to {str(folder)!r}: {error}") from error
    return sorted(folder / name for name in plugin_texts(name))


def plugin_texts(name: str) -> Mapping[str, str]:
    """The files of a new plugin: path in its folder to text."""
    words = _words(name)
    texts = {}
    for template in sorted(FILES.rglob(f"*{SUFFIX}")):
        parts = template.relative_to(FILES).as_posix().removesuffix(SUFFIX).split("/")
        parts = [words["package"] if part == "package" else part.replace("dot.", ".", 1) for part in parts]
        texts["/".join(parts)] = _filled(template.read_text(encoding="utf-8"), words)
    return texts


def _words(name: str) -> dict[str, str]:
    """What the templates ask for. A URI's scheme has no underscores."""
    return {
        "namespace": name,
        "package": f"zoo_{name}",
        "distribution": f"zoo-{name.replace('_', '-')}",
        "scheme": name.replace("_", ""),
    }


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    """Everything under a temporary name first: the folder gets it whole, and one that is there stays the one it is."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        draft = Path(temporary) / "draft"
        for name, text in texts.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        if not folder.exists():
            shutil.move(draft, folder)
            return
        for part in draft.iterdir():
            shutil.move(part, folder / part.name)
