"""A damaged row over HTTP: refused where it is needed, and mended by writing or removing it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fastapi.testclient import TestClient

from hemline.service.app import create_app
from hemline.service.settings import Settings


def test_a_damaged_item_is_refused_and_can_be_removed(client: TestClient, shop: Path) -> None:
    listed = client.get("/v1/items").json()["items"]
    item, other = listed[0]["item_id"], listed[1]["item_id"]
    db = sqlite3.connect(shop / "catalog.sqlite")
    with db:
        db.execute(
            "UPDATE pictures SET category = 'x' || category, revision = revision + 0 "
            "WHERE item = (SELECT number FROM items WHERE item_id = ?)",
            (item,),
        )
    db.close()
    answer = client.get(f"/v1/items/{item}")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:hemline:problem:damaged")
    assert client.get("/v1/items").status_code == 500
    assert client.get(f"/v1/items/{other}").status_code == 200
    assert client.delete(f"/v1/items/{item}").status_code == 200
    assert client.get(f"/v1/items/{item}").status_code == 404
    assert item not in [one["item_id"] for one in client.get("/v1/items").json()["items"]]


def test_a_service_starts_with_damaged_vectors(shop: Path, photo: bytes) -> None:
    """Failed before: the search that warms it up raised the error, and the service ended."""
    segment = shop / "segments/000001.seg"
    segment.write_bytes(bytes(byte ^ 1 for byte in segment.read_bytes()))
    with TestClient(create_app(Settings(shop)), base_url="http://127.0.0.1:8000") as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/items").status_code == 200
        answer = client.post("/v1/search", files={"photo": photo})
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:hemline:problem:damaged")
