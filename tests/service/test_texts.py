"""Texts that can't be stored are refused at the service's edge, in words, and nothing else is."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from hemline.catalog.catalog import Catalog
from hemline.errors import UsageError
from hemline.service.keys import KeyRing

TEXT = "urn:hemline:problem:bad-text"
JSON = {"Content-Type": "application/json"}


def put_body(photo: bytes, **further: object) -> dict[str, object]:
    return {"pictures": [base64.b64encode(photo).decode()], **further}


@pytest.mark.parametrize("tail", ["%00", "%00x", "%ed%a0%80", "%ff"])
@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("DELETE", "/v1/items/item0{}"),
        ("GET", "/v1/items/item0{}"),
        ("PATCH", "/v1/items/item0{}"),
        ("PUT", "/v1/items/item0{}"),
        ("GET", "/v1/items/item0{}/similar"),
        ("GET", "/v1/items?after=item0{}"),
        ("GET", "/v1/items?where=item_id='item0{}'"),
        ("GET", "/v1/facets?columns=category{}"),
        ("GET", "/v1/pictures/{}"),
        ("GET", "/v1/admin/jobs/{}"),
        ("GET", "/static/{}"),
    ],
)
def test_an_address_with_it_is_refused(
    client: TestClient, method: str, address: str, tail: str
) -> None:
    answer = client.request(method, address.format(tail), json={"columns": {"a": 1}})
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == TEXT
    assert client.get("/v1/items/item0").json()["columns"].keys() != {"a"}


@pytest.mark.parametrize("bad", ["\0", "a\0b", "\ud800", "\udc00x"])
def test_json_with_it_is_refused(client: TestClient, photo: bytes, bad: str) -> None:
    bodies: list[dict[str, object]] = [
        {"columns": {"title": bad}},
        {"columns": {bad: 1}},
        {"columns": {"sizes": ["S", {"eu": bad}]}},
        {"category": bad},
        {"tags": [f"colour={bad}"]},
    ]
    for body in bodies:
        for send in (client.put, client.patch):
            answer = send("/v1/items/item0", content=json.dumps(body), headers=JSON)
            assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text
    picture = base64.b64encode(photo).decode()
    search = {"photo": picture, "where": f"category = '{bad}'"}
    feedback = {"search_id": "a", "item_id": bad, "right": True}
    for address, given in (("/v1/search", search), ("/v1/feedback", feedback)):
        answer = client.post(address, content=json.dumps(given), headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text
    raw = b'{"columns": {"title": "\xed\xa0\x80"}}'  # the half of a pair as bytes
    assert client.put("/v1/items/item0", content=raw, headers=JSON).status_code in (400, 422)


def test_forms_with_it_are_refused(client: TestClient, photo: bytes) -> None:
    for fields in ({"where": "category = 'a\0'"}, {"facets": "a\0"}):
        answer = client.post("/v1/search", files={"photo": photo}, data=fields)
        assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text
    item = {"item": r'{"columns": {"title": "\ud800"}}'}
    for given in ({"data": item}, {"data": {}, "files_item": item["item"]}):
        files: dict[str, object] = {"picture": photo}
        if "files_item" in given:
            files["item"] = ("item.json", str(given["files_item"]).encode(), "application/json")
        answer = client.put("/v1/items/item0", files=files, data=given["data"])  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text


@pytest.mark.parametrize("raw", [b"\xff", b"a\xed\xa0\x80", b"\xc0\x80"])
def test_forms_that_are_not_utf8_are_refused(client: TestClient, photo: bytes, raw: bytes) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    image = part % (b"photo", b'; filename="a"', photo)
    for field in (part % (b"where", b"", b"category = '" + raw + b"'"), part % (raw, b"", b"1")):
        answer = client.post("/v1/search", content=image + field + b"--x--\r\n", headers=kind)
        assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text
    item = part % (b"item", b"", b'{"category": "' + raw + b'"}') + b"--x--\r\n"
    answer = client.put("/v1/items/item0", content=item, headers=kind)
    assert (answer.status_code, answer.json()["type"]) == (422, TEXT), answer.text
    item = part % (b"item", b"", '{"category": "ü名"}'.encode()) + b"--x--\r\n"
    assert client.put("/v1/items/item0", content=item, headers=kind).is_success
    assert client.get("/v1/items/item0").json()["category"] == "ü名"


@pytest.mark.parametrize(
    "charset", ["idna", "punycode", "utf-16", '"utf_7"', '"\\"idna"', "latin-1"]
)
def test_forms_in_another_charset_are_refused(client: TestClient, charset: str) -> None:
    for kind in ("multipart/form-data; boundary=x; charset=", "multipart/form-data; Charset ="):
        headers = {"Content-Type": f"{kind}{charset}; boundary=x"}
        for address in ("/v1/search", "/v1/detect", "/v1/admin/manifest"):
            answer = client.post(address, content=b"--x--\r\n", headers=headers)
            assert answer.status_code == 415, (address, answer.text)
    headers = {"Content-Type": 'multipart/form-data; boundary=x; charset="UTF-8"'}
    assert client.post("/v1/search", content=b"--x--\r\n", headers=headers).status_code == 422


def test_names_of_keys(tmp_path: Path) -> None:
    for bad in ("a\0", "\ud800"):
        with pytest.raises(UsageError, match=r"a key: .*(NUL|surrogate)"):
            KeyRing(tmp_path).create("read", bad)
    assert KeyRing(tmp_path).list() == ()


def test_a_bad_line_of_many_is_one_error_line(client: TestClient, photo: bytes) -> None:
    lines = [json.dumps({"item_id": f"b{n}", **put_body(photo)}) for n in range(80)]
    lines[7] = json.dumps({"item_id": "b7", **put_body(photo, columns={"title": "\ud800"})})
    lines[40] = json.dumps({"item_id": "b0\0", "delete": True})
    lines[41] = json.dumps({"item_id": "b\ud800", **put_body(photo)})
    headers = {"Content-Type": "application/jsonl"}
    answer = client.post("/v1/items:bulk", content="\n".join(lines), headers=headers)
    assert answer.status_code == 200
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["line"] for line in told] == list(range(1, 81))
    refused = {line["line"]: line["problem"]["type"] for line in told if "problem" in line}
    assert refused == {8: TEXT, 41: TEXT, 42: TEXT}
    assert client.get("/v1/items").json()["counts"]["items"] == 6 + 77


def test_an_uploaded_feed_with_it_has_bad_rows(client: TestClient, photo: bytes) -> None:
    rows = [{"id": f"u{n}", "image_link": "a.jpg", "title": f"t{n}"} for n in range(4)]
    rows[2]["title"] = "\ud800"
    feed = "".join(json.dumps(row) + "\n" for row in rows)
    files = [("manifest", ("feed.jsonl", feed)), ("picture", ("a.jpg", photo))]
    job = client.post("/v1/admin/manifest", files=files).json()
    while job["state"] in ("waiting", "running"):
        time.sleep(0.02)
        job = client.get(f"/v1/admin/jobs/{job['id']}").json()
    assert job["state"] == "done", job
    assert job["result"]["added"] == 3
    assert [bad["line"] for bad in job["result"]["bad_rows"]] == [3]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"Infinity", b"NaN"])
def test_a_number_that_is_no_float_is_refused(
    client: TestClient, shop: Path, number: bytes
) -> None:
    body = b'{"columns": {"a": [%s]}}' % number
    assert client.patch("/v1/items/item0", content=body, headers=JSON).status_code == 400
    assert "a" not in client.get("/v1/items/item0").json()["columns"]
    with Catalog.open(shop) as catalog:  # SQLite's JSON has no infinite numbers
        assert not catalog.check().problems
