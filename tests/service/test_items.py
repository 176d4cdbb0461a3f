from __future__ import annotations

import base64
import io
import json
import sqlite3
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from hemline.catalog.catalog import Catalog
from hemline.data.images import encode_jpeg
from hemline.service.journal import Journal, Search


def coloured(*rgb: int) -> bytes:
    import numpy as np

    return encode_jpeg(np.full((30, 40, 3), rgb, np.uint8))


def put(client: TestClient, item: str, body: dict[str, Any], *pictures: bytes) -> tuple[int, dict]:
    files = [("picture", picture) for picture in pictures]
    answer = client.put(f"/v1/items/{item}", data={"item": json.dumps(body)}, files=files or None)
    return answer.status_code, answer.json()


def found(client: TestClient, photo: bytes, where: str) -> list[str]:
    answer = client.post("/v1/search", files={"photo": photo}, data={"where": where})
    assert answer.status_code == 200, answer.text
    return [hit["item_id"] for hit in answer.json()["hits"]]


def test_a_product_comes_changes_and_goes(client: TestClient, shop: Path) -> None:
    red, blue = coloured(220, 30, 20), coloured(20, 40, 220)
    told = {"columns": {"title": "Red", "price": 12.5}, "category": "dress", "tags": ["colour=red"]}
    assert put(client, "new/one", told, red) == (
        201,
        {"item_id": "new/one", "status": "added", "pictures": 1},
    )
    assert found(client, red, "title = 'Red'") == ["new/one"]
    got = client.get("/v1/items/new/one").json()
    assert (got["category"], got["tags"]) == ("dress", ["colour=red"])
    assert got["columns"] == told["columns"]
    assert client.get(got["pictures"][0]["picture"]).status_code == 200

    assert put(client, "new/one", told, red)[1]["status"] == "unchanged"
    status, answer = put(client, "new/one", told, red, blue)
    assert (status, answer["status"], answer["pictures"]) == (200, "updated", 2)
    first = client.get("/v1/items/new/one").json()["pictures"]
    assert put(client, "new/one", told, blue)[1] == {
        "item_id": "new/one", "status": "updated", "pictures": 1
    }  # fmt: skip
    left = client.get("/v1/items/new/one").json()["pictures"]
    assert len(left) == 1
    assert left[0] in first
    gone = next(p for p in first if p not in left)
    assert client.get(gone["picture"]).status_code == 404

    change = {"columns": {"price": 9, "title": None}}
    assert client.patch("/v1/items/new/one", json=change).json()["status"] == "updated"
    assert client.get("/v1/items/new/one").json()["columns"] == {"price": 9}
    retagged = client.patch("/v1/items/new/one", json={"tags": ["colour=blue"]})
    assert retagged.json()["status"] == "updated"
    with Catalog.open(shop) as catalog:
        (row,) = catalog.store.items(["new/one"])
        assert row.tags == ("colour=blue",)

    assert client.delete("/v1/items/new/one").json()["status"] == "removed"
    assert client.get("/v1/items/new/one").status_code == 404
    assert client.delete("/v1/items/new/one").status_code == 404
    with Catalog.open(shop) as catalog:
        assert catalog.check(deep=True).ok
        assert catalog.store.counts().items == 6


def test_amounts_are_numbers_on_every_path(client: TestClient) -> None:
    """Failed before: a price with its currency was a text, which no condition on numbers found."""
    red = coloured(220, 30, 20)
    assert put(client, "one", {"columns": {"price": "1.299,00 €"}}, red)[0] == 201
    line = {"item_id": "two", "columns": {"price": "12.34 EUR", "sale_price": "cheap"}}
    line["pictures"] = [base64.b64encode(coloured(20, 40, 220)).decode()]
    sent = {"content": json.dumps(line), "headers": {"content-type": "application/jsonl"}}
    assert '"added"' in client.post("/v1/items:bulk", **sent).text
    columns = [client.get(f"/v1/items/{name}").json()["columns"] for name in ("one", "two")]
    assert columns[0] == {"price": 1299.0, "currency": "EUR"}
    assert columns[1] == {"price": 12.34, "currency": "EUR", "sale_price": "cheap"}
    assert client.patch("/v1/items/one", json={"columns": {"price": "$ 5"}}).status_code == 200
    assert client.get("/v1/items/one").json()["columns"] == {"price": 5.0, "currency": "USD"}
    assert found(client, red, "price = 5 and currency = 'usd'") == ["one"]


def test_a_condition_that_nothing_meets_says_why(client: TestClient) -> None:
    """Failed before: nothing was said."""
    asked = {"where": "category = 'dres'"}
    told = client.post("/v1/search", files={"photo": coloured(1, 2, 3)}, data=asked).json()
    assert (told["hits"], "no category is = 'dres'" in told["note"]) == ([], True)
    for path in ("/v1/items", "/v1/facets"):
        assert client.get(path, params=asked).json()["note"] == told["note"]
        assert client.get(path).json()["note"] == ""


def test_what_cant_be_stored_is_refused_whole(client: TestClient) -> None:
    red = coloured(220, 30, 20)
    bare = client.put("/v1/items/x", json={})
    status, answer = bare.status_code, bare.json()
    assert (status, answer["type"]) == (422, "urn:hemline:problem:refused")
    assert "needs a picture" in answer["detail"]
    assert put(client, "x", {}, red, b"no picture")[0] == 422
    assert put(client, "x", {"columns": {"score": 1}}, red)[0] == 422
    assert put(client, "x", {"colums": {}}, red)[0] == 422
    assert put(client, "a" * 201, {}, red)[0] == 422
    assert client.get("/v1/items/x").status_code == 404
    assert client.patch("/v1/items/x", json={"columns": {}}).status_code == 404
    assert client.put("/v1/items/x", content=b"hi").status_code == 415


def test_many_products_by_lines(client: TestClient, shop: Path) -> None:
    def line(item: str, *rgb: int, **more: Any) -> str:
        picture = base64.b64encode(coloured(*rgb)).decode()
        return json.dumps({"item_id": item, "pictures": [picture], **more})

    lines = [line(f"bulk{n}", 10 * n, 20, 30, columns={"n": n}) for n in range(20)]
    lines[3] = "{broken"
    lines[5] = json.dumps({"item_id": "bulk5", "pictures": ["!!"]})
    lines += ["", json.dumps({"item_id": "item0", "delete": True})]
    lines += [json.dumps({"item_id": "bulk1", "columns": {"n": 100}})]
    answer = client.post(
        "/v1/items:bulk", content="\n".join(lines), headers={"Content-Type": "application/jsonl"}
    )
    assert answer.status_code == 200
    told = [json.loads(text) for text in answer.text.splitlines()]
    assert [t["line"] for t in told] == [*range(1, 21), 22, 23]
    status = {t["line"]: t["status"] for t in told}
    assert status[4] == status[6] == "refused"
    assert told[3]["problem"]["status"] == 400
    assert (status[1], status[22], status[23]) == ("added", "removed", "updated")
    with Catalog.open(shop) as catalog:
        assert catalog.store.counts().items == 6 - 1 + 18
        assert catalog.store.items(["bulk1"])[0].columns == {"n": 100}


def wait(client: TestClient, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    end = time.monotonic() + 20
    while time.monotonic() < end:
        job = client.get(answer.headers["location"]).json()
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.02)
    raise AssertionError("the job didn't end")


def test_a_feed_comes_with_its_pictures(client: TestClient, shop: Path) -> None:
    feed = "sku,title,price,image_link,product_type\n"
    feed += (
        'a1,First,"1.299,00 €",a.jpg,Women > Dresses\nb2,Second,5,https://x/y/b.jpg?v=1,Shirts\n'
    )
    feed += "c3,Third,7,../../../etc/passwd,Shirts\nd4,Fourth,7,/etc/passwd,Shirts\n"
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as archive:
        archive.writestr("a.jpg", coloured(1, 2, 200))
        archive.writestr("deep/b.jpg", coloured(200, 2, 1))
    job = wait(
        client,
        client.post(
            "/v1/admin/manifest",
            files=[("manifest", ("feed.csv", feed)), ("picture", ("all.zip", box.getvalue()))],
        ),
    )
    assert job["state"] == "done", job
    assert (job["done"], job["total"]) == (4, 4)
    assert {n: job["result"][n] for n in ("added", "refused", "rows")} == {
        "added": 2, "refused": 2, "rows": 4
    }  # fmt: skip
    assert client.get("/v1/items/a1").json()["columns"]["price"] == 1299
    assert client.get("/v1/items/b2").json()["category"] == "Shirts"
    assert not list((shop / "service/uploads").iterdir())


@pytest.mark.parametrize("count", [201, 10_000])
def test_an_upload_has_no_more_columns_than_any_write(client: TestClient, count: int) -> None:
    names = [f"c{n}" for n in range(count)]
    feed = f"sku,image,{','.join(names)}\na,a.jpg,{','.join(names)}\n"
    files = [("manifest", ("feed.csv", feed)), ("picture", ("a.jpg", coloured(9, 9, 9)))]
    job = wait(client, client.post("/v1/admin/manifest", files=files))
    assert job["state"] == "failed"
    assert "columns" in job["error"]
    assert "c0" not in client.get("/v1/info").json()["catalog"]["columns"]
    line = {"item_id": "a", "columns": dict.fromkeys(names, 1)}
    bulk = client.post(
        "/v1/items:bulk", content=json.dumps(line), headers={"Content-Type": "application/jsonl"}
    )
    assert bulk.json()["status"] == "refused"
    assert client.put("/v1/items/a", json={"columns": line["columns"]}).status_code == 422


def variants(shop: Path, item: str) -> dict[str, dict[str, Any]]:
    """size → columns of an item's images."""
    with Catalog.open(shop) as catalog:
        return {row.columns["size"]: dict(row.columns) for row in catalog.store.items([item])}


def test_columns_that_differ_between_images_stay_apart(client: TestClient, shop: Path) -> None:
    feed = "sku,item_group_id,size,colour,price,image_link\n"
    feed += "p-s,p,S,red,5,a.jpg\np-xl,p,XL,blue,7,b.jpg\n"
    files = [("manifest", ("feed.csv", feed))]
    files += [("picture", (n, coloured(*rgb))) for n, rgb in (("a.jpg", (9, 9, 200)),
                                                              ("b.jpg", (200, 9, 9)))]  # fmt: skip
    assert wait(client, client.post("/v1/admin/manifest", files=files))["result"]["added"] == 1
    small = {"size": "S", "colour": "red", "price": 5, "variant_id": "p-s"}
    large = {"size": "XL", "colour": "blue", "price": 7, "variant_id": "p-xl"}
    assert variants(shop, "p") == {"S": small, "XL": large}

    change = {"columns": {"sale": True, "variant_id": None}, "category": "dress"}
    assert client.patch("/v1/items/p", json=change).json()["status"] == "updated"
    del small["variant_id"], large["variant_id"]
    assert variants(shop, "p") == {"S": small | {"sale": True}, "XL": large | {"sale": True}}
    assert client.patch("/v1/items/p", json=change).json()["status"] == "unchanged"
    with Catalog.open(shop) as catalog:
        before = {row.image_id: row.image_digest for row in catalog.store.items(["p"])}
    retagged = client.patch("/v1/items/p", json={"tags": ["colour=blue"]})  # embeds the copies
    assert retagged.json() == {"item_id": "p", "status": "updated", "pictures": 2}
    assert variants(shop, "p") == {"S": small | {"sale": True}, "XL": large | {"sale": True}}
    with Catalog.open(shop) as catalog:
        rows = catalog.store.items(["p"])
        assert {row.image_id: row.image_digest for row in rows} == before
        assert {row.category for row in rows} == {"dress"}
        assert catalog.check(deep=True).ok


def test_one_item_again_in_one_request_is_another_commit(client: TestClient, shop: Path) -> None:
    def line(**given: Any) -> str:
        return json.dumps({"item_id": "again", **given})

    picture = base64.b64encode(coloured(40, 90, 20)).decode()
    lines = [line(pictures=[picture]), line(columns={"n": 1}), line(delete=True),
             line(delete=True), line(), line(pictures=[picture], columns={"n": 2})]  # fmt: skip
    answer = client.post(
        "/v1/items:bulk", content="\n".join(lines), headers={"Content-Type": "application/jsonl"}
    )
    told = [json.loads(text)["status"] for text in answer.text.splitlines()]
    assert told == ["added", "updated", "removed", "unchanged", "refused", "added"]
    with Catalog.open(shop) as catalog:
        assert [dict(row.columns) for row in catalog.store.items(["again"])] == [{"n": 2}]


def test_an_upload_that_leads_out_is_refused(client: TestClient, shop: Path) -> None:
    for name in ("../out.csv", "/out.csv", "a/../../out.csv", "c:\\out.csv"):
        box = io.BytesIO()
        with zipfile.ZipFile(box, "w") as archive:
            archive.writestr("feed.csv", "sku,image\na,b\n")
            archive.writestr(name, "x")
        answer = client.post("/v1/admin/manifest", files={"manifest": ("f.zip", box.getvalue())})
        assert answer.status_code == 422, name
        assert str(shop) not in answer.text
    bad = client.post("/v1/admin/manifest", files={"manifest": ("f.csv", "a,b\n1,2\n")})
    job = wait(client, bad)
    assert job["state"] == "failed"
    assert "has no column that is known as its id" in job["error"]
    assert str(shop) not in job["error"]


def test_the_check_finds_the_products_again(client: TestClient) -> None:
    job = wait(client, client.post("/v1/admin/check"))
    assert job["state"] == "done", job
    result = job["result"]
    assert result["healthy"]
    assert (result["queries"], result["pictures"]) == (6, 12)
    assert result["recall@20"] == 1.0  # six products
    assert client.get("/v1/admin/jobs").json()["jobs"][0]["id"] == job["id"]
    assert client.get("/v1/admin/jobs/none").status_code == 404


def test_feedback_becomes_triplets(client: TestClient, photo: bytes) -> None:
    got = client.post("/v1/search", files={"photo": photo}, data={"k": 4}).json()
    hits = [hit["item_id"] for hit in got["hits"]]

    def judge(item: str, right: bool | None) -> int:
        body = {"search_id": got["search_id"], "item_id": item, "right": right}
        return client.post("/v1/feedback", json=body).status_code

    assert judge(hits[2], True) == 200
    lines = [json.loads(t) for t in client.get("/v1/feedback/export").text.splitlines()]
    assert [(t["positive"]["item_id"], t["negative"]["item_id"]) for t in lines] == [
        (hits[2], hits[0]), (hits[2], hits[1])
    ]  # fmt: skip
    assert judge(hits[3], False) == 200
    (line,) = client.get("/v1/feedback/export").text.splitlines()
    told = json.loads(line)
    assert (told["negative"]["item_id"], told["negative_is"]) == (hits[3], "wrong")
    assert told["anchor"]["photo"] is None
    assert judge("item99", True) == 422
    wrong = {"search_id": "no", "item_id": hits[0], "right": True}
    assert client.post("/v1/feedback", json=wrong).status_code == 404
    stats = client.get("/v1/admin/stats").json()
    assert stats["feedback"] == {"right": 1, "wrong": 1}
    assert stats["recent"][0]["hits"] == 4
    assert stats["searches"]["timings_ms"]["total"]["p50"] > 0
    assert judge(hits[3], None) == 200  # taken back
    assert client.get("/v1/admin/stats").json()["feedback"] == {"right": 1, "wrong": 0}

    like = client.get("/v1/items/item0/similar").json()
    first, second = (hit["item_id"] for hit in like["hits"][:2])
    for item, right in ((first, False), (second, True)):
        body = {"search_id": like["search_id"], "item_id": item, "right": right}
        assert client.post("/v1/feedback", json=body).status_code == 200
    lines = [json.loads(t) for t in client.get("/v1/feedback/export").text.splitlines()]
    (line,) = [t for t in lines if t["search_id"] == like["search_id"]]
    assert line["anchor"]["item_id"] == "item0"


def test_a_right_first_hit_and_a_wrong_one_alone_are_exported(
    client: TestClient, photo: bytes
) -> None:
    found = []
    for rank, right in ((0, True), (1, False)):
        got = client.post("/v1/search", files={"photo": photo}, data={"k": 4}).json()
        item = got["hits"][rank]["item_id"]
        body = {"search_id": got["search_id"], "item_id": item, "right": right}
        assert client.post("/v1/feedback", json=body).status_code == 200
        found.append(item)
    lines = [json.loads(t) for t in client.get("/v1/feedback/export").text.splitlines()]
    first, wrong = sorted(lines, key=lambda line: line["negative_is"])
    assert (first["positive"]["item_id"], first["negative"]) == (found[0], None)
    assert (wrong["positive"], wrong["negative"]["item_id"]) == (None, found[1])
    assert [line["negative_is"] for line in (first, wrong)] == ["none", "wrong"]


def test_photos_are_kept_only_where_it_was_asked(open_client: Any, photo: bytes) -> None:
    client = open_client(keep_photos=3)
    got = client.post("/v1/search", files={"photo": photo}, data={"k": 2}).json()
    hits = [hit["item_id"] for hit in got["hits"]]
    for item, right in zip(hits, (False, True), strict=True):
        body = {"search_id": got["search_id"], "item_id": item, "right": right}
        client.post("/v1/feedback", json=body)
    (line,) = client.get("/v1/feedback/export").text.splitlines()
    kept = base64.b64decode(json.loads(line)["anchor"]["photo"])
    assert kept[:2] == b"\xff\xd8"
    assert b"Exif" not in kept


def test_photos_are_deleted_after_their_days(tmp_path: Path) -> None:
    """Failed before: photos were kept until 100,000 searches had come after them, or for ever."""
    photo = b"\xff\xd8 a photo that nobody shall find again" * 50
    now = time.time()

    def kept() -> list[str]:
        files = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("journal.sqlite*")))
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
            found = db.execute("SELECT id FROM searches WHERE photo IS NOT NULL ORDER BY id")
            names = [name for (name,) in found]
        assert (photo in files) is bool(names), "the file has nothing of a deleted photo"
        return names

    journal = Journal(tmp_path, days=2)
    for name, age in (("a", 3.0), ("b", 1.9), ("c", 0.0)):
        journal.note(Search(name, {}, (), {}, photo, now - age * 86400))
    journal.flush()
    journal.judge("a", "item", True)  # its search stays, and the photo doesn't
    assert kept() == ["a", "b", "c"]
    journal.expire()
    assert kept() == ["b", "c"]
    journal.close()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        db.execute("UPDATE photos SET until = ? WHERE search = 'b'", (now - 1,))
    Journal(tmp_path, days=30).close()  # a longer term later is none of what was promised
    assert kept() == ["c"]
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        assert db.execute("SELECT until - time FROM photos, searches WHERE id = search").fetchall()[
            0
        ] == pytest.approx((2 * 86400,))
        db.execute("UPDATE photos SET until = ?", (now - 1,))
    Journal(tmp_path).close()  # a service that keeps none any more
    assert kept() == []
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        assert db.execute("SELECT COUNT(*) FROM searches").fetchone() == (3,)


def test_a_photo_is_kept_with_consent_alone(open_client: Any, photo: bytes) -> None:
    client = open_client(keep_photos=3)
    assert client.get("/v1/info").json()["keeps_photos"] == 3
    for keep, there in (("true", True), ("false", False)):
        sent = {"k": 1, "keep": keep}
        got = client.post("/v1/search", files={"photo": photo}, data=sent).json()
        body = {"search_id": got["search_id"], "item_id": got["hits"][0]["item_id"], "right": True}
        client.post("/v1/feedback", json=body)
        journal = client.app.state.service.journal
        pairs = {pair["search_id"]: pair["anchor"]["photo"] for pair in journal.triplets()}
        assert (pairs[got["search_id"]] is not None) is there


def listed(client: TestClient, **asked: Any) -> dict[str, Any]:
    answer = client.get("/v1/items", params=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_products_are_listed_page_by_page(client: TestClient) -> None:
    told = {"columns": {"title": "Red", "price": 900}, "category": "dress"}
    put(client, "a/b é", told, coloured(220, 30, 20))
    seen, after, pages = [], "", 0
    while after is not None:
        page = listed(client, limit=3, after=after)
        assert page["counts"] == {"items": 7, "pictures": 13}
        seen += [one["item_id"] for one in page["items"]]
        after, pages = page["after"], pages + 1
        if pages == 1:  # what comes before the cursor or goes doesn't move the pages
            put(client, "a/a", told, coloured(1, 1, 1))
            client.delete("/v1/items/a%2Fa")
    assert seen == ["a/b é", *(f"item{n}" for n in range(6))]
    assert pages == 3
    (dear,) = listed(client, where="price > 800")["items"]
    assert dear["columns"] == told["columns"]
    assert client.get(dear["pictures"][0]["picture"]).status_code == 200
    assert listed(client, where="price > 9000") == {
        "items": [], "counts": {"items": 0, "pictures": 0}, "after": None,
        "revision": listed(client)["revision"],
        "note": "no price is > 9000; it holds numbers from 0 to 900",
    }  # fmt: skip
    assert len(listed(client, where=" ")["items"]) == 7


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"after": "x" * 201}, "after"),
        ({"where": "fabric = 'wool'"}, "no column 'fabric'"),
        ({"where": "price <"}, "can't be read"),
    ],
)
def test_a_list_that_is_refused(client: TestClient, asked: dict[str, Any], words: str) -> None:
    answer = client.get("/v1/items", params=asked)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("after", ["%f0%9f%91%97", "'%22%3b--", "%ef%bf%bd", "%0a"])
def test_odd_cursors_are_only_texts(client: TestClient, after: str) -> None:
    answer = client.get(f"/v1/items?after={after}")
    assert answer.status_code == 200
    assert {one["item_id"] for one in answer.json()["items"]} <= {f"item{n}" for n in range(6)}
