"""What a server answers is what `predict` says, however the film comes and whoever else asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from torch import nn

from tests.zoo.data.films import write_numbered_film
from tests.zoo.serving.live_server import LiveServer, httpx, live_server, tiny_model
from zoo.model import ZooModel
from zoo.serving.limits import Limits


def ranking(row: dict) -> dict[str, float]:
    return {each["label"]: each["score"] for each in row["top5"]}


def test_it_says_what_predict_says(server: LiveServer, film: Path) -> None:
    from zoo.serving.measures import STAGES

    expected = ranking(server.model.predict(film)[0])
    for answer in (server.post(film), server.post_form(film), server.post(film, headers={"content-type": "video/mp4"})):
        assert answer.status_code == 200
        said = answer.json()
        assert said["model"] == "basic/cnn3d"
        assert ranking(said["answer"]) == pytest.approx(expected, abs=1e-5)
        assert set(said["seconds"]) == {*STAGES, "total"}
        assert 0 < said["seconds"]["decode"] < said["seconds"]["total"]
    assert server.films_on_disk == []


def test_views_are_merged_as_predict_merges_them(film: Path) -> None:
    with live_server(limits=Limits(workers=2), views=3) as server:
        expected = ranking(server.model.predict(film, views=3)[0])
        assert ranking(server.post(film).json()["answer"]) == pytest.approx(expected, abs=1e-5)
        assert server.get("/model").json()["views"] == 3


def test_films_that_come_together_are_asked_about_together_and_answered_apart(tmp_path: Path) -> None:
    films = [
        write_numbered_film(tmp_path / f"{level}.mp4", 20, level=lambda _, level=level: level)
        for level in range(0, 240, 15)
    ]
    with live_server(limits=Limits(workers=2, batch=4, wait=0.5)) as server:
        expected = [ranking(row) for row in server.model.predict(films)]
        assert len({round(each["dark"], 4) for each in expected}) == len(films)  # else nothing could be mixed up
        with ThreadPoolExecutor(len(films)) as clients:
            answers = list(clients.map(server.post, films))
        assert [answer.status_code for answer in answers] == [200] * len(films)
        for answer, wanted in zip(answers, expected, strict=True):
            assert ranking(answer.json()["answer"]) == pytest.approx(wanted, abs=1e-5)
        measured = server.get("/metrics").text
        assert "zoo_serve_batch_films_count 4.0" in measured
        assert "zoo_serve_batch_films_sum 16.0" in measured


class OneAtATime(nn.Module):
    """As a file that was exported for a single clip."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip_bcthw):
        if len(clip_bcthw) > 1:
            raise RuntimeError("Got: 2 Expected: 1")
        return self.network(clip_bcthw)


def test_a_model_that_takes_no_batches_is_asked_about_one_film_at_a_time(film: Path) -> None:
    made = tiny_model()
    model = ZooModel(
        OneAtATime(made.network), name=made.name, num_classes=3, clip=made.clip, labels=made.labels, task=made.task
    ).eval()
    with live_server(model, limits=Limits(workers=2, wait=0.2)) as server:
        assert server.service.notes == (
            "basic/cnn3d is asked about one film at a time: it takes no batch (RuntimeError: Got: 2 Expected: 1)",
        )
        with ThreadPoolExecutor(4) as clients:
            assert [answer.status_code for answer in clients.map(server.post, [film] * 4)] == [200] * 4


class FailsOnBright(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip_bcthw):
        if clip_bcthw.max() > 1.5:
            raise RuntimeError("too bright")
        return self.network(clip_bcthw)


def test_a_film_that_the_model_fails_on_fails_no_other(tmp_path: Path) -> None:
    made = tiny_model()
    model = ZooModel(
        FailsOnBright(made.network), name=made.name, num_classes=3, clip=made.clip, labels=made.labels, task=made.task
    ).eval()
    dark = write_numbered_film(tmp_path / "dark.mp4", level=lambda _: 20)
    bright = write_numbered_film(tmp_path / "bright.mp4", level=lambda _: 250)
    with live_server(model, limits=Limits(workers=2, wait=0.5)) as server, ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(server.post, [dark, bright, dark, dark]))
        assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
        assert answers[1].json() == {"error": "the server failed on this; its log says why"}


def test_one_connection_serves_many_requests(server: LiveServer, film: Path) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            answer = client.post(
                f"{server.url}/predict", content=film.read_bytes(), headers={"content-type": "video/mp4"}
            )
            assert answer.status_code == 200
            assert "connection" not in answer.headers
