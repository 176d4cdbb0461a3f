"""Batches, bounded queues, limits, hostile bodies: what may not bring it down."""

from __future__ import annotations

import json
import logging
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from hemline.runtime.bundle import Bundle
from hemline.service.keys import KeyRing


def test_a_full_service_says_when_to_come_again(open_client: Any, photo: bytes) -> None:
    client = open_client(queue=2, timeout=2.0)
    service = client.app.state.service
    held = threading.Event()
    running = [service.shared.threads.submit(held.wait) for _ in range(2)]
    service.shared.inside = 2
    full = client.post("/v1/search", files={"photo": photo})
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    assert full.json()["type"] == "urn:hemline:problem:busy"
    assert client.get("/healthz").status_code == 200
    service.shared.inside = 0
    late = client.post("/v1/search", files={"photo": photo})  # no thread is free for two seconds
    assert late.status_code == 503
    assert "too long" in late.json()["detail"]
    held.set()
    for one in running:
        one.result()
    assert client.post("/v1/search", files={"photo": photo}).status_code == 200


def test_a_rebuild_is_followed_without_a_lost_request(
    client: TestClient, shop: Path, photo: bytes, tmp_path: Path
) -> None:
    from helpers.tiny_bundle import make_tiny_bundle
    from hemline.catalog.catalog import Catalog

    codes: list[int] = []
    prints: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            codes.append(client.post("/v1/search", files={"photo": photo}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    prints.add(client.get("/v1/info").json()["bundle"]["fingerprint"])
    for thread in threads:
        thread.start()
    with Catalog.open(shop) as catalog:
        catalog.rebuild(Bundle.open(make_tiny_bundle(tmp_path / "new", seed=5)))
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    prints.add(client.get("/v1/info").json()["bundle"]["fingerprint"])
    assert set(codes) == {200}
    assert len(prints) == 2


def test_bodies_have_an_end(open_client: Any, photo: bytes) -> None:
    client = open_client(max_body=100_000)
    big = client.post("/v1/search", files={"photo": b"x" * 100_001})
    assert (big.status_code, big.json()["type"]) == (413, "urn:hemline:problem:too-long")

    def endless() -> Any:
        for _ in range(200):
            yield b"x" * 1000

    streamed = client.post(
        "/v1/search", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert streamed.status_code == 413
    assert client.post("/v1/search", files={"photo": photo}).status_code == 200


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_hostile_pictures(client: TestClient, photo: bytes, made: Path) -> None:
    rng = np.random.default_rng(3)
    cases = [photo[:cut] for cut in range(0, len(photo), 17)]
    cases += [
        bomb(30_000, 30_000),
        bomb(1, 2**31 - 1),
        bomb(0, 5),
        b"",
        b"GIF89a",
        b"\xff\xd8" * 99,
    ]
    for _ in range(60):
        broken = bytearray(photo)
        for place in rng.integers(0, len(photo), 8):
            broken[place] = rng.integers(0, 256)
        cases.append(bytes(broken))
    for case in cases:
        for path in ("/v1/search", "/v1/detect"):
            answer = client.post(path, files={"photo": case})
            assert answer.status_code in (200, 400, 422), answer.text
            assert str(made) not in answer.text
            if answer.status_code != 200:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"]


BODIES: list[tuple[dict[str, Any], int]] = [
    ({"json": {}}, 422),
    ({"json": []}, 422),
    ({"json": {"photo": 5}}, 422),
    ({"json": {"photo": "§§"}}, 422),
    ({"json": {"photo": "aGk="}}, 422),
    ({"json": {"photo": ["aGk="] * 99}}, 422),
    ({"content": b"\xff", "headers": {"Content-Type": "application/json"}}, 400),
    ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400),
    ({"content": b'{"photo": NaN}', "headers": {"Content-Type": "application/json"}}, 400),
    ({"content": b"hi"}, 415),
    ({"content": b"hi", "headers": {"Content-Type": "text/plain"}}, 415),
    ({"content": b"hi", "headers": {"Content-Type": "multipart/form-data"}}, 400),
    ({"content": b"hi", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
    ({"files": {"picture": b"x"}}, 422),
    ({"files": [("photo", b"x")] * 40}, 400),
]


def test_hostile_bodies(client: TestClient) -> None:
    for body, status in BODIES:
        answer = client.post("/v1/search", **body)
        assert answer.status_code == status, (body, answer.text)
        told = answer.json()
        assert told.keys() == {"type", "title", "status", "detail", "request_id"}
        assert told["status"] == status


QUESTIONS: list[dict[str, str]] = [
    {"k": "0"}, {"k": "201"}, {"k": "many"}, {"k": ""}, {"offset": "-1"}, {"offset": "99999"},
    {"box": "1,2,3"}, {"box": "a,b,c,d"}, {"box": "5,5,1,1"}, {"box": "nan,0,5,5"},
    {"box": "0,0,inf,9"}, {"box": "900,900,950,950"}, {"where": "drop table pictures"},
    {"where": "price < "}, {"where": "unknown = 1"}, {"where": "(" * 5000},
    {"facets": "no_such"}, {"facets": "a," * 60}, {"detect": "perhaps"},
    {"strange": "1"}, {"where": "1=1); --"}, {"where": "price < 1 or load_extension('x') = 1"},
]  # fmt: skip


def test_wrong_questions(client: TestClient, photo: bytes) -> None:
    for fields in QUESTIONS:
        answer = client.post("/v1/search", files={"photo": photo}, data=fields)
        assert answer.status_code == 422, (fields, answer.text)
        assert answer.json()["detail"]


PATHS = (
    "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2f..%2fkeys.py", "/static/",
    "/static//etc/passwd", "/static/%00", "/v1/pictures/..%2finfo", "/v1/samples/-1",
    "/v1/samples/x", "/v1/samples/99", "/v1/items/%00", "/.git/config", "/v1", "/v1/../../x",
    "/v1/pictures/" + "f" * 5000, "/static/page/../../app.py", "/%ff%fe", "/static/js/../../app.py",
)  # fmt: skip


def test_paths_lead_nowhere(client: TestClient) -> None:
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_photo_tells_of_its_place_is_nowhere(
    client: TestClient, photo: bytes, shop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = b"GPS-51.4778-0.0014"
    turned = photo[:2] + b"\xff\xe1" + struct.pack(">H", len(secret) + 8) + b"Exif\0\0" + secret
    turned += photo[2:]
    with caplog.at_level(logging.INFO, "hemline.service"):
        assert client.post("/v1/search", files={"photo": turned}).status_code == 200
    client.get("/v1/admin/stats")
    assert all(secret not in path.read_bytes() for path in shop.rglob("*") if path.is_file())
    assert "GPS" not in caplog.text
    assert any(getattr(r, "fields", {}).get("path") == "/v1/search" for r in caplog.records)


def test_logs_are_lines_of_json() -> None:
    from hemline.service.logs import JsonLines

    record = logging.LogRecord("x", logging.INFO, "", 0, "request", None, None)
    record.fields = {"path": "/v1/a\nb", "status": 200}
    line = JsonLines().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["event"], told["path"], told["level"]) == ("request", "/v1/a\nb", "info")


def test_metrics_have_each_step(client: TestClient, photo: bytes) -> None:
    client.post("/v1/search", files={"photo": photo})
    client.get("/nothing/at/all")
    text = client.get("/metrics").text
    for step in ("decode", "encode", "search", "rerank", "rows", "total"):
        assert f'hemline_step_seconds_count{{step="{step}"}} 1.0' in text
    assert 'hemline_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert 'route="other",status="404"' in text
    assert "hemline_catalog_items 6.0" in text
    assert 'hemline_refused_total{kind="not-found"} 1.0' in text


def test_nothing_is_counted_by_what_a_client_chose(open_client: Any, shop: Path) -> None:
    def series() -> int:
        lines = client.get("/metrics", headers=key).text.splitlines()
        return sum(not line.startswith("#") for line in lines)

    key = {"Authorization": f"Bearer {KeyRing(shop / 'service').create('write')[0]}"}
    client = open_client(rate=1e6)
    service = client.app.state.service
    before = 0
    for number in range(400):
        client.request(f"ODD{number}", f"/odd{number}", headers={"X-Request-ID": f"odd{number}"})
        client.get(f"/v1/items/odd{number}", headers={f"X-Odd-{number}": "1", **key})
        wrong = {"Authorization": f"Bearer odd{number}", "User-Agent": f"odd{number}"}
        client.get("/v1/info", headers=wrong)
        if number in (99, 100):  # the request for the metrics counts from the second on
            before = series()
    assert series() == before
    text = client.get("/metrics", headers=key).text
    assert "odd" not in text.lower()
    assert 'method="other",route="other"' in text
    assert len(service.failures._buckets) == 1  # of the one address
    assert len(service.rates._buckets) == 1
