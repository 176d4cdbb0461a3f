"""What the service answers to the widget: the script, and pages of other sites."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from hemline.errors import BusyError
from hemline.service.keys import KeyRing
from hemline.work import Work

SHOP = "https://shop.example"
NAMED = {"Origin": SHOP}


@pytest.fixture
def public(open_client: Any) -> Any:
    return open_client(host="0.0.0.0", public=True, cors=(SHOP,))


def test_the_script_and_its_headers(public: Any) -> None:
    plain = {"Accept-Encoding": "identity"}
    answer = public.get("/widget.js", headers=NAMED | plain)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert "max-age=600" in answer.headers["cache-control"]
    assert {"Origin", "Accept-Encoding"} <= set(answer.headers["vary"].split(", "))
    tag = answer.headers["etag"]
    again = public.get("/widget.js", headers=NAMED | plain | {"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert public.get("/static/js/widget/layer.js").headers["cache-control"] == "no-cache"
    assert public.get("/widget.js").headers["etag"] != tag  # compressed: other bytes


def test_texts_of_the_pages_are_sent_compressed(public: Any) -> None:
    for path in ("/", "/widget.js", "/static/js/main.js", "/static/css/base.css"):
        sent = {}
        for coding in ("gzip", "identity"):
            with public.stream("GET", path, headers={"Accept-Encoding": coding}) as answer:
                sent[coding] = b"".join(answer.iter_raw())
                assert answer.headers.get("content-encoding", "identity") == coding
                assert int(answer.headers["content-length"]) == len(sent[coding])
        assert gzip.decompress(sent["gzip"]) == sent["identity"]
    photo = public.get("/static/samples/red-hoodie.jpg", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in photo.headers


def test_pictures_are_for_other_sites_too(public: Any, photo: bytes) -> None:
    found = public.post("/v1/search", files={"photo": photo}, headers=NAMED)
    assert found.headers["access-control-allow-origin"] == SHOP
    assert "access-control-allow-credentials" not in found.headers
    address = found.json()["hits"][0]["picture"]
    for path in (address, f"{address}?size=320"):
        answer = public.get(path)
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_browsers_are_not_allowed_keys_or_changes(public: Any, open_client: Any) -> None:
    def allowed(client: Any, method: str, headers: str = "") -> bool:
        asked = {**NAMED, "Access-Control-Request-Method": method}
        asked |= {"Access-Control-Request-Headers": headers} if headers else {}
        answer = client.options("/v1/search", headers=asked)
        return bool(answer.status_code == 200)

    assert allowed(public, "POST", "content-type")
    assert not allowed(public, "POST", "authorization")
    for method in ("PUT", "PATCH", "DELETE"):
        assert not allowed(public, method)
    # With keys for everything, a named site's own programs may use them, as before.
    keyed = open_client(cors=(SHOP,))
    assert allowed(keyed, "DELETE", "authorization")


def test_a_named_page_can_read_why_it_was_refused(
    open_client: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed before: refusals of the guard had no CORS headers, so the widget said "offline"."""
    client = open_client(
        host="0.0.0.0", public=True, cors=(SHOP,), max_body=100_000, names=("find.example",)
    )

    def asked(status: int, origin: str = SHOP, **sent: Any) -> Any:
        headers = {"Origin": origin, "Host": "find.example", **sent.pop("headers", {})}
        answer = client.post("/v1/search", headers=headers, **sent)
        assert answer.status_code == status, answer.text
        return answer

    for answer in (
        asked(413, content=b"x" * 100_001),
        asked(421, files={"photo": photo}, headers={"Host": "elsewhere.example"}),
        asked(422, files={"photo": photo}, params={"a": "\0"}),
    ):
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["access-control-expose-headers"] == "X-Request-ID, Retry-After"
        assert "Origin" in answer.headers["vary"]

    def full(*_: Any) -> None:
        raise BusyError("too much at once")

    monkeypatch.setattr(Work, "check_data", full)
    busy = asked(503, files={"photo": photo})
    assert busy.headers["access-control-allow-origin"] == SHOP
    assert busy.headers["retry-after"] == "1"
    foreign = asked(503, "https://other.example", files={"photo": photo})
    assert "access-control-allow-origin" not in foreign.headers


def test_the_pages_of_the_service_itself_are_not_foreign(public: Any, shop: Path) -> None:
    """The admin page sends its key with the service's own origin, also where that is named."""
    key, _ = KeyRing(shop / "service").create("write")
    headers = {"Authorization": f"Bearer {key}", "Host": "shop.example"}
    for origin, status in ((SHOP, 200), ("https://other.example", 403)):
        answer = public.patch("/v1/items/item0", json={}, headers={**headers, "Origin": origin})
        assert answer.status_code == status
    elsewhere = {**headers, "Host": "finder.example", "Origin": SHOP}
    refused = public.patch("/v1/items/item0", json={}, headers=elsewhere)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:hemline:problem:origin")


@pytest.mark.parametrize("origin", ["http://[::1", "null", "nonsense", ""])
def test_an_origin_that_is_none_is_refused(public: Any, origin: str) -> None:
    answer = public.get("/v1/info", headers={"Origin": origin})
    assert answer.status_code == 403
