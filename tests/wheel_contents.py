"""Builds the wheel and checks what is in it: the three packages, whole, and nothing generic beside them."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "zoo": ROOT / "zoo",
    "zoo_registry": ROOT / "registry/zoo_registry",
    "zoo_plugins": ROOT / "plugins/zoo_plugins",
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(folder).glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
    top = {name.split("/")[0] for name in names}
    generic = {name for name in top if name not in PACKAGES and not name.endswith(".dist-info")}
    wanted = {
        f"{package}/{file.relative_to(source).as_posix()}"
        for package, source in PACKAGES.items()
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    problems = [f"not ours at top level: {name}" for name in sorted(generic)]
    problems += [f"missing: {name}" for name in sorted(wanted - names)]
    problems += [
        f"no {name}" for name in ("entry_points.txt", "licenses/LICENSE") if not any(n.endswith(name) for n in names)
    ]
    print("\n".join(problems) or f"wheel: {len(names)} files, {', '.join(sorted(PACKAGES))}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
