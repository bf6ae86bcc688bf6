"""What a server says of itself."""

from __future__ import annotations

import re
from pathlib import Path

from tests.zoo.serving.live_server import LiveServer


def measured(server: LiveServer) -> dict[tuple[str, frozenset], float]:
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(server.get("/metrics").text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def test_it_lives_and_is_ready(server: LiveServer) -> None:
    assert server.get("/health").json() == {"status": "alive"}
    assert server.get("/ready").json() == {"ready": True, "queue": 0, "capacity": 64}


def test_it_counts_requests_by_status(server: LiveServer, film: Path) -> None:
    def answered(code: str) -> float:
        labels = frozenset({"path": "/predict", "code": code}.items())
        return measured(server).get(("zoo_serve_requests_total", labels), 0)

    good, bad = answered("200"), answered("415")
    server.post(film)
    server.post(b"no film at all")
    assert (answered("200"), answered("415")) == (good + 1, bad + 1)
    now = measured(server)
    assert now["zoo_serve_capacity", frozenset()] == 64
    assert now["zoo_serve_in_work", frozenset()] == 0
    assert now["process_resident_memory_bytes", frozenset()] > 1e7
    assert now["zoo_serve_stage_seconds_count", frozenset({("stage", "decode")})] == good + 1
    assert now["zoo_serve_received_bytes_total", frozenset()] >= film.stat().st_size


def test_paths_that_strangers_make_up_are_counted_as_one(server: LiveServer) -> None:
    for number in range(5):
        assert server.get(f"/nothing/{number}").status_code == 404
    paths = {dict(labels).get("path") for name, labels in measured(server) if name == "zoo_serve_requests_total"}
    assert paths <= {"/", "/predict", "/health", "/ready", "/metrics", "/model", "/docs", "/openapi.json", "other"}


def test_it_describes_its_model(server: LiveServer) -> None:
    said = server.get("/model").json()
    assert said["name"] == "basic/cnn3d"
    assert said["labels"] == ["dark", "<b>grey</b>", "bright"]
    assert said["clip"]["frames"] == 4
    assert said["limits"] == {"size": 64 << 20, "duration": 60.0, "pixels": 4096 * 4096, "frames": 15_000}


def test_openapi_names_every_way_and_every_refusal(server: LiveServer) -> None:
    described = server.get("/openapi.json").json()
    predict = described["paths"]["/predict"]["post"]
    assert {"multipart/form-data", "application/json", "application/octet-stream", "video/*"} == set(
        predict["requestBody"]["content"]
    )
    assert {"200", "400", "403", "413", "415", "422", "429", "503"} == set(predict["responses"])


def test_pages_load_nothing_and_run_nothing_of_others(server: LiveServer) -> None:
    for path in ("/", "/docs"):
        answer = server.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)
        assert not re.search(r"\son\w+=", answer.text)  # handlers in attributes
        assert "A &lt;i&gt;title&lt;/i&gt;" in answer.text
        assert "<i>" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_reference_says_what_openapi_says(server: LiveServer) -> None:
    page = server.get("/docs").text
    for path in server.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page
    assert "a film that is too large or too long" in page


def test_other_methods_are_told_so(server: LiveServer) -> None:
    answer = server.get("/predict")
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
