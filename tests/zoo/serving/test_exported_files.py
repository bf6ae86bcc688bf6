"""Exported files are served like the models that they were written from."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import zoo
from tests.zoo.data.films import write_numbered_film
from tests.zoo.serving.live_server import live_server, tiny_model
from tests.zoo.serving.test_answers import ranking
from zoo.export import export_model
from zoo.serving.limits import Limits

pytest.importorskip("onnxruntime", reason="needs the extra `export`")
pytest.importorskip("onnxscript", reason="needs the extra `export`")


@pytest.fixture(scope="module")
def exported(film: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Files that prepare pixels themselves, or do not."""
    folder = tmp_path_factory.mktemp("exported")
    files = {}
    for preprocess in (False, True):
        files[preprocess] = folder / f"{preprocess}.onnx"
        export_model(tiny_model(), "onnx", files[preprocess], params={}, films=(str(film),), preprocess=preprocess)
    return files


@pytest.mark.parametrize("preprocess", [False, True], ids=["prepared clips", "prepares pixels itself"])
def test_an_onnx_file_is_served(film: Path, tmp_path: Path, exported: dict[bool, Path], preprocess: bool) -> None:
    model = zoo.load(exported[preprocess])
    large = write_numbered_film(tmp_path / "large.mp4", 20, size=(96, 128), level=lambda _: 220)
    with live_server(model, limits=Limits(workers=2, batch=4, wait=0.5), views=2) as server:
        expected = {name: ranking(model.predict(name, views=2)[0]) for name in (film, large)}
        assert expected[film] != expected[large]
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(server.post, [film, large] * 4))
        for answer, name in zip(answers, [film, large] * 4, strict=True):
            assert answer.status_code == 200, answer.text
            assert ranking(answer.json()["answer"]) == pytest.approx(expected[name], abs=1e-5)
        assert server.get("/model").json()["uri"] == ""  # where it lies is nobody's business


def test_frames_as_large_as_they_are_have_a_limit(film: Path, tmp_path: Path, exported: dict[bool, Path]) -> None:
    large = write_numbered_film(tmp_path / "large.mp4", 20, size=(720, 1280))
    with live_server(zoo.load(exported[True]), limits=Limits(workers=1, clip=1 << 20)) as server:
        began = time.monotonic()
        answer = server.post(large)
        assert answer.status_code == 413
        assert answer.json()["error"] == "what the model takes of it is 11,059,200 bytes, more than 1,048,576"
        assert time.monotonic() - began < 10
        assert server.post(film).status_code == 200


def test_small_files_of_large_films_share_what_memory_there_is(
    exported: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at a time, of 11 MB each as the model takes them: 25 MB may lie decoded, 20 MB are asked about at once."""
    from zoo.serving.batches import Batches

    large = write_numbered_film(tmp_path / "large.mp4", 20, size=(720, 1280))
    assert large.stat().st_size < 200_000
    lent: list[int] = []
    asked: list[int] = []
    answer = Batches._answer

    def watched(self: Batches, films: list) -> list:
        lent.append(server.service._readers.budget.taken)
        asked.append(sum(tensor.nbytes for each in films for tensor in each.values()))
        return answer(self, films)

    with live_server(
        zoo.load(exported[True]), limits=Limits(workers=2, wait=0.5, clip=20 << 20, decoded=25 << 20)
    ) as server:
        monkeypatch.setattr(Batches, "_answer", watched)
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(server.post, [large] * 8))
        assert [answer.status_code for answer in answers] == [200] * 8, answers[0].text
        assert max(lent) == 2 * 11_059_200  # 4 frames of 720 x 1280 in three colours
        assert asked == [11_059_200] * 8
        assert server.service._readers.budget.taken == 0
