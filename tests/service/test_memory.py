"""The memory of requests: refused before it is used, given back, and bounded in the real server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import PIL.Image
import pytest
from starlette.requests import Request

from helpers.service_thread import listening
from hemline.data import bounded
from hemline.data.bounded import PIXEL_BYTES
from hemline.service.serving import Service
from hemline.service.settings import Settings
from hemline.service.uploads import Upload
from hemline.types import SearchRequest
from hemline.work import bound

MEGA = 1 << 20


def png(side: int) -> bytes:
    stream = io.BytesIO()
    PIL.Image.new("RGB", (side, side), "red").save(stream, "PNG")
    return stream.getvalue()


def service_of(client: Any) -> Service:
    service: Service = client.app.state.service
    return service


def test_the_photos_of_a_search_are_decoded_one_after_another(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(client)
    used: list[int] = []
    monkeypatch.setattr(
        bounded,
        "open_reduced",
        lambda *args, _open=bounded.open_reduced, **more: (
            _open(*args, **more),
            used.append(service.images.used),
        )[0],
    )
    answer = client.post("/v1/search", files=[("photo", png(300))] * 32)
    assert answer.status_code == 200
    assert used == [300 * 300 * PIXEL_BYTES] * 32
    assert (service.images.used, service.data.used) == (0, 0)


def test_an_image_that_never_fits_is_refused_before_it_is_decoded(open_client: Any) -> None:
    client = open_client(memory=3 * MEGA)
    for path in ("/v1/search", "/v1/detect"):
        refused = client.post(path, files={"photo": png(400)})
        assert (refused.status_code, refused.json()["type"]) == (413, "urn:hemline:problem:memory")
    assert client.post("/v1/search", files={"photo": png(300)}).status_code == 200
    put = client.put("/v1/items/large", files={"picture": png(400)})
    assert put.status_code == 422
    assert "of memory" in put.json()["detail"]
    service = service_of(client)
    assert (service.images.used, service.data.used) == (0, 0)


def test_bodies_share_a_memory(open_client: Any, photo: bytes) -> None:
    client = open_client(memory=12 * MEGA)
    service = service_of(client)
    body = {"files": {"photo": bytes(MEGA)}}
    never = client.post("/v1/search", files={"photo": bytes(3 * MEGA)})
    assert (never.status_code, never.json()["type"]) == (413, "urn:hemline:problem:memory")
    assert client.post("/v1/search", **body).status_code == 422
    service.data.take(3 * MEGA)
    full = client.post("/v1/search", **body)
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")

    def pieces() -> Any:
        for _ in range(12):
            yield bytes(100_000)

    kind = {"Content-Type": "application/json"}
    assert client.post("/v1/search", content=pieces(), headers=kind).status_code == 503
    assert client.post("/v1/search", files={"photo": photo}).status_code == 200
    assert service.data.used == 3 * MEGA
    service.data.give(3 * MEGA)


def test_a_bulk_upload_holds_only_what_isnt_stored(shop: Path) -> None:
    line = json.dumps({"item_id": "a", "columns": {"text": "x" * 10_000}}).encode() + b"\n"
    kind = {"Content-Type": "application/jsonl"}
    with listening(Settings(shop, port=0, memory=6 * MEGA)) as url, httpx.Client() as http:
        for _ in range(2):
            pieces = (line * 5 for _ in range(80))  # 4 MB
            many = http.post(f"{url}/v1/items:bulk", content=pieces, headers=kind)
            assert many.text.count('"refused"') == 400  # without a picture
            long = (b"x" * 50_000 for _ in range(40))
            refused = http.post(f"{url}/v1/items:bulk", content=long, headers=kind)
            assert json.loads(refused.text)["problem"]["status"] in (413, 503)


def test_work_that_nobody_waits_for_ends(
    client: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(client)
    work = service.new_work()
    decoded: list[int] = []

    def open_reduced(*args: Any, _open: Any = bounded.open_reduced, **more: Any) -> Any:
        decoded.append(1)
        if len(decoded) == 3:
            work.stop()  # as the connection does when its client leaves
        return _open(*args, **more)

    monkeypatch.setattr(bounded, "open_reduced", open_reduced)
    with bound(work), pytest.raises(Exception, match="has ended"):
        service.engine.answer(SearchRequest(photos=(photo,) * 32))
    assert len(decoded) <= 4


def test_an_answer_that_takes_too_long_is_stopped(open_client: Any) -> None:
    client = open_client(timeout=0.3)
    service = service_of(client)
    service.images.take(service.images.total)  # each photo waits
    late = client.post("/v1/search", files={"photo": png(50)})
    assert late.status_code == 503
    service.shared.threads.submit(lambda: None).result()
    service.images.give(service.images.total)
    service.shared.threads.shutdown(wait=True)  # its thread has ended
    assert (service.images.used, service.data.used) == (0, 0)


def test_json_of_countless_parts_is_refused(client: Any) -> None:
    kind = {"Content-Type": "application/json"}
    answer = client.post("/v1/search", content=b"[" + b"[]," * 1_500_000 + b"1]", headers=kind)
    assert answer.status_code == 400
    assert "parts" in answer.json()["detail"]
    names = b",".join(b'"a%d": 1' % n for n in range(30_000))  # each would be an error of its own
    for path in ("/v1/search", "/v1/detect", "/v1/feedback"):
        answer = client.post(path, content=b"{" + names + b"}", headers=kind)
        assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request"), path


def test_an_upload_is_held_on_the_disk(tmp_path: Path) -> None:
    """Parts of less than 1 MB were held in memory, larger ones as open files."""
    part = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="%d.jpg"\r\n\r\n%s\r\n'
    bodies = [part % (n, b"p" * 600_000) for n in range(40)] + [part % (40, b"")] * 400
    sent = iter([*bodies, b"--x--\r\n"])

    async def receive() -> dict[str, Any]:
        body = next(sent)
        return {"type": "http.request", "body": body, "more_body": body != b"--x--\r\n"}

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    upload = Upload(tmp_path, 1 << 30)
    files = len(os.listdir("/dev/fd")) if Path("/dev/fd").exists() else 0
    tracemalloc.start()
    with ThreadPoolExecutor(1) as aside:  # a browser's tests leave a loop running in this one
        parts = aside.submit(asyncio.run, upload.read(request)).result()["picture"]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(parts) == 440
    assert most < 5_000_000
    assert not files or len(os.listdir("/dev/fd")) <= files + 3
    for number, one in enumerate(parts[:41]):
        upload.take(one)
        size = (upload.folder / f"{number}.jpg").stat().st_size
        assert size == (600_000 if number < 40 else 0)
    assert upload.folder.exists()
    upload.close()
    assert not upload.folder.exists()
