"""Lines of `items:bulk` under the names of a shop's feed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hemline.catalog.catalog import Catalog
from hemline.catalog.intake.options import SyncOptions
from hemline.data.images import encode_jpeg


def picture(*rgb: int) -> str:
    import numpy as np

    return base64.b64encode(encode_jpeg(np.full((30, 40, 3), rgb, np.uint8))).decode()


def bulk(client: TestClient, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    content = "\n".join(json.dumps(line) for line in lines)
    answer = client.post(
        "/v1/items:bulk", content=content, headers={"Content-Type": "application/jsonl"}
    )
    return [json.loads(line) for line in answer.text.splitlines()]


ROW = {
    "title": "Red dress", "price": "1.299,00 €", "sale_price": "1.000,00 €", "link": "https://x/1",
    "availability": "in stock", "color": "red", "size": ["S", "M"],
    "product_type": "Women > Dresses", "google_product_category": 2271, "brand": "",
}  # fmt: skip
STORED = {
    "title": "Red dress", "price": 1299.0, "sale_price": 1000.0, "link": "https://x/1",
    "availability": "in stock", "color": "red", "size": ["S", "M"], "currency": "EUR",
    "product_type": "Women > Dresses", "google_product_category": 2271,
}  # fmt: skip


@pytest.mark.parametrize("name", ["sku", "id", "g:id", "SKU", "offer_id", "item_id"])
@pytest.mark.parametrize("image", ["image", "image_link", "Photos", "pictures"])
def test_a_line_may_be_a_row_of_a_feed(client: TestClient, name: str, image: str) -> None:
    """Failed before: a line knew its own names alone, and refused the others."""
    told = bulk(client, {name: "a1", image: picture(200, 20, 20), **ROW})
    assert [(one["item_id"], one["status"]) for one in told] == [("a1", "added")]
    item = client.get("/v1/items/a1").json()
    assert (item["category"], item["columns"]) == ("Dresses", STORED)


def test_a_line_is_stored_as_sync_stores_its_row(
    client: TestClient, shop: Path, tmp_path: Path
) -> None:
    row = {**ROW, "tags": "colour=red;cut=long", "score": 3, "Art. No.": 7, "image": "a.jpg"}
    (tmp_path / "a.jpg").write_bytes(base64.b64decode(picture(1, 2, 200)))
    (tmp_path / "feed.jsonl").write_text(json.dumps({"sku": "a1", **row}) + "\n")
    with Catalog.open(shop) as catalog:
        catalog.sync(tmp_path / "feed.jsonl", SyncOptions(allow_removals=1.0))
        (synced,) = catalog.store.items(["a1"])
    row["image"] = picture(1, 2, 200)
    assert bulk(client, {"sku": "a2", **row})[0]["status"] == "added"
    with Catalog.open(shop) as catalog:
        (sent,) = catalog.store.items(["a2"])
    assert (sent.columns, sent.category, sent.tags) == (
        synced.columns, synced.category, synced.tags
    )  # fmt: skip
    assert sent.columns["feed_score"] == 3


def test_images_in_any_of_their_columns(client: TestClient) -> None:
    red, blue = picture(200, 20, 20), picture(20, 20, 200)
    line = {"sku": "a", "image_link": "https://x/1.jpg", "image": f"data:image/jpeg;base64,{red}",
            "additional_image_link": [blue]}  # fmt: skip
    assert bulk(client, line)[0]["status"] == "added"
    assert len(client.get("/v1/items/a").json()["pictures"]) == 2
    (kept,) = bulk(client, {"sku": "a", "price": "5 EUR"})
    assert kept["status"] == "updated", "without images the stored ones stay"
    assert len(client.get("/v1/items/a").json()["pictures"]) == 2
    (gone,) = bulk(client, {"sku": "a", "delete": True})
    assert gone["status"] == "removed"


def test_the_names_of_before_count_first(client: TestClient) -> None:
    line = {"item_id": "own", "sku": "other", "pictures": [picture(1, 99, 20)], "price": 3,
            "columns": {"price": 4, "n": 1}, "category": "dress"}  # fmt: skip
    assert bulk(client, line)[0]["item_id"] == "own"
    item = client.get("/v1/items/own").json()
    assert item["columns"] == {"sku": "other", "price": 4, "n": 1}
    assert item["category"] == "dress"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"item_id": "a", "colums": {"n": 1}}, "did you mean 'columns'"),
        ({"sku": "a", "deleted": True}, "did you mean 'delete'"),
        ({"sku": "a", "image_link": "https://x/1.jpg"}, "image_link is an address"),
        ({"sku": "a", "image": "a.jpg"}, "base64"),
        ({"artno": "a", "price": 3}, "no item_id (known as one: id, sku"),
        ({"sku": "", "price": 3}, "sku is empty"),
        ({"sku": "a-s", "item_group_id": "a"}, "a line is a whole product"),
        ({"sku": "a", "columns": 3}, "columns"),
        ({"sku": "a", **{f"c{n}": n for n in range(201)}}, "columns"),
    ],
)
def test_a_line_that_is_refused_says_what_to_do(
    client: TestClient, line: dict[str, Any], words: str
) -> None:
    (told,) = bulk(client, line)
    assert told["status"] == "refused"
    assert words in told["problem"]["detail"]
