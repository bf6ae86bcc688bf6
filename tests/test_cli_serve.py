"""`zoo serve`, as its users meet it: an address, a line for each request, mistakes in words, an end in good order."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import zoo
from tests.test_main_job import zoo as run_zoo
from tests.zoo.data.films import write_numbered_film
from zoo.artefact import save_model

pytest.importorskip("fastapi", reason="needs the extra `serve`")
httpx = pytest.importorskip("httpx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder `model`, one without labels and a task that reads features, and a film."""
    folder = tmp_path_factory.mktemp("serve")
    made = zoo.load("basic/cnn3d", pretrained=False, num_classes=2, clip={"frames": 4, "stride": 2})
    for name in ("model", "untold"):
        task = made.task if name == "model" else None
        save_model(
            folder / name, made.network, model=made.name, params=made.params, clip=made.clip,
            labels=("dark", "bright"), task=task, num_classes=2,
        )  # fmt: skip
    write_numbered_film(folder / "film.mp4")
    return folder


class Running:
    """The command, at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.said, self.url = process, "", ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def wait_for(self, pattern: str, seconds: float = 90) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.said)) is None:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)
        return found

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextmanager
def serving(*words: str, cwd: Path, **environment: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", "serve", *words, "--port", "0"],
        cwd=cwd,
        text=True,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    running = Running(process)
    try:
        running.url = running.wait_for(r"answers on (http://\S+)")[1]
        yield running
    finally:
        process.kill()
        process.wait()


def post(running: Running, film: Path) -> httpx.Response:
    return httpx.post(f"{running.url}/predict", files={"film": ("../secret\n.mp4", film.read_bytes())}, timeout=60)


def test_it_answers_says_a_line_for_each_request_and_ends_on_sigterm(folder: Path, tmp_path: Path) -> None:
    expected = zoo.load(folder / "model").predict(folder / "film.mp4")[0]["top5"]
    with serving("./model", cwd=folder, TMPDIR=str(tmp_path)) as running:
        assert running.url.startswith("http://127.0.0.1:")
        answer = post(running, folder / "film.mp4")
        assert answer.status_code == 200
        said = answer.json()["answer"]["top5"]
        assert [row["label"] for row in said] == [row["label"] for row in expected]
        assert [row["score"] for row in said] == pytest.approx([row["score"] for row in expected], abs=1e-5)
        httpx.get(f"{running.url}/a%0aforged")
        running.wait_for("forged")
        assert len(list(tmp_path.glob("zoo-serve-*"))) == 1
        started = descendants(running.process.pid)
        assert len(started) >= 3 or not Path("/proc").is_dir()  # two that decode, and what they were forked from
        assert running.end(signal.SIGTERM) == 0
        lines = running.said.splitlines()
        assert re.fullmatch(r"basic/cnn3d answers on http://127\.0\.0\.1:\d+ \(Ctrl-C ends it\)", lines[0])
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d 127\.0\.0\.1 POST /predict 200 \d+ bytes \d+ ms \(receive .*\)", lines[1]
        )
        assert re.fullmatch(r"\S+ 127\.0\.0\.1 GET /a\\nforged 404 0 bytes \d+ ms", lines[2])
        assert lines[3:] == ["SIGTERM: 0 requests are answered first"]
        assert "secret" not in running.said
    assert list(tmp_path.glob("zoo-serve-*")) == []
    assert are_gone(started)


def descendants(pid: int) -> set[int]:
    """Processes that this one started, and those that they did; none on systems without /proc."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            parents[int(status.parent.name)] = int(parent)
    found = {pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return (found - {pid}) & set(parents)


def are_gone(pids: set[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_server_that_was_killed_leaves_no_process_behind(folder: Path) -> None:
    with serving("./model", "--workers", "1", cwd=folder) as running:
        started = descendants(running.process.pid)
        running.end(signal.SIGKILL)
    assert are_gone(started)


def test_its_options_are_its_limits_and_ctrl_c_ends_it_too(folder: Path) -> None:
    words = ["--max-size", "1k", "--max-duration", "1500ms", "--queue", "3", "--views", "2", "--title", "<Which?>"]
    with serving("./model", *words, "--workers", "1", cwd=folder) as running:
        said = httpx.get(f"{running.url}/model").json()
        assert said["limits"]["size"] == 1024
        assert said["limits"]["duration"] == 1.5
        assert said["views"] == 2
        assert httpx.get(f"{running.url}/ready").json()["capacity"] == 3
        assert "<h1>&lt;Which?&gt;</h1>" in httpx.get(running.url).text
        assert post(running, folder / "film.mp4").status_code == 413
        started = descendants(running.process.pid)
        assert running.end(signal.SIGINT) == 0
        assert "SIGINT: 0 requests are answered first" in running.said
        assert "Traceback" not in running.said
    assert are_gone(started)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["./nothing"], "there is no"),
        (["./untold"], "was saved without a task"),
        (["./model", "--max-size", "64 apples"], "'64 apples' is no size, such as 64M or 1G"),
        (["./model", "--max-wait", "soon"], "'soon' is no time, such as 10ms or 30s"),
        (["./model", "--max-wait", "60s"], "wait is 60.0 s, of a timeout of 30.0 s"),
        (["./model", "--queue", "0"], "Invalid value for '--queue'"),
        (["./model", "--port", "70000"], "Invalid value for '--port'"),
        (["./model", "--allow-url", "*"], "'*' is no host"),
        (["./model", "--host", "256.0.0.1"], "'256.0.0.1' is no address of this machine"),
        (["./model", "--device", "tpu"], "'tpu' is not a device"),
    ],
)
def test_mistakes_are_said_in_words(
    words: list[str], reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zoo.cli import main

    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # the command sets it unless it is given; it would stay behind
    with pytest.raises(SystemExit) as ended:
        main(["serve", *words])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run_zoo("serve", "./nothing", "--port", port, cwd=folder, code=2)
    assert f"nothing can listen on 127.0.0.1:{port} (Address already in use)" in said.stderr
    assert "choose another --port" in said.stderr


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_missing_package_is_said_with_the_pip_line(folder: Path, package: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from zoo.cli import main; main(['serve', './model'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, text=True, capture_output=True, timeout=120)
    assert done.returncode == 2
    assert 'pip install "videozoo[serve]"' in done.stderr


def test_the_command_line_imports_nothing_of_it_for_help() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from zoo.cli import cli; "
        "print(CliRunner().invoke(cli, ['serve', '--help']).output[:40]); "
        "print([name for name in ('torch', 'fastapi', 'uvicorn', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
