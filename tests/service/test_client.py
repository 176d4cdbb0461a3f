from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

import hemline
from hemline.client import ServiceError
from hemline.errors import UsageError
from hemline.types import Box, SearchRequest


class Through(httpx.BaseTransport):
    """Brings a client's requests to a service of this process."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self.refusals: list[httpx.Response] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.refusals:
            return self.refusals.pop(0)
        request.read()
        got = self._client.request(
            request.method, str(request.url), content=request.content, headers=request.headers
        )
        return httpx.Response(got.status_code, headers=got.headers, content=got.content)


@pytest.fixture
def through(client: TestClient) -> Through:
    return Through(client)


@pytest.fixture
def ours(through: Through) -> Iterator[hemline.Client]:
    with hemline.Client("http://127.0.0.1:8000", transport=through) as client:
        yield client


def test_searching(ours: hemline.Client, made: Path, photo: bytes) -> None:
    file = made / "pictures/0.jpg"
    got = ours.search(file, 3, (0, 0, 20, 30), "price < 9", offset=1, facets=["category"], why=True)
    assert [hit.rank for hit in got.hits] == [2, 3, 4]
    assert got.box == Box(0, 0, 20, 30)
    assert got.size == (32, 32)
    assert got.hits[0].attention is not None
    assert got.facets["category"]["items"] == 5
    assert ours.picture(got.hits[0].image_digest)[:2] == b"\xff\xd8"
    ours.feedback(got.search_id, got.hits[0].item_id, True)
    assert ours.stats()["feedback"]["right"] == 1
    assert ours.search([photo, photo], 2).hits == ours.search([photo, photo], 2).hits
    near = ours.similar("item0", 2, offset=1, facets=["category"])
    assert ([hit.rank for hit in near.hits], near.facets["category"]["items"]) == ([2, 3], 6)
    same = ours.answer(SearchRequest(item_id="item0", k=2, offset=1))
    assert [hit.item_id for hit in same.hits] == [hit.item_id for hit in near.hits]
    for wrong in (
        SearchRequest(photos=np.zeros((9, 9, 3), np.uint8)),
        SearchRequest(embeddings=np.ones(8, np.float32)),
        SearchRequest(photos=[photo, photo], boxes=[None, (0, 0, 9, 9)]),
    ):
        with pytest.raises(UsageError, match="use hemline.Engine"):
            ours.answer(wrong)
    assert ours.facets(["category"])["category"]["items"] == 6
    assert ours.info()["catalog"]["items"] == 6
    assert isinstance(ours.detect(photo), tuple)
    assert "detect" in ours.search(photo, 2, every=True).timings_ms


def test_listing(ours: hemline.Client) -> None:
    first = ours.items(4)
    assert [one["item_id"] for one in first["items"]] == ["item0", "item1", "item2", "item3"]
    assert first["items"][1] == ours.item("item1")
    assert (first["counts"], first["after"]) == ({"items": 6, "pictures": 12}, "item3")
    last = ours.items(4, first["after"])
    assert [one["item_id"] for one in last["items"]] == ["item4", "item5"]
    assert last["after"] is None
    assert ours.items(where="item_id = 'item5'")["counts"] == {"items": 1, "pictures": 2}


def test_writing(ours: hemline.Client, photo: bytes, made: Path) -> None:
    other = made / "pictures/3.jpg"
    assert ours.put_item("a b/c?", [photo], columns={"price": 3})["status"] == "added"
    assert ours.patch_item("a b/c?", {"price": 4})["status"] == "updated"
    assert ours.item("a b/c?")["columns"] == {"price": 4}
    lines: list[dict[str, Any]] = [
        {"item_id": "bulk", "pictures": [photo, other]},
        {"item_id": "a b/c?", "delete": True},
        {"item_id": "bad", "pictures": []},
    ]
    assert [told["status"] for told in ours.bulk(lines)] == ["added", "removed", "refused"]
    assert len(ours.item("bulk")["pictures"]) == 2
    with pytest.raises(ServiceError, match="no such product") as refused:
        ours.delete_item("a b/c?")
    assert (refused.value.status, refused.value.kind) == (404, "no-item")
    assert refused.value.request_id


def test_a_busy_server_is_asked_again(
    ours: hemline.Client, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    busy = {
        "type": "urn:hemline:problem:busy", "title": "", "status": 503, "detail": "full",
        "request_id": "1",
    }  # fmt: skip
    full = httpx.Response(503, headers={"Retry-After": "2"}, json=busy)
    through.refusals = [full, full]
    assert ours.info()["catalog"]["items"] == 6
    assert slept == [2, 2]
    through.refusals = [full] * 9
    with pytest.raises(ServiceError, match="full"):
        ours.info()


def test_where_nobody_answers() -> None:
    with (
        hemline.Client("http://127.0.0.1:9", timeout=1) as client,
        pytest.raises(ServiceError, match="can't be reached"),
    ):
        client.info()
